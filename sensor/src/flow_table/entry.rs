//! What the table keeps of a flow: three cache lines, of which a UDP packet touches two.

use lynceus_model::flow::Service;
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::parse::Packet;

use super::state;

/// A flow. `[T; 2]` is by [`Side`]: low end first.
#[repr(C, align(64))]
#[derive(Default)]
pub(super) struct Entry {
    pub(super) key: FlowKey,
    pub(super) last: Timestamp,
    /// OR of the TCP flags.
    pub(super) flags: [u8; 2],
    /// Sender of the first packet.
    pub(super) origin: Side,
    pub(super) handshake: Handshake,
    pub(super) content: Content,
    /// The place holds a flow.
    pub(super) used: bool,

    pub(super) counts: [Counts; 2],
    pub(super) first: Timestamp,
    /// What few flows need.
    pub(super) rare: Option<Box<Rare>>,

    /// Packets that carried each TCP flag.
    pub(super) flag_counts: [[u32; 8]; 2],
}

const _: () = assert!(size_of::<Entry>() == 192);

/// What the payload of a flow is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    #[default]
    Unseen,
    /// Type and code of the first ICMP packet.
    Icmp(u8, u8),
    /// By its first payload heads.
    Service(Service),
}

impl Content {
    pub(super) fn of(icmp: Option<(u8, u8)>) -> Self {
        icmp.map_or(Self::Unseen, |(kind, code)| Self::Icmp(kind, code))
    }

    /// The first head that a decoder knew decides: a mail session that turns to TLS stays one.
    pub(super) fn note(&mut self, service: Service) {
        match self {
            Self::Unseen if service != Service::Unseen => *self = Self::Service(service),
            Self::Service(known) if !known.is_recognized() => *known = service.max(*known),
            _ => {}
        }
    }

    pub(super) const fn icmp(self) -> Option<(u8, u8)> {
        match self {
            Self::Icmp(kind, code) => Some((kind, code)),
            _ => None,
        }
    }

    pub(super) const fn service(self) -> Service {
        match self {
            Self::Service(service) => service,
            _ => Service::Unseen,
        }
    }
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    pub(super) wire_bytes: u64,
}

/// How far the measurement of the round-trip time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Handshake {
    #[default]
    Nothing,
    /// The SYN's time is kept.
    Syn,
    /// The round-trip time is kept.
    Measured,
}

/// Parts of a flow that few flows have.
#[derive(Default)]
pub(super) struct Rare {
    /// Outer source and destination of the tunnel, as on the first packet.
    pub(super) outer: Option<([u8; 16], [u8; 16])>,
    /// What was reported before, if the flow was.
    pub(super) reported: Option<Box<Reported>>,
}

/// Totals at the last report.
#[derive(Clone, Copy)]
pub(super) struct Reported {
    pub(super) at: Timestamp,
    pub(super) parts: u32,
    pub(super) counts: [Counts; 2],
    pub(super) flag_counts: [[u32; 8]; 2],
}

impl Entry {
    /// Begins with its first packet, which is then to be added.
    pub(super) fn of_packet(packet: &Packet, time: Timestamp) -> Self {
        Self {
            key: packet.key,
            first: time,
            last: time,
            origin: packet.sender,
            used: true,
            content: Content::of(packet.icmp),
            rare: packet.outer.map(|outer| {
                Box::new(Rare {
                    outer: Some(outer),
                    reported: None,
                })
            }),
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn add(&mut self, packet: &Packet, time: Timestamp, wire_len: u32) {
        let side = packet.sender as usize;
        let counts = &mut self.counts[side];
        counts.packets += 1;
        counts.ip_bytes += u64::from(packet.ip_len);
        counts.wire_bytes += u64::from(wire_len);
        self.last = self.last.max(time);
        self.first = self.first.min(time);
        if packet.tcp_flags != 0 {
            self.flags[side] |= packet.tcp_flags;
            let spread = &SPREAD[usize::from(packet.tcp_flags)];
            for (count, one) in self.flag_counts[side].iter_mut().zip(spread) {
                *count = count.wrapping_add(*one);
            }
        }
    }

    /// Brings the three lines near.
    #[inline]
    pub(super) const fn touch(&self) -> u32 {
        self.key.vni ^ self.counts[0].packets as u32 ^ self.flag_counts[0][0]
    }

    /// What a side sent, as the state rules want it.
    pub(super) const fn seen(&self, side: Side) -> state::Seen<'_> {
        let side = side as usize;
        state::Seen {
            packets: self.counts[side].packets,
            flags: self.flags[side],
            flag_counts: &self.flag_counts[side],
        }
    }
}

/// Each flag byte as eight numbers 0 or 1, so that counting flags is one vector addition.
static SPREAD: [[u32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut flags = 0;
    while flags < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[flags][bit] = (flags >> bit) as u32 & 1;
            bit += 1;
        }
        flags += 1;
    }
    table
};
