//! What the profiler and the detectors say about the shared captures: attacks are found, normal hosts are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lynceus_detect::{Context, DetectConfig, History, ProfileUpdate, Registry};
use lynceus_model::evidence::{Evidence, ThreatLevel};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::{Direction, WindowId};
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::profiler::{Pipeline, ProfileSettings};
use lynceus_sensor::source::Status;
use lynceus_sensor::source::pcap::{Depth, PcapSource};
use lynceus_tests::fixtures::{captures, shared};

struct Analysis {
    profiles: BTreeMap<WindowId, ProfileDelta>,
    evidence: Vec<Evidence>,
}

fn capture(id: &str) -> Option<PathBuf> {
    let shared = shared()?;
    let all = captures(&shared).expect("the index can be read");
    Some(
        all.into_iter()
            .find(|capture| capture.id == id)
            .expect("the capture is in the index")
            .path,
    )
}

fn analyze(id: &str) -> Option<Analysis> {
    let source = PcapSource::new([capture(id)?], FlowTableConfig::default(), Depth::Deep)
        .with_decoders(Default::default());
    let settings = ProfileSettings {
        direction: Direction::All,
        ..ProfileSettings::default()
    };
    let sensor = settings.sensor;
    let mut pipeline = Pipeline::new(source, settings).expect("no whitelist is read");
    let mut registry = Registry::new(&DetectConfig::default(), &Context::offline(Default::default()));
    let mut analysis = Analysis {
        profiles: BTreeMap::new(),
        evidence: Vec::new(),
    };
    let mut ids = BTreeSet::new();
    loop {
        let mut updates = Vec::new();
        let status = pipeline.next(&mut updates).expect("the capture is whole");
        for update in &updates {
            let window = update.delta.window;
            let profile = analysis
                .profiles
                .entry(window)
                .or_insert_with(|| ProfileDelta::new(window));
            assert!(profile.merge(&update.delta));
            let shown = ProfileUpdate {
                sensor,
                profile,
                delta: &update.delta,
                number: pipeline
                    .plan()
                    .expect("there was an event")
                    .number_of(window.start),
                stage: update.stage,
                flows: &update.flows,
                apps: &update.apps,
            };
            let found = registry.inspect(&shown, &History::default());
            analysis
                .evidence
                .extend(found.into_iter().filter(|evidence| ids.insert(evidence.id)));
        }
        if status == Status::Ended {
            return Some(analysis);
        }
    }
}

/// (type, profile, detail) of all evidence from a level on, each once.
fn findings(analysis: &Analysis, least: ThreatLevel) -> BTreeSet<String> {
    analysis
        .evidence
        .iter()
        .filter(|evidence| evidence.threat_level >= least)
        .map(|evidence| {
            let victim = evidence.victim.map(|ip| format!(" {ip}")).unwrap_or_default();
            let port = evidence
                .dst_port
                .map(|port| format!(" {port}"))
                .unwrap_or_default();
            format!("{} {}{victim}{port}", evidence.kind.name(), evidence.profile)
        })
        .collect()
}

/// Attacks and long connections, with nothing beside them.
#[test]
fn attacks_are_found_and_nothing_else() {
    let expected: [(&str, &[&str]); 6] = [
        (
            "scan-mirai-horizontal",
            &[
                "HORIZONTAL_PORT_SCAN 192.168.2.16 2323",
                "HORIZONTAL_PORT_SCAN 192.168.2.16 23",
                "HORIZONTAL_PORT_SCAN 192.168.2.16 8080",
                "HORIZONTAL_PORT_SCAN 192.168.2.16 9527",
                // Among the addresses that it makes up are private ones; those that its peers have (10.35.25.41 by UDP) are
                // no look for networks.
                "DIFFERENT_LOCALNET 192.168.2.16 10.243.26.217 8080",
            ],
        ),
        (
            "scan-vertical",
            &[
                "VERTICAL_PORT_SCAN 172.16.0.8 64.13.134.52",
                "MULTIPLE_RECONNECTION_ATTEMPTS 172.16.0.8 64.13.134.52 23",
            ],
        ),
        (
            "scan-version",
            &["VERTICAL_PORT_SCAN 192.168.126.228 192.168.126.224"],
        ),
        ("scan-icmp", &["ICMP_ADDRESS_SCAN 192.168.1.109"]),
        (
            "long-session",
            &[
                "LONG_CONNECTION 192.168.2.186 192.168.2.21 1234",
                "UNKNOWN_PORT 192.168.2.186 192.168.2.21 1234",
            ],
        ),
        ("cc-slips-1", &["BEACONING 147.32.80.37 141.193.213.21 443"]),
    ];
    for (id, wanted) in expected {
        let Some(analysis) = analyze(id) else { return };
        let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(findings(&analysis, ThreatLevel::Low), wanted, "{id}");
    }
}

