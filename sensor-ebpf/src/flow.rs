//! Flow key and flow record: what the kernel aggregates and what user space merges.

/// Identity of a flow: the 5-tuple without direction, the VLAN ids and the tunnel it came in.
///
/// Addresses are 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`. The endpoint with the lower
/// (address, port) is `low`, so both directions of a flow have the same key. For ICMP the ports are the
/// type / counter-type pair of Community ID v1. Every byte of the struct is significant (no padding).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FlowKey {
    pub low: [u8; 16],
    pub high: [u8; 16],
    /// Host byte order.
    pub low_port: u16,
    /// Host byte order.
    pub high_port: u16,
    /// [`Vlan`] tags from outer to inner; 0 where there is none.
    pub vlan: [u16; 2],
    /// IP protocol number of the innermost header that was opened.
    pub protocol: u8,
    /// A [`TunnelKind`] as number; 0 where the flow is not in a tunnel.
    pub tunnel: u8,
    /// A [`OneWay`] as number; 0 for everything that can have an answer in the same flow.
    pub one_way: u8,
    pub zero: u8,
    /// VXLAN/GENEVE network identifier or GRE key; 0 where there is none. A GTP-U tunnel identifier is not kept: it
    /// differs between the two directions of one flow.
    pub vni: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 48);

/// A [`FlowKey`] as the flow cache stores it, in words that are short where the flow is: ports and tags; protocol, kinds
/// and network identifier with [`KEY_IPV4`]; then the two IPv4 addresses in one word, or those of IPv6 in four. Of an
/// IPv4 flow the last three words mean nothing. Two flows are one where the words that mean something are equal.
pub type KeyWords = [u64; 6];

/// Bit of the second of [`KeyWords`].
pub const KEY_IPV4: u64 = 1 << 24;

/// An IPv4 address in a [`FlowKey`] is the upper half of such a word.
const MAPPED: u64 = 0xffff_0000;

impl FlowKey {
    /// Reads [`Self::words`].
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: &KeyWords) -> Self {
        let (ports, rest) = (words[0], words[1]);
        let [protocol, tunnel, one_way, ..] = rest.to_le_bytes();
        let [low, high] = addresses(words);
        Self {
            low: joined(low),
            high: joined(high),
            low_port: ports as u16,
            high_port: (ports >> 16) as u16,
            vlan: [(ports >> 32) as u16, (ports >> 48) as u16],
            protocol,
            tunnel,
            one_way,
            zero: 0,
            vni: (rest >> 32) as u32,
        }
    }

    /// The words of the flow cache; those that mean nothing are 0.
    #[inline(always)]
    #[must_use]
    pub fn words(&self) -> KeyWords {
        let (low, high) = (words(self.low), words(self.high));
        let [protocol, tunnel, one_way] = [self.protocol, self.tunnel, self.one_way].map(u64::from);
        pack([
            low.0.swap_bytes(),
            low.1.swap_bytes(),
            high.0.swap_bytes(),
            high.1.swap_bytes(),
            u64::from(self.low_port)
                | u64::from(self.high_port) << 16
                | u64::from(self.vlan[0]) << 32
                | u64::from(self.vlan[1]) << 48,
            protocol | tunnel << 8 | one_way << 16 | u64::from(self.vni) << 32,
        ])
    }

    /// Sets addresses and ports in normal order and returns which end the source is.
    #[inline(always)]
    pub fn set_ends(&mut self, source: ([u8; 16], u16), destination: ([u8; 16], u16)) -> Side {
        self.low = source.0;
        self.high = destination.0;
        self.put_in_order(source.1, destination.1)
    }

    /// Both addresses. Copied as words: byte by byte they would take the kernel programs' stack.
    #[inline(always)]
    #[must_use]
    pub fn ends(&self) -> ([u8; 16], [u8; 16]) {
        (address(words(self.low)), address(words(self.high)))
    }

    /// [`Self::put_in_order`] as a function of its own in the kernel programs, for where the stack is short.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    #[cfg_attr(not(target_arch = "bpf"), inline(always))]
    pub fn put_in_order_apart(&mut self, source_port: u16, destination_port: u16) -> Side {
        self.put_in_order(source_port, destination_port)
    }

    /// As [`Self::set_ends`], for a key whose `low` holds the source and whose `high` holds the destination.
    #[inline(always)]
    pub fn put_in_order(&mut self, source_port: u16, destination_port: u16) -> Side {
        let (from, to) = (words(self.low), words(self.high));
        // Compared in words: a byte-wise comparison becomes a loop or a call in the kernel programs.
        let source_is_low = if from.0 != to.0 {
            from.0 < to.0
        } else if from.1 != to.1 {
            from.1 < to.1
        } else {
            source_port <= destination_port
        };
        if source_is_low {
            (self.low_port, self.high_port) = (source_port, destination_port);
            return Side::Low;
        }
        self.low = address(to);
        self.high = address(from);
        (self.low_port, self.high_port) = (destination_port, source_port);
        Side::High
    }
}

