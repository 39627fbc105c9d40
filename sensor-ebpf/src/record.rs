//! From the memory of the flow cache and the record rings to [`FlowRecord`].

use crate::flow::{FlowKey, FlowRecord, Handshake, HookDirection, KEY_IPV4, Point, Side, SideCounters};
use crate::layout::{ColdEntry, EntryBody, EntryHead, SHORT_BITS, SHORT_RECORD, SideBody, TIME_SHIFT, meta};

/// Unwraps the 32-bit times of the flow cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    now: u64,
}

/// Units (4.3 s) that an entry's time may be later than the reading of the clock.
const AHEAD: u64 = 4096;

impl Clock {
    /// `now`: `CLOCK_MONOTONIC` in nanoseconds. Times from 52 days before it to four seconds after it are unwrapped
    /// correctly, so one reading does for a sweep of the whole table.
    #[must_use]
    pub const fn at(now: u64) -> Self {
        Self { now }
    }

    /// Nanoseconds of `CLOCK_MONOTONIC`, rounded down to 2^20 ns.
    #[inline(always)]
    #[must_use]
    pub const fn unwrap(self, units: u32) -> u64 {
        let reference = (self.now >> TIME_SHIFT) + AHEAD;
        let age = (reference as u32).wrapping_sub(units) as u64;
        reference.saturating_sub(age) << TIME_SHIFT
    }
}

impl Point {
    /// Reads [`crate::layout::pack_point`].
    #[inline(always)]
    #[must_use]
    pub const fn unpack(packed: u32) -> Self {
        Self {
            ifindex: packed >> 1,
            direction: if packed & 1 == 0 {
                HookDirection::Ingress
            } else {
                HookDirection::Egress
            },
        }
    }

    /// [`crate::layout::pack_point`]
    #[inline(always)]
    #[must_use]
    pub const fn pack(self) -> u32 {
        crate::layout::pack_point(self.ifindex, matches!(self.direction, HookDirection::Egress))
    }
}

/// An entry as it lies in memory, spilled or read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEntry {
    pub head: EntryHead,
    pub body: EntryBody,
    /// Present exactly where [`meta::COLD`] is set.
    pub cold: Option<ColdEntry>,
}

impl RawEntry {
    /// Reads a record of one slot ([`SHORT_RECORD`]); `None` where it is of another kind.
    #[inline(always)]
    #[must_use]
    pub fn from_short(words: &[u64; 8]) -> Option<Self> {
        let [kind, addresses, ports, meta, counts, bytes, rest, lanes] = *words;
        if kind as u32 & !SHORT_BITS != SHORT_RECORD {
            return None;
        }
        let [.., ttl_min, ttl_max, in_lanes, protocol] = rest.to_le_bytes();
        let sent = SideBody {
            packets: counts as u32,
            ip_bytes: (counts >> 32) as u32,
            wire_bytes: bytes as u32,
            first: (bytes >> 32) as u32,
            last: rest as u32,
            ttl_min,
            ttl_max,
            in_lanes,
            zero: 0,
            lanes,
        };
        let one_way = kind >> 1 & 3;
        let key = u64::from(protocol) | one_way << 16 | KEY_IPV4;
        let sides = if kind & 1 == 0 {
            [sent, SideBody::default()]
        } else {
            [SideBody::default(), sent]
        };
        Some(Self {
            head: EntryHead {
                sequence: kind as u32,
                point: (kind >> 32) as u32,
                key: [ports, key, addresses, 0, 0, 0],
                meta,
            },
            body: EntryBody { sides },
            cold: None,
        })
    }

    /// Packets of both ends.
    #[inline(always)]
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.body.sides[0].packets as u64 + self.body.sides[1].packets as u64
    }

    /// Bytes on the wire of both ends.
    #[inline(always)]
    #[must_use]
    pub const fn wire_bytes(&self) -> u64 {
        self.body.sides[0].wire_bytes as u64 + self.body.sides[1].wire_bytes as u64
    }

    /// Makes the logical record.
    #[inline]
    #[must_use]
    pub fn record(&self, cpu: u16, clock: Clock) -> FlowRecord {
        let cold = self.cold.as_ref();
        FlowRecord {
            key: FlowKey::from_words(&self.head.key),
            point: Point::unpack(self.head.point),
            cpu,
            incarnation: self.head.meta >> meta::INCARNATION_SHIFT,
            origin: if self.head.meta & meta::ORIGIN_HIGH == 0 {
                Side::Low
            } else {
                Side::High
            },
            sides: [
                side(&self.body.sides[0], cold, 0, clock),
                side(&self.body.sides[1], cold, 1, clock),
            ],
            handshake: cold.map_or_else(Handshake::default, |cold| Handshake {
                syn: present(cold.handshake[0]),
                syn_ack: present(cold.handshake[1]),
                ack: present(cold.handshake[2]),
            }),
            outer: match cold {
                Some(cold) if self.head.meta & meta::OUTER != 0 => Some((cold.outer[0], cold.outer[1])),
                _ => None,
            },
        }
    }
}

#[inline(always)]
fn side(body: &SideBody, cold: Option<&ColdEntry>, index: usize, clock: Clock) -> SideCounters {
    if body.packets == 0 {
        return SideCounters::default();
    }
    let mut flag_counts = [0u32; 8];
    let mut tcp_flags = 0;
    let mut fragments = 0;
    if let Some(cold) = cold {
        flag_counts = cold.flag_counts[index];
        fragments = cold.fragments[index];
    }
    for (count, lane) in flag_counts.iter_mut().zip(body.lanes.to_le_bytes()) {
        *count += u32::from(lane);
    }
    for (bit, count) in flag_counts.iter().enumerate() {
        tcp_flags |= u8::from(*count != 0) << bit;
    }
    SideCounters {
        packets: u64::from(body.packets),
        ip_bytes: u64::from(body.ip_bytes),
        wire_bytes: u64::from(body.wire_bytes),
        first: clock.unwrap(body.first),
        last: clock.unwrap(body.last),
        tcp_flags,
        ttl_min: body.ttl_min,
        ttl_max: body.ttl_max,
        flag_counts,
        fragments,
    }
}

