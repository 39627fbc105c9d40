//! The one packet parser, generic over a view of the frame: the same code runs in XDP, in TC and over files.
//!
//! It never guesses: a field is used if its bytes are present and inside the lengths that the headers around it state.
//! A packet with a whole IP header always makes a [`Packet`] (ports 0 where they are missing, with the reason in
//! [`Packet::degraded`]); only a frame without a usable IP header is [`Refused`]. Later fragments come out with ports
//! 0 and their identification; whoever remembers the first fragment calls [`Packet::set_ports`].
//!
//! Written for the kernel's verifier: every loop has a constant bound, every function is inlined, every access goes
//! through [`Frame::load`], nothing can panic.

mod ip;
mod link;
mod simple;
mod transport;
mod tunnel;

use crate::flow::{FlowKey, OneWay, Side};

pub use self::simple::{Simple, parse_simple};

/// Tunnel levels that the kernel programs open.
pub const KERNEL_LEVELS: usize = 1;
/// Tunnel levels that user space opens.
pub const USER_LEVELS: usize = 4;

/// Bounds-checked view of the bytes of a frame that are present.
pub trait Frame {
    /// Length of the frame on the wire in bytes (what is present may be less).
    fn wire_len(&self) -> u32;
    /// Returns `N` bytes at `offset` if all of them are present.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
    /// Eight bytes as a little-endian number.
    #[inline(always)]
    fn word(&self, offset: usize) -> Option<u64> {
        self.load::<8>(offset).map(u64::from_le_bytes)
    }
    /// Twenty bytes, which is an IPv4 header or a TCP header, as little-endian numbers.
    #[inline(always)]
    fn twenty(&self, offset: usize) -> Option<Twenty> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = self.load::<20>(offset)?;
        Some(Twenty {
            pair: (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])),
            words: [
                u32::from_le_bytes([e, f, g, h]),
                u32::from_le_bytes([i, j, k, l]),
                u32::from_le_bytes([m, n, o, p]),
                u32::from_le_bytes([q, r, s, t]),
            ],
        })
    }
    /// The outermost VLAN tag's control word (host byte order), where the network card or the kernel took the tag out
    /// of the frame. The parser treats it as the frame's first tag; `wire_len` counts its four bytes; offsets do not.
    #[inline(always)]
    fn stripped_tag(&self) -> Option<u16> {
        None
    }
    /// The top bit as a number, in the kernel programs in a form that the compiler does not make a jump of.
    #[inline(always)]
    fn top_bit(&self, number: u64) -> u64 {
        number >> 63
    }
    /// Makes the kernel's verifier forget what it knows about a number below 2^16, so that ways through the parser
    /// which differ only in an offset are checked once and not once each. The number stays the same.
    #[inline(always)]
    fn forget(&self, number: usize) -> usize {
        number
    }
}

/// What [`Frame::twenty`] reads, in pieces that are fields of the two headers: a wider load than the store that wrote the
/// bytes waits for the cache.
#[derive(Clone, Copy, Debug)]
pub struct Twenty {
    pub pair: (u16, u16),
    pub words: [u32; 4],
}

/// A frame in memory, as files and tests have it.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// What was captured of the frame.
    pub bytes: &'a [u8],
    /// Length on the wire.
    pub wire_len: u32,
}

impl Frame for Slice<'_> {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk::<N>().copied()
    }
}

/// What the first byte of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Ethernet,
    /// Raw IPv4 or IPv6, told apart by the version nibble.
    RawIp,
    /// Linux cooked capture v1 (`LINKTYPE_LINUX_SLL`).
    LinuxSll,
    LinuxSll2,
    /// BSD loopback: address family in either byte order.
    Null,
    /// PPP, with or without HDLC address and control.
    Ppp,
}

/// Which IP header makes the flow where there is a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layer {
    Outer,
    #[default]
    Inner,
}

/// Place of a packet in a fragmented datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fragment {
    #[default]
    Whole,
    /// Offset 0 and more to come: has the ports; its identification is to be remembered.
    First { id: u32 },
    /// No ports of its own; they are those of the first fragment with this identification.
    Later { id: u32 },
}

/// A packet with a whole IP header. It always counts in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Packet {
    /// Normalized key; `sender` tells which end of it sent the packet.
    pub key: FlowKey,
    pub sender: Side,
    /// IP total length as the header states it; where it states 0 (offload), what the frame holds.
    pub ip_len: u32,
    /// Offset of the IP header that made the key.
    pub ip_offset: u32,
    /// Offset of the transport payload in the frame, and how many of its bytes the IP length covers.
    pub payload_offset: u32,
    pub payload_len: u32,
    pub ttl: u8,
    /// 0 for everything but TCP.
    pub tcp_flags: u8,
    pub tcp_seq: u32,
    pub icmp: Option<(u8, u8)>,
    pub fragment: Fragment,
    /// Outer source and destination of the innermost tunnel that was opened.
    pub outer: Option<([u8; 16], [u8; 16])>,
    pub degraded: Option<Degraded>,
}

impl Packet {
    /// Gives a later fragment the ports of its first fragment: (of the sender, of the receiver).
    #[inline(always)]
    pub fn set_ports(&mut self, sender_port: u16, receiver_port: u16, one_way: bool) {
        if self.sender == Side::High {
            (self.key.high, self.key.low) = self.key.ends();
        }
        self.sender = self.key.put_in_order_apart(sender_port, receiver_port);
        self.key.one_way = match (one_way, self.sender) {
            (false, _) => 0,
            (true, Side::Low) => OneWay::LowToHigh as u8,
            (true, Side::High) => OneWay::HighToLow as u8,
        };
    }