/// Findings on application messages; other detectors may have more to say about these hosts.
#[test]
fn messages_show_attacks() {
    let expected = [
        (
            "bruteforce-ssh",
            "PASSWORD_GUESSING 192.168.56.1 192.168.56.103 22",
        ),
        ("dns-tunnel-iodine", "DNS_TUNNEL 10.0.2.30 53"),
        ("dns-exfiltration", "DNS_TUNNEL 192.168.220.56 53"),
        (
            "log4shell",
            "SUSPICIOUS_USER_AGENT 172.16.238.1 172.16.238.10 8080",
        ),
        (
            "malware-emotet",
            "EXECUTABLE_MIME_TYPE 10.4.20.102 107.161.178.210 80",
        ),
    ];
    for (id, wanted) in expected {
        let Some(analysis) = analyze(id) else { return };
        let found = findings(&analysis, ThreatLevel::Low);
        assert!(found.contains(wanted), "{id}: {found:#?}");
    }
}

/// Info and low are said of normal hosts, too: what is odd but usual.
#[test]
fn normal_hosts_raise_nothing() {
    for id in [
        "web-browsing",
        "web-tls-browsing",
        "video-call",
        "bittorrent",
        "ipv6-http",
        "services-mixed",
        "quic",
        "mixed-flow-records",
    ] {
        let Some(analysis) = analyze(id) else { return };
        assert!(!analysis.profiles.is_empty(), "{id}: nothing was read");
        assert_eq!(findings(&analysis, ThreatLevel::Medium), BTreeSet::new(), "{id}");
    }
}

/// `curl` every two seconds for eleven minutes: each of the 297 flows has a letter, most of them strongly periodic.
#[test]
fn letters_of_a_beacon() {
    let Some(analysis) = analyze("cc-slips-1") else {
        return;
    };
    let letters: Vec<_> = analysis
        .profiles
        .values()
        .flat_map(|profile| profile.letters.entries())
        .filter(|(_, key, letters)| !key.incoming && letters.version > 100)
        .collect();
    let [(_, key, letters)] = letters.as_slice() else {
        panic!("one beacon, not {letters:?}")
    };
    assert_eq!((key.port, key.protocol, letters.version), (443, 6, 297));
    assert!(letters.text.starts_with("88h.h.h."), "{}", letters.text);
    let periodic = letters.text.matches(['h', 'H']).count();
    assert!(
        periodic * 10 > letters.text.matches('.').count() * 9,
        "{periodic} in {}",
        letters.text
    );
}

/// The bot tried most of what it wanted on several ports, so its profile counts more targets than there are hosts.
#[test]
fn the_scanner_has_the_largest_profile() {
    let Some(analysis) = analyze("scan-mirai-horizontal") else {
        return;
    };
    let scanner = analysis
        .profiles
        .values()
        .max_by_key(|profile| profile.totals.flows())
        .expect("there are profiles");
    assert_eq!(scanner.window.profile.to_string(), "192.168.2.16");
    assert!(
        scanner.attempts.distinct() > 250.0,
        "{}",
        scanner.attempts.distinct()
    );
}
