//! The outlier detector in the collector: what it remembers outlives a run, also one that is killed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "outliers/fleet.rs"]
mod fleet;
#[path = "store/redis_server.rs"]
#[allow(dead_code, reason = "the conformance tests use more of it")]
mod redis_server;
#[path = "outliers/rows.rs"]
mod rows;
#[path = "support/state.rs"]
mod state;
#[path = "support/traffic.rs"]
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{
    EmbeddedOptions, EmbeddedStore, KeyRange, MemoryStore, Order, RedisOptions, RedisStore, Store, Table,
};
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_proto::batch::Batch;
use lynceus_proto::v1;
use lynceus_proto::v1::query_server::Query as _;
use prost::Message as _;
use state::State;
use tonic::Request;
use traffic::{PLAN, SENSOR, batches, office};

const HOURS: i64 = 14;

fn options() -> DispatchOptions {
    let mut engine = EngineOptions::new(SENSOR, PLAN);
    engine.detectors.outlier.warm_windows = 60;
    engine.detectors.outlier.warm_after = Duration::from_secs(6 * 3600);
    DispatchOptions {
        engine,
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(3600),
    }
}

fn accounts(store: &dyn Store) -> Vec<v1::Outlier> {
    store
        .scan(Table::Outliers, &KeyRange::all(), Order::Ascending, 100_000)
        .unwrap()
        .iter()
        .map(|(_, value)| v1::Outlier::decode(&value[1..]).unwrap())
        .collect()
}

fn run(store: Arc<dyn Store>, batches: &[Batch]) -> (State, Vec<v1::Outlier>) {
    let collector = Collector::start(Arc::clone(&store), options()).unwrap();
    for batch in batches {
        collector.ingest().accept(batch.clone()).unwrap();
    }
    collector.shutdown();
    (State::of(&*store), accounts(&*store))
}

#[test]
fn the_host_that_calls_everybody_is_raised_with_its_account() {
    let updates = office(HOURS);
    let (state, accounts) = run(Arc::new(MemoryStore::new(0)), &batches(&updates, usize::MAX));
    let is_outlier = |evidence: &&Evidence| evidence.kind == EvidenceType::Outlier;
    let found: Vec<&Evidence> = state.evidence.iter().filter(is_outlier).collect();
    let odd = found
        .iter()
        .find(|evidence| evidence.profile.to_string() == "10.0.3.1" && evidence.window == HOURS)
        .unwrap();
    let text = &odd.explanation.text;
    assert!(text.contains("compared with"), "{text}");
    let first = &odd.explanation.features[0];
    assert!(
        first.surprisal.unwrap() > 5.0 && first.baseline.unwrap() < first.value,
        "{first:?}"
    );
    assert!(found.len() <= 3, "{found:?}");
    assert_eq!(accounts.len(), 12 * HOURS as usize, "each window has an account");
    let cold = accounts.iter().filter(|account| account.warming.is_some());
    assert!(cold.clone().all(|account| !account.flagged) && cold.count() >= 60);
    for size in [1, 7] {
        let cut = run(Arc::new(MemoryStore::new(0)), &batches(&updates, size));
        assert_eq!(cut.0, state, "batches of {size}");
        assert_eq!(cut.1, accounts, "batches of {size}");
    }
}

/// In the first window there are no peers when the scan is said: the account comes when the window is over, against
/// the others of its time. In the second one it is known at once.
#[test]
fn evidence_of_other_detectors_has_an_account() {
    let updates = traffic::updates(12, 25);
    let (state, _) = run(Arc::new(MemoryStore::new(0)), &batches(&updates, 20));
    let scans: Vec<&Evidence> = state
        .evidence
        .iter()
        .filter(|evidence| evidence.kind == EvidenceType::HorizontalPortScan)
        .collect();
    let of = |window: i64| scans.iter().find(|evidence| evidence.window == window).unwrap();
    let targets = |evidence: &Evidence| {
        let mut features = evidence.explanation.features.iter();
        features
            .find(|feature| feature.name == "window's silent_targets")
            .cloned()
            .unwrap()
    };
    let first = targets(of(1));
    assert!(first.value >= 10.0, "{first:?}");
    assert!(
        first.baseline.unwrap() < 1.0 && first.surprisal.unwrap() > 1.0 && first.own.is_none(),
        "{first:?}"
    );
    let account = of(1).account.as_deref().unwrap();
    assert!(account.contains("silent_targets = "), "{account}");
    assert!(
        account.ends_with("compared with 9 windows of role client and no earlier window of its own"),
        "{account}"
    );
    let second = targets(of(2));
    assert_eq!(second.own.unwrap().windows, 1);
    assert!(second.surprisal.is_some(), "{second:?}");
    let account = of(2).account.as_deref().unwrap();
    assert!(account.contains("and 1 window of its own"), "{account}");
    // All that is no outlier says what it is compared with, or that this is not known.
    for evidence in &state.evidence {
        assert_eq!(
            evidence.account.is_some(),
            evidence.kind != EvidenceType::Outlier,
            "{evidence:?}"
        );
    }
    for size in [1, 7, 400] {
        let cut = run(Arc::new(MemoryStore::new(0)), &batches(&updates, size));
        assert_eq!(cut.0, state, "batches of {size}");
    }
}

