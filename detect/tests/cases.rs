//! Every file under `tests/cases` is a test: traffic goes through the profiler and the detectors, and exactly the
//! expected evidence must come. The same again with other cuts of deltas and with the traffic split over two sensors.

#[path = "support/case.rs"]
mod case;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use case::{Case, Event, Split};
use lynceus_detect::{Context, History, ProfileUpdate, Registry};
use lynceus_model::evidence::{Evidence, EvidenceId, ThreatLevel};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId, WindowUpdate};

const SENSOR: SensorId = SensorId([5; 16]);

fn profile(events: &[Event], refresh: Duration) -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        refresh,
        ..ProfilerConfig::default()
    });
    for event in events {
        match event {
            Event::Flow(update) => profiler.observe((**update).clone()),
            Event::App(record) => profiler.observe_app((**record).clone()),
        }
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    updates
}

/// As the collector does it: merge, then show to the detectors; of a finding that grows the last word stands.
fn detect(case: &Case, updates: &[WindowUpdate]) -> Vec<Evidence> {
    let context = Context {
        network: Arc::new(case.config.network.clone()),
        knowledge: Arc::new(case.knowledge.clone()),
    };
    let mut registry = Registry::new(&case.config, &context);
    if !case.detectors.is_empty() {
        registry.keep(|name| case.detectors.iter().any(|wanted| wanted == name));
        assert_eq!(registry.names().count(), case.detectors.len(), "no such detector");
    }
    let plan = ProfilerConfig::default().plan;
    let mut profiles: BTreeMap<WindowId, ProfileDelta> = BTreeMap::new();
    let mut found: Vec<Evidence> = Vec::new();
    let mut now = Timestamp::MIN;
    for update in updates {
        let window = update.delta.window;
        let profile = profiles
            .entry(window)
            .or_insert_with(|| ProfileDelta::new(window));
        assert!(profile.merge(&update.delta));
        let shown = ProfileUpdate {
            sensor: SENSOR,
            profile,
            delta: &update.delta,
            number: plan.number_of(window.start),
            stage: update.stage,
            flows: &update.flows,
            apps: &update.apps,
        };
        let mut evidence = registry.inspect(&shown, &History::default());
        if let Some((_, last)) = update.delta.span.filter(|(_, last)| *last > now) {
            now = last;
            evidence.extend(registry.tick(last));
        }
        for evidence in evidence {
            match found.iter_mut().find(|known| known.id == evidence.id) {
                None => found.push(evidence),
                Some(known) if known.revision < evidence.revision => {
                    // The sum keeps the weight of the first word; a finding does not become less sure by growing.
                    assert!(weight(known) <= weight(&evidence), "{}", evidence.description);
                    *known = evidence;
                }
                Some(_) => {}
            }
        }
    }
    found
}

fn weight(evidence: &Evidence) -> f64 {
    evidence.threat_level.weight() * evidence.confidence.value()
}

/// What alerts are made of: it must not depend on cuts and sensors.
fn weights(evidence: &[Evidence]) -> BTreeMap<EvidenceId, String> {
    evidence
        .iter()
        .map(|evidence| {
            let (kind, weight) = (evidence.kind, weight(evidence));
            (evidence.id, format!("{kind:?} {} {weight:.6}", evidence.profile))
        })
        .collect()
}

