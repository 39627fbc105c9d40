//! The one packet parser, generic over a view of the frame.

use crate::flow::{FlowKey, Side};

/// Bounds-checked view of the bytes of a frame that are present.
pub trait Frame {
    /// Length of the frame on the wire in bytes (what is present may be less).
    fn wire_len(&self) -> u32;
    /// Returns `N` bytes at `offset` if all of them are present.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
    /// The outermost VLAN tag's control word (host byte order), where the network card or the kernel took the tag out
    /// of the frame. The parser treats it as the frame's first tag; `wire_len` counts its four bytes; offsets do not.
    fn stripped_tag(&self) -> Option<u16> {
        None
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Normalized key; `sender` tells which end of it sent the packet.
    pub key: FlowKey,
    pub sender: Side,
    /// IP total length as the header states it; where it states 0 (offload), what the frame holds.
    pub ip_len: u32,
    /// Offset of the IP header that made the key.
    pub ip_offset: u16,
    /// Offset of the transport payload in the frame, and how many of its bytes the IP length covers.
    pub payload_offset: u16,
    pub payload_len: u32,
    pub ttl: u8,
    /// 0 for everything but TCP.
    pub tcp_flags: u8,
    pub tcp_seq: u32,
    pub icmp: Option<(u8, u8)>,
    pub fragment: Fragment,
    /// Outer addresses of the tunnel.
    pub outer: Option<([u8; 16], [u8; 16])>,
    pub degraded: Option<Degraded>,
}

/// Why a packet counts in a flow with less than it should have. Counted by reason; the packet is not lost.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Degraded {
    TruncatedTransport = 0,
    BadTransportLength = 1,
    TooManyExtensionHeaders = 2,
    TunnelNotOpened = 3,
    BadIpLength = 4,
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
    BadIpHeader = 4,
    UnsupportedLink = 5,
}
