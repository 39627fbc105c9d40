//! Selector and decoders over the packets of files: what the kernel programs and the drain do for live traffic.

use std::time::Duration;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::Service;
use lynceus_model::time::Timestamp;
use sensor_ebpf::event::{HEAD_BYTES, Head};
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};
use sensor_ebpf::heads::{
    self, ARP_ETHER_TYPE, ARP_HEAD_BYTES, ARP_LINK_BYTES, Choice, FlowHeads, HEAD_REFUSED_REASONS,
    HeadLimits, Offered, SourceBucket,
};
use sensor_ebpf::parse::{Link, Packet, Slice};

use crate::decode::{DecodeCounters, Decoder, Generations};

/// Sources whose buckets are remembered. A forgotten one begins with full credit.
const SOURCES: usize = 65_536;
/// Far longer than a bucket takes to fill (2 s by default): forgetting it then changes nothing.
const SOURCE_AGE: Duration = Duration::from_secs(60);

const FILE: Point = Point {
    ifindex: 0,
    direction: HookDirection::Ingress,
};

/// Decoded messages of a file.
pub(super) struct Apps {
    limits: HeadLimits,
    sources: Generations<[u8; 16], SourceBucket>,
    decoder: Decoder,
    counts: HeadCounts,
    pub(super) records: Vec<AppRecord>,
    /// How many flows were reported before each record, since the records were taken last.
    after: Vec<usize>,
}

/// What the selector did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadCounts {
    /// Packets of which a head was taken.
    pub taken: u64,
    /// Wanted heads that were not taken, by [`heads::HeadRefused`].
    pub refused: [u64; HEAD_REFUSED_REASONS],
}

impl Apps {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            sources: Generations::new(SOURCES, SOURCE_AGE),
            decoder: Decoder::default(),
            counts: HeadCounts::default(),
            records: Vec::new(),
            after: Vec::new(),
        }
    }

    /// New records came after so many flows.
    #[inline]
    pub(super) fn mark(&mut self, flows: usize) {
        self.after.resize(self.records.len(), flows);
    }

    /// Takes the records, each with how many flows were reported before it.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (usize, AppRecord)> + '_ {
        self.after.drain(..).zip(self.records.drain(..))
    }

    pub(super) const fn counts(&self) -> &HeadCounts {
        &self.counts
    }

    pub(super) const fn decoder(&self) -> &DecodeCounters {
        self.decoder.counters()
    }

    /// Offers a packet with a flow; returns what it says of the flow's application protocol.
    #[inline]
    pub(super) fn packet(
        &mut self,
        frame: &Slice<'_>,
        packet: &Packet,
        flow: &mut FlowHeads,
        originator: Side,
        time: Timestamp,
    ) -> Service {
        let (sources, limits) = (&mut self.sources, &self.limits);
        let admit = || {
            let bucket = sources.entry(heads::source_of(packet), time, |_| {});
            bucket.take(nanos(time), limits)
        };
        match heads::select(frame, packet, flow, limits, admit) {
            Choice::Pass => Service::Unseen,
            Choice::Refuse(reason) => {
                self.counts.refused[reason as usize] += 1;
                Service::Unseen
            }
            Choice::Take { bytes } => self.decode(frame, packet, bytes, originator, time),
        }
    }

    /// Hands a payload to the decoders in the pieces in which the kernel sends it.
    fn decode(
        &mut self,
        frame: &Slice<'_>,
        packet: &Packet,
        bytes: u16,
        originator: Side,
        time: Timestamp,
    ) -> Service {
        self.counts.taken += 1;
        let Some(offered) = Offered::of(packet) else {
            return Service::Unseen;
        };
        let payload = frame
            .bytes
            .get(offered.payload_offset as usize..)
            .unwrap_or_default();
        let payload = &payload[..payload.len().min(usize::from(bytes))];
        let records = &mut self.records;
        let mut service = Service::Unseen;
        for (piece, bytes) in payload.chunks(HEAD_BYTES).enumerate() {
            let before = (piece * HEAD_BYTES) as u32;
            let head = Head {
                key: packet.key,
                point: FILE,
                sender: packet.sender,
                time: nanos(time),
                tcp_seq: offered.tcp_seq.wrapping_add(before),
                tcp_flags: offered.tcp_flags,
                payload_len: offered.payload_len - before,
                bytes,
            };
            let said = self
                .decoder
                .decode(&head, time, Some(originator), &mut |record| records.push(record));
            if !service.is_recognized() {
                service = service.max(said);
            }
        }
        service
    }

    /// Offers an ARP packet, which has no flow.
    pub(super) fn arp(&mut self, frame: &Slice<'_>, link: Link, time: Timestamp) {
        let Some(place) = heads::arp_place(frame, link) else {
            return;
        };
        let (sources, limits) = (&mut self.sources, &self.limits);
        let choice = heads::select_arp(|| {
            sources
                .entry(place.source, time, |_| {})
                .take(nanos(time), limits)
        });
        if let Choice::Refuse(reason) = choice {
            self.counts.refused[reason as usize] += 1;
            return;
        }
        self.counts.taken += 1;
        let mut bytes = [0; ARP_HEAD_BYTES as usize];
        let link_bytes = if place.ethernet { ARP_LINK_BYTES } else { 0 };
        let start = usize::from(link_bytes);
        let packet = frame.bytes.get(place.offset..).unwrap_or_default();
        let packet = &packet[..packet.len().min(bytes.len() - start)];
        bytes[..start].copy_from_slice(&frame.bytes[..start]);
        bytes[start..start + packet.len()].copy_from_slice(packet);
        let head = Head {
            key: FlowKey {
                low_port: ARP_ETHER_TYPE,
                high_port: link_bytes,
                ..FlowKey::default()
            },
            point: FILE,
            sender: Side::Low,
            time: nanos(time),
            tcp_seq: 0,
            tcp_flags: 0,
            payload_len: u32::from(ARP_HEAD_BYTES),
            bytes: &bytes[..start + packet.len()],
        };
        let records = &mut self.records;
        self.decoder
            .decode(&head, time, None, &mut |record| records.push(record));
    }
}

/// Buckets know no time before 1970.
fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}
