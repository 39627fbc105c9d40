//! Memory that kernel programs and user space share: the flow cache, its cold half, the record rings and the per-CPU
//! blocks. All of it lies in `BPF_MAP_TYPE_ARRAY` maps with `BPF_F_MMAPABLE` (Linux 5.5), so user space reads it in
//! place. All integers are in host byte order.
//!
//! The flow cache is partitioned by CPU and only its own CPU writes to a part. A part is a table of [`FlowSet`]s of two
//! entries each; an entry is 128 bytes (head and body) and touches [`ColdEntry`] only for what few flows have.

use crate::flow::KeyWords;

/// Name of the global whose presence says that an object has the layouts of this version of the crate.
pub const ABI_SYMBOL: &str = "LYNCEUS_ABI_4";

/// Entries of one set.
pub const WAYS: usize = 2;

/// Bits that a kernel time in nanoseconds is shifted by to make a [`SideBody`] time: units of 1.048576 ms. 32 bits of
/// them wrap after 52 days of uptime; [`crate::record::Clock`] unwraps them.
pub const TIME_SHIFT: u32 = 20;

/// Identity of an entry. `sequence` is odd while the entry's owner writes to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryHead {
    pub sequence: u32,
    /// [`pack_point`]
    pub point: u32,
    pub key: KeyWords,
    /// Bits [`meta`] and, from [`meta::INCARNATION_SHIFT`] up, the incarnation.
    pub meta: u64,
}

/// Bits of [`EntryHead::meta`].
pub mod meta {
    /// In way 0 only: way 1 was used last.
    pub const WAY1_RECENT: u64 = 1;
    /// The sender of the first packet is the key's high end.
    pub const ORIGIN_HIGH: u64 = 1 << 1;
    /// The cold half holds something.
    pub const COLD: u64 = 1 << 2;
    /// The cold half holds the outer addresses of the tunnel.
    pub const OUTER: u64 = 1 << 3;
    /// The selector's state of this flow holds something.
    pub const HEADS: u64 = 1 << 4;
    /// The low end sent a SYN and no ACK after it yet; the next bit is the high end's.
    pub const AWAITS_ACK: u64 = 1 << 5;
    /// Bits that outlive an incarnation.
    pub const KEPT: u64 = WAY1_RECENT | HEADS | AWAITS_ACK | AWAITS_ACK << 1;
    /// The incarnation is unique among the entries of one CPU: 48 bits last 325 days at 10 M new entries a second.
    pub const INCARNATION_SHIFT: u32 = 16;
}

/// What one end sent. Every counter is written out (spilled) before it can overflow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideBody {
    pub packets: u32,
    pub ip_bytes: u32,
    pub wire_bytes: u32,
    /// In units of 2^[`TIME_SHIFT`] ns, as `last`.
    pub first: u32,
    pub last: u32,
    pub ttl_min: u8,
    pub ttl_max: u8,
    /// Packets in `lanes`; at 255 they move to the cold half.
    pub in_lanes: u8,
    pub zero: u8,
    /// Packets with each TCP flag, one byte a flag, FIN lowest.
    pub lanes: u64,
}

/// The counters of both ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryBody {
    pub sides: [SideBody; 2],
}

/// One set of the cache. The heads stand together: a look-up touches 128 bytes and then one body.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSet {
    pub heads: [EntryHead; WAYS],
    pub bodies: [EntryBody; WAYS],
}

/// What few flows have: handshake times, tunnel addresses, fragments, and TCP flag counts past 255 packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdEntry {
    /// SYN, SYN-ACK, ACK; `bpf_ktime_get_ns`; 0 where not seen or refused.
    pub handshake: [u64; 3],
    pub outer: [[u8; 16]; 2],
    /// Later fragments of each end.
    pub fragments: [u32; 2],
    /// Packets with each flag that have left the lanes, of each end.
    pub flag_counts: [[u32; 8]; 2],
}

/// Bytes of a slot of the record ring, a cache line. A record takes one, two or four of them.
pub const SLOT_BYTES: usize = 64;

/// A slot of a record ring. The first word of a record's first slot holds what kind it is where an entry has its
/// sequence.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub words: [u64; SLOT_BYTES / 8],
}

