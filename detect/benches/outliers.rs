//! How well the outlier detector finds planted causes and names them, next to scores that others use; what a window
//! costs in it; and the memory of 100,000 profiles. `cargo xtask bench outliers` runs it; it prints markdown tables.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "benchmark")]

#[path = "support/adbench.rs"]
mod adbench;
#[path = "support/contestants.rs"]
mod contestants;
#[path = "../tests/support/planted.rs"]
mod planted;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use contestants::{Forest, Tails, auc, precision, top_two};
use lynceus_detect::outlier::{Closed, Config, Judged, Outlier, Own, Role};
use lynceus_detect::{Context, context};
use lynceus_model::outlier::score::STRONGEST;
use lynceus_model::outlier::{COUNT, FEATURES, Past, Quantiles, Reference, Values};
use lynceus_model::time::Timestamp;
use planted::{CAUSES, Network, Window};

const HOUR: i64 = 480_000;
/// Hours without outliers, then hours with some.
const USUAL: i64 = 26;
const ODD: i64 = 26;
const HOSTS: usize = 120;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let runs = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    if runs("planted") {
        planted();
    }
    if runs("alarms") {
        alarms();
    }
    if runs("speed") {
        speed();
    }
    if runs("memory") {
        memory();
    }
    if runs("adbench") {
        adbench();
    }
}

/// On networks without outliers: as many as were asked for?
fn alarms() {
    const DAYS: i64 = 4;
    const SEEDS: u64 = 4;
    println!("| alarms a day that are bearable | alarms a day on usual traffic |");
    println!("|---:|---:|");
    for bearable in [0.5, 2.0, 8.0] {
        let mut alarms = 0;
        for seed in 21..21 + SEEDS {
            let mut network = Network::new(seed, 60);
            let mut outlier = bearing(bearable);
            for hour in 0..48 + 24 * DAYS {
                let windows = network.hour(HOUR + hour, 0);
                let found = outlier.judge(windows.into_iter().map(|window| window.closed).collect());
                outlier.take_judged();
                if hour >= 48 {
                    alarms += found.len();
                }
            }
        }
        let days = (DAYS * SEEDS as i64) as f64;
        println!("| {bearable} | {:.2} |", alarms as f64 / days);
    }
    println!();
}

fn detector() -> Outlier {
    bearing(2.0)
}

fn bearing(alarms_per_day: f64) -> Outlier {
    let config = Config {
        alarms_per_day,
        warm_windows: 100,
        ..Config::default()
    };
    Outlier::new(config, &Context::offline(context::Network::default()))
}

/// Scores of one method over all seeds, and how often it names the cause.
#[derive(Default)]
struct Result {
    scores: Vec<(f64, bool)>,
    /// Scores of the usual windows and of those with each cause.
    by_cause: BTreeMap<usize, Vec<f64>>,
    first: usize,
    second: usize,
    named: usize,
}

impl Result {
    fn take(&mut self, score: f64, cause: Option<usize>, named: Option<&[usize]>) {
        self.scores.push((score, cause.is_some()));
        let Some(cause) = cause else { return };
        self.by_cause.entry(cause).or_default().push(score);
        if let Some(named) = named {
            let is_cause = |feature: &usize| CAUSES[cause].features.contains(&FEATURES[*feature].name);
            self.named += 1;
            self.first += usize::from(named.iter().take(1).any(is_cause));
            self.second += usize::from(named.iter().take(2).any(is_cause));
        }
    }

    /// For each cause against all usual windows.
    fn weakest(&self) -> (usize, f64) {
        let usual = || self.scores.iter().filter(|score| !score.1).copied();
        let of = |(cause, scores): (&usize, &Vec<f64>)| {
            let all: Vec<(f64, bool)> = usual().chain(scores.iter().map(|score| (*score, true))).collect();
            (*cause, auc(&all).unwrap())
        };
        self.by_cause
            .iter()
            .map(of)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap()
    }
}

