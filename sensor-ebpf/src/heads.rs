//! The selector of payload heads: which packets' first payload bytes the decoders get to see.
//!
//! One function, [`select`], decides for the kernel programs and for the file path, from packet bytes and packet time
//! only, so both paths choose the same packets. It reads at most nine bytes of payload, at fixed lengths, and keeps
//! 16 bytes per flow ([`FlowHeads`]) and 8 bytes per source ([`SourceBucket`]); where those live is the caller's choice.
//!
//! TCP is seen as *stretches*: a packet whose content opens a message (a TLS hello, an HTTP head, an SSH banner …)
//! opens a stretch in its direction; what follows within [`HeadLimits::bytes`] of sequence space and
//! [`HeadLimits::packets`] packets belongs to it. Datagrams stand alone. The source's bucket bounds the total.

mod content;

use self::content::{Content, is_http, is_message_port, is_quic_initial, tcp_content};
use crate::flow::Side;
use crate::parse::{Fragment, Frame, Link, Packet};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;

/// Bounds of the selector.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Nanoseconds of credit that one head costs its source: 10⁹ / (heads a second).
    pub source_interval: u64,
    /// Nanoseconds of credit that a source can save up: burst × `source_interval`.
    pub source_credit: u64,
    /// Payload bytes of one stretch; at most 16,320.
    pub bytes: u16,
    /// Packets of one stretch.
    pub packets: u8,
    pub zero: [u8; 5],
}

impl HeadLimits {
    /// 4 packets or 8 KiB a stretch: enough for a split ClientHello and for a TLS 1.2 certificate. 2,000 heads a
    /// second and source with a burst of 4,000: more than a busy resolver needs, less than a flood could cost.
    pub const DEFAULT: Self = Self::new(4, 8192, 2000, 4000);

    /// `rate` in heads a second (at least 1), `burst` in heads.
    #[must_use]
    pub const fn new(packets: u8, bytes: u16, rate: u32, burst: u32) -> Self {
        let interval = 1_000_000_000 / (if rate == 0 { 1 } else { rate }) as u64;
        Self {
            source_interval: interval,
            source_credit: interval * burst as u64,
            bytes: if bytes > 16_320 { 16_320 } else { bytes },
            packets,
            zero: [0; 5],
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the selector says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing that a decoder reads.
    Pass,
    /// Send up the first `bytes` bytes of the payload (never more than the packet's `payload_len`; fewer may be
    /// present in a cut capture). More than [`crate::event::HEAD_BYTES`] go as several heads, each with its `tcp_seq`.
    Take { bytes: u16 },
    /// A wanted head that does not go up; to be counted by reason.
    Refuse(HeadRefused),
}

/// Why a wanted head did not go up.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadRefused {
    /// The stretch has had its packets. Counted once a stretch.
    FlowPackets = 0,
    /// The stretch has had its bytes. Counted once a stretch.
    FlowBytes = 1,
    /// The source's bucket is empty.
    SourceRate = 2,
    /// The ring had no room (the caller counts this one).
    RingFull = 3,
}

impl HeadRefused {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; HEAD_REFUSED_REASONS] = [
        Self::FlowPackets,
        Self::FlowBytes,
        Self::SourceRate,
        Self::RingFull,
    ];

    /// Name in metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowPackets => "flow_packets",
            Self::FlowBytes => "flow_bytes",
            Self::SourceRate => "source_rate",
            Self::RingFull => "ring_full",
        }
    }
}

/// Number of [`HeadRefused`] reasons.
pub const HEAD_REFUSED_REASONS: usize = 4;

/// What the selector remembers of a flow; all zero for a new one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowHeads {
    pub sides: [SideHeads; 2],
}

/// The current stretch of one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideHeads {
    /// Sequence number of the stretch's first byte.
    start: u32,
    state: u8,
    packets: u8,
    /// Bytes taken, in units of 64 rounded up.
    taken: u8,
    /// Bytes of sequence space that the stretch spans, in units of 64 rounded up.
    span: u8,
}

const _: () = assert!(size_of::<FlowHeads>() == 16);

/// Nothing known, or the last stretch is over: only content opens the next.
const CLOSED: u8 = 0;
/// SYN seen: `start` is where the data begin.
const SYN_SEEN: u8 = 1;
/// Data came before the byte at `start`, or too little of it to tell.
const UNDECIDED: u8 = 2;
const OPEN: u8 = 3;

