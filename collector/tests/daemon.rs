//! The daemon as a process: killed at random moments it loses nothing that it acknowledged and stores nothing twice;
//! asked to end, it ends in order; what it refuses it names.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/state.rs"]
mod state;
#[path = "support/traffic.rs"]
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, MemoryStore, Store};
use lynceus_proto::v1;

use daemon::{Daemon, Said};
use state::{State, log_counts};
use traffic::{PLAN, batches, updates};

/// Kills in one run, as law 3 asks.
const KILLS: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments() {
    let batches = batches(&updates(30, 40), 1);
    let sealed: Vec<v1::Batch> = batches.iter().map(daemon::seal).collect();
    let expected = {
        let store = Arc::new(MemoryStore::new(0));
        let engine = EngineOptions::new(Daemon::group(), PLAN);
        let options = DispatchOptions {
            engine,
            sinks: Vec::new(),
            retention: Retention::default(),
            checkpoint: Duration::from_secs(3600),
        };
        let feed = Arc::clone(&store);
        let batches = batches.clone();
        tokio::task::spawn_blocking(move || {
            let collector = Collector::start(feed, options).unwrap();
            for batch in batches {
                collector.ingest().accept(batch).unwrap();
            }
            collector.shutdown();
        })
        .await
        .unwrap();
        State::of(&*store)
    };

    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let mut cut = 0;
    let mut seed = 0x9e37_79b9_u64;
    // Longest life in microseconds; follows the machine, so that about half of the kills come while batches are under way.
    let mut longest = 25_000_u64;
    for kill in 0..KILLS {
        let mut daemon = Daemon::start(directory.path()).await;
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // At most so many new batches a life, so that there is something left for each of them.
        let share = (u64::from(kill) + 1) * sealed.len() as u64 / u64::from(KILLS);
        let life = Duration::from_micros(300 + (seed >> 33) % longest);
        let pid = daemon.process.id();
        let killer = tokio::spawn(async move {
            tokio::time::sleep(life).await;
            daemon::kill(pid);
        });
        daemon
            .send(&sealed[..usize::try_from(share).unwrap()], &mut acknowledged)
            .await;
        killer.await.unwrap();
        daemon.wait();
        if acknowledged < share {
            cut += 1;
            longest = (longest * 5 / 4).min(25_000);
        } else {
            longest = (longest / 2).max(200);
        }
    }
    println!(
        "{cut} of {KILLS} kills came between two acknowledgements of {} batches",
        sealed.len()
    );
    assert!(cut >= KILLS / 4, "kills must come while batches are under way");
    // The last life takes what is left and ends in order.
    let daemon = Daemon::start(directory.path()).await;
    daemon.send(&sealed, &mut acknowledged).await;
    assert_eq!(acknowledged, sealed.len() as u64);
    daemon.terminate();

    let store = EmbeddedStore::open(&EmbeddedOptions::new(directory.path().join("store"))).unwrap();
    let counts = log_counts(&store);
    assert_eq!(
        counts,
        (1..=sealed.len() as u64)
            .map(|seq| (seq, 1))
            .collect::<BTreeMap<_, _>>()
    );
    assert_eq!(store.marks()[0].1.missing_count(), 0);
    assert_eq!(State::of(&store), expected);
    for (file, count) in [
        ("evidence.jsonl", expected.evidence.len()),
        ("alerts.jsonl", expected.alerts.len()),
    ] {
        let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
        assert_eq!(text.lines().count(), count, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_named_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path()).await;
    let batches = batches(&updates(2, 3), usize::MAX);
    let mut damaged = daemon::seal(&batches[0]);
    damaged.crc32c ^= 1;
    let refused = daemon.send_one(damaged).await.unwrap();
    let Said::Refused(reason) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("crc32c"), "{reason}");
    let mut nameless = daemon::seal(&batches[0]);
    nameless.sensor_id = vec![1, 2];
    let error = daemon.send_one(nameless).await.unwrap_err();
    assert!(error.message().contains("sensor_id"), "{error}");
    assert!(matches!(
        daemon.send_one(daemon::seal(&batches[0])).await.unwrap(),
        Said::Stored
    ));

    let metrics = daemon.http("/metrics").await;
    assert!(
        metrics.contains("lynceus_collector_refused_total{reason=\"invalid_crc32c\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("lynceus_collector_refused_total{reason=\"invalid_sensor_id\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("lynceus_collector_batches_total 1"), "{metrics}");
    assert!(metrics.contains("durability=\"durable\""), "{metrics}");
    assert!(daemon.http("/readyz").await.contains("ready"));
    let health = daemon.http("/healthz").await;
    assert!(
        health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"),
        "{health}"
    );
    daemon.terminate();
}

#[test]
fn what_went_wrong_is_one_line() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lynceus-collector"))
        .args(["--config", "/nonexistent/x.toml"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("lynceus-collector: ") && said.contains("/nonexistent/x.toml"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