/// All methods learn the same usual hours, and score the same later ones.
fn planted() {
    let mut results: BTreeMap<&str, Result> = BTreeMap::new();
    for seed in 1..=5 {
        let mut network = Network::new(seed, HOSTS);
        let mut outlier = detector();
        let usual: Vec<Window> = (0..USUAL).flat_map(|hour| network.hour(HOUR + hour, 0)).collect();
        let rows: Vec<Vec<f64>> = usual.iter().map(|window| row(&window.closed.values)).collect();
        let all = Fitted::new(&rows, seed);
        let roles: Vec<Role> = usual.iter().map(|window| window.closed.role).collect();
        let of_role = |role: Role| {
            let own: Vec<Vec<f64>> = rows
                .iter()
                .zip(&roles)
                .filter(|(_, known)| **known == role)
                .map(|(row, _)| row.clone())
                .collect();
            Fitted::new(&own, seed)
        };
        let by_role: BTreeMap<Role, Fitted> = [Role::Client, Role::Server, Role::Group(0)]
            .map(|role| (role, of_role(role)))
            .into();
        for hour in usual.chunk_by(|a, b| a.closed.window.start == b.closed.window.start) {
            outlier.judge(hour.iter().map(|window| window.closed.clone()).collect());
            outlier.take_judged();
        }
        for hour in USUAL..USUAL + ODD {
            let windows = network.hour(HOUR + hour, 8);
            let causes: BTreeMap<_, _> = windows
                .iter()
                .map(|window| (window.closed.window, window.cause))
                .collect();
            for window in &windows {
                let row = row(&window.closed.values);
                for (name, score, parts) in all.scores(&row) {
                    let named = parts.map(|parts| top_two(&parts));
                    let result = results.entry(name).or_default();
                    result.take(score, window.cause, named.as_ref().map(|named| &named[..]));
                }
                for (name, score, parts) in by_role[&window.closed.role].scores(&row) {
                    let named = parts.map(|parts| top_two(&parts));
                    let name = match name {
                        "ECOD" => "ECOD, by role",
                        "COPOD" => "COPOD, by role",
                        _ => "isolation forest, by role",
                    };
                    let result = results.entry(name).or_default();
                    result.take(score, window.cause, named.as_ref().map(|named| &named[..]));
                }
            }
            outlier.judge(windows.into_iter().map(|window| window.closed).collect());
            for judged in outlier.take_judged() {
                let cause = causes[&judged.closed.window];
                take_ours(&mut results, &judged, cause);
            }
        }
    }
    println!(
        "{} windows of five made-up networks, {} with one of {} planted causes; learnt from {USUAL} hours without\n",
        results["ECOD"].scores.len(),
        results["ECOD"].named,
        CAUSES.len()
    );
    println!("| score | AUC | precision@k | weakest cause: AUC | cause named first | among the first two |");
    println!("|---|---:|---:|---|---:|---:|");
    for (name, result) in &results {
        let (cause, weakest) = result.weakest();
        let share = |count: usize| {
            if result.named == 0 {
                "none without extra work".to_owned()
            } else {
                format!("{:.3}", count as f64 / result.named as f64)
            }
        };
        println!(
            "| {name} | {:.3} | {:.2} | {}: {weakest:.2} | {} | {} |",
            auc(&result.scores).unwrap(),
            precision(&result.scores),
            CAUSES[cause].name,
            share(result.first),
            share(result.second)
        );
    }
    println!();
}

