//! What the sketches and scores of outliers cost and how exact they are, next to keeping and sorting every number.
//! CPU time of one core, as the kernel counts it for the thread.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "benchmark")]

#[path = "support/windows.rs"]
mod windows;

use std::hint::black_box;
use std::time::Duration;

use lynceus_model::outlier::loda::{Loda, Shares};
use lynceus_model::outlier::score::STRONGEST;
use lynceus_model::outlier::{COUNT, FEATURES, Past, Quantiles, Reference, Scorer, Values};
use windows::windows;

/// Two weeks of 600 hosts, a window an hour.
const HOSTS: usize = 600;
const HOURS: usize = 336;
/// Sensors whose sketches are merged.
const SENSORS: usize = 8;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let baseline = windows(1, HOSTS * HOURS);
    println!("{} windows of {COUNT} features, one core\n", baseline.len());
    updates(&baseline);
    scores(&baseline);
    ranks(&baseline);
}

/// Learning, and making what was learnt ready for questions once an hour, as the detector does.
fn updates(baseline: &[Values]) {
    let present: usize = baseline.iter().map(|values| values.present().count()).sum();
    println!("| learning | feature updates/s | bytes kept |");
    println!("|---|---:|---:|");
    let row = |name: &str, time: Duration, bytes: usize| {
        println!(
            "| {name} | {:.2} M | {} KiB |",
            present as f64 / time.as_secs_f64() / 1e6,
            bytes / 1024
        );
    };
    let mut sketches = vec![Quantiles::new(); COUNT];
    let clock = Clock::start();
    for values in baseline {
        learn(&mut sketches, values);
    }
    let bytes = |sketches: &[Quantiles]| sketches.iter().map(Quantiles::bytes).sum();
    row("sketches of the peers", clock.stop(), bytes(&sketches));

    let mut pasts = vec![Past::new(); HOSTS];
    let mut loda = Loda::default();
    let mut sketches = vec![Quantiles::new(); COUNT];
    let clock = Clock::start();
    for hour in baseline.chunks(HOSTS) {
        for (past, values) in pasts.iter_mut().zip(hour) {
            learn(&mut sketches, values);
            past.learn(values);
            loda.add(values);
        }
        black_box((references(&sketches), Shares::new([&loda])));
    }
    let kept = bytes(&sketches) + size_of_val(&*pasts) + size_of_val(loda.cells());
    row(
        "all: peers, own pasts, LODA, made ready for questions each hour",
        clock.stop(),
        kept,
    );

    let mut exact = Exact::default();
    let clock = Clock::start();
    for hour in baseline.chunks(HOSTS) {
        exact.learn(hour);
    }
    row(
        "naive: every number kept, sorted each hour",
        clock.stop(),
        exact.bytes(),
    );
    println!();
}

fn scores(baseline: &[Values]) {
    let mut sketches = vec![Quantiles::new(); COUNT];
    let mut loda = Loda::default();
    let mut pasts = vec![Past::new(); HOSTS];
    let mut exact = Exact::default();
    for hour in baseline.chunks(HOSTS) {
        for (past, values) in pasts.iter_mut().zip(hour) {
            learn(&mut sketches, values);
            past.learn(values);
            loda.add(values);
        }
    }
    exact.learn(baseline);
    let (references, shares) = (references(&sketches), Shares::new([&loda]));
    let asked = windows(2, baseline.len());
    println!("| scoring | profiles/s |");
    println!("|---|---:|");
    let row = |name: &str, time: Duration| {
        println!(
            "| {name} | {:.0} k |",
            asked.len() as f64 / time.as_secs_f64() / 1e3
        );
    };
    let scorer = |at: usize| Scorer {
        peers: &references,
        own: Some(&pasts[at % HOSTS]),
    };
    let clock = Clock::start();
    for (at, values) in asked.iter().enumerate() {
        black_box(scorer(at).score(values));
    }
    row("score against peers and own past", clock.stop());
    let clock = Clock::start();
    for (at, values) in asked.iter().enumerate() {
        black_box(scorer(at).account(values));
    }
    row("score with its account", clock.stop());
    let clock = Clock::start();
    for (at, values) in asked.iter().enumerate() {
        black_box((scorer(at).account(values), shares.score(values)));
    }
    row("score with its account, and both voters", clock.stop());
    let clock = Clock::start();
    for (at, values) in asked.iter().enumerate() {
        black_box((scorer(at).account(values), shares.opinion(values)));
    }
    row("the same, with the account of the second voter", clock.stop());
    let clock = Clock::start();
    for values in &asked {
        black_box(exact.score(values));
    }
    row(
        "naive: exact ranks against peers by bisection, no own past",
        clock.stop(),
    );
    println!();
}