/// Kind of a record of two slots, which are an entry as it lies in the cache: head, body.
pub const HOT_RECORD: u32 = 0x4c59_0001;
/// Kind of a record of four slots: head, body, and two of the cold half.
pub const COLD_RECORD: u32 = 0x4c59_0002;
/// Kind of a record of one slot: an entry without cold half of which only one side sent, IPv4 and in no tunnel; every
/// record of a scan or a flood. Bit 0 is the side, bits 1 and 2 are the key's `one_way`. The words: kind and point, the
/// key's third (addresses), its first (ports, tags), `meta`, and the side, whose `zero` is the key's protocol.
pub const SHORT_RECORD: u32 = 0x4c59_0010;
/// Bits of the kind that say more of a [`SHORT_RECORD`].
pub const SHORT_BITS: u32 = 7;
/// What may stand in the second of [`KeyWords`] of a [`SHORT_RECORD`]: protocol and `one_way`, besides `KEY_IPV4`.
pub const SHORT_KEY: u64 = 0x0003_00ff;

/// Per-CPU block. Lines are apart by who writes them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuBlock {
    // Line 0: the kernel's own.
    /// 1 while a program runs on this CPU.
    pub busy: u64,
    /// Packets whose program found `busy` set, because it interrupted another one; they are counted nowhere else. Must
    /// stay 0: the counters of a CPU need no atomics because its programs run one after the other.
    pub nested: u64,
    pub next_incarnation: u64,
    /// The consumer's `tail` as the producer last read it.
    pub seen_tail: u64,
    /// The present period of the precise clock (coarse time >> [`CLOCK_PERIOD_SHIFT`]) and its reads so far.
    pub clock_period: u64,
    pub clock_reads: u64,
    pub zero: [u64; 2],
    // Line 1: written by the kernel, polled by user space.
    /// Slots ever written.
    pub head: u64,
    pub zero_head: [u64; 7],
    // Line 2: written by user space.
    /// Slots ever read.
    pub tail: u64,
    pub zero_tail: [u64; 7],
    // Line 3: the kernel's own.
    /// Direct-mapped cache of the point table: `point << 32 | slot + 1`.
    pub points: [u64; POINT_CACHE],
}

/// Entries of [`CpuBlock::points`].
pub const POINT_CACHE: usize = 8;
/// Nanoseconds >> this = period of the precise clock's rate limit (16.8 ms).
pub const CLOCK_PERIOD_SHIFT: u32 = 24;

/// Remembers the ports of fragmented datagrams. A hint: it may forget, and then a fragment counts with ports 0.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentKey {
    pub from: [u8; 16],
    pub to: [u8; 16],
    pub id: u32,
    pub protocol: u8,
    pub tunnel: u8,
    pub zero: [u8; 2],
    pub vlan: [u16; 2],
    pub vni: u32,
}

/// What the first fragment told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentPorts {
    pub sender: u16,
    pub receiver: u16,
    pub one_way: u32,
}

/// Interface and direction in one number.
#[inline(always)]
#[must_use]
pub const fn pack_point(ifindex: u32, egress: bool) -> u32 {
    ifindex << 1 | egress as u32
}

/// Spreads the eight flags over the eight bytes of a word: flag `i` becomes 1 in byte `i`.
#[inline(always)]
#[must_use]
pub const fn flag_lanes(flags: u8) -> u64 {
    // Byte i of the product's masked form is 2^i or 0; adding 0x7f carries into its top bit without leaving the byte.
    let spread = (flags as u64).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    (spread.wrapping_add(0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101
}

const _: () = assert!(size_of::<EntryHead>() == 64);
const _: () = assert!(size_of::<SideBody>() == 32);
const _: () = assert!(size_of::<FlowSet>() == 256);
const _: () = assert!(size_of::<ColdEntry>() == 2 * SLOT_BYTES);
const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);
const _: () = assert!(size_of::<CpuBlock>() == 256);
const _: () = assert!(size_of::<FragmentKey>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_lane() {
        for flags in 0..=255u8 {
            let lanes = flag_lanes(flags).to_le_bytes();
            for (bit, lane) in lanes.iter().enumerate() {
                assert_eq!(*lane, flags >> bit & 1, "flags {flags:#x}");
            }
        }
    }
}
