//! A store that somebody left is read as it is where it was closed in order, and brought up to its log where not.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/traffic.rs"]
mod traffic;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::query::QueryService;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, Store, read_glance};
use lynceus_proto::v1;
use prost::Message;
use traffic::{PLAN, SENSOR, batches, updates};

fn options() -> DispatchOptions {
    DispatchOptions {
        engine: EngineOptions::new(SENSOR, PLAN),
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(3600),
    }
}

fn open(folder: &Path) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(folder)).unwrap())
}

fn look(folder: &Path) -> Option<QueryService> {
    Collector::look(open(folder), options().engine).unwrap()
}

/// Everything that a reader can page through, as bytes.
fn answers(query: &QueryService) -> Vec<Vec<u8>> {
    let profiles = query.profiles(&v1::ListProfilesRequest::default()).unwrap();
    let evidence = query.evidence(&v1::ListEvidenceRequest::default()).unwrap();
    let alerts = query.alerts(&v1::ListAlertsRequest::default()).unwrap();
    assert!(!profiles.profiles.is_empty() && !evidence.evidence.is_empty() && !alerts.alerts.is_empty());
    let mut answers = vec![evidence.encode_to_vec(), alerts.encode_to_vec()];
    for profile in &profiles.profiles {
        for window in &profile.windows {
            let request = v1::GetWindowRequest {
                profile: profile.ip.clone(),
                start: window.start,
            };
            answers.push(query.window(&request).unwrap().encode_to_vec());
        }
        let mut page = Vec::new();
        loop {
            let request = v1::ListTrafficRequest {
                profile: Some(profile.ip.clone()),
                page_size: 70,
                page,
                ..v1::ListTrafficRequest::default()
            };
            let answer = query.traffic(&request).unwrap();
            answers.push(answer.encode_to_vec());
            page = answer.next_page;
            if page.is_empty() {
                break;
            }
        }
    }
    answers.push(profiles.encode_to_vec());
    answers
}

#[test]
fn a_closed_store_is_glanced_at_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let all = batches(&updates(12, 25), 20);
    let (last, others) = all.split_last().unwrap();
    let run = |batches: &[_]| {
        let collector = Collector::start(open(folder.path()), options()).unwrap();
        for batch in batches {
            collector.ingest().accept(Clone::clone(batch)).unwrap();
        }
        collector.flush().unwrap();
        collector
    };
    let collector = run(others);
    assert!(
        read_glance(folder.path()).unwrap().is_none(),
        "it is open and changes"
    );
    collector.shutdown();
    let profiles = |query: &QueryService| query.profiles(&v1::ListProfilesRequest::default()).unwrap();
    let kept = read_glance(folder.path()).unwrap().unwrap();
    assert_eq!(kept.profiles, profiles(&look(folder.path()).unwrap()));
    assert!(
        read_glance(folder.path()).unwrap().is_some(),
        "looking changes nothing"
    );
    drop(run(std::slice::from_ref(last)));
    let grown = read_glance(folder.path()).unwrap().unwrap();
    assert_eq!(grown.profiles, profiles(&look(folder.path()).unwrap()));
    assert_ne!(grown.profiles, kept.profiles);
}

#[test]
fn a_store_that_was_closed_is_read_without_replay_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(open(folder.path()), options()).unwrap();
    for batch in batches(&updates(12, 25), 20) {
        collector.ingest().accept(batch).unwrap();
    }
    collector.flush().unwrap();
    let expected = answers(&collector.query());
    collector.shutdown();
    let query = look(folder.path()).expect("the tables are whole");
    assert_eq!(
        query.collector().applied_position,
        query.collector().accepted_position
    );
    assert_eq!(answers(&query), expected);
}

#[test]
fn a_store_whose_collector_died_is_replayed() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let collector = Collector::start(open(folder.path()), options()).unwrap();
    let batches = batches(&updates(12, 25), 20);
    let (last, first) = batches.split_last().unwrap();
    for batch in first {
        collector.ingest().accept(batch.clone()).unwrap();
    }
    collector.flush().unwrap();
    collector.ingest().accept(last.clone()).unwrap();
    // What a power cut at this moment would leave.
    copy_folder(folder.path(), copy.path());
    collector.shutdown();
    let expected = answers(&look(folder.path()).unwrap());
    assert!(look(copy.path()).is_none(), "the log is further than the tables");
    let again = Collector::start(open(copy.path()), options()).unwrap();
    again.flush().unwrap();
    assert_eq!(answers(&again.query()), expected);
    again.shutdown();
    assert!(look(copy.path()).is_some());
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
