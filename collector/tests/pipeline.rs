//! The whole collector in one process: same input, same result, whatever the cuts and however often it is restarted.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/state.rs"]
mod state;
#[path = "support/traffic.rs"]
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::ingest::Accepted;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::sink::JsonLines;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, KeyRange, MemoryStore, Order, Store, Table};
use lynceus_model::evidence::EvidenceType;
use lynceus_model::time::Timestamp;
use lynceus_proto::batch::Batch;
use lynceus_proto::v1;
use lynceus_proto::v1::query_server::Query as _;
use state::{State, log_counts};
use tonic::Request;
use traffic::{PLAN, SENSOR, batches, beacon, updates};

fn options() -> DispatchOptions {
    DispatchOptions {
        engine: EngineOptions::new(SENSOR, PLAN),
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(3600),
    }
}

fn run(store: Arc<dyn Store>, batches: &[Batch]) -> State {
    let collector = Collector::start(Arc::clone(&store), options()).unwrap();
    for batch in batches {
        assert_eq!(
            collector.ingest().accept(batch.clone()).unwrap(),
            Accepted::Stored
        );
    }
    collector.shutdown();
    State::of(&*store)
}

#[test]
fn a_scan_becomes_evidence_and_an_alert_however_batches_are_cut() {
    let updates = updates(12, 25);
    let whole = run(Arc::new(MemoryStore::new(0)), &batches(&updates, usize::MAX));
    let kinds: Vec<EvidenceType> = whole.evidence.iter().map(|evidence| evidence.kind).collect();
    assert!(kinds.contains(&EvidenceType::HorizontalPortScan), "{kinds:?}");
    assert!(kinds.contains(&EvidenceType::VerticalPortScan), "{kinds:?}");
    assert!(!whole.alerts.is_empty());
    assert!(
        whole
            .evidence
            .iter()
            .all(|evidence| evidence.profile.to_string() == "10.0.0.66")
    );
    for size in [1, 7] {
        let cut = run(Arc::new(MemoryStore::new(0)), &batches(&updates, size));
        assert_eq!(cut, whole, "batches of {size}");
    }
}

#[test]
fn a_finding_that_grows_stands_once_as_it_is_at_the_end() {
    let updates = beacon();
    let whole = run(Arc::new(MemoryStore::new(0)), &batches(&updates, usize::MAX));
    let found: Vec<_> = whole
        .evidence
        .iter()
        .filter(|evidence| evidence.kind == EvidenceType::Beaconing)
        .collect();
    let [beacon] = found.as_slice() else {
        panic!("one channel is one finding: {found:?}")
    };
    assert!(
        beacon.revision > 5 && beacon.description.contains("600 flows"),
        "{beacon:?}"
    );
    assert_eq!(beacon.window, 1);
    assert_eq!(beacon.last, Timestamp::from_secs(5_990));
    for size in [1, 7] {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap());
        let cut = run(Arc::clone(&store) as Arc<dyn Store>, &batches(&updates, size));
        assert_eq!(cut, whole, "batches of {size}");
        // Its place in the order of time moved with it.
        let by_time = store.scan(Table::EvidenceByTime, &KeyRange::all(), Order::Ascending, 100);
        assert_eq!(by_time.unwrap().len(), whole.evidence.len());
    }
}

#[test]
fn the_embedded_store_gives_the_same_as_memory() {
    let batches = batches(&updates(12, 25), 20);
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap());
    assert_eq!(run(store, &batches), run(Arc::new(MemoryStore::new(0)), &batches));
}

#[test]
fn a_restart_after_every_batch_changes_nothing() {
    let batches = batches(&updates(12, 25), 10);
    assert!(batches.len() > 8);
    let expected = run(Arc::new(MemoryStore::new(0)), &batches);
    let directory = tempfile::tempdir().unwrap();
    let lines = tempfile::tempdir().unwrap();
    for upto in 1..=batches.len() {
        let store = EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap();
        let mut options = options();
        options
            .sinks
            .push(Box::new(JsonLines::open(lines.path()).unwrap()));
        let collector = Collector::start(Arc::new(store), options).unwrap();
        let ingest = collector.ingest();
        // The sensor sends again what it is not sure of.
        for batch in &batches[upto.saturating_sub(3)..upto - 1] {
            assert_eq!(ingest.accept(batch.clone()).unwrap(), Accepted::Duplicate);
        }
        assert_eq!(
            ingest.accept(batches[upto - 1].clone()).unwrap(),
            Accepted::Stored
        );
        drop(ingest);
        collector.shutdown();
    }
    let store = EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap();
    assert_eq!(State::of(&store), expected);
    assert!(log_counts(&store).values().all(|count| *count == 1));
    let text = std::fs::read_to_string(lines.path().join("evidence.jsonl")).unwrap();
    assert_eq!(text.lines().count(), expected.evidence.len());
    let text = std::fs::read_to_string(lines.path().join("alerts.jsonl")).unwrap();
    assert_eq!(text.lines().count(), expected.alerts.len());
}

