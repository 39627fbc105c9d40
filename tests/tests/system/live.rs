//! A live capture in a namespace, run by the test itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lynceus_model::app::AppRecord;
use lynceus_model::flow::{Flow, FlowUpdate};
use lynceus_model::status::{PointStatus, SensorStatus};
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, WhenFull};
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::source::kernel::{KernelConfig, KernelSource};
use lynceus_sensor::source::{Event, Source, Status};
use lynceus_tests::netns::Netns;

/// Longer than any test's capture takes to hand out what is left: a million flows on a busy machine, without
/// optimization.
const PATIENCE: Duration = Duration::from_secs(240);

/// Between two looks at the accounting while a capture runs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A capture on a thread in its namespace.
pub(crate) struct Live {
    stop: Arc<AtomicBool>,
    statuses: Arc<Mutex<Vec<SensorStatus>>>,
    thread: JoinHandle<Result<Captured>>,
}

/// Everything that a capture handed out, and its accounting after the end.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) hooks: Vec<String>,
    pub(crate) flows: Vec<FlowUpdate>,
    pub(crate) apps: Vec<AppRecord>,
    pub(crate) status: SensorStatus,
}

/// One flow per key, no payload heads, the given interfaces and hooks.
pub(crate) fn config(interfaces: &[&str], hook: HookChoice) -> KernelConfig {
    let mut config = KernelConfig {
        interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
        hook,
        table: FlowTableConfig {
            expiry: Expiry::Never,
            max_flows: 1 << 21,
            when_full: WhenFull::Evict,
        },
        ..KernelConfig::default()
    };
    config.kernel.heads = None;
    config
}

impl Live {
    /// Starts and waits until everything is attached.
    pub(crate) fn start(namespace: &Netns, config: KernelConfig) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = std::sync::mpsc::channel();
        let stopped = Arc::clone(&stop);
        let statuses = Arc::default();
        let readings = Arc::clone(&statuses);
        let thread = namespace.spawn(move || {
            let mut source = match KernelSource::start(config) {
                Ok(source) => source,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return Ok(Captured::default());
                }
            };
            let _ = tell.send(Ok(()));
            run(&mut source, &stopped, &readings)
        })?;
        told.recv_timeout(PATIENCE)
            .context("the capture did not start")??;
        Ok(Self {
            stop,
            statuses,
            thread,
        })
    }

    /// Every reading of the accounting so far, one a sweep.
    pub(crate) fn statuses(&self) -> Vec<SensorStatus> {
        self.statuses.lock().expect("nobody panics with it").clone()
    }

    /// Detaches, takes what is left, and returns everything.
    pub(crate) fn finish(self) -> Result<Captured> {
        // What was sent may still wait for a softirq.
        std::thread::sleep(Duration::from_millis(50));
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok().context("the capture panicked")?
    }
}

fn run(
    source: &mut KernelSource,
    stop: &AtomicBool,
    readings: &Mutex<Vec<SensorStatus>>,
) -> Result<Captured> {
    let mut captured = Captured {
        hooks: source.hooks().collect(),
        ..Captured::default()
    };
    let mut events = Vec::new();
    let mut deadline = None;
    let mut looked = Instant::now();
    loop {
        if stop.load(Ordering::Acquire) {
            source.stop();
            deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        if looked.elapsed() > BETWEEN_LOOKS {
            looked = Instant::now();
            let reading = source.status();
            let mut readings = readings.lock().expect("nobody panics with it");
            if readings.last().is_none_or(|last| last.read_at != reading.read_at) {
                readings.push(reading);
            }
        }
        let status = source.next(&mut events)?;
        for event in events.drain(..) {
            match event {
                Event::Flow(update) => captured.flows.push(*update),
                Event::App(record) => captured.apps.push(*record),
            }
        }
        match status {
            Status::Ended => break,
            Status::More => {}
            Status::Idle => std::thread::sleep(Duration::from_millis(2)),
        }
        anyhow::ensure!(
            deadline.is_none_or(|deadline| Instant::now() < deadline),
            "the capture does not end"
        );
    }
    captured.status = source.status();
    Ok(captured)
}

impl Captured {
    pub(crate) fn point(&self, interface: &str, egress: bool) -> &PointStatus {
        let is_it = |point: &&PointStatus| point.interface == interface && point.egress == egress;
        self.status
            .points
            .iter()
            .find(is_it)
            .expect("an observed interface has both its points")
    }

    /// Packets and bytes (IP length, wire length) of all flows.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        self.flows
            .iter()
            .fold((0, 0, 0), |(packets, bytes, wire), update| {
                let (out, back) = (&update.new_out, &update.new_back);
                (
                    packets + out.packets + back.packets,
                    bytes + out.bytes + back.bytes,
                    wire + out.wire_bytes + back.wire_bytes,
                )
            })
    }

    pub(crate) fn only_flow(&self) -> &Flow {
        assert_eq!(self.flows.len(), 1, "{:#?}", self.flows);
        &self.flows[0].flow
    }

    /// Law 1 at rest: every packet of every point has its place.
    pub(crate) fn assert_accounted(&self) {
        for point in &self.status.points {
            assert_eq!(point.unaccounted(), 0, "{point:?}");
        }
    }
}

/// Packets that a point refused for a reason.
pub(crate) fn refused(point: &PointStatus, reason: &str) -> u64 {
    point
        .refused
        .iter()
        .find(|counter| counter.reason == reason)
        .map_or(0, |counter| counter.count)
}
