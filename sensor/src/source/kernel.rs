//! Live capture as a source: the kernel's records become flows, its payload heads application events.
//!
//! The caller's thread owns programs, hooks, flow table and decoders; the drain thread behind it moves what the kernel
//! has ([`crate::kernel::drain`]). Interfaces are those of the network namespace of the thread that makes the source;
//! use it and drop it on threads of that namespace.

mod points;
mod status;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_model::address::Network;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::FlowRecord;
pub use sensor_ebpf::parse::Layer;

use self::points::FirstPoints;
use self::status::{Reporter, Sources};
use super::{Event, Source, Status};
use crate::block::{Desk, Keeper};
use crate::clock::{WallClock, monotonic};
use crate::decode::{DecodeLimits, Decoder};
use crate::flow_table::{FlowTable, FlowTableConfig};
use crate::kernel::attach::{Attachment, HookChoice};
use crate::kernel::block::BlockMaps;
use crate::kernel::counters::Observed;
use crate::kernel::drain::{self, Drain, OwnedHead, Queues};
use crate::kernel::interfaces::{Change, Watch};
use crate::kernel::load::{self, Kernel};
use crate::kernel::log::LogThread;

/// Records that one call takes from the queue at most: bounds the work of a call and the events it appends.
const RECORD_BATCH: usize = 2048;
/// Heads that one call takes at most.
const HEAD_BATCH: usize = 512;
/// Flows that one call ends at most when the source stops.
const FINISH_BATCH: usize = 2048;
/// How often interfaces and clock are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A record is at most this much later than a sweep: the way through the queue, and a stall of the drain thread.
const SLACK: Duration = Duration::from_secs(1);

/// What to capture and how.
#[derive(Clone, Debug, Default)]
pub struct KernelConfig {
    pub interfaces: Vec<String>,
    pub hook: HookChoice,
    pub kernel: load::Options,
    pub drain: drain::Options,
    pub table: FlowTableConfig,
    pub decode: DecodeLimits,
    /// Blocks on request: where orders come from, and networks that are never blocked. `None`: nothing is ever dropped.
    pub block: Option<(Arc<Desk>, Vec<Network>)>,
}

/// A running capture. Dropping it detaches everything.
pub struct KernelSource {
    // Fields drop in this order: hooks first, then the thread that reads the maps, then programs and maps.
    attachments: Vec<Attachment>,
    drain: Drain,
    kernel: Kernel,
    _log: Option<LogThread>,
    config: KernelConfig,
    watch: Watch,
    reporter: Reporter,
    queues: Queues,
    table: FlowTable,
    decoder: Decoder,
    first_points: FirstPoints,
    blocks: Option<Keeper<BlockMaps>>,
    clock: WallClock,
    last_look: Instant,
    stage: Stage,
    records: Vec<FlowRecord>,
    heads: Vec<OwnedHead>,
    ended: Vec<FlowUpdate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Hooks are gone; the drain thread takes what is left.
    Draining,
    /// The queues are empty; the table hands out its flows.
    Finishing,
    Ended,
}

impl KernelSource {
    /// Loads the programs and attaches them to every interface.
    ///
    /// # Errors
    /// An interface does not exist or refuses all hooks, or the kernel refuses the programs; nothing stays attached.
    pub fn start(config: KernelConfig) -> anyhow::Result<Self> {
        anyhow::ensure!(!config.interfaces.is_empty(), "no interface to observe");
        for (index, interface) in config.interfaces.iter().enumerate() {
            anyhow::ensure!(
                !config.interfaces[..index].contains(interface),
                "{interface} is named twice; its packets would be seen twice"
            );
        }
        let watch = Watch::new(&config.interfaces).context("look for the interfaces")?;
        let options = load::Options {
            block: config.block.is_some(),
            ..config.kernel
        };
        let (mut kernel, mut readers) = Kernel::load(&options)?;
        let blocks = match &config.block {
            Some((desk, never)) => Some(Keeper::new(kernel.take_block()?, Arc::clone(desk), never.clone())),
            None => None,
        };
        let log = readers.log.take().map(LogThread::start).transpose();
        let log = log.context("start the thread of the kernel programs' log")?;
        let mut attachments = Vec::with_capacity(config.interfaces.len());
        let mut reporter = Reporter::new();
        let mut table = FlowTable::new(config.table);
        for interface in &config.interfaces {
            let attachment = kernel.attach(interface, config.hook)?;
            observe(&attachment, &mut reporter, &mut table);
            attachments.push(attachment);
        }
        let (drain, queues) = Drain::start(readers, config.drain).context("start the drain thread")?;
        Ok(Self {
            attachments,
            drain,
            kernel,
            _log: log,
            watch,
            reporter,
            queues,
            table,
            decoder: Decoder::new(config.decode),
            first_points: FirstPoints::default(),
            blocks,
            clock: WallClock::now(),
            last_look: Instant::now(),
            stage: Stage::Running,
            records: Vec::with_capacity(RECORD_BATCH),
            heads: Vec::with_capacity(HEAD_BATCH),
            ended: Vec::new(),
            config,
        })
    }