const fn present(time: u64) -> Option<u64> {
    if time == 0 { None } else { Some(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::flag_lanes;

    fn entry() -> RawEntry {
        let low = SideBody {
            packets: 3,
            ip_bytes: 180,
            wire_bytes: 222,
            first: 1000,
            last: 1010,
            ttl_min: 63,
            ttl_max: 64,
            in_lanes: 3,
            lanes: flag_lanes(2) + flag_lanes(0x10) + flag_lanes(0x18),
            ..SideBody::default()
        };
        RawEntry {
            head: EntryHead {
                sequence: 8,
                point: Point {
                    ifindex: 7,
                    direction: HookDirection::Egress,
                }
                .pack(),
                meta: 42 << meta::INCARNATION_SHIFT,
                ..EntryHead::default()
            },
            body: EntryBody {
                sides: [low, SideBody::default()],
            },
            cold: None,
        }
    }

    #[test]
    fn a_one_sided_entry_without_cold_half() {
        let record = entry().record(3, Clock::at(1020 << TIME_SHIFT));
        assert_eq!((record.cpu, record.incarnation), (3, 42));
        assert_eq!(
            (record.point.ifindex, record.point.direction),
            (7, HookDirection::Egress)
        );
        assert_eq!(record.origin, Side::Low);
        let low = record.sides[0];
        assert_eq!((low.packets, low.ip_bytes, low.wire_bytes), (3, 180, 222));
        assert_eq!((low.first, low.last), (1000 << TIME_SHIFT, 1010 << TIME_SHIFT));
        assert_eq!(low.tcp_flags, 0x1a);
        assert_eq!(low.flag_counts, [0, 1, 0, 1, 2, 0, 0, 0]);
        assert_eq!(record.sides[1], SideCounters::default());
        assert_eq!(record.handshake, Handshake::default());
        assert_eq!(record.outer, None);
    }

    #[test]
    fn a_short_record_is_its_entry() {
        let mut whole = entry();
        whole.head.key = FlowKey {
            low: crate::flow::v4_mapped([10, 0, 0, 1]),
            high: crate::flow::v4_mapped([10, 0, 0, 2]),
            low_port: 3,
            high_port: 1,
            vlan: [0x1005, 0],
            protocol: 1,
            one_way: 2,
            ..FlowKey::default()
        }
        .words();
        for side in 0..2 {
            whole.body.sides = [SideBody::default(); 2];
            whole.body.sides[side] = entry().body.sides[0];
            let sent = whole.body.sides[side];
            let kind = SHORT_RECORD | side as u32 | 2 << 1;
            whole.head.sequence = kind;
            let mut rest = [0; 8];
            rest[..4].copy_from_slice(&sent.last.to_le_bytes());
            rest[4..].copy_from_slice(&[sent.ttl_min, sent.ttl_max, sent.in_lanes, 1]);
            let words = [
                u64::from(kind) | u64::from(whole.head.point) << 32,
                whole.head.key[2],
                whole.head.key[0],
                whole.head.meta,
                u64::from(sent.packets) | u64::from(sent.ip_bytes) << 32,
                u64::from(sent.wire_bytes) | u64::from(sent.first) << 32,
                u64::from_le_bytes(rest),
                sent.lanes,
            ];
            assert_eq!(RawEntry::from_short(&words), Some(whole));
            let other = [words[0] | 8, 0, 0, 0, 0, 0, 0, 0];
            assert_eq!(RawEntry::from_short(&other), None);
        }
    }

    #[test]
    fn the_cold_half_adds_counts_and_times() {
        let mut entry = entry();
        entry.head.meta |= meta::COLD | meta::OUTER | meta::ORIGIN_HIGH;
        entry.cold = Some(ColdEntry {
            handshake: [5, 0, 9],
            outer: [[1; 16], [2; 16]],
            fragments: [4, 0],
            flag_counts: [[0, 0, 1, 0, 300, 0, 0, 0], [0; 8]],
        });
        let record = entry.record(0, Clock::at(1020 << TIME_SHIFT));
        assert_eq!(record.origin, Side::High);
        assert_eq!(record.handshake.syn, Some(5));
        assert_eq!(record.handshake.syn_ack, None);
        assert_eq!(record.handshake.ack, Some(9));
        assert_eq!(record.outer, Some(([1; 16], [2; 16])));
        assert_eq!(record.sides[0].fragments, 4);
        assert_eq!(record.sides[0].flag_counts, [0, 1, 1, 1, 302, 0, 0, 0]);
        assert_eq!(record.sides[0].tcp_flags, 0x1e);
    }

    #[test]
    fn times_unwrap_over_the_wrap() {
        let now = (1u64 << 32) + 5;
        let clock = Clock::at(now << TIME_SHIFT);
        assert_eq!(clock.unwrap(3), ((1u64 << 32) + 3) << TIME_SHIFT);
        assert_eq!(clock.unwrap(u32::MAX), ((1u64 << 32) - 1) << TIME_SHIFT);
        // Written after the clock was read.
        assert_eq!(clock.unwrap(6), ((1u64 << 32) + 6) << TIME_SHIFT);
    }

    #[test]
    fn times_near_boot_do_not_underflow() {
        assert_eq!(Clock::at(0).unwrap(0), 0);
        assert_eq!(Clock::at(0).unwrap(u32::MAX), 0);
    }
}
