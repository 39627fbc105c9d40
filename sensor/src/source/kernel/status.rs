//! How the capture is doing: the accounting law of every point, fills, losses, cost.

use lynceus_model::status::{Fill, Loss, SensorStatus};
use lynceus_model::time::Timestamp;

use crate::block::Keeper;
use crate::clock::{WallClock, monotonic};
use crate::decode::neighbour::Refused;
use crate::decode::{Decoder, Protocol};
use crate::flow_table::FlowTable;
use crate::kernel::block::BlockMaps;
use crate::kernel::counters::{Observed, Snapshot};
use crate::kernel::drain::{Drain, Queues};
use crate::kernel::load::Kernel;

/// What a status is made of that does not change from reading to reading.
#[derive(Debug)]
pub(super) struct Reporter {
    started: u64,
    name: String,
    release: Option<String>,
    /// Every point that has or had a hook, in the order of attaching.
    observed: Vec<Observed>,
}

/// The parts that are asked.
pub(super) struct Sources<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) drain: &'a Drain,
    pub(super) queues: &'a Queues,
    pub(super) table: &'a FlowTable,
    pub(super) decoder: &'a Decoder,
    pub(super) clock: WallClock,
    pub(super) blocks: Option<&'a Keeper<BlockMaps>>,
}

impl Reporter {
    pub(super) fn new() -> Self {
        let kernel = |key: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{key}"));
            text.ok().map(|text| text.trim().to_owned())
        };
        Self {
            started: monotonic(),
            name: kernel("hostname").unwrap_or_default(),
            release: kernel("osrelease"),
            observed: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, observed: Observed) {
        self.observed.push(observed);
    }

    pub(super) fn status(&self, sources: &Sources<'_>) -> SensorStatus {
        let snapshot = sources.drain.snapshot();
        let wall = |time| {
            if time == 0 {
                Timestamp::default()
            } else {
                sources.clock.wall(time)
            }
        };
        SensorStatus {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: self.release.clone(),
            started: wall(self.started),
            read_at: wall(snapshot.read_at),
            points: snapshot.points(&self.observed),
            losses: losses(sources, &snapshot),
            fills: fills(sources, &snapshot),
            nanos_per_packet: sources.kernel.nanos_per_run(),
            position: None,
            blocks: sources.blocks.map_or_else(Vec::new, Keeper::statuses),
        }
    }
}

/// Only what happened: an empty list means that nothing was let go.
fn losses(sources: &Sources<'_>, snapshot: &Snapshot) -> Vec<Loss> {
    let mut losses = snapshot.losses();
    let table = sources.table.stats();
    let decoded = sources.decoder.counters();
    let taken = sources.drain.taken();
    let malformed: u64 = decoded.malformed.iter().sum();
    // Told one by one below.
    let malformed = malformed - decoded.malformed[Protocol::Neighbour.index()];
    let neighbours = Refused::ALL.map(|reason| {
        let count = decoded.neighbours[reason as usize];
        ("decode", reason.name(), "messages", count)
    });
    for (stage, reason, unit, count) in [
        ("kernel", "nested", "packets", snapshot.nested),
        ("drain", "malformed", "records", taken.malformed),
        ("flow table", "ended_early", "flows", table.evicted),
        ("flow table", "unlisted_point", "packets", table.unlisted_points),
        ("decode", "malformed", "messages", malformed),
        ("decode", "incomplete", "messages", decoded.incomplete),
    ]
    .into_iter()
    .chain(neighbours)
    {
        if count != 0 {
            losses.push(Loss {
                stage: stage.into(),
                reason: reason.into(),
                unit: unit.into(),
                count,
            });
        }
    }
    losses
}

fn fills(sources: &Sources<'_>, snapshot: &Snapshot) -> Vec<Fill> {
    let mut fills = snapshot.fills();
    fills.push(sources.queues.records.gauge().fill("record queue"));
    fills.push(sources.queues.heads.gauge().fill("head queue"));
    fills.push(Fill {
        name: "flow table".into(),
        used: sources.table.stats().flows as u64,
        limit: sources.table.max_flows() as u64,
        unit: "flows".into(),
    });
    if let Some(blocks) = sources.blocks {
        fills.extend(blocks.fills());
    }
    fills
}
