//! Packets in, evidence out: `lynceus analyze` reads captures that are made here, and each type of evidence that
//! `docs/detections.md` does not mark otherwise must come, over IPv4 and over IPv6.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "packets/feeds.rs"]
mod feeds;
#[path = "../../collector/tests/support/https.rs"]
#[allow(dead_code, reason = "only its handshakes are wanted")]
mod https;
#[path = "packets/messages.rs"]
mod messages;
#[path = "packets/scenes.rs"]
mod scenes;
#[path = "packets/stage.rs"]
mod stage;
#[path = "support/vendor.rs"]
mod vendor;
#[path = "packets/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use lynceus_enrich::provider::Settings;
use lynceus_enrich::wire::{ProbeLog, Wire};
use lynceus_model::evidence::EvidenceType;
use scenes::Certificates;
use serde_json::Value;
use stage::{Family, Stage};
use wire::Air;

const PAGE: &str = include_str!("../../docs/detections.md");

/// What only IPv4 has, and the detectors of which cards tell.
const ONLY_OF_IPV4: [(&str, &str); 5] = [
    (
        "DEVICE_CHANGING_IP",
        "hosts have several addresses of IPv6 on purpose",
    ),
    ("DHCP_SCAN", "DHCP"),
    ("ICMP_TIMESTAMP_SCAN", "ICMP"),
    ("ICMP_ADDRESS_MASK_SCAN", "ICMP"),
    ("INCOMPATIBLE_USER_AGENT", "packets show cards by ARP and DHCP"),
];

/// In captures of their own: what needs a day of many hosts, and what somebody else has to be asked about.
const ELSEWHERE: [&str; 3] = ["OUTLIER", "YOUNG_DOMAIN", "MALICIOUS_JARM"];

/// Types that packets must show: by the table of the page, all but those marked `log-only` or `not built`.
fn shown_by_packets() -> BTreeSet<String> {
    let (_, table) = PAGE.split_once("## Where each type comes from").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split(" | ").collect())
        .collect();
    let names = EvidenceType::ALL.map(EvidenceType::name);
    let shown = names.into_iter().filter(|name| {
        let end = |word: &str| {
            let word = word.trim();
            word == *name || word.strip_prefix('…').is_some_and(|end| name.ends_with(end))
        };
        let row = rows
            .iter()
            .find(|row| {
                row[0]
                    .split([',', '('])
                    .any(|words| end(words) || words.split(' ').any(end))
            })
            .unwrap_or_else(|| panic!("{name} is in no row"));
        let pcap = row[2].trim();
        !(pcap.starts_with("log-only") || pcap.starts_with("not built"))
    });
    shown.map(str::to_owned).collect()
}

/// Type and profile.
type Findings = BTreeSet<(String, IpAddr)>;

/// Plays everything over a family and reads it with the program. Gives what was expected and what came.
fn analyze(family: Family) -> (Findings, Findings) {
    let certificates = Certificates::new();
    let mut stage = Stage::new(family);
    scenes::play(&mut stage, &certificates);
    let found = findings(&run(stage.air, &certificates.listed, ""));
    (stage.expected, found)
}

fn findings(evidence: &[Value]) -> Findings {
    let finding = |line: &Value| {
        let text = |field: &str| line[field].as_str().unwrap();
        (text("type").to_owned(), text("profile").parse().unwrap())
    };
    evidence.iter().map(finding).collect()
}

/// The evidence that the program finds.
fn run(air: Air, certificate: &[u8], more: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    feeds::configure(folder.path(), certificate, more);
    let capture = folder.path().join("air.pcap");
    std::fs::write(&capture, air.pcap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["analyze", "--json", "--direction", "all", "--config"])
        .arg(folder.path().join("lynceus.toml"))
        .arg(&capture)
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "evidence").collect()
}

fn check(family: Family, unless: &[&str]) {
    let (expected, found) = analyze(family);
    let played: BTreeSet<&str> = expected.iter().map(|(kind, _)| kind.as_str()).collect();
    let wanted = shown_by_packets();
    assert!(wanted.len() > 60, "the table was not read: {wanted:?}");
    for kind in &wanted {
        let excused = unless.contains(&kind.as_str()) || ELSEWHERE.contains(&kind.as_str());
        assert!(played.contains(kind.as_str()) != excused, "{kind}: {family:?}");
    }
    found_all(&expected, &found, family);
}

