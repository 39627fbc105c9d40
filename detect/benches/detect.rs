//! What a flow costs: the profiler, merging its deltas to windows, and each detector. CPU time of one core, as the
//! kernel counts it for the thread, so other work on the machine disturbs little.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "benchmark")]

#[path = "support/flow_log.rs"]
mod flow_log;

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use flow_log::{Event, Shape, events};
use lynceus_detect::context::Network;
use lynceus_detect::{Context, DetectConfig, History, ProfileUpdate, Registry};
use lynceus_model::evidence::Evidence;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::seeded::Seeded;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, Stage, WindowId, WindowUpdate};

/// As the programs have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USUAL: Shape = Shape {
    hosts: 2_000,
    rate: 250,
    messages: true,
};
const MILLION: u64 = 1_000_000;
/// Flows that are made at a time, outside the measured time.
const CHUNK: u64 = 8_192;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let runs = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    if runs("stages") {
        stages();
    }
    if runs("table") {
        table();
    }
    if runs("cores") {
        cores();
    }
    if runs("scale") {
        scale();
    }
}

/// Where the time of a flow goes.
fn stages() {
    println!(
        "| flow log, one core | profiler ns | merge ns | detectors ns | sum ns a flow | flows/s | updates | evidence |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let bare = Shape {
        messages: false,
        ..USUAL
    };
    for (name, shape) in [
        ("1 M flows, no messages", bare),
        ("1 M flows, 1.4 M messages of DNS, TLS, HTTP", USUAL),
    ] {
        row(name, &run(shape, MILLION));
    }
    println!("\npeak memory of the run: {} MiB\n", peak());
}

/// Cost per flow with many flows and with many profiles, against a small log of the same shape.
fn scale() {
    println!(
        "| flow log, one core | profiler ns | merge ns | detectors ns | sum ns a flow | flows/s | updates | evidence |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let many = Shape {
        hosts: MILLION,
        rate: 20_000,
        messages: false,
    };
    let few = Shape {
        hosts: 10_000,
        ..many
    };
    let bare = Shape {
        messages: false,
        ..USUAL
    };
    let base = run(bare, 10_000);
    row("10 k flows of 2,000 hosts", &base);
    let long = run(bare, 10 * MILLION);
    row("10 M flows of 2,000 hosts", &long);
    println!("| ratio | | | | {:.2} | | | |", long.sum() / base.sum());
    let base = run(few, 2 * MILLION);
    row("2 M flows of 10 k profiles", &base);
    let wide = run(many, 2 * MILLION);
    row("2 M flows of 1 M profiles", &wide);
    println!("| ratio | | | | {:.2} | | | |", wide.sum() / base.sum());
    println!("\npeak memory of the run: {} MiB\n", peak());
}

fn row(name: &str, cost: &Cost) {
    let per = |time: Duration| time.as_nanos() as f64 / cost.flows as f64;
    println!(
        "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
        per(cost.profiler),
        per(cost.merge),
        per(cost.detectors),
        cost.sum(),
        1e9 / cost.sum(),
        cost.updates,
        cost.evidence
    );
}

#[derive(Default)]
struct Cost {
    flows: u64,
    profiler: Duration,
    merge: Duration,
    detectors: Duration,
    updates: u64,
    evidence: u64,
}

impl Cost {
    /// Nanoseconds a flow.
    fn sum(&self) -> f64 {
        (self.profiler + self.merge + self.detectors).as_nanos() as f64 / self.flows as f64
    }
}