fn take_ours(results: &mut BTreeMap<&str, Result>, judged: &Judged, cause: Option<usize>) {
    let named: Vec<usize> = judged.account.terms.iter().map(|term| term.feature).collect();
    results
        .entry("lynceus: three strongest surprisals, peers and own past")
        .or_default()
        .take(judged.account.score, cause, Some(&named));
    let mut peers: Vec<(f64, usize)> = judged
        .account
        .terms
        .iter()
        .map(|term| (term.peers.nats, term.feature))
        .collect();
    peers.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let named: Vec<usize> = peers.iter().map(|(_, feature)| *feature).collect();
    results
        .entry("lynceus: the same against peers alone")
        .or_default()
        .take(
            peers.iter().take(STRONGEST).map(|(nats, _)| nats).sum(),
            cause,
            Some(&named),
        );
    if let Some(odd) = &judged.odd {
        let named: Vec<usize> = odd.opinion.features.iter().map(|(feature, _)| *feature).collect();
        results.entry("lynceus: second voter (LODA)").or_default().take(
            odd.opinion.score,
            cause,
            Some(&named),
        );
    }
}

/// Values of a window, none of which is missing here.
fn row(values: &Values) -> Vec<f64> {
    (0..COUNT).map(|feature| values.get(feature).unwrap()).collect()
}

struct Fitted {
    tails: Tails,
    forest: Forest,
}

impl Fitted {
    fn new(rows: &[Vec<f64>], seed: u64) -> Self {
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        Self {
            tails: Tails::fit(rows.iter().copied()),
            forest: Forest::fit(&rows, seed),
        }
    }

    fn scores(&self, row: &[f64]) -> [(&'static str, f64, Option<Vec<f64>>); 3] {
        [
            ("ECOD", self.tails.ecod(row), Some(self.tails.ecod_parts(row))),
            ("COPOD", self.tails.copod(row), Some(self.tails.copod_parts(row))),
            ("isolation forest", self.forest.score(row), None),
        ]
    }
}

/// Whole windows through the detector: judged by both voters with their accounts, in words, and learnt.
fn speed() {
    const HOSTS: usize = 2_000;
    const HOURS: i64 = 60;
    let mut network = Network::new(1, HOSTS);
    let mut outlier = detector();
    let (mut spent, mut judged) = (Duration::ZERO, 0);
    for hour in 0..HOURS {
        let planted = if hour >= USUAL { 4 } else { 0 };
        let windows: Vec<Closed> = network
            .hour(HOUR + hour, planted)
            .into_iter()
            .map(|window| window.closed)
            .collect();
        let clock = Clock::start();
        outlier.judge(windows);
        let found = outlier.take_judged();
        if hour >= USUAL {
            spent += clock.stop();
            judged += found.len();
        }
    }
    println!("| the detector as it runs, one core | windows/s |");
    println!("|---|---:|");
    println!(
        "| judged by both voters, accounts in words, learnt; {HOSTS} windows at a time | {:.0} k |\n",
        judged as f64 / spent.as_secs_f64() / 1e3
    );
}

/// What the process grows by, so that nothing is forgotten.
fn memory() {
    const PROFILES: usize = 100_000;
    let mut network = Network::new(1, 1_000);
    let mut outlier = detector();
    for hour in 0..48 {
        outlier.judge(
            network
                .hour(HOUR + hour, 0)
                .into_iter()
                .map(|window| window.closed)
                .collect(),
        );
        outlier.take_judged();
    }
    let (_, baseline) = outlier.baselines().next().unwrap();
    let (per_role, learnt) = (baseline.bytes(), outlier.own(address(0)).cloned());
    let own = learnt.unwrap_or_else(|| Own {
        past: Past::new(),
        hours: [0; 24],
        last: Timestamp(0),
        position: 0,
        dirty: false,
    });
    let before = resident();
    for number in 0..PROFILES {
        outlier.put_own(address(number), own.clone());
    }
    let grown = resident().saturating_sub(before);
    println!("| memory | MiB |");
    println!("|---|---:|");
    println!(
        "| own pasts of {PROFILES} profiles: growth of the process | {:.1} |",
        grown as f64 / 1024.0
    );
    println!(
        "| baseline of one role: sketches of two weeks, LODA, ready for questions | {:.1} |",
        per_role as f64 / 1_048_576.0
    );
    println!(
        "| the whole detector with three roles, as it counts itself | {:.1} |",
        outlier.bytes() as f64 / 1_048_576.0
    );
    println!(
        "| naive: every number of two weeks of windows an hour, as 4 bytes | {:.0} |\n",
        (PROFILES * 336 * COUNT * 4) as f64 / 1_048_576.0
    );
}

fn address(number: usize) -> IpAddr {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    IpAddr::from([10, a, b, c])
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Files of ADBench, where somebody has them: `LYNCEUS_ADBENCH` names their folder.
fn adbench() {
    let Some(folder) = std::env::var_os("LYNCEUS_ADBENCH") else {
        println!("ADBench: not run, LYNCEUS_ADBENCH names no folder with its files\n");
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "npz" || ending == "csv")
        })
        .collect();
    files.sort();
    println!(
        "| ADBench file | rows | columns | anomalies | three strongest surprisals | ECOD | COPOD | isolation forest |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut sums = [0.0; 4];
    let mut run = 0.0_f64;
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match one(path) {
            Ok((table, scores)) => {
                let odd = table.labels.iter().filter(|label| **label).count();
                let figures: Vec<String> = scores.iter().map(|score| format!("{score:.3}")).collect();
                println!(
                    "| {name} | {} | {} | {odd} | {} |",
                    table.labels.len(),
                    table.columns,
                    figures.join(" | ")
                );
                run += 1.0;
                sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            }
            Err(error) => println!("| {name} | not run: {error:#} |"),
        }
    }
    let means: Vec<String> = sums
        .iter()
        .map(|sum| format!("{:.3}", sum / run.max(1.0)))
        .collect();
    println!("| mean of {run} | | | | {} |\n", means.join(" | "));
}