/// `lynceus status` asks for it.
#[test]
fn how_warm_the_baselines_are_is_told_and_outlives_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let known = |collector: &Collector| {
        let known = collector.query().collector().outliers;
        let client = known.iter().find(|known| known.role == "client").unwrap();
        (client.windows, client.hours, client.warm)
    };
    let batches = batches(&office(HOURS), 40);
    let (first, rest) = batches.split_at(batches.len() / 3);
    let run = |batches: &[Batch]| {
        let collector = Collector::start(Arc::clone(&store), options()).unwrap();
        for batch in batches {
            collector.ingest().accept(batch.clone()).unwrap();
        }
        collector.flush().unwrap();
        let found = known(&collector);
        collector.shutdown();
        found
    };
    let cold = run(first);
    assert!(cold.0 > 12 && cold.1 >= 1.0 && !cold.2, "{cold:?}");
    assert_eq!(run(&[]), cold);
    let warm = (12 * HOURS as u64, HOURS as f64 - 1.0, true);
    assert_eq!(run(rest), warm);
    assert_eq!(run(&[]), warm);
}

#[test]
fn restarts_in_order_change_nothing() {
    let batches = batches(&office(HOURS), 40);
    assert!(batches.len() > 8, "{}", batches.len());
    let expected = run(Arc::new(MemoryStore::new(0)), &batches);
    let directory = tempfile::tempdir().unwrap();
    for batch in &batches {
        let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap());
        run(store, std::slice::from_ref(batch));
    }
    let store = EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap();
    assert_same(&(State::of(&store), accounts(&store)), &expected);
}

#[test]
fn a_baseline_in_redis_outlives_restarts_as_well() {
    let Some(server) = redis_server::RedisServer::start("always") else {
        return;
    };
    let batches = batches(&office(HOURS), 400);
    let expected = run(Arc::new(MemoryStore::new(0)), &batches);
    let open = || RedisStore::open(&RedisOptions::new(server.url())).unwrap();
    for batch in &batches {
        run(Arc::new(open()), std::slice::from_ref(batch));
    }
    let store = open();
    assert_same(&(State::of(&store), accounts(&store)), &expected);
}

/// A killed collector leaves the files as they are at that moment: a copy of them, taken while it runs.
#[test]
fn a_kill_between_two_checkpoints_changes_nothing() {
    let batches = batches(&office(HOURS), 40);
    let expected = run(Arc::new(MemoryStore::new(0)), &batches);
    let mut place = tempfile::tempdir().unwrap();
    for (number, batch) in batches.iter().enumerate() {
        // Checkpoints fall between kills, not with them.
        let flush = |_| number % 3 == 1;
        place = killed_after(&place, std::slice::from_ref(batch), number as u64, flush);
    }
    let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(place.path())).unwrap());
    let (state, found) = run(store, &[]);
    assert_same(&(state, found), &expected);
}

/// The files of a collector that is killed when it has taken some batches more, after `before`; `flush`: whether it
/// writes everything after which of them.
fn killed_after(
    place: &tempfile::TempDir,
    batches: &[Batch],
    before: u64,
    flush: impl Fn(usize) -> bool,
) -> tempfile::TempDir {
    let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(place.path())).unwrap());
    let collector = Collector::start(store, options()).unwrap();
    for (number, batch) in batches.iter().enumerate() {
        collector.ingest().accept(batch.clone()).unwrap();
        if flush(number) {
            collector.flush().unwrap();
        }
    }
    while collector.shared().applied().0 < before + batches.len() as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let image = tempfile::tempdir().unwrap();
    copy(place.path(), image.path());
    collector.shutdown();
    image
}

/// Windows, evidence, alerts and accounts, to the last number.
fn assert_same(found: &(State, Vec<v1::Outlier>), expected: &(State, Vec<v1::Outlier>)) {
    for (found, expected) in found.1.iter().zip(&expected.1) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.1.len(), expected.1.len());
    assert_eq!(found.0, expected.0);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_are_kept_and_similar_cases_recall_them() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let batches = batches(&office(HOURS), 100);
    let started = tokio::task::spawn_blocking(move || {
        let collector = Collector::start(store, options()).unwrap();
        for batch in batches {
            collector.ingest().accept(batch).unwrap();
        }
        collector.flush().unwrap();
        collector
    });
    let collector = started.await.unwrap();
    let query = collector.query();
    let list = v1::ListOutliersRequest {
        limit: 5,
        ..v1::ListOutliersRequest::default()
    };
    let listed = query
        .list_outliers(Request::new(list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.windows, 12 * HOURS as u64);
    let odd = &listed.outliers[0];
    assert_eq!(odd.profile, [10, 0, 3, 1]);
    let label = v1::SetLabelRequest {
        profile: odd.profile.clone(),
        start: odd.start,
        text: "backup, fine".to_owned(),
    };
    let labelled = query.set_label(Request::new(label.clone())).await.unwrap();
    let labelled = labelled.into_inner().outlier.unwrap();
    assert_eq!(labelled.label.unwrap().text, "backup, fine");
    let alike = v1::FindAlikeRequest {
        profile: listed.outliers[1].profile.clone(),
        start: listed.outliers[1].start,
        limit: 0,
    };
    let alike = query.find_alike(Request::new(alike)).await.unwrap().into_inner();
    assert!(alike.looked_at >= 1);
    let too_long = v1::SetLabelRequest {
        text: "x".repeat(1_001),
        ..label.clone()
    };
    let error = query.set_label(Request::new(too_long)).await.unwrap_err();
    assert!(error.message().contains("1001 bytes"), "{error}");
    let unknown = v1::SetLabelRequest { start: 5, ..label };
    let error = query.set_label(Request::new(unknown)).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    let patterns = v1::FindPatternsRequest {
        top: 5,
        ..v1::FindPatternsRequest::default()
    };
    let patterns = query
        .find_patterns(Request::new(patterns))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(patterns.outliers + patterns.others, 12 * HOURS as u64);
    let ended = tokio::task::spawn_blocking(move || collector.shutdown());
    ended.await.unwrap();
}