/// Credit of one source: a token bucket that is driven by packet time (GCRA: the time at which it is full again).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceBucket {
    full_at: u64,
}

impl SourceBucket {
    /// Takes one token at `now` (nanoseconds, any origin).
    #[inline(always)]
    pub fn take(&mut self, now: u64, limits: &HeadLimits) -> bool {
        let ahead = self.full_at.saturating_sub(now);
        // Further ahead than credit allows: time went back (another clock, a file out of order). Start anew.
        let ahead = if ahead > limits.source_credit { 0 } else { ahead };
        let after = ahead + limits.source_interval;
        if after > limits.source_credit {
            return false;
        }
        self.full_at = now + after;
        true
    }
}

/// Decides about one packet with a flow.
///
/// `admit` looks up the bucket of the packet's source ([`source_of`]) and takes a token; it is called only for a packet
/// that would go up. A packet that it refuses leaves the flow's state as it was.
#[inline(always)]
pub fn select<F: Frame>(
    frame: &F,
    packet: &Packet,
    flow: &mut FlowHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    if packet.payload_len == 0 && packet.tcp_flags & SYN == 0 {
        return Choice::Pass;
    }
    if let Fragment::Later { .. } = packet.fragment {
        return Choice::Pass;
    }
    let side = match packet.sender {
        Side::Low => &mut flow.sides[0],
        Side::High => &mut flow.sides[1],
    };
    match packet.key.protocol {
        TCP => select_tcp(frame, packet, side, limits, admit),
        UDP => select_udp(frame, packet, side, limits, admit),
        _ => Choice::Pass,
    }
}

/// Decides about an ARP packet.
#[inline(always)]
pub fn select_arp(admit: impl FnOnce() -> bool) -> Choice {
    if admit() {
        Choice::Take {
            bytes: ARP_HEAD_BYTES,
        }
    } else {
        Choice::Refuse(HeadRefused::SourceRate)
    }
}

/// Whose bucket pays for a packet.
#[inline(always)]
#[must_use]
pub fn source_of(packet: &Packet) -> [u8; 16] {
    match packet.sender {
        Side::Low => packet.key.low,
        Side::High => packet.key.high,
    }
}

/// Bytes of an ARP head: the link addresses ([`ARP_LINK_BYTES`]) and an ARP packet for Ethernet and IPv4.
pub const ARP_HEAD_BYTES: u16 = ARP_LINK_BYTES + 28;
/// Destination and source of the Ethernet frame.
pub const ARP_LINK_BYTES: u16 = 12;
/// `low_port` of the key of an ARP head (its EtherType); the key's `protocol` is 0. `high_port` says how many bytes of
/// link addresses stand before the ARP packet: [`ARP_LINK_BYTES`], or 0 where the link has none.
pub const ARP_ETHER_TYPE: u16 = 0x0806;

/// Where an ARP packet begins in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPlace {
    pub offset: usize,
    /// Whose bucket pays: the frame's source address.
    pub source: [u8; 16],
    /// The frame begins with Ethernet addresses.
    pub ethernet: bool,
}

/// Finds the ARP packet in a frame that the parser refused as [`crate::parse::Refused::Arp`]; up to two VLAN tags.
#[inline(always)]
pub fn arp_place<F: Frame>(frame: &F, link: Link) -> Option<ArpPlace> {
    let mut source = [0u8; 16];
    let (mut at, ethernet) = match link {
        Link::Ethernet => {
            let mac = frame.load::<6>(6)?;
            source[10] = mac[0];
            source[11] = mac[1];
            source[12] = mac[2];
            source[13] = mac[3];
            source[14] = mac[4];
            source[15] = mac[5];
            (12, true)
        }
        Link::LinuxSll => (14, false),
        Link::LinuxSll2 => {
            let protocol = u16::from_be_bytes(frame.load::<2>(0)?);
            return (protocol == ARP_ETHER_TYPE).then_some(ArpPlace {
                offset: 20,
                source,
                ethernet: false,
            });
        }
        Link::RawIp | Link::Null | Link::Ppp => return None,
    };
    for _ in 0..3 {
        match u16::from_be_bytes(frame.load::<2>(at)?) {
            ARP_ETHER_TYPE => {
                return Some(ArpPlace {
                    offset: at + 2,
                    source,
                    ethernet,
                });
            }
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            _ => return None,
        }
    }
    None
}