    /// How each interface is observed and why, one sentence each.
    pub fn hooks(&self) -> impl Iterator<Item = String> {
        self.attachments.iter().map(|attachment| {
            let [ingress, egress] = &attachment.hooks;
            format!(
                "{}: ingress by {}, egress by {} ({})",
                attachment.interface, ingress.mechanism, egress.mechanism, attachment.reason
            )
        })
    }

    /// Detaches everything; the following calls of [`Source::next`] hand out what is left, then say
    /// [`Status::Ended`].
    pub fn stop(&mut self) {
        if self.stage == Stage::Running {
            self.attachments.clear();
            self.drain.finish();
            self.stage = Stage::Draining;
        }
    }

    /// The accounting as of the last sweep (`drain.sweep_every`); exact once [`Status::Ended`] was said.
    #[must_use]
    pub fn status(&self) -> lynceus_model::status::SensorStatus {
        self.reporter.status(&Sources {
            kernel: &self.kernel,
            drain: &self.drain,
            queues: &self.queues,
            table: &self.table,
            decoder: &self.decoder,
            clock: self.clock,
            blocks: self.blocks.as_ref(),
        })
    }

    fn take_heads(&mut self, events: &mut Vec<Event>) -> usize {
        let taken = self.queues.heads.pop_into(&mut self.heads, HEAD_BATCH);
        for head in self.heads.drain(..) {
            let head = head.view();
            // A packet that passes two points sends its head up twice; only the first point's is read.
            if self.first_points.is_first(&head) {
                let time = self.clock.wall(head.time);
                let mut emit = |record| events.push(Event::App(Box::new(record)));
                let service = self.decoder.decode(&head, time, None, &mut emit);
                self.table.note_live(&head.key, service, time);
            }
        }
        taken
    }

    fn take_records(&mut self) -> anyhow::Result<usize> {
        let taken = self.queues.records.pop_into(&mut self.records, RECORD_BATCH);
        let added = self.table.records(&self.records, self.clock, &mut self.ended);
        self.records.clear();
        added?;
        Ok(taken)
    }

    /// Interfaces come and go, and the clock may be set.
    fn look(&mut self) {
        if self.last_look.elapsed() < LOOK_EVERY {
            return;
        }
        self.last_look = Instant::now();
        if let Some(moved) = self.clock.refresh() {
            tracing::warn!(
                seconds = moved as f64 / 1e9,
                "the system clock was set; event time follows it"
            );
        }
        match self.watch.look() {
            Ok(changes) => {
                for (interface, change) in changes {
                    self.follow(&interface, change);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot look for the interfaces"),
        }
    }

    fn follow(&mut self, interface: &str, change: Change) {
        match change {
            Change::Gone { ifindex } => {
                self.attachments
                    .retain(|attachment| attachment.ifindex != ifindex);
                tracing::warn!(
                    interface,
                    ifindex,
                    "the interface is gone; it is observed again when it comes back"
                );
            }
            Change::Back { ifindex } => match self.kernel.attach(interface, self.config.hook) {
                Ok(attachment) => {
                    observe(&attachment, &mut self.reporter, &mut self.table);
                    self.attachments.push(attachment);
                    tracing::info!(interface, ifindex, "the interface is back and observed");
                }
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::error!(
                        interface,
                        ifindex,
                        "the interface is back and cannot be observed: {error:#}"
                    );
                }
            },
        }
    }

    /// Event time up to which everything was handed to the flow table.
    fn settled(&self) -> Timestamp {
        let behind = self.config.drain.sweep_every + SLACK;
        let behind = u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX);
        self.clock.wall(monotonic().saturating_sub(behind))
    }
}

impl Source for KernelSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        match self.stage {
            Stage::Running | Stage::Draining => {
                let heads = self.take_heads(events);
                let records = self.take_records()?;
                let settled = self.settled();
                if records < RECORD_BATCH {
                    // With records waiting, time must wait for them too.
                    self.table.tick(settled, &mut self.ended);
                }
                if self.stage == Stage::Running {
                    if let Some(blocks) = &mut self.blocks {
                        blocks.work();
                    }
                    self.look();
                } else if self.queues.records.is_finished() && self.queues.heads.is_finished() {
                    self.stage = Stage::Finishing;
                }
                events.extend(self.ended.drain(..).map(|update| Event::Flow(Box::new(update))));
                let busy = heads == HEAD_BATCH || records == RECORD_BATCH || self.stage == Stage::Finishing;
                Ok(if busy { Status::More } else { Status::Idle })
            }
            Stage::Finishing => {
                if !self.table.finish(FINISH_BATCH, &mut self.ended) {
                    self.stage = Stage::Ended;
                }
                events.extend(self.ended.drain(..).map(|update| Event::Flow(Box::new(update))));
                Ok(Status::More)
            }
            Stage::Ended => Ok(Status::Ended),
        }
    }

    fn watermark(&self) -> Timestamp {
        match self.stage {
            Stage::Ended => Timestamp::MAX,
            _ => self.settled(),
        }
    }
}

/// Takes a new attachment into the report and gives the flow table its name.
fn observe(attachment: &Attachment, reporter: &mut Reporter, table: &mut FlowTable) {
    table.name_interface(attachment.ifindex, &attachment.interface);
    for hook in &attachment.hooks {
        reporter.observe(Observed {
            interface: attachment.interface.clone(),
            point: hook.point,
            slot: hook.slot,
            mechanism: hook.mechanism,
        });
    }
}
