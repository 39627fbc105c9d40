//! The pcapng format (draft-ietf-opsawg-pcapng).

use lynceus_model::time::Timestamp;
use sensor_ebpf::parse::Link;

use super::reader::{Fault, RawFrame, cut, link_of, without_fcs};
use crate::source::input::{Input, LONGEST_PIECE};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const OPTION_RESOLUTION: u16 = 9;
const OPTION_FCS: u16 = 13;
const OPTION_OFFSET: u16 = 14;

/// A section with more is made to eat memory: Linux hosts have at most some thousand.
const MOST_INTERFACES: usize = 65_536;

/// The section that is being read.
#[derive(Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy)]
struct Interface {
    link: Option<Link>,
    /// 0: no limit.
    snap_len: u32,
    clock: Clock,
    fcs: u32,
}

/// Unit and zero of an interface's time stamps.
#[derive(Clone, Copy)]
struct Clock {
    /// `if_tsresol`: a negative power of 10, or of 2 where the top bit is set.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

impl Section {
    /// Reads blocks until one holds a frame.
    pub(super) fn next_frame<'a>(&mut self, input: &'a mut Input) -> Result<Option<RawFrame<'a>>, Fault> {
        loop {
            let bytes = input.peek(12)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let Some(head) = bytes.first_chunk::<12>() else {
                return Err(cut("a block header", 12, bytes.len()));
            };
            let kind = self.word(head, 0);
            if kind == SECTION_HEADER {
                let magic = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
                self.big_endian = match magic {
                    BYTE_ORDER => true,
                    magic if magic.swap_bytes() == BYTE_ORDER => false,
                    other => return Err(Fault::ByteOrder(other)),
                };
                self.interfaces.clear();
            }
            let length = self.word(head, 4);
            if length < 12 || !length.is_multiple_of(4) || kind == SECTION_HEADER && length < 28 {
                return Err(Fault::BlockLength(length));
            }
            match kind {
                INTERFACE | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    self.need_whole(input, length)?;
                    if kind == INTERFACE {
                        let block = input.take(length as usize);
                        let interface = self.interface(&block[8..block.len() - 4])?;
                        self.interfaces.push(interface);
                    } else {
                        return self.frame(kind, input, length).map(Some);
                    }
                }
                _ => self.skip(input, length)?,
            }
        }
    }

    /// Waits until the whole block is in the buffer and checks that both its ends state the same length.
    fn need_whole(&self, input: &mut Input, length: u32) -> Result<(), Fault> {
        let wanted = length as usize;
        if wanted > LONGEST_PIECE {
            return Err(Fault::TooLong {
                what: "a block",
                length: u64::from(length),
            });
        }
        let block = input.peek(wanted)?;
        if block.len() < wanted {
            return Err(cut("a block", wanted, block.len()));
        }
        self.check_tail(length, &block[wanted - 4..])
    }

    fn check_tail(&self, head: u32, tail: &[u8]) -> Result<(), Fault> {
        let tail = tail.first_chunk::<4>().map_or(0, |bytes| self.order(*bytes));
        if tail == head {
            Ok(())
        } else {
            Err(Fault::BlockEnds { head, tail })
        }
    }

    fn skip(&self, input: &mut Input, length: u32) -> Result<(), Fault> {
        let body = u64::from(length) - 4;
        let skipped = input.skip(body)?;
        let tail = input.peek(4)?;
        if tail.len() < 4 {
            return Err(Fault::Cut {
                what: "a block",
                needed: u64::from(length),
                present: skipped + tail.len() as u64,
            });
        }
        self.check_tail(length, tail)?;
        input.take(4);
        Ok(())
    }

    /// Body of an interface description block.
    fn interface(&self, body: &[u8]) -> Result<Interface, Fault> {
        let Some(fixed) = body.first_chunk::<8>() else {
            return Err(cut("an interface description", 8, body.len()));
        };
        if self.interfaces.len() == MOST_INTERFACES {
            return Err(Fault::TooManyInterfaces(MOST_INTERFACES));
        }
        let mut interface = Interface {
            link: link_of(u32::from(self.half([fixed[0], fixed[1]]))),
            snap_len: self.word(fixed, 4),
            clock: Clock {
                resolution: 6,
                offset: 0,
            },
            fcs: 0,
        };
        let mut options = &body[8..];
        while let Some((head, rest)) = options.split_first_chunk::<4>() {
            let code = self.half([head[0], head[1]]);
            let length = usize::from(self.half([head[2], head[3]]));
            let Some(value) = rest.get(..length) else { break };
            match (code, value) {
                (0, _) => break,
                (OPTION_RESOLUTION, [resolution, ..]) => interface.clock.resolution = *resolution,
                (OPTION_FCS, [fcs, ..]) => interface.fcs = u32::from(*fcs),
                (OPTION_OFFSET, value) => {
                    if let Some(bytes) = value.first_chunk::<8>() {
                        interface.clock.offset = self.long(*bytes);
                    }
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(interface)
    }

    /// Consumes a packet block, which is whole in the buffer.
    fn frame<'a>(&self, kind: u32, input: &'a mut Input, length: u32) -> Result<RawFrame<'a>, Fault> {
        let fixed = match kind {
            SIMPLE_PACKET => 4,
            _ => 20,
        };
        let body_len = length as usize - 12;
        if body_len < fixed {
            return Err(Fault::BlockLength(length));
        }
        let body = &input.peek(length as usize)?[8..8 + body_len];
        let head: [u8; 20] = std::array::from_fn(|at| body.get(at).copied().unwrap_or(0));
        let room = (body_len - fixed) as u32;
        let (id, ticks, captured, original) = match kind {
            SIMPLE_PACKET => {
                let original = self.word(&head, 0);
                let limit = self.interfaces.first().map_or(0, |interface| interface.snap_len);
                let captured = if limit == 0 { original } else { original.min(limit) };
                (0, None, captured.min(room), original)
            }
            _ => {
                let id = if kind == ENHANCED_PACKET {
                    self.word(&head, 0)
                } else {
                    u32::from(self.half([head[0], head[1]]))
                };
                let ticks = u64::from(self.word(&head, 4)) << 32 | u64::from(self.word(&head, 8));
                (id, Some(ticks), self.word(&head, 12), self.word(&head, 16))
            }
        };
        let Some(interface) = self.interfaces.get(id as usize) else {
            return Err(Fault::UnknownInterface(id));
        };
        if captured > room {
            return Err(Fault::CapturedLength {
                captured,
                block: length,
            });
        }
        let frame = RawFrame {
            time: ticks.map_or(Timestamp(0), |ticks| interface.clock.time(ticks)),
            wire_len: original.max(captured),
            bytes: &input.take(length as usize)[8 + fixed..8 + fixed + captured as usize],
            link: interface.link,
        };
        Ok(without_fcs(frame, interface.fcs))
    }

    /// Callers pass constant offsets inside the array.
    fn word<const N: usize>(&self, bytes: &[u8; N], at: usize) -> u32 {
        self.order([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    const fn order(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    const fn half(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    const fn long(&self, bytes: [u8; 8]) -> i64 {
        if self.big_endian {
            i64::from_be_bytes(bytes)
        } else {
            i64::from_le_bytes(bytes)
        }
    }
}

impl Clock {
    /// Nanoseconds since the epoch, rounded down; saturates outside the years 1678 to 2262.
    fn time(self, ticks: u64) -> Timestamp {
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            (u128::from(ticks) * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            u128::from(ticks) * 10u128.pow(9 - exponent)
        } else {
            // Beyond 10⁻²⁸ every tick count is below a nanosecond.
            10u128
                .checked_pow(exponent - 9)
                .map_or(0, |unit| u128::from(ticks) / unit)
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp(nanos.saturating_add(self.offset.saturating_mul(1_000_000_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_every_resolution() {
        let time = |resolution, offset, ticks| Clock { resolution, offset }.time(ticks).0;
        assert_eq!(time(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(time(9, 0, 7), 7);
        assert_eq!(time(0, 3, 2), 5_000_000_000);
        assert_eq!(time(12, 0, 1_999), 1);
        assert_eq!(time(127, 0, u64::MAX), 0);
        assert_eq!(time(0x80 | 10, 0, 1024), 1_000_000_000);
        assert_eq!(time(0xff, 0, u64::MAX), 0);
        assert_eq!(time(0, 0, u64::MAX), i64::MAX);
        assert_eq!(time(6, i64::MIN, 0), i64::MIN);
    }
}
