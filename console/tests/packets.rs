//! Packets in, evidence out: `lynceus analyze` reads captures that are made here, and each type of evidence that
//! `docs/detections.md` does not mark otherwise must come, over IPv4 and over IPv6.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "packets/messages.rs"]
mod messages;
#[path = "packets/scenes.rs"]
mod scenes;
#[path = "packets/stage.rs"]
mod stage;
#[path = "packets/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use lynceus_model::evidence::EvidenceType;
use scenes::Certificates;
use serde_json::Value;
use sha1::{Digest, Sha1};
use stage::{Family, Stage};
use wire::Air;

const PAGE: &str = include_str!("../../docs/detections.md");

/// What only IPv4 has, and the detectors of which cards tell.
const ONLY_OF_IPV4: [(&str, &str); 9] = [
    ("ARP_SCAN", "ARP"),
    ("ARP_OUTSIDE_LOCALNET", "ARP"),
    ("UNSOLICITED_ARP", "ARP"),
    ("MITM_ARP_ATTACK", "ARP"),
    (
        "DEVICE_CHANGING_IP",
        "hosts have several addresses of IPv6 on purpose",
    ),
    ("DHCP_SCAN", "DHCP"),
    ("ICMP_TIMESTAMP_SCAN", "ICMP"),
    ("ICMP_ADDRESS_MASK_SCAN", "ICMP"),
    ("INCOMPATIBLE_USER_AGENT", "packets show cards by ARP and DHCP"),
];

/// Shown elsewhere: OUTLIER compares with days of windows of many hosts (`tests/outliers.rs`).
const ELSEWHERE: [&str; 1] = ["OUTLIER"];

/// Types that packets must show: by the table of the page, all but those marked `log-only`, `not built`, or with a
/// service that has to be asked.
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
        !(pcap.starts_with("log-only")
            || pcap.starts_with("not built")
            || pcap.starts_with("with `[knowledge"))
    });
    shown.map(str::to_owned).collect()
}

/// The feeds and the local network.
fn configure(folder: &Path, certificate: &[u8]) {
    let hash: String = Sha1::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bad = "198.51.80.1\n2001:db8::80:1\nlisted.example\nhttp://evil.example/payload.bin\nAS15169\n\
               t12d020400_04659ec43a24_38660d1a2b28\n";
    // Of the hellos of `messages.rs`: MD5 of `771,49199-49200,0-10-11-13,29-23,0` and of `771,49199,11`.
    for (name, lines) in [
        ("bad", bad),
        ("ja3", "1f4b8d65612ee195acc058194ef6fd00\n"),
        ("ja3s", "70745099b394fe3f42264227c098cc98\n"),
        ("certificate", hash.as_str()),
        ("tor-exit", "198.51.84.1\n2001:db8::84:1\n"),
    ] {
        std::fs::write(folder.join(name), lines).unwrap();
    }
    let feed = |name: &str, kind: &str| {
        format!(
            "[[feeds]]\nname = \"{name}\"\npath = \"{}\"\nkind = \"{kind}\"\n",
            folder.join(name).display()
        )
    };
    let feeds = [
        feed("bad", "auto"),
        feed("ja3", "ja3"),
        feed("ja3s", "ja3s"),
        feed("certificate", "certificate"),
        feed("tor-exit", "tor-exit"),
    ];
    let network = "[detect.network]\nlocal = [\"10.0.0.0/8\", \"fd00::/64\"]\n";
    std::fs::write(folder.join("lynceus.toml"), feeds.concat() + network).unwrap();
}

/// Type and profile.
type Findings = BTreeSet<(String, IpAddr)>;

/// Plays everything over a family and reads it with the program. Gives what was expected and what came.
fn analyze(family: Family) -> (Findings, Findings) {
    let certificates = Certificates::new();
    let mut stage = Stage {
        air: Air::default(),
        family,
        expected: BTreeSet::new(),
    };
    scenes::play(&mut stage, &certificates);
    let found = run(stage.air, &certificates.listed);
    let found = found.iter().map(|line| {
        let text = |field: &str| line[field].as_str().unwrap();
        (text("type").to_owned(), text("profile").parse().unwrap())
    });
    (stage.expected, found.collect())
}

/// The evidence that the program finds.
fn run(air: Air, certificate: &[u8]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), certificate);
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
    let missing: Vec<_> = expected.difference(&found).collect();
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

/// BitTorrent asks forty strangers on forty odd ports, most of whom are gone: recognized, so nothing that weighs is said of
/// the host. The same ports without its words are said.
#[test]
fn peers_are_recognized_instead_of_flagged() {
    for family in [Family::Four, Family::Six] {
        let mut stage = Stage {
            air: Air::default(),
            family,
            expected: BTreeSet::new(),
        };
        scenes::peers(&mut stage);
        let found = run(stage.air, &[]);
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