/// [`FlowKey::words`] of a key whose bytes in memory are these six little-endian words.
#[inline(always)]
#[must_use]
pub const fn pack(bytes: [u64; 6]) -> KeyWords {
    let [low, low_end, high, high_end, ports, rest] = bytes;
    if low | high == 0 && low_end as u32 as u64 == MAPPED && high_end as u32 as u64 == MAPPED {
        let both = low_end >> 32 | high_end >> 32 << 32;
        [ports, rest | KEY_IPV4, both, 0, 0, 0]
    } else {
        [ports, rest, low, low_end, high, high_end]
    }
}

/// The low and the high address of [`KeyWords`] in little-endian words, as in the bytes of a [`FlowKey`].
#[inline(always)]
#[must_use]
pub const fn addresses(words: &KeyWords) -> [[u64; 2]; 2] {
    if words[1] & KEY_IPV4 == 0 {
        [[words[2], words[3]], [words[4], words[5]]]
    } else {
        [[0, words[2] << 32 | MAPPED], [0, words[2] >> 32 << 32 | MAPPED]]
    }
}

/// 16 bytes from two little-endian words.
#[inline(always)]
const fn joined([first, second]: [u64; 2]) -> [u8; 16] {
    (first as u128 | (second as u128) << 64).to_le_bytes()
}

/// 1 where `a < b`, else 0, without a branch: the kernel programs' target has no instruction for it, and the sign of the
/// difference takes fewer of them than a jump that goes both ways.
#[inline(always)]
#[must_use]
pub const fn less(a: u64, b: u64) -> u64 {
    (!a & b | !(a ^ b) & a.wrapping_sub(b)) >> 63
}

/// The address of two [`words`].
#[inline(always)]
fn address((first, second): (u64, u64)) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = first.to_be_bytes();
    let [i, j, k, l, m, n, o, p] = second.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// An address as two numbers that order like its bytes.
#[inline(always)]
fn words(address: [u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    (
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes([i, j, k, l, m, n, o, p]),
    )
}

/// Direction of an ICMP message that has no answering type. Community ID v1 does not reorder such flows, so the same
/// message in the other direction is another flow, even where type and code are equal.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OneWay {
    LowToHigh = 1,
    HighToLow = 2,
}

/// Bit that tells a present VLAN tag with id 0 (priority tag) from no tag.
pub const VLAN_PRESENT: u16 = 0x1000;

/// The tunnel that carried a packet, if one was opened.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    Vxlan = 1,
    Geneve = 2,
    Gre = 3,
    IpIp = 4,
    SixInFour = 5,
    /// User space only.
    GtpU = 6,
    /// User space only.
    Erspan = 7,
    /// IPv4 or IPv6 in IPv6.
    IpInIpv6 = 8,
    /// MPLS labels directly in IP or UDP. User space only.
    MplsInIp = 9,
}

