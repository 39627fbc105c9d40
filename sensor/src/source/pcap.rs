//! Capture files as a source: frames of one or several files through the parser into the flow table.

mod apps;
mod legacy;
mod ng;
mod reader;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lynceus_model::app::AppRecord;
use lynceus_model::flow::{FlowUpdate, Service};
use lynceus_model::time::Timestamp;
use sensor_ebpf::heads::HeadLimits;
use sensor_ebpf::parse::{Degraded, KERNEL_LEVELS, Packet, Refused, Slice, USER_LEVELS, parse};

use self::apps::Apps;
pub use self::apps::HeadCounts;
pub use self::reader::{CaptureError, CaptureReader, Fault, RawFrame};
use super::{Event, Source, Status};
use crate::decode::DecodeCounters;
use crate::flow_table::{BATCH, FlowTable, FlowTableConfig, TableFull, TableStats, TimedPacket};
use crate::source::input::Place;
pub use crate::source::input::Progress;

/// Most packets that one call handles, so that a caller can show progress and be interrupted.
const PACKETS_PER_CALL: usize = 65_536;
/// Most flows, and most messages, that one call hands out, about.
const FLOWS_PER_CALL: usize = 4096;

/// How many tunnels are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Depth {
    /// None: the outer IP header makes the flow.
    Outer,
    /// As the kernel programs do, to compare with them.
    Kernel,
    /// All that user space knows.
    #[default]
    Deep,
}

/// Packets and their bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub packets: u64,
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }
}

/// What a source of packets counted: `seen` = what is in flows + what was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    pub seen: Tally,
    /// By [`Refused`].
    pub refused: [Tally; Refused::COUNT],
    /// By [`Degraded`]; these packets are in flows.
    pub degraded: [Tally; Degraded::COUNT],
}

impl PacketCounts {
    /// Refused packets by reason, without the zeros.
    pub fn refused_by_reason(&self) -> impl Iterator<Item = (&'static str, Tally)> {
        let named = Refused::ALL.into_iter().map(Refused::name);
        named.zip(self.refused).filter(|(_, tally)| tally.packets > 0)
    }

    /// Degraded packets by reason, without the zeros.
    pub fn degraded_by_reason(&self) -> impl Iterator<Item = (&'static str, Tally)> {
        let named = Degraded::ALL.into_iter().map(Degraded::name);
        named.zip(self.degraded).filter(|(_, tally)| tally.packets > 0)
    }
}

/// Why a [`PcapSource`] stops reading a file.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Full(#[from] TableFull),
}

/// One or several capture files, read one after the other into one flow table.
pub struct PcapSource {
    waiting: VecDeque<Place>,
    open: Option<CaptureReader>,
    table: FlowTable,
    apps: Option<Apps>,
    depth: Depth,
    counts: PacketCounts,
    /// First packet of the first file.
    origin: Option<Timestamp>,
    newest: Timestamp,
    /// Bytes of the files before the open one.
    bytes_before: u64,
    flows: Vec<FlowUpdate>,
    /// Without decoders: parsed and not yet counted; empty between calls.
    batch: Vec<TimedPacket>,
    /// See [`PcapSource::with_patience`].
    patience: Option<Duration>,
}

impl PcapSource {
    /// `-` among the files is standard input.
    #[must_use]
    pub fn new(files: impl IntoIterator<Item = PathBuf>, config: FlowTableConfig, depth: Depth) -> Self {
        Self::of(files.into_iter().map(Place::File).collect(), config, depth)
    }

    pub(crate) fn of(waiting: VecDeque<Place>, config: FlowTableConfig, depth: Depth) -> Self {
        Self {
            waiting,
            open: None,
            table: FlowTable::new(config),
            apps: None,
            depth,
            counts: PacketCounts::default(),
            origin: None,
            newest: Timestamp::MIN,
            bytes_before: 0,
            flows: Vec::new(),
            batch: Vec::with_capacity(BATCH),
            patience: None,
        }
    }