/// Unsupervised, as ADBench does it: fitted to all rows, all rows scored.
fn one(path: &Path) -> anyhow::Result<(adbench::Table, [f64; 4])> {
    let table = adbench::Table::read(path)?;
    let rows: Vec<&[f64]> = table.rows().collect();
    let tails = Tails::fit(rows.iter().copied());
    let forest = Forest::fit(&rows, 1);
    let ours = Surprisals::fit(&rows);
    let of = |score: &dyn Fn(&[f64]) -> f64| {
        let scores: Vec<(f64, bool)> = rows
            .iter()
            .zip(&table.labels)
            .map(|(row, label)| (score(row), *label))
            .collect();
        auc(&scores).ok_or_else(|| anyhow::anyhow!("all labels are the same"))
    };
    let scores = [
        of(&|row| ours.score(row))?,
        of(&|row| tails.ecod(row))?,
        of(&|row| tails.copod(row))?,
        of(&|row| forest.score(row))?,
    ];
    Ok((table, scores))
}

/// The score of a window for columns of any kind. Ours are never negative, so each column is moved to begin at 0, and
/// brought to the size of counts, because tails are models of logarithms.
struct Surprisals(Vec<(f64, f64, Reference)>);

impl Surprisals {
    fn fit(rows: &[&[f64]]) -> Self {
        let width = rows.first().map_or(0, |row| row.len());
        let columns = (0..width).map(|column| {
            let values = || rows.iter().map(move |row| row[column]);
            let low = values().fold(f64::INFINITY, f64::min);
            let high = values().fold(f64::NEG_INFINITY, f64::max);
            let scale = if high > low { 100.0 / (high - low) } else { 1.0 };
            let mut sketch = Quantiles::new();
            values().for_each(|value| {
                sketch.add((value - low) * scale);
            });
            // No feature of our list: the logarithm is that of 1 + x.
            (low, scale, Reference::of(COUNT, &sketch))
        });
        Self(columns.collect())
    }

    fn score(&self, row: &[f64]) -> f64 {
        let mut nats: Vec<f64> = self
            .0
            .iter()
            .zip(row)
            .map(|((low, scale, reference), value)| reference.surprise((value - low) * scale).nats)
            .collect();
        nats.sort_by(|a, b| b.total_cmp(a));
        nats.iter().take(STRONGEST).sum()
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