impl TunnelKind {
    /// Reads [`FlowKey::tunnel`].
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Vxlan,
            2 => Self::Geneve,
            3 => Self::Gre,
            4 => Self::IpIp,
            5 => Self::SixInFour,
            6 => Self::GtpU,
            7 => Self::Erspan,
            8 => Self::IpInIpv6,
            9 => Self::MplsInIp,
            _ => return None,
        })
    }
}

/// Which end of a [`FlowKey`] something is about.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    #[default]
    Low = 0,
    High = 1,
}

impl Side {
    #[inline(always)]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Direction in which a hook sees packets of an interface (IPFIX element 61).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookDirection {
    Ingress = 0,
    Egress = 1,
}

/// Observation point: an interface and a direction. A file has the point `{ 0, Ingress }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    pub ifindex: u32,
    pub direction: HookDirection,
}

/// What one side of a flow sent, as seen at one observation point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideCounters {
    pub packets: u64,
    /// IP total length: header and payload as the IP header states it.
    pub ip_bytes: u64,
    /// Ethernet header to end of frame, without FCS.
    pub wire_bytes: u64,
    /// Nanoseconds since the source's clock origin; 0 where this side sent nothing.
    pub first: u64,
    pub last: u64,
    /// OR of the TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128).
    pub tcp_flags: u8,
    pub ttl_min: u8,
    pub ttl_max: u8,
    /// Packets that carried each TCP flag, in the order of the bits above.
    pub flag_counts: [u32; 8],
    /// Packets that were later fragments.
    pub fragments: u32,
}

/// Precise times of the TCP handshake (nanoseconds, `bpf_ktime_get_ns` or the capture's own clock); `None` where the
/// packet was not seen or the clock's rate limit was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    pub syn: Option<u64>,
    pub syn_ack: Option<u64>,
    /// First packet of the originator after the SYN-ACK.
    pub ack: Option<u64>,
}

/// One entry of the kernel's flow cache as user space sees it, spilled or read in place.
///
/// Counters are cumulative within (`cpu`, `incarnation`): a later reading of the same pair replaces an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    pub key: FlowKey,
    pub point: Point,
    pub cpu: u16,
    pub incarnation: u64,
    /// Sender of the first packet of this entry.
    pub origin: Side,
    pub sides: [SideCounters; 2],
    pub handshake: Handshake,
    /// Outer source and destination of the tunnel, as on the first packet of this entry.
    pub outer: Option<([u8; 16], [u8; 16])>,
}

/// `::ffff:a.b.c.d`
#[inline(always)]
#[must_use]
pub const fn v4_mapped(address: [u8; 4]) -> [u8; 16] {
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, address[0], address[1], address[2], address[3],
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_its_words(
            low: [u8; 16], high: [u8; 16], v4: (bool, bool), ports: (u16, u16), vlan: [u16; 2], kinds: [u8; 3], vni: u32,
        ) {
            let address = |bytes: [u8; 16], v4| if v4 { v4_mapped([bytes[0], bytes[1], bytes[2], bytes[3]]) } else { bytes };
            let key = FlowKey {
                low: address(low, v4.0), high: address(high, v4.1), low_port: ports.0, high_port: ports.1, vlan,
                protocol: kinds[0], tunnel: kinds[1], one_way: kinds[2], zero: 0, vni,
            };
            let words = key.words();
            prop_assert_eq!(FlowKey::from_words(&words), key);
            prop_assert_eq!(words[1] & KEY_IPV4 != 0, v4.0 && v4.1);
            if v4.0 && v4.1 {
                // What a slot of the cache held before does not matter.
                let stale = [words[0], words[1], words[2], vni.into(), 7, u64::MAX];
                prop_assert_eq!(FlowKey::from_words(&stale), key);
            }
        }

        #[test]
        fn less_is_less(a: u64, b: u64, near in 0u64..3) {
            for (a, b) in [(a, b), (a, a.wrapping_add(near)), (a.wrapping_add(near), a), (a, a)] {
                prop_assert_eq!(less(a, b) != 0, a < b);
            }
        }
    }
}