fn check(path: &Path, directory: &str) {
    let text = std::fs::read_to_string(path).expect("the case can be read");
    let mut case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if case.detectors.is_empty() && ![NORMAL, ATTACKS].contains(&directory) {
        case.detectors.push(directory.to_owned());
    }
    let name = format!("{}: {}", path.display(), case.about);
    let events = case.events();
    let updates = profile(&events, Duration::from_secs(10));
    let mut found = detect(&case, &updates);
    match directory {
        // Info is said of normal hosts, too; it adds to no sum.
        NORMAL => found.retain(|evidence| evidence.threat_level > ThreatLevel::Info),
        ATTACKS => found.retain(|evidence| {
            let expected = case.expect.iter().any(|expect| expect.matches(evidence));
            expected || evidence.threat_level >= ThreatLevel::Medium
        }),
        _ => {}
    }

    let list = || {
        let lines = found.iter().map(|e| {
            format!(
                "  {} {} {} {:.3} {}",
                e.kind.name(),
                e.profile,
                e.threat_level.name(),
                e.confidence.value(),
                e.description
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    for evidence in &found {
        assert_eq!(
            case.expect
                .iter()
                .filter(|expect| expect.matches(evidence))
                .count(),
            1,
            "{name}\nnot expected once: {}\nfound:\n{}",
            evidence.description,
            list()
        );
        assert!(evidence.first <= evidence.last, "{name}");
        assert!(evidence.flows.len() <= Evidence::MAX_FLOWS);
        assert!(!evidence.description.is_empty() && !evidence.explanation.text.is_empty());
        assert!(
            evidence
                .explanation
                .features
                .iter()
                .any(|feature| feature.threshold.is_some())
        );
        assert!(
            evidence
                .explanation
                .features
                .iter()
                .all(|feature| feature.value.is_finite())
        );
    }
    for expect in &case.expect {
        assert_eq!(
            found.iter().filter(|evidence| expect.matches(evidence)).count(),
            1,
            "{name}\nmissing or more than once: {expect:?}\nfound:\n{}",
            list()
        );
    }

    let found = detect(&case, &updates);
    assert_eq!(
        found,
        detect(&case, &profile(&events, Duration::from_secs(10))),
        "{name}: a replay differs"
    );
    for refresh in [1, 7, 3_600] {
        let other = detect(&case, &profile(&events, Duration::from_secs(refresh)));
        assert_eq!(
            weights(&other),
            weights(&found),
            "{name}: deltas cut every {refresh} s"
        );
    }
    let (mine, theirs): (Vec<_>, Vec<_>) = events
        .iter()
        .cloned()
        .enumerate()
        .partition(|(n, event)| is_of_first_sensor(case.split, *n, event));
    let strip = |events: Vec<(usize, Event)>| events.into_iter().map(|(_, event)| event).collect::<Vec<_>>();
    let mut both = profile(&strip(mine), Duration::from_secs(10));
    both.extend(profile(&strip(theirs), Duration::from_secs(10)));
    // Their reports come hours apart here; a window closes when both are done with it.
    both.sort_by_key(|update| update.stage == Stage::Closed);
    assert_eq!(
        weights(&detect(&case, &both)),
        weights(&found),
        "{name}: two sensors"
    );
}

fn is_of_first_sensor(split: Split, number: usize, event: &Event) -> bool {
    let tuple = match event {
        Event::Flow(update) => &update.flow.tuple,
        Event::App(record) => &record.tuple,
    };
    let hash = match (split, event) {
        // Parts of a flow stay with the sensor that saw it.
        (Split::Flows, Event::Flow(update)) => u64::from(update.flow.community_id.0[3]),
        (Split::Flows, Event::App(_)) => number as u64,
        (Split::Tuples, _) => sum(tuple.responder.ip) + u64::from(tuple.responder.port),
        (Split::Clients, _) => sum(tuple.originator.ip),
    };
    hash % 2 == 0
}

fn sum(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => ip.octets().into_iter().map(u64::from).sum(),
        IpAddr::V6(ip) => ip.octets().into_iter().map(u64::from).sum(),
    }
}

fn run(directory: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(directory);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&path)
        .expect("the directory of cases is there")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", path.display());
    files.iter().for_each(|file| check(file, directory));
}

/// One line for each directory under `tests/cases`.
macro_rules! cases {
    ($($directory:ident,)*) => {
        $(#[test]
        fn $directory() {
            run(stringify!($directory));
        })*

        const DIRECTORIES: &[&str] = &[$(stringify!($directory),)*];
    };
}

/// Hosts that do nothing wrong: all detectors look.
const NORMAL: &str = "normal";
/// Well-known attacks: all detectors look, and what they say from medium on is what the attack is.
const ATTACKS: &str = "attacks";

cases! {
    normal,
    attacks,
    horizontal_scan,
    vertical_scan,
    icmp_scan,
    arp_scan,
    long_connection,
    data_upload,
    blacklisted_address,
    blacklisted_name,
    cn_url_mismatch,
    credential_stuffing,
    dga_nxdomains,
    dns_over_https,
    dns_tunnel,
    empty_connections,
    executable_mime_type,
    gps_location,
    high_entropy_dns_answer,
    http_traffic,
    incompatible_cn,
    incompatible_user_agent,
    invalid_dns_resolution,
    malicious_fingerprint,
    malicious_hash,
    malicious_jarm,
    malicious_url,
    multiple_ssh_versions,
    multiple_user_agent,
    password_guessing,
    pastebin_download,
    self_signed_certificate,
    smtp_login,
    ssh_successful,
    suspicious_user_agent,
    weird_http_method,
    young_domain,
    arp_outside_localnet,
    connection_without_dns,
    device_changing_ip,
    dhcp_scan,
    different_localnet,
    dns_arpa_scan,
    dns_without_connection,
    gre_scan,
    gre_tunnel,
    icmp_tunnel,
    login,
    mitm_arp,
    multiple_ports,
    non_http_80,
    non_ssl_443,
    notice,
    port_zero,
    private_ip,
    reconnection,
    slow_scan,
    tor_exit_node,
    unknown_port,
    unsolicited_arp,
    beaconing,
    command_and_control,
    default_certificate,
    https_anomaly,
}

#[test]
fn every_directory_is_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let there = std::fs::read_dir(path).expect("the directory of cases is there");
    let there: BTreeSet<String> = there
        .map(|entry| entry.expect("the directory can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, DIRECTORIES.iter().map(ToString::to_string).collect());
}
