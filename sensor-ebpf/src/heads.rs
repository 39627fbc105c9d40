//! The selector of payload heads: which packets' first payload bytes the decoders get to see.
//!
//! One function, [`select`], decides for the kernel programs and for the file path, from packet bytes and packet time
//! only, so both paths choose the same packets. It reads at most nine bytes of payload, at fixed lengths, and keeps
//! 16 bytes per flow ([`FlowHeads`]) and 8 bytes per source ([`SourceBucket`]); where those live is the caller's choice.
//!
//! TCP is seen as *stretches*: a packet whose content opens a message (a TLS hello, an HTTP head, an SSH banner …)
//! opens a stretch in its direction; what follows within [`HeadLimits::bytes`] of sequence space and
//! [`HeadLimits::packets`] packets belongs to it. Datagrams, and messages of neighbour discovery, stand alone. The source's
//! bucket bounds the total.

mod arp;
mod content;
mod neighbour;
mod tcp;

pub use self::arp::{ARP_ETHER_TYPE, ARP_HEAD_BYTES, ARP_LINK_BYTES, ArpPlace, arp_place, select_arp};
pub use self::content::Content;
use self::content::{
    is_datagram_port, is_line_port, is_typed_port, may_be_datagram, may_open, tcp_content, udp_content,
};
pub use self::neighbour::{ADVERTISEMENT, ICMPV6, SOLICITATION};
use self::tcp::{decide_tcp, take_from_stretch};
use crate::flow::Side;
use crate::parse::{Fragment, Frame, Packet};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;

/// What goes up of a direction's first segment that opens no message: enough for a greeting or a handshake.
pub const FIRST_BYTES: u16 = 128;
/// Packets and bytes of each that go up of a direction that is typed: option negotiation and three logins, one character
/// a packet.
const TYPED_PACKETS: u8 = 64;
const TYPED_BYTES: u32 = 512;

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

impl SideHeads {
    #[inline(always)]
    const fn new(start: u32, state: u8) -> Self {
        Self {
            start,
            state,
            packets: 0,
            taken: 0,
            span: 0,
        }
    }
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

/// What the selector looks at of a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// 0 where the key's low end sent the packet, 1 where the high end did.
    pub sender: u32,
    pub payload_offset: u32,
    pub payload_len: u32,
    pub tcp_seq: u32,
    pub low_port: u16,
    pub high_port: u16,
    pub protocol: u8,
    /// Of neighbour discovery the hop limit, by which its reader tells what came from another link.
    pub tcp_flags: u8,
    pub zero: [u8; 2],
}

impl Offered {
    /// `None`: of this packet nothing goes up, whatever it holds.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet) -> Option<Self> {
        if let Fragment::Later { .. } = packet.fragment {
            return None;
        }
        if packet.key.protocol == ICMPV6 {
            return neighbour::offered(packet);
        }
        Some(Self {
            protocol: packet.key.protocol,
            low_port: packet.key.low_port,
            high_port: packet.key.high_port,
            sender: packet.sender as u32,
            payload_offset: packet.payload_offset,
            payload_len: packet.payload_len,
            tcp_flags: packet.tcp_flags,
            tcp_seq: packet.tcp_seq,
            zero: [0; 2],
        })
    }

    /// There is nothing to take and nothing to remember, whatever is known of the flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.payload_len == 0 && self.tcp_flags & SYN == 0
    }

    #[inline(always)]
    const fn on_port(&self, port: u16) -> bool {
        self.low_port == port || self.high_port == port
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
    let Some(offered) = Offered::of(packet) else {
        return Choice::Pass;
    };
    let content = look(frame, &offered);
    if content.passes() {
        return Choice::Pass;
    }
    decide(&offered, content, flow, limits, admit)
}

/// A look at one byte, for a flow of which nothing is known: `false` says that [`look`] would find nothing to take and
/// nothing to remember. Most packets end here.
#[inline(always)]
#[must_use]
pub fn may_matter<F: Frame>(frame: &F, offered: &Offered) -> bool {
    if offered.tcp_flags & SYN != 0 {
        return true;
    }
    if offered.protocol == TCP && (offered.on_port(53) || is_line_port(offered) || is_typed_port(offered)) {
        return true;
    }
    if offered.protocol == UDP && (is_datagram_port(offered) || offered.on_port(123)) {
        return true;
    }
    let Some([first]) = frame.load::<1>(offered.payload_offset as usize) else {
        return false;
    };
    match offered.protocol {
        TCP => may_open(first),
        UDP => may_be_datagram(first),
        protocol => protocol == ICMPV6,
    }
}

/// First half of [`select`]: what the packet's first bytes say, without the flow.
#[inline(always)]
#[must_use]
pub fn look<F: Frame>(frame: &F, offered: &Offered) -> Content {
    if offered.protocol == TCP {
        if offered.payload_len != 0 {
            tcp_content(frame, offered)
        } else if offered.tcp_flags & SYN != 0 {
            Content::OTHER
        } else {
            Content::NOTHING
        }
    } else if offered.protocol == UDP {
        udp_content(frame, offered)
    } else if offered.protocol == ICMPV6 {
        // Of ICMPv6 nothing else is offered than neighbour discovery.
        Content::MESSAGE
    } else {
        Content::NOTHING
    }
}

/// Second half of [`select`]. Where [`Content::passes`], or the flow's state is all zero and
/// [`Content::passes_unknown`], it changes nothing and is not needed.
#[inline(always)]
pub fn decide(
    offered: &Offered,
    content: Content,
    flow: &mut FlowHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    let side = if offered.sender == 0 {
        &mut flow.sides[0]
    } else {
        &mut flow.sides[1]
    };
    if offered.protocol == TCP {
        decide_tcp(offered, content, side, limits, admit)
    } else {
        decide_alone(offered, content, side, limits, admit)
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

#[inline(always)]
const fn units(bytes: u16) -> u8 {
    // 16,320 bytes are 255 units.
    let units = bytes.div_ceil(64);
    if units > 255 { 255 } else { units as u8 }
}

/// A datagram goes up as one head: its pieces could not be told from other datagrams.
#[inline(always)]
const fn datagram_bytes(offered: &Offered) -> u16 {
    const MOST: u32 = crate::event::HEAD_BYTES as u32;
    if offered.payload_len < MOST {
        offered.payload_len as u16
    } else {
        MOST as u16
    }
}

#[inline(always)]
fn decide_alone(
    offered: &Offered,
    content: Content,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    if content.is(Content::MESSAGE) {
        if !admit() {
            return Choice::Refuse(HeadRefused::SourceRate);
        }
    } else {
        // One connection a flow: its Initials are counted, its time never comes again.
        side.state = OPEN;
        let before = *side;
        match take_from_stretch(offered, side, limits, admit) {
            Choice::Take { .. } => {}
            Choice::Refuse(HeadRefused::SourceRate) => {
                *side = before;
                return Choice::Refuse(HeadRefused::SourceRate);
            }
            choice => return choice,
        }
    }
    Choice::Take {
        bytes: datagram_bytes(offered),
    }
}

#[cfg(test)]
mod tests;