fn found_all(expected: &Findings, found: &Findings, family: Family) {
    let missing: Vec<_> = expected.difference(found).collect();
    assert!(
        missing.is_empty(),
        "{family:?}: not found: {missing:#?}\nfound: {found:#?}"
    );
}

#[test]
fn each_type_fires_on_packets_of_ipv4() {
    check(Family::Four, &[]);
}

#[test]
fn each_type_fires_on_packets_of_ipv6() {
    check(Family::Six, &ONLY_OF_IPV4.map(|(kind, _)| kind));
}

/// By the defaults: a baseline of two hundred windows over a day, and one false alarm a day.
#[test]
fn an_outlier_fires_on_packets() {
    for family in [Family::Four, Family::Six] {
        let mut stage = Stage::new(family);
        scenes::office(&mut stage);
        let found = findings(&run(stage.air, &[], ""));
        found_all(&stage.expected, &found, family);
        let raised = found.iter().filter(|(kind, _)| kind == "OUTLIER").count();
        // Of 130 windows that are as they should be, with their servers.
        assert!(raised <= 4, "{family:?}: {found:#?}");
    }
}

/// `[knowledge]`: a registry says that a domain is young, and the server that packets show is probed. Without it,
/// nothing of that is said.
#[test]
fn those_who_are_asked_say_what_packets_do_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = listener.local_addr().unwrap();
    vendor::serve(listener, |path| {
        // Ten days before the capture.
        let date = match path {
            "domain/example.org" => "2023-11-04T22:00:00Z",
            _ => "1995-08-14T04:00:00Z",
        };
        let event = format!(r#"{{"eventAction":"registration","eventDate":"{date}"}}"#);
        (
            200,
            format!(r#"{{"objectClassName":"domain","events":[{event}]}}"#),
        )
    });
    let server = https::Server::start(|_| https::Answer::new(200, ""));
    let tls = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let folder = tempfile::tempdir().unwrap();
    let log = ProbeLog::at(folder.path().join("probes.jsonl"));
    let wire = Wire::new(&Settings::default(), log, None);
    let jarm = lynceus_enrich::lookup::probe(&wire, tls, Duration::from_secs(30)).unwrap();
    std::fs::write(folder.path().join("jarm"), format!("{jarm}\n")).unwrap();
    let feed = format!(
        "[[feeds]]\nname = \"jarm\"\npath = \"{}\"\nkind = \"jarm\"\n",
        folder.path().join("jarm").display()
    );
    let asked = format!(
        "[knowledge.rdap]\nenabled = true\nurl = \"http://{registry}\"\n[knowledge.jarm]\nenabled = true\nevery_server = true\ntimeout = \"30s\"\n"
    );
    for more in [feed.clone(), feed + &asked] {
        let mut stage = Stage::new(Family::Four);
        scenes::servers(&mut stage, tls);
        let found = findings(&run(stage.air, &[], &more));
        if more.contains("[knowledge") {
            found_all(&stage.expected, &found, Family::Four);
        } else {
            assert!(stage.expected.is_disjoint(&found), "{found:#?}");
        }
    }
}

/// BitTorrent asks forty strangers on forty odd ports, most of whom are gone: recognized, so nothing that weighs is said of
/// the host. The same ports without its words are said.
#[test]
fn peers_are_recognized_instead_of_flagged() {
    for family in [Family::Four, Family::Six] {
        let mut stage = Stage::new(family);
        scenes::peers(&mut stage);
        let found = run(stage.air, &[], "");
        let of = |host: &str| {
            let weighs = found
                .iter()
                .filter(|line| line["profile"] == host && line["threat_level"] != "info");
            weighs
                .map(|line| line["type"].as_str().unwrap())
                .collect::<BTreeSet<_>>()
        };
        let (peer, other) = match family {
            Family::Four => ("10.0.90.5", "10.0.91.5"),
            Family::Six => ("fd00::90:5", "fd00::91:5"),
        };
        assert_eq!(of(peer), BTreeSet::new(), "{family:?}");
        assert!(of(other).contains("UNKNOWN_PORT"), "{family:?}: {:?}", of(other));
    }
}
