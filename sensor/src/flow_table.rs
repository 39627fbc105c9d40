//! Bidirectional flows out of packets: the table that a file's packets fill.
//!
//! A packet costs one look-up (own open addressing, [`index`]) and the two or three cache lines of its flow
//! ([`entry`]); timeouts cost nothing per packet ([`wheel`]). Originator is who sent the first packet. Whether a packet
//! still belongs to a flow is decided by event time alone, when the packet comes: the order of output and the cut of
//! flows depend on the input only.

mod address;
mod community_id;
mod entry;
mod fragments;
mod index;
mod records;
mod report;
mod slab;
mod state;
mod wheel;

use std::time::Duration;

use lynceus_model::flow::{FlowEnd, FlowUpdate};
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::Side;
use sensor_ebpf::heads::FlowHeads;
use sensor_ebpf::parse::{Fragment, Packet};

pub use self::community_id::community_id;
use self::entry::{Entry, Handshake};
use self::fragments::Fragments;
use self::index::{Hash, Index};
use self::records::LiveTable;
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

/// After how much silence a flow ends, and how often a long one is reported. Event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP with packets from both sides. Slips gives Zeek 60 minutes (`tcp_inactivity_timeout`).
    pub tcp: Duration,
    /// TCP with packets from one side only: 1 minute (`tcp_attempt_delay` of Slips).
    pub tcp_attempt: Duration,
    /// TCP after FIN from both sides or RST: 5 seconds for stragglers (Zeek's `tcp_close_delay`).
    pub tcp_closed: Duration,
    /// 1 minute, as Zeek.
    pub udp: Duration,
    /// 1 minute, as Zeek.
    pub icmp: Duration,
    /// Every other protocol: 1 minute.
    pub other: Duration,
    /// A flow that lives longer is reported every so often with [`FlowEnd::Active`]; `None`: only at its end.
    pub active: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            tcp: 60 * minute,
            tcp_attempt: minute,
            tcp_closed: Duration::from_secs(5),
            udp: minute,
            icmp: minute,
            other: minute,
            active: Some(5 * minute),
        }
    }
}

/// What ends flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Timeouts(Timeouts),
    /// One flow per key for the whole input.
    Never,
}

/// What happens when the table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The flow that would be looked at next ends early with [`FlowEnd::Evicted`]; counted.
    Evict,
    /// [`FlowTable::packet`] fails.
    Fail,
}

/// Settings of a [`FlowTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTableConfig {
    pub expiry: Expiry,
    /// Most flows at once; at most 2³¹.
    pub max_flows: usize,
    pub when_full: WhenFull,
}

impl FlowTableConfig {
    /// A million flows at once: what fits into 256 MiB with everything around it.
    pub const DEFAULT_MAX_FLOWS: usize = 1 << 20;
}

impl Default for FlowTableConfig {
    fn default() -> Self {
        Self {
            expiry: Expiry::Timeouts(Timeouts::default()),
            max_flows: Self::DEFAULT_MAX_FLOWS,
            when_full: WhenFull::Evict,
        }
    }
}

/// The table is full and may not evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max_flows} flows at once")]
pub struct TableFull {
    pub max_flows: usize,
}

/// What the table did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Flows in the table now.
    pub flows: usize,
    /// Flows that ended early because the table was full.
    pub evicted: u64,
    /// Later fragments whose first fragment was not seen: they count in a flow with ports 0.
    pub orphan_fragments: u64,
    /// Packets that an observation point saw of a flow that has more points than the table lists. They are no loss:
    /// the flow's totals are those of the points that saw it first.
    pub unlisted_points: u64,
}

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
            return self.whole_packet(packet, time, wire_len, ended);
        }
        let mut settled = *packet;
        self.fragments.settle(&mut settled, time);
        self.whole_packet(&settled, time, wire_len, ended)
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
        packet: &Packet,
        time: Timestamp,
        wire_len: u32,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<Place, TableFull> {
        self.tick(time, ended);
        let hash = self.index.hash(&packet.key);
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

impl Timeouts {
    fn shortest(&self) -> Duration {
        self.tcp
            .min(self.tcp_attempt)
            .min(self.tcp_closed)
            .min(self.udp)
            .min(self.icmp)
            .min(self.other)
    }

    /// Silence that ends a flow.
    #[inline]
    const fn idle(&self, entry: &Entry) -> Duration {
        match entry.key.protocol {
            TCP if state::is_over(entry.flags) => self.tcp_closed,
            TCP if entry.counts[0].packets == 0 || entry.counts[1].packets == 0 => self.tcp_attempt,
            TCP => self.tcp,
            UDP => self.udp,
            ICMP | ICMPV6 => self.icmp,
            _ => self.other,
        }
    }

    /// Second at which the flow is to be looked at.
    fn due(&self, entry: &Entry) -> i64 {
        let silent = second(entry.last).saturating_add(seconds(self.idle(entry)));
        match self.active {
            Some(active) => silent.min(second(last_report(entry)).saturating_add(seconds(active))),
            None => silent,
        }
        .saturating_add(1)
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

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