    /// A call ends at the first packet after so much time: for pipes, where packets come as they happen and nobody
    /// may wait until there are many. It costs a look at the clock for each packet.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Reads nothing more: [`Source::next`] hands out the flows that are open, and then ends.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.bytes_before = self.bytes_read();
        self.open = None;
    }

    /// Decodes messages too: [`Source::next`] then hands out application events as well.
    #[must_use]
    pub fn with_decoders(mut self, limits: HeadLimits) -> Self {
        self.table.keep_heads();
        self.apps = Some(Apps::new(limits));
        self
    }

    /// What the selector of payload heads did; zeros without decoders.
    #[must_use]
    pub fn heads(&self) -> HeadCounts {
        self.apps.as_ref().map(|apps| *apps.counts()).unwrap_or_default()
    }

    /// What the decoders did; zeros without decoders.
    #[must_use]
    pub fn decoders(&self) -> DecodeCounters {
        self.apps.as_ref().map(|apps| *apps.decoder()).unwrap_or_default()
    }

    /// Takes the messages that were decoded since the last call, in the order of their packets.
    pub fn take_messages(&mut self) -> impl Iterator<Item = AppRecord> + '_ {
        self.apps
            .iter_mut()
            .flat_map(Apps::take)
            .map(|(_, record)| record)
    }

    #[must_use]
    pub const fn counts(&self) -> &PacketCounts {
        &self.counts
    }

    #[must_use]
    pub const fn table(&self) -> TableStats {
        self.table.stats()
    }

    /// Bytes read from disk so far, before decompression.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |reader| reader.progress().bytes());
        self.bytes_before + open
    }

    /// Reads on and appends the flows that ended.
    ///
    /// # Errors
    /// A file cannot be read further: all that was readable counts, and the next call goes on with the next file. Or
    /// the table is full: there is no use in going on.
    pub fn next_flows(&mut self, flows: &mut Vec<FlowUpdate>) -> Result<Status, PcapError> {
        if self.open.is_none() {
            let Some(place) = self.waiting.pop_front() else {
                let more = self.table.finish(FLOWS_PER_CALL, flows);
                return Ok(if more { Status::More } else { Status::Ended });
            };
            self.open = Some(CaptureReader::of(place)?);
            self.table.rewind();
        }
        let done = match self.depth {
            Depth::Outer => self.read::<0>(flows),
            Depth::Kernel => self.read::<KERNEL_LEVELS>(flows),
            Depth::Deep => self.read::<USER_LEVELS>(flows),
        };
        if !matches!(done, Ok(false)) {
            self.bytes_before = self.bytes_read();
            self.open = None;
        }
        done.map(|_| Status::More)
    }

    /// Returns whether the file ended.
    fn read<const LEVELS: usize>(&mut self, flows: &mut Vec<FlowUpdate>) -> Result<bool, PcapError> {
        let done = self.read_frames::<LEVELS>(flows);
        // Also before an error: what was readable counts.
        let counted = count_batch(&mut self.table, &mut self.batch, flows);
        done.and_then(|ended| counted.map(|()| ended))
    }

    fn read_frames<const LEVELS: usize>(&mut self, flows: &mut Vec<FlowUpdate>) -> Result<bool, PcapError> {
        let Some(reader) = &mut self.open else {
            return Ok(true);
        };
        let mut packet = Packet::default();
        let enough = flows.len() + FLOWS_PER_CALL;
        let deadline = self.patience.map(|patience| Instant::now() + patience);
        for _ in 0..PACKETS_PER_CALL {
            let Some(raw) = reader.next_frame()? else {
                return Ok(true);
            };
            self.counts.seen.add(raw.wire_len);
            let frame = Slice {
                bytes: raw.bytes,
                wire_len: raw.wire_len,
            };
            let parsed = match raw.link {
                Some(link) => parse::<_, LEVELS>(&frame, link, &mut packet),
                None => Err(Refused::UnsupportedLink),
            };
            self.origin.get_or_insert(raw.time);
            self.newest = self.newest.max(raw.time);
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if let Err(reason) = parsed {
                if let (Refused::Arp, Some(apps), Some(link)) = (reason, &mut self.apps, raw.link) {
                    apps.arp(&frame, link, raw.time);
                    apps.mark(flows.len());
                }
                self.counts.refused[reason as usize].add(raw.wire_len);
                if is_late {
                    break;
                }
                continue;
            }
            if let Some(reason) = packet.degraded {
                self.counts.degraded[reason as usize].add(raw.wire_len);
            }
            match &mut self.apps {
                Some(apps) => {
                    let place = self.table.packet(&packet, raw.time, raw.wire_len, flows)?;
                    let (heads, originator) = self.table.heads(place);
                    let service = apps.packet(&frame, &packet, heads, originator, raw.time);
                    apps.mark(flows.len());
                    if service != Service::Unseen {
                        self.table.note(place, service);
                    }
                    if apps.records.len() >= FLOWS_PER_CALL {
                        break;
                    }
                }
                None => {
                    self.batch.push(TimedPacket {
                        packet,
                        time: raw.time,
                        wire_len: raw.wire_len,
                    });
                    if self.batch.len() == BATCH {
                        count_batch(&mut self.table, &mut self.batch, flows)?;
                    }
                }
            }
            if is_late || flows.len() >= enough {
                break;
            }
        }
        Ok(false)
    }
}

/// Counts the packets that wait to be looked up together.
fn count_batch(
    table: &mut FlowTable,
    batch: &mut Vec<TimedPacket>,
    flows: &mut Vec<FlowUpdate>,
) -> Result<(), PcapError> {
    let counted = table.packets(batch, flows);
    batch.clear();
    Ok(counted?)
}

impl Source for PcapSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        let mut flows = std::mem::take(&mut self.flows);
        let status = self.next_flows(&mut flows);
        // In the order in which they became known: a message hours later must not close windows whose flows come behind it.
        let mut ended = flows.drain(..).map(|flow| Event::Flow(Box::new(flow)));
        let mut given = 0;
        for (after, record) in self.apps.iter_mut().flat_map(Apps::take) {
            events.extend(ended.by_ref().take(after - given));
            given = after;
            events.push(Event::App(Box::new(record)));
        }
        events.extend(ended);
        self.flows = flows;
        Ok(status?)
    }

    fn watermark(&self) -> Timestamp {
        self.newest
    }

    fn origin(&self) -> Option<Timestamp> {
        self.origin
    }
}
