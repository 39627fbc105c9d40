//! Bidirectional flows out of packets: the table that a file's packets fill.
//!
//! A packet costs one look-up (own open addressing, [`index`]) and the two or three cache lines of its flow
//! ([`entry`]), which are asked for ahead of time where packets come in batches ([`ahead`]); timeouts cost nothing per
//! packet ([`wheel`]). Originator is who sent the first packet. Whether a packet
//! still belongs to a flow is decided by event time alone, when the packet comes: the order of output and the cut of
//! flows depend on the input only.

mod address;
mod ahead;
mod community_id;
mod entry;
mod fragments;
mod index;
mod records;
mod report;
mod services;
mod settings;
mod slab;
mod state;
mod wheel;

use std::time::Duration;

use lynceus_model::flow::{ConnState, FlowEnd, FlowUpdate, Totals};
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::Side;
use sensor_ebpf::heads::FlowHeads;
use sensor_ebpf::parse::{Fragment, Packet};

pub use self::ahead::{BATCH, TimedPacket};
pub use self::community_id::community_id;
use self::entry::{Entry, Handshake};
use self::fragments::Fragments;
use self::index::{Hash, Index};
use self::records::LiveTable;
use self::services::Waiting;
pub use self::settings::{Expiry, FlowTableConfig, TableFull, TableStats, Timeouts, WhenFull};
use self::slab::Slab;
use self::state::SYN;
use self::wheel::Wheel;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const ACK: u8 = 16;
/// Place of ACK among the flag counts.
const ACK_BIT: usize = 4;

/// The state of a flow that is known by its totals only, as from a log that tells TCP flags.
pub(crate) fn state_of_flags(protocol: u8, out: &Totals, back: &Totals) -> ConnState {
    let seen = |totals: &'_ Totals| state::Seen {
        packets: totals.packets,
        flags: totals.tcp_flags,
        flag_counts: &NO_COUNTS,
    };
    state::of(protocol, seen(out), seen(back))
}

/// How often each flag came is not known.
const NO_COUNTS: [u32; 8] = [0; 8];

/// Where a flow stands in the table.
#[derive(Clone, Copy, Debug)]
pub struct Place(u32);

/// The table. Ended flows are appended to the vector that every call takes.
pub struct FlowTable {
    config: FlowTableConfig,
    index: Index,
    entries: Slab<Entry>,
    /// Of TCP: time of the last SYN, then the round-trip time, as [`Handshake`] says.
    handshakes: Slab<i64>,
    /// What the selector of payload heads remembers of a flow; empty where nobody asked for it.
    heads: Slab<FlowHeads>,
    keeps_heads: bool,
    wheel: Wheel,
    fragments: Fragments,
    /// Places without a flow, below `places`.
    free: Vec<u32>,
    /// Places that were ever used.
    places: usize,
    /// Places that [`FlowTable::finish`] has passed.
    finished: usize,
    /// Nanoseconds of silence that no flow ends within.
    shortest_idle: i64,
    stats: TableStats,
    live: LiveTable,
    /// Words of the decoders on flows whose records are still to come.
    waiting: Waiting,
}

impl FlowTable {
    #[must_use]
    pub fn new(config: FlowTableConfig) -> Self {
        let config = FlowTableConfig {
            max_flows: config.max_flows.clamp(1, 1 << 31),
            ..config
        };
        Self {
            config,
            index: Index::new(),
            entries: Slab::new(),
            handshakes: Slab::new(),
            heads: Slab::new(),
            keeps_heads: false,
            wheel: Wheel::new(),
            fragments: Fragments::default(),
            free: Vec::new(),
            places: 0,
            finished: 0,
            shortest_idle: match &config.expiry {
                Expiry::Timeouts(timeouts) => nanos(timeouts.shortest()),
                Expiry::Never => i64::MAX,
            },
            stats: TableStats::default(),
            live: LiveTable::new(),
            waiting: services::waiting(),
        }
    }

    /// Keeps the selector's state for each flow; to be called before the first packet.
    pub const fn keep_heads(&mut self) {
        self.keeps_heads = true;
    }

    /// The selector's state and the originator of the flow that the last packet counted in.
    ///
    /// # Panics
    /// Without [`FlowTable::keep_heads`].
    #[inline]
    pub fn heads(&mut self, place: Place) -> (&mut FlowHeads, Side) {
        (&mut self.heads[place.0], self.entries[place.0].origin)
    }

    /// Flows that fit into so many bytes, index, growth and the pieces' slack included.
    #[must_use]
    pub const fn flows_in(bytes: u64) -> usize {
        // Index: at its worst 8 bytes a cell at 3/8 fill, and the old half during growth.
        let each = Slab::<Entry>::bytes_each() + Slab::<i64>::bytes_each() + Slab::<u32>::bytes_each() + 32;
        (bytes / each as u64) as usize
    }