fn run(shape: Shape, flows: u64) -> Cost {
    let mut cost = Cost {
        flows,
        ..Cost::default()
    };
    let mut profiler = profiler();
    let mut windows = Windows::default();
    let mut registry = Registry::new(&DetectConfig::default(), &context());
    let (mut made, mut updates) = (Vec::new(), Vec::new());
    let mut begin = 0;
    while begin <= flows {
        let end = flows.min(begin + CHUNK);
        (begin..end).for_each(|n| events(shape, n, &mut made));
        begin = if end == flows { flows + 1 } else { end };
        let clock = Clock::start();
        observe(&mut profiler, &mut made);
        if begin > flows {
            profiler.finish();
        }
        profiler.drain(&mut updates);
        cost.profiler += clock.stop();
        cost.updates += updates.len() as u64;
        for batch in batches(&updates) {
            let clock = Clock::start();
            batch.iter().for_each(|update| windows.merge(update));
            cost.merge += clock.stop();
            let clock = Clock::start();
            let mut found = Vec::new();
            for update in batch {
                windows.show(update, &mut registry, &mut found);
            }
            cost.evidence += found.len() as u64;
            cost.detectors += clock.stop();
            windows.forget(batch);
        }
        let clock = Clock::start();
        updates.clear();
        cost.merge += clock.stop();
    }
    cost
}

/// Each detector alone.
fn table() {
    let flows = MILLION / 2;
    let context = context();
    let names: Vec<&str> = Registry::new(&DetectConfig::default(), &context)
        .names()
        .collect();
    let mut registries: Vec<(Registry, Duration, u64)> = names
        .iter()
        .map(|name| {
            let mut registry = Registry::new(&DetectConfig::default(), &context);
            registry.keep(|other| other == *name);
            (registry, Duration::ZERO, 0)
        })
        .collect();
    let mut profiler = profiler();
    let mut windows = Windows::default();
    let (mut made, mut updates) = (Vec::new(), Vec::new());
    let mut shown = 0;
    for begin in (0..flows).step_by(CHUNK as usize) {
        (begin..flows.min(begin + CHUNK)).for_each(|n| events(USUAL, n, &mut made));
        observe(&mut profiler, &mut made);
        if begin + CHUNK >= flows {
            profiler.finish();
        }
        profiler.drain(&mut updates);
        shown += updates.len();
        for batch in batches(&updates) {
            batch.iter().for_each(|update| windows.merge(update));
            let now = windows.now;
            for (registry, spent, said) in &mut registries {
                let mut found = Vec::new();
                windows.now = now;
                let clock = Clock::start();
                for update in batch {
                    windows.show(update, registry, &mut found);
                }
                *spent += clock.stop();
                *said += found.len() as u64;
            }
            windows.forget(batch);
        }
        updates.clear();
    }
    let mut rows: Vec<(&str, Duration, u64)> = names
        .iter()
        .zip(registries)
        .map(|(name, (_, spent, said))| (*name, spent, said))
        .collect();
    rows.sort_by_key(|(_, spent, _)| std::cmp::Reverse(*spent));
    println!("{flows} flows in {shown} updates, each detector alone:\n");
    println!("| detector | ns a flow | ns an update | evidence |");
    println!("|---|---:|---:|---:|");
    let mut sum = Duration::ZERO;
    for (name, spent, said) in rows {
        sum += spent;
        let nanos = spent.as_nanos() as f64;
        println!(
            "| {name} | {:.0} | {:.0} | {said} |",
            nanos / flows as f64,
            nanos / shown as f64
        );
    }
    println!(
        "| sum | {:.0} | {:.0} | |\n",
        sum.as_nanos() as f64 / flows as f64,
        sum.as_nanos() as f64 / shown as f64
    );
}

/// Profiler and detectors on a core each, as the sensor and the collector do it: wall time.
fn cores() {
    println!("| profiler and detectors | flows/s (wall) | CPU s |");
    println!("|---|---:|---:|");
    for (name, two) in [("one thread", false), ("two threads", true)] {
        let (begin, cpu) = (Instant::now(), process_cpu());
        let mut making = Duration::ZERO;
        if two {
            let (send, receive) = sync_channel::<Vec<WindowUpdate>>(4);
            let consumer = std::thread::spawn(move || {
                let mut windows = Windows::default();
                let mut registry = Registry::new(&DetectConfig::default(), &context());
                receive
                    .iter()
                    .for_each(|updates| detect(&mut windows, &mut registry, updates));
            });
            making = produce(|updates| send.send(updates).unwrap());
            drop(send);
            consumer.join().unwrap();
        } else {
            let mut windows = Windows::default();
            let mut registry = Registry::new(&DetectConfig::default(), &context());
            making += produce(|updates| detect(&mut windows, &mut registry, updates));
        }
        let wall = begin.elapsed() - making;
        let cpu = process_cpu() - cpu - making.as_secs_f64();
        println!(
            "| {name} | {:.0} | {cpu:.2} |",
            MILLION as f64 / wall.as_secs_f64()
        );
    }
    println!("\nMaking the log is taken off; with two threads that counts against them.\n");
}