#[test]
fn too_little_memory_costs_time_only() {
    let batches = batches(&updates(12, 25), 10);
    let expected = run(Arc::new(MemoryStore::new(0)), &batches);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let mut tight = options();
    tight.engine.max_window_bytes = 1;
    let collector = Collector::start(Arc::clone(&store), tight).unwrap();
    for batch in &batches {
        collector.ingest().accept(batch.clone()).unwrap();
        collector.flush().unwrap();
        assert_eq!(
            collector
                .query()
                .collector()
                .totals
                .iter()
                .find(|total| total.reason == "windows_in_memory")
                .unwrap()
                .count,
            0
        );
    }
    collector.shutdown();
    assert_eq!(State::of(&*store), expected);
}

#[test]
fn tables_that_were_lost_are_built_again_from_the_log() {
    let batches = batches(&updates(12, 25), 20);
    let directory = tempfile::tempdir().unwrap();
    let open = || EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap();
    let expected = run(Arc::new(open()), &batches);
    std::fs::remove_dir_all(directory.path().join("tables")).unwrap();
    assert_eq!(run(Arc::new(open()), &[]), expected);
}

#[test]
fn questions_are_answered() {
    let batches = batches(&updates(12, 25), 20);
    let collector = Collector::start(Arc::new(MemoryStore::new(u64::MAX)), options()).unwrap();
    for batch in &batches {
        collector.ingest().accept(batch.clone()).unwrap();
    }
    collector.flush().unwrap();
    let query = collector.query();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut profiles = Vec::new();
        let mut page = Vec::new();
        loop {
            let request = v1::ListProfilesRequest {
                page_size: 3,
                page,
                with_evidence: false,
            };
            let answer = query
                .list_profiles(Request::new(request))
                .await
                .unwrap()
                .into_inner();
            assert!(answer.profiles.len() <= 3);
            profiles.extend(answer.profiles);
            page = answer.next_page;
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(profiles.len(), 10);
        assert!(profiles.iter().all(|profile| profile.windows.len() == 2));
        let request = v1::ListProfilesRequest {
            with_evidence: true,
            ..Default::default()
        };
        let guilty = query
            .list_profiles(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .profiles;
        assert_eq!(guilty.len(), 1);
        let scanner = guilty[0].clone();
        let summary = &scanner.windows[0];
        assert!(
            summary.alerts > 0 && summary.threat >= summary.threshold,
            "{summary:?}"
        );

        let request = v1::GetWindowRequest {
            profile: scanner.ip.clone(),
            start: summary.start,
        };
        let window = query
            .get_window(Request::new(request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(window.summary.unwrap().flows, 300);
        assert!(!window.profile.unwrap().out_tuples.unwrap().rows.is_empty());

        let mut flows = 0;
        let mut page = Vec::new();
        loop {
            let request = v1::ListTrafficRequest {
                profile: Some(scanner.ip.clone()),
                page_size: 77,
                page,
                ..Default::default()
            };
            let answer = query
                .list_traffic(Request::new(request))
                .await
                .unwrap()
                .into_inner();
            flows += answer.entries.len();
            page = answer.next_page;
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(flows, 600);

        let request = v1::ListEvidenceRequest::default();
        let evidence = query
            .list_evidence(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .evidence;
        let request = v1::ListTrafficRequest {
            community_ids: evidence[0].flows.clone(),
            ..Default::default()
        };
        let behind = query
            .list_traffic(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .entries;
        assert_eq!(behind.len(), evidence[0].flows.len());

        let request = v1::ListAlertsRequest {
            profile: Some(scanner.ip.clone()),
            window_start: Some(summary.start),
            ..Default::default()
        };
        let alerts = query
            .list_alerts(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .alerts;
        assert_eq!(alerts.len() as u64, summary.alerts);

        let refused = query
            .list_evidence(Request::new(v1::ListEvidenceRequest {
                profile: Some(vec![1, 2, 3]),
                ..Default::default()
            }))
            .await
            .unwrap_err();
        assert!(refused.message().contains("profile"), "{refused}");

        let status = query
            .get_status(Request::new(v1::GetStatusRequest {}))
            .await
            .unwrap()
            .into_inner();
        let status = status.collector.unwrap();
        assert_eq!(status.accepted_position, status.applied_position);
        assert_eq!((status.engine.as_str(), status.degraded), ("memory", None));
    });
}