/// Of the merged sketch against the sorted union of what all sensors saw.
fn ranks(baseline: &[Values]) {
    let mut merged = vec![Quantiles::new(); COUNT];
    for sensor in 0..SENSORS {
        let mut sketches = vec![Quantiles::new(); COUNT];
        for values in baseline.iter().skip(sensor).step_by(SENSORS) {
            learn(&mut sketches, values);
        }
        for (all, one) in merged.iter_mut().zip(&sketches) {
            all.merge(one);
        }
    }
    let mut exact = Exact::default();
    exact.learn(baseline);
    let mut whole = vec![Quantiles::new(); COUNT];
    baseline.iter().for_each(|values| learn(&mut whole, values));
    let clock = Clock::start();
    for _ in 0..100 {
        for sketch in &whole {
            let mut all = sketch.clone();
            all.merge(sketch);
            black_box(all);
        }
    }
    let per_merge = clock.stop() / (100 * COUNT as u32);
    let mut rows: Vec<(&str, f64, f64)> = Vec::new();
    for (feature, info) in FEATURES.iter().enumerate() {
        assert_eq!(merged[feature], whole[feature], "merging is counting both");
        rows.push((
            info.name,
            exact.count_error(feature, &merged[feature]),
            exact.quantile_error(feature, &merged[feature]),
        ));
    }
    rows.sort_by(|a, b| b.1.max(b.2).total_cmp(&a.1.max(a.2)));
    println!(
        "{SENSORS} sketches merged to one, {per_merge:?} a merge; equal to the sketch of the union, bit by bit\n"
    );
    println!("| rank error against the sorted union, worst features first | of counts | of quantiles |");
    println!("|---|---:|---:|");
    for (name, counts, quantiles) in rows.iter().take(5) {
        println!(
            "| {name} | {:.2} % | {:.2} % |",
            100.0 * counts,
            100.0 * quantiles
        );
    }
    let mean = rows.iter().map(|row| row.1.max(row.2)).sum::<f64>() / rows.len() as f64;
    println!("| mean of all {COUNT} | {:.2} % | |\n", 100.0 * mean);
}

fn learn(sketches: &mut [Quantiles], values: &Values) {
    for (feature, value) in values.present() {
        sketches[feature].add(value);
    }
}

fn references(sketches: &[Quantiles]) -> Vec<Reference> {
    let made = sketches.iter().enumerate();
    made.map(|(feature, sketch)| Reference::of(feature, sketch))
        .collect()
}

/// Every number of every feature, sorted.
struct Exact(Vec<Vec<f64>>);

impl Default for Exact {
    fn default() -> Self {
        Self(vec![Vec::new(); COUNT])
    }
}

impl Exact {
    fn learn(&mut self, windows: &[Values]) {
        for (feature, value) in windows.iter().flat_map(Values::present) {
            self.0[feature].push(value);
        }
        for values in &mut self.0 {
            values.sort_by(f64::total_cmp);
        }
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|values| values.len() * size_of::<f64>()).sum()
    }

    fn score(&self, values: &Values) -> f64 {
        let mut nats: Vec<f64> = values
            .present()
            .map(|(feature, value)| {
                let all = &self.0[feature];
                let below = all.partition_point(|known| *known < value);
                let up_to = all.partition_point(|known| *known <= value);
                let tail = up_to.min(all.len() - below);
                -(2.0 * (1.0 + tail as f64) / (1.0 + all.len() as f64))
                    .min(1.0)
                    .ln()
            })
            .collect();
        nats.sort_by(|a, b| b.total_cmp(a));
        nats.iter().take(STRONGEST).sum()
    }

    /// Largest difference, as a share of all, between the number of values up to one and what the sketch counts.
    fn count_error(&self, feature: usize, sketch: &Quantiles) -> f64 {
        let all = &self.0[feature];
        let error = |value: f64| {
            let exact = all.partition_point(|known| *known <= value) as f64;
            (sketch.up_to(value).0 as f64 - exact).abs() / all.len().max(1) as f64
        };
        all.iter()
            .step_by(97)
            .map(|value| error(*value))
            .fold(0.0, f64::max)
    }

    /// Largest distance, as a share of all, between a rank and the ranks that the sketch's quantile has.
    fn quantile_error(&self, feature: usize, sketch: &Quantiles) -> f64 {
        let all = &self.0[feature];
        let error = |permille: u32| {
            let q = f64::from(permille) / 1_000.0;
            let value = sketch.quantile(q).unwrap_or(0.0);
            let count = all.len().max(1) as f64;
            let first = all.partition_point(|known| *known < value) as f64 / count;
            let last = all.partition_point(|known| *known <= value) as f64 / count;
            (first - q).max(q - last).max(0.0)
        };
        (0..=1_000).map(error).fold(0.0, f64::max)
    }
}

/// CPU time of this thread.
struct Clock(u64);

impl Clock {
    fn start() -> Self {
        Self(Self::now())
    }

    fn stop(self) -> Duration {
        Duration::from_nanos(Self::now() - self.0)
    }

    fn now() -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}
