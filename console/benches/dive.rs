//! How long `lynceus dive`, `outliers` and `patterns` take on a store with a million windows, each with its account.
//! `cargo xtask bench outliers` runs it; it prints a markdown table.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

#[path = "../../detect/tests/support/planted.rs"]
#[allow(dead_code, reason = "the detector's tests use more of it")]
mod planted;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use lynceus_collector::dispatch::EngineOptions;
use lynceus_collector::rows::{self, outlier};
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, Flush, Store};
use lynceus_console::local::{Judging, Keep, Local};
use lynceus_console::outliers::dive::Dive;
use lynceus_console::query::Query;
use lynceus_detect::outlier::{Config, Judged, Outlier};
use lynceus_detect::{Context, context};
use lynceus_model::flow::{ConnState, FlowEnd, FlowUpdate};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowId};
use lynceus_proto::batch::BootId;
use lynceus_proto::v1;
use lynceus_view::examples;

/// Windows of an hour, two weeks of them; `LYNCEUS_BENCH_WINDOWS` asks for another number.
const USUAL_WINDOWS: usize = 1_000_000;
const HOURS: usize = 336;
/// One window in so many is flagged.
const FLAGGED: usize = 997;
/// Hosts with traffic in the last hours, and flows of each of them in an hour.
const LIVELY: u8 = 40;
const FLOWS: u32 = 150;
const LAST: i64 = 6;
const RUNS: usize = 5;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let windows = std::env::var("LYNCEUS_BENCH_WINDOWS").map_or(USUAL_WINDOWS, |text| {
        text.parse().expect("LYNCEUS_BENCH_WINDOWS is a number")
    });
    let folder = tempfile::tempdir().unwrap();
    let made = accounts(folder.path(), windows);
    let mut local = open(folder.path());
    traffic(&mut local);
    drop(local);
    let begin = Instant::now();
    let query = open(folder.path()).into_query().unwrap();
    let opened = begin.elapsed();
    let strongest = |profile: Option<IpAddr>| query.outliers(profile, None, false, 1).unwrap();
    let lively = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
    let busy = strongest(Some(lively)).accounts[0].id();
    let build = if cfg!(debug_assertions) {
        "not optimized"
    } else {
        "optimized"
    };
    println!("{made} windows with accounts in an embedded store, {HOURS} hours; {build}\n");
    println!("| what | median of {RUNS} | slowest |");
    println!("|---|---:|---:|");
    println!("| store opened | {} | |", text(opened));
    row("dive into a window with traffic", || {
        dive(&query, busy);
    });
    let flagged = strongest(None).accounts[0].id();
    row("dive into the strongest outlier of all", || {
        dive(&query, flagged);
    });
    row("outliers of one address", || {
        strongest(Some(lively));
    });
    row("outliers, the newest 500,000 windows ranked", || {
        strongest(None);
    });
    row("patterns of a day", || {
        let until = Timestamp::from_secs(3600 * HOURS as i64);
        let since = Timestamp::from_secs(3600 * (HOURS as i64 - 24));
        query.patterns(Some((since, until)), 0, 0).unwrap();
    });
}

fn dive(query: &Query, window: WindowId) {
    let dive = Dive::new(query, window).unwrap();
    assert!(dive.account.id() == window && !dive.history.is_empty());
}

fn row(name: &str, mut question: impl FnMut()) {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            question();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "| {name} | {} | {} |",
        text(times[RUNS / 2]),
        text(times[RUNS - 1])
    );
}

fn text(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn open(folder: &Path) -> Local {
    let plan = WindowPlan {
        origin: Timestamp(0),
        width: WindowPlan::DEFAULT_WIDTH,
    };
    let judging = Judging::default();
    Local::open(
        Keep::In(folder),
        SensorId([1; 16]),
        BootId([1; 16]),
        plan,
        EngineOptions::DEFAULT_WINDOW_BYTES,
        judging,
        Vec::new(),
    )
    .unwrap()
}

/// Rows of windows as the collector writes them: accounts of one hour of a made-up network, again for each hour.
fn accounts(folder: &Path, windows: usize) -> usize {
    let hosts = windows.div_ceil(HOURS);
    let config = Config {
        warm_windows: 100,
        ..Config::default()
    };
    let mut detector = Outlier::new(config, &Context::offline(context::Network::default()));
    let mut network = planted::Network::new(1, 250);
    detector.judge(
        network
            .hour(0, 0)
            .into_iter()
            .map(|window| window.closed)
            .collect(),
    );
    let judged: Vec<Judged> = detector.take_judged();
    let rows: Vec<v1::Outlier> = judged.iter().map(outlier::outlier_of).collect();
    let store = EmbeddedStore::open(&EmbeddedOptions::new(folder)).unwrap();
    let mut made = 0;
    for hour in 0..HOURS {
        let start = Timestamp::from_secs(3600 * hour as i64);
        let mut changes = Vec::new();
        for host in 0..hosts {
            let profile = IpAddr::from([10, 1, (host >> 8) as u8, host as u8]);
            let window = WindowId { profile, start };
            made += 1;
            let row = v1::Outlier {
                profile: rows::address_bytes(profile),
                start: start.0,
                flagged: made % FLAGGED == 0,
                warming: None,
                ..rows[made % rows.len()].clone()
            };
            changes.extend(rows::put_summary(
                window,
                &v1::WindowSummary {
                    start: start.0,
                    end: start.saturating_add(WindowPlan::DEFAULT_WIDTH).0,
                    closed: true,
                    ..v1::WindowSummary::default()
                },
            ));
            changes.extend(outlier::put_outlier(&row, window));
        }
        store.write(&changes, Flush::Buffered).unwrap();
    }
    made
}

/// Some hosts call servers in the last hours: their windows have flows, letters and neighbors.
fn traffic(local: &mut Local) {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SensorId([1; 16]),
        carry_bytes: usize::MAX >> 1,
        ..ProfilerConfig::default()
    });
    let mut number = 0;
    let mut updates = Vec::new();
    for hour in HOURS as i64 - LAST..HOURS as i64 {
        for call in 0..FLOWS {
            for host in 1..=LIVELY {
                number += 1;
                let start = Timestamp::from_secs(3600 * hour + i64::from(call * 20));
                profiler.observe(flow(number, start, host, call));
            }
        }
        profiler.drain(&mut updates);
        local.take(updates.drain(..)).unwrap();
    }
    profiler.finish();
    profiler.drain(&mut updates);
    local.take(updates).unwrap();
    local.flush().unwrap();
}

fn flow(number: u64, first: Timestamp, host: u8, call: u32) -> FlowUpdate {
    let to = format!("151.101.{}.{}", host % 7, call * u32::from(host) % 90);
    let from = format!("10.9.0.{host}");
    let mut flow = examples::flow(first.0 / 1_000_000_000, &from, &to, 443, 6, ConnState::Sf);
    flow.community_id.0[..8].copy_from_slice(&number.to_be_bytes());
    flow.tuple.originator.port += (call % 20_000) as u16;
    flow.out.bytes += number % 40 * 700;
    FlowUpdate {
        new_out: flow.out,
        new_back: flow.back,
        flow,
        part: 0,
        end: FlowEnd::Closed,
    }
}
