//! Every file under `tests/cases` is a test: traffic goes through the profiler and the detectors, and exactly the
//! expected evidence must come. The same again with other cuts of deltas and with the traffic split over two sensors.

#[path = "support/case.rs"]
mod case;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use case::{Case, Event};
use lynceus_detect::{Context, DetectConfig, History, ProfileUpdate, Registry};
use lynceus_model::evidence::{Evidence, EvidenceId};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::window::{SensorId, WindowId, WindowUpdate};

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

/// As the collector does it: merge, then show to the detectors.
fn detect(case: &Case, updates: &[WindowUpdate]) -> Vec<Evidence> {
    let mut config = DetectConfig::default();
    config.network.gateways.clone_from(&case.gateways);
    let mut registry = Registry::new(&config, &Context::offline(config.network.clone()));
    let plan = ProfilerConfig::default().plan;
    let mut profiles: BTreeMap<WindowId, ProfileDelta> = BTreeMap::new();
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for update in updates {
        let window = update.delta.window;
        let profile = profiles
            .entry(window)
            .or_insert_with(|| ProfileDelta::new(window));
        assert!(profile.merge(&update.delta));
        let update = ProfileUpdate {
            sensor: SENSOR,
            profile,
            number: plan.number_of(window.start),
            stage: update.stage,
            flows: &update.flows,
            apps: &update.apps,
        };
        let evidence = registry.inspect(&update, &History::default());
        found.extend(evidence.into_iter().filter(|evidence| ids.insert(evidence.id)));
    }
    found
}

/// What alerts are made of: it must not depend on cuts and sensors.
fn weights(evidence: &[Evidence]) -> BTreeMap<EvidenceId, String> {
    evidence
        .iter()
        .map(|evidence| {
            let weight = evidence.threat_level.weight() * evidence.confidence.value();
            (
                evidence.id,
                format!("{:?} {} {weight:.6}", evidence.kind, evidence.profile),
            )
        })
        .collect()
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the case can be read");
    let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = format!("{}: {}", path.display(), case.about);
    let events = case.events();
    let updates = profile(&events, Duration::from_secs(10));
    let found = detect(&case, &updates);

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
    let (mine, theirs): (Vec<_>, Vec<_>) =
        events
            .iter()
            .cloned()
            .enumerate()
            .partition(|(n, event)| match event {
                // Parts of a flow stay with the sensor that saw it.
                Event::Flow(update) => update.flow.community_id.0[3] % 2 == 0,
                Event::App(_) => n % 2 == 0,
            });
    let strip = |events: Vec<(usize, Event)>| events.into_iter().map(|(_, event)| event).collect::<Vec<_>>();
    let mut both = profile(&strip(mine), Duration::from_secs(10));
    both.extend(profile(&strip(theirs), Duration::from_secs(10)));
    assert_eq!(
        weights(&detect(&case, &both)),
        weights(&found),
        "{name}: two sensors"
    );
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
    files.iter().for_each(|file| check(file));
}

#[test]
fn horizontal_scan() {
    run("horizontal_scan");
}

#[test]
fn vertical_scan() {
    run("vertical_scan");
}

#[test]
fn icmp_scan() {
    run("icmp_scan");
}

#[test]
fn arp_scan() {
    run("arp_scan");
}

#[test]
fn long_connection() {
    run("long_connection");
}

#[test]
fn data_upload() {
    run("data_upload");
}

#[test]
fn normal_hosts_raise_nothing() {
    run("normal");
}