    #[must_use]
    pub const fn stats(&self) -> TableStats {
        TableStats {
            orphan_fragments: self.fragments.orphans,
            ..self.stats
        }
    }

    /// Flows that the table holds at most.
    #[must_use]
    pub const fn max_flows(&self) -> usize {
        self.config.max_flows
    }

    /// Bytes that the table holds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.entries.capacity()
            * (Slab::<Entry>::bytes_each() + Slab::<i64>::bytes_each() + Slab::<u32>::bytes_each())
            + self.heads.capacity() * Slab::<FlowHeads>::bytes_each()
            + self.index.bytes()
            + self.live.bytes()
    }

    /// Counts a packet in its flow; returns the flow's place, which is good until the next packet.
    ///
    /// # Errors
    /// The table is full and [`WhenFull::Fail`] was chosen; the packet was not counted.
    #[inline]
    pub fn packet(
        &mut self,
        packet: &Packet,
        time: Timestamp,
        wire_len: u32,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<Place, TableFull> {
        if packet.fragment == Fragment::Whole {
            let hash = self.index.hash(&packet.key);
            return self.whole_packet(hash, packet, time, wire_len, ended);
        }
        let mut settled = *packet;
        self.fragments.settle(&mut settled, time);
        let hash = self.index.hash(&settled.key);
        self.whole_packet(hash, &settled, time, wire_len, ended)
    }

    /// Tells that event time reached `time`: flows that ended by then are appended.
    #[inline]
    pub fn tick(&mut self, time: Timestamp, ended: &mut Vec<FlowUpdate>) {
        if let Expiry::Timeouts(timeouts) = self.config.expiry
            && let Some(first) = self.wheel.advance(second(time))
        {
            self.look_at(first, time, &timeouts, ended);
        }
    }

    /// Prepares for input that may begin earlier than the last one ended, as another file.
    pub const fn rewind(&mut self) {
        self.wheel.rewind();
    }

    /// Ends all flows, about `most` at once; returns whether there are more. They come in the order of their places,
    /// which without timeouts is the order in which they began. To be called until nothing is left.
    pub fn finish(&mut self, most: usize, ended: &mut Vec<FlowUpdate>) -> bool {
        self.wheel.clear();
        let until = self.finished.saturating_add(most).min(self.places);
        for slot in self.finished as u32..until as u32 {
            if self.entries[slot].used {
                self.end(slot, FlowEnd::SourceEnded, ended);
            }
        }
        self.finished = until;
        if until < self.places {
            return true;
        }
        self.finished = 0;
        self.places = 0;
        self.free.clear();
        false
    }

    #[inline]
    fn whole_packet(
        &mut self,
        hash: Hash,
        packet: &Packet,
        time: Timestamp,
        wire_len: u32,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<Place, TableFull> {
        self.tick(time, ended);
        let entries = &self.entries;
        let slot = match self.index.find(hash, |slot| entries[slot].key == packet.key) {
            Some(slot) => {
                if let Some(end) = self.is_new_flow(slot, packet, time) {
                    // The new flow takes the place, in index and wheel, of the old.
                    self.report(slot, end, ended);
                    self.entries[slot] = Entry::of_packet(packet, time);
                    self.forget_heads(slot);
                }
                slot
            }
            None => self.begin(hash, Entry::of_packet(packet, time), ended)?,
        };
        self.entries[slot].add(packet, time, wire_len);
        if packet.tcp_flags & SYN != 0 {
            self.measure(slot, packet, time);
        }
        Ok(Place(slot))
    }

    fn forget_heads(&mut self, slot: u32) {
        if self.keeps_heads {
            self.heads[slot] = FlowHeads::default();
        }
    }

    /// Whether the packet cannot belong to the flow that has its key: the flow ended by silence, or it is over and the
    /// packet opens a new connection.
    #[inline]
    fn is_new_flow(&self, slot: u32, packet: &Packet, time: Timestamp) -> Option<FlowEnd> {
        let Expiry::Timeouts(timeouts) = &self.config.expiry else {
            return None;
        };
        let entry = &self.entries[slot];
        let silence = time.0.saturating_sub(entry.last.0);
        if silence > self.shortest_idle && silence > nanos(timeouts.idle(entry)) {
            Some(silent(entry))
        } else if packet.tcp_flags & (SYN | ACK) == SYN && state::is_over(entry.flags) {
            Some(FlowEnd::Closed)
        } else {
            None
        }
    }

    #[cold]
    fn begin(&mut self, hash: Hash, entry: Entry, ended: &mut Vec<FlowUpdate>) -> Result<u32, TableFull> {
        if self.stats.flows >= self.config.max_flows {
            self.make_room(ended)?;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                if self.places == self.entries.capacity() {
                    self.entries.grow();
                    self.handshakes.grow();
                    if self.keeps_heads {
                        self.heads.grow();
                    }
                    self.wheel.grow();
                }
                self.places += 1;
                (self.places - 1) as u32
            }
        };
        self.entries[slot] = entry;
        self.forget_heads(slot);
        self.index.insert(hash, slot);
        self.stats.flows += 1;
        if let Expiry::Timeouts(timeouts) = &self.config.expiry {
            let due = timeouts.due(&self.entries[slot]);
            self.wheel.insert(slot, due);
        }
        Ok(slot)
    }

    fn make_room(&mut self, ended: &mut Vec<FlowUpdate>) -> Result<(), TableFull> {
        let full = TableFull {
            max_flows: self.config.max_flows,
        };
        if self.config.when_full == WhenFull::Fail {
            return Err(full);
        }
        let slot = self.wheel.pop_earliest().ok_or(full)?;
        self.stats.evicted += 1;
        self.end(slot, FlowEnd::Evicted, ended);
        Ok(())
    }

    /// Looks at the flows of the buckets that are due.
    fn look_at(&mut self, first: u32, now: Timestamp, timeouts: &Timeouts, ended: &mut Vec<FlowUpdate>) {
        let mut next = Some(first);
        while let Some(slot) = next {
            next = self.wheel.following(slot);
            let entry = &self.entries[slot];
            if now.0.saturating_sub(entry.last.0) > nanos(timeouts.idle(entry)) {
                let end = silent(entry);
                self.end(slot, end, ended);
                continue;
            }
            if let Some(active) = timeouts.active
                && now.0.saturating_sub(last_report(entry).0) > nanos(active)
            {
                self.report_active(slot, now, ended);
            }
            let due = timeouts.due(&self.entries[slot]);
            self.wheel.insert(slot, due);
        }
    }

    /// Ends a flow that the wheel has let go, and frees its place.
    fn end(&mut self, slot: u32, end: FlowEnd, ended: &mut Vec<FlowUpdate>) {
        self.report(slot, end, ended);
        let entry = &mut self.entries[slot];
        entry.used = false;
        entry.rare = None;
        let hash = self.index.hash(&entry.key);
        self.index.remove(hash, slot);
        self.stats.flows -= 1;
        self.free.push(slot);
    }

    fn report(&mut self, slot: u32, end: FlowEnd, ended: &mut Vec<FlowUpdate>) {
        let rtt = self.rtt(slot);
        let entry = &mut self.entries[slot];
        let at = entry.last;
        let mut update = report::update(entry, rtt, at, end);
        update.flow.seen_at = self.seen_at(slot);
        ended.push(update);
    }

    fn report_active(&mut self, slot: u32, now: Timestamp, ended: &mut Vec<FlowUpdate>) {
        let rtt = self.rtt(slot);
        let mut update = report::update(&mut self.entries[slot], rtt, now, FlowEnd::Active);
        update.flow.seen_at = self.seen_at(slot);
        ended.push(update);
    }

    fn rtt(&self, slot: u32) -> Option<Duration> {
        let measured = self.entries[slot].handshake == Handshake::Measured;
        measured.then(|| Duration::from_nanos(self.handshakes[slot].unsigned_abs()))
    }

    /// Measures from the last SYN to the first SYN-ACK: after a lost SYN the first one would add the wait for it.
    fn measure(&mut self, slot: u32, packet: &Packet, time: Timestamp) {
        let entry = &mut self.entries[slot];
        let kept = &mut self.handshakes[slot];
        match (packet.tcp_flags & ACK != 0, entry.handshake) {
            (false, Handshake::Nothing | Handshake::Syn) => {
                entry.handshake = Handshake::Syn;
                *kept = time.0;
            }
            (true, Handshake::Syn) if time.0 >= *kept => {
                entry.handshake = Handshake::Measured;
                *kept = time.0.saturating_sub(*kept);
            }
            _ => {}
        }
    }
}

fn last_report(entry: &Entry) -> Timestamp {
    let reported = entry.rare.as_ref().and_then(|rare| rare.reported.as_ref());
    reported.map_or(entry.first, |reported| reported.at)
}

const fn silent(entry: &Entry) -> FlowEnd {
    if entry.key.protocol == TCP && state::is_over(entry.flags) {
        FlowEnd::Closed
    } else {
        FlowEnd::Idle
    }
}

const fn second(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000_000)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