    /// Ports of (sender, receiver).
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> (u16, u16) {
        match self.sender {
            Side::Low => (self.key.low_port, self.key.high_port),
            Side::High => (self.key.high_port, self.key.low_port),
        }
    }
}

/// Why a packet counts in a flow with less than it should have. Counted by reason; the packet is not lost.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Degraded {
    /// Bytes of the transport header or of an extension header are not in the frame.
    TruncatedTransport = 0,
    /// A header states a length that leaves no room for the transport header.
    BadTransportLength = 1,
    TooManyExtensionHeaders = 2,
    /// A known tunnel whose inner IP header is broken, not in the frame, or below the level limit.
    TunnelNotOpened = 3,
    /// The IP length is longer than what carries the packet.
    BadIpLength = 4,
}

impl Degraded {
    pub const COUNT: usize = 5;

    /// Name in metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruncatedTransport => "truncated_transport",
            Self::BadTransportLength => "bad_transport_length",
            Self::TooManyExtensionHeaders => "too_many_extension_headers",
            Self::TunnelNotOpened => "tunnel_not_opened",
            Self::BadIpLength => "bad_ip_length",
        }
    }

    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::TruncatedTransport,
        Self::BadTransportLength,
        Self::TooManyExtensionHeaders,
        Self::TunnelNotOpened,
        Self::BadIpLength,
    ];
}

/// Why a frame makes no flow. Counted by reason with its bytes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    TruncatedLink = 0,
    /// Known, but not IP; its payload head may go to user space.
    Arp = 1,
    OtherEtherType = 2,
    TruncatedIp = 3,
    /// Wrong version, or a header length or total length that leaves no room for the header.
    BadIpHeader = 4,
    UnsupportedLink = 5,
}

impl Refused {
    pub const COUNT: usize = 6;

    /// Name in metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruncatedLink => "truncated_link",
            Self::Arp => "arp",
            Self::OtherEtherType => "other_ethertype",
            Self::TruncatedIp => "truncated_ip",
            Self::BadIpHeader => "bad_ip_header",
            Self::UnsupportedLink => "unsupported_link",
        }
    }

    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::TruncatedLink,
        Self::Arp,
        Self::OtherEtherType,
        Self::TruncatedIp,
        Self::BadIpHeader,
        Self::UnsupportedLink,
    ];
}

/// Parses a frame, opening up to `LEVELS` tunnels: 0 makes the flow of the outer IP header, [`KERNEL_LEVELS`] opens
/// what the kernel programs open, more opens in addition GTP-U, ERSPAN and MPLS in IP.
///
/// `packet` is overwritten; it is an argument and not a result because the kernel's stack has 512 bytes.
///
/// # Errors
/// The reason why the frame has no usable IP header; `packet` then holds nothing of meaning.
#[inline(always)]
pub fn parse<F: Frame, const LEVELS: usize>(
    frame: &F,
    link: Link,
    packet: &mut Packet,
) -> Result<(), Refused> {
    let mut simple = Simple::NONE;
    if link == Link::Ethernet && parse_simple(frame, &mut simple) {
        *packet = simple.packet();
        return Ok(());
    }
    parse_general::<F, LEVELS>(frame, link, packet)
}

/// [`parse`] without its short way.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn parse_general<F: Frame, const LEVELS: usize>(
    frame: &F,
    link: Link,
    packet: &mut Packet,
) -> Result<(), Refused> {
    *packet = Packet::default();
    let mut limit = frame.wire_len() as usize;
    if let Some(tag) = frame.stripped_tag() {
        link::push_vlan(packet, tag);
        limit = limit.saturating_sub(4);
    }
    let mut at = Cursor { offset: 0, limit };
    let version = link::first_header::<F, LEVELS>(frame, link, &mut at, packet)?;
    at = at.forget(frame);
    let mut header = ip::Header::NONE;
    ip::header(frame, version, &mut at, packet, &mut header)?;
    at = at.forget(frame);
    let mut level = 0;
    while level < LEVELS {
        match tunnel::open::<F, LEVELS>(frame, &mut header, &mut at, packet) {
            tunnel::Inside::Nothing => break,
            tunnel::Inside::Unreadable => {
                packet.degraded.get_or_insert(Degraded::TunnelNotOpened);
                break;
            }
            tunnel::Inside::Packet => {}
        }
        level += 1;
    }
    if LEVELS > 0 && level == LEVELS && tunnel::is_tunnel::<F, LEVELS>(frame, &header, at) {
        packet.degraded.get_or_insert(Degraded::TunnelNotOpened);
    }
    transport::finish(frame, &header, &at, packet);
    Ok(())
}

/// A place in the frame and the first offset that the headers so far do not cover.
#[derive(Clone, Copy)]
struct Cursor {
    offset: usize,
    limit: usize,
}

impl Cursor {
    /// `N` bytes here if they are present and covered.
    #[inline(always)]
    fn load<F: Frame, const N: usize>(self, frame: &F) -> Option<[u8; N]> {
        self.load_at(frame, 0)
    }

    /// `N` bytes, `ahead` bytes from here.
    #[inline(always)]
    fn load_at<F: Frame, const N: usize>(self, frame: &F, ahead: usize) -> Option<[u8; N]> {
        if self.offset + ahead + N > self.limit {
            return None;
        }
        frame.load(self.offset + ahead)
    }

    /// [`Frame::forget`] for both numbers, where ways through the parser meet.
    #[inline(always)]
    fn forget<F: Frame>(self, frame: &F) -> Self {
        Self {
            offset: frame.forget(self.offset),
            limit: frame.forget(self.limit),
        }
    }

    #[inline(always)]
    const fn skip(self, bytes: usize) -> Self {
        Self {
            offset: self.offset + bytes,
            limit: self.limit,
        }
    }
}