#[inline(always)]
fn select_tcp<F: Frame>(
    frame: &F,
    packet: &Packet,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    let mut seq = packet.tcp_seq;
    if packet.tcp_flags & SYN != 0 {
        seq = seq.wrapping_add(1);
        if side.start != seq || side.state == CLOSED {
            *side = SideHeads {
                start: seq,
                state: SYN_SEEN,
                packets: 0,
                taken: 0,
                span: 0,
            };
        }
        if packet.payload_len == 0 {
            return Choice::Pass;
        }
    }
    let before = *side;
    match tcp_content(frame, packet) {
        Content::Opens { span } => {
            // A retransmission of the stretch's own first bytes is paid from the stretch.
            if side.state != OPEN || side.start != seq {
                *side = SideHeads {
                    start: seq,
                    state: OPEN,
                    packets: if side.state == UNDECIDED { side.packets } else { 0 },
                    taken: if side.state == UNDECIDED { side.taken } else { 0 },
                    span: units(if span < limits.bytes { span } else { limits.bytes }),
                };
            }
        }
        content => {
            let offset = seq.wrapping_sub(side.start);
            match side.state {
                OPEN if offset < u32::from(side.span) * 64 => {}
                // In place and readable, but nothing that is wanted.
                SYN_SEEN | UNDECIDED if offset == 0 && content == Content::Other => {
                    side.state = CLOSED;
                    return Choice::Pass;
                }
                // The first bytes are still to come, or too few of them came to tell.
                SYN_SEEN | UNDECIDED if offset < u32::from(limits.bytes) => side.state = UNDECIDED,
                _ => return Choice::Pass,
            }
        }
    }
    let choice = take_from_stretch(packet, side, limits, admit);
    if choice == Choice::Refuse(HeadRefused::SourceRate) {
        *side = before;
    }
    choice
}

#[inline(always)]
fn take_from_stretch(
    packet: &Packet,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    let left = limits.bytes.saturating_sub(u16::from(side.taken) * 64);
    let refused = if side.packets >= limits.packets {
        HeadRefused::FlowPackets
    } else if left == 0 {
        HeadRefused::FlowBytes
    } else if !admit() {
        return Choice::Refuse(HeadRefused::SourceRate);
    } else {
        let bytes = if packet.payload_len < u32::from(left) {
            packet.payload_len as u16
        } else {
            left
        };
        side.packets += 1;
        side.taken = side.taken.saturating_add(units(bytes));
        return Choice::Take { bytes };
    };
    side.state = CLOSED;
    Choice::Refuse(refused)
}

#[inline(always)]
const fn units(bytes: u16) -> u8 {
    // 16,320 bytes are 255 units.
    let units = bytes.div_ceil(64);
    if units > 255 { 255 } else { units as u8 }
}

/// A datagram goes up as one head: its pieces could not be told from other datagrams.
#[inline(always)]
const fn datagram_bytes(packet: &Packet) -> u16 {
    const MOST: u32 = crate::event::HEAD_BYTES as u32;
    if packet.payload_len < MOST {
        packet.payload_len as u16
    } else {
        MOST as u16
    }
}

#[inline(always)]
fn select_udp<F: Frame>(
    frame: &F,
    packet: &Packet,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    if packet.payload_len < 9 {
        return Choice::Pass;
    }
    // DNS, mDNS, LLMNR, DHCP: by port, each datagram for itself.
    let by_port = is_message_port(packet.key.low_port) || is_message_port(packet.key.high_port);
    if !by_port {
        let Some(first) = frame.load::<9>(packet.payload_offset as usize) else {
            return Choice::Pass;
        };
        // Long header of QUIC, or a capital letter; most datagrams end here.
        if first[0] & 0x80 == 0 && !first[0].is_ascii_uppercase() {
            return Choice::Pass;
        }
        if is_quic_initial(&first) {
            // One connection a flow: its Initials are counted, its time never comes again.
            side.state = OPEN;
            let before = *side;
            return match take_from_stretch(packet, side, limits, admit) {
                Choice::Take { .. } => Choice::Take {
                    bytes: datagram_bytes(packet),
                },
                Choice::Refuse(HeadRefused::SourceRate) => {
                    *side = before;
                    Choice::Refuse(HeadRefused::SourceRate)
                }
                choice => choice,
            };
        }
        // SSDP: HTTP in datagrams.
        if !is_http(&first) {
            return Choice::Pass;
        }
    }
    if !admit() {
        return Choice::Refuse(HeadRefused::SourceRate);
    }
    Choice::Take {
        bytes: datagram_bytes(packet),
    }
}

#[cfg(test)]
mod tests;