/// Gives the time that making the log took.
fn produce(mut take: impl FnMut(Vec<WindowUpdate>)) -> Duration {
    let bare = Shape {
        messages: false,
        ..USUAL
    };
    let mut profiler = profiler();
    let mut made = Vec::new();
    let mut making = Duration::ZERO;
    for begin in (0..MILLION).step_by(CHUNK as usize) {
        let clock = Clock::start();
        (begin..MILLION.min(begin + CHUNK)).for_each(|n| events(bare, n, &mut made));
        making += clock.stop();
        observe(&mut profiler, &mut made);
        let mut updates = Vec::new();
        profiler.drain(&mut updates);
        take(updates);
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    take(updates);
    making
}

fn detect(windows: &mut Windows, registry: &mut Registry, updates: Vec<WindowUpdate>) {
    let mut found = Vec::new();
    for update in &updates {
        windows.merge(update);
        windows.show(update, registry, &mut found);
        windows.forget(std::slice::from_ref(update));
    }
}

fn observe(profiler: &mut Profiler, made: &mut Vec<Event>) {
    for event in made.drain(..) {
        match event {
            Event::Flow(update) => profiler.observe(update),
            Event::App(record) => profiler.observe_app(record),
        }
    }
}

/// Parts in which no window stands twice, so that all can be merged before all are shown.
fn batches(updates: &[WindowUpdate]) -> impl Iterator<Item = &[WindowUpdate]> {
    let mut rest = updates;
    std::iter::from_fn(move || {
        let mut seen = std::collections::HashSet::new();
        let length = rest
            .iter()
            .take_while(|update| seen.insert(update.delta.window))
            .count();
        let (batch, later) = rest.split_at(length);
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Merged windows, as the collector's memory has them: in order of their last touch beyond a bound.
#[derive(Default)]
struct Windows {
    windows: HashMap<WindowId, Box<ProfileDelta>, Seeded>,
    now: Timestamp,
}

impl Windows {
    /// What 512 MiB, the collector's default, have room for when most windows are small.
    const MAX: usize = 131_072;

    fn merge(&mut self, update: &WindowUpdate) {
        let window = update.delta.window;
        if self.windows.len() >= Self::MAX {
            // The collector would write them to its store.
            self.windows.clear();
        }
        let profile = self
            .windows
            .entry(window)
            .or_insert_with(|| Box::new(ProfileDelta::new(window)));
        assert!(profile.merge(&update.delta));
    }

    fn show(&mut self, update: &WindowUpdate, registry: &mut Registry, found: &mut Vec<Evidence>) {
        let Some(profile) = self.windows.get(&update.delta.window) else {
            return;
        };
        let shown = ProfileUpdate {
            sensor: SensorId([1; 16]),
            profile,
            delta: &update.delta,
            number: 1,
            stage: update.stage,
            flows: &update.flows,
            apps: &update.apps,
        };
        found.extend(registry.inspect(&shown, &History::default()));
        if let Some((_, last)) = update.delta.span.filter(|(_, last)| *last > self.now) {
            self.now = last;
            found.extend(registry.tick(last));
        }
    }

    fn forget(&mut self, batch: &[WindowUpdate]) {
        for update in batch.iter().filter(|update| update.stage == Stage::Closed) {
            self.windows.remove(&update.delta.window);
        }
    }
}

fn profiler() -> Profiler {
    Profiler::new(ProfilerConfig {
        plan: WindowPlan {
            origin: Timestamp(0),
            width: WindowPlan::DEFAULT_WIDTH,
        },
        ..ProfilerConfig::default()
    })
}

fn context() -> Context {
    Context::offline(Network::default())
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

/// User and system seconds of the process: fields 14 and 15 of proc(5)'s stat, in ticks of 10 ms.
fn process_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Most memory that was resident, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
