//! The classic pcap format.

use lynceus_model::time::Timestamp;
use sensor_ebpf::parse::Link;

use super::reader::{Fault, RawFrame, cut, link_of, without_fcs};
use crate::source::input::{Input, LONGEST_PIECE};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Old Linux kernels with Alexey Kuznetsov's patch: eight more bytes in every record header.
const MODIFIED: u32 = 0xa1b2_cd34;

/// What the file header says.
pub(super) struct Legacy {
    big_endian: bool,
    nanoseconds: bool,
    /// Bytes of a record header: 16, or 24 in the modified format.
    record_header: usize,
    /// Up to version 2.3 captured and original length could stand in either order.
    may_be_swapped: bool,
    link: Option<Link>,
    /// Bytes of frame check sequence at the end of every frame.
    fcs: u32,
}

impl Legacy {
    pub(super) const fn knows(magic: [u8; 4]) -> bool {
        matches!(u32::from_le_bytes(magic), MICROSECONDS | NANOSECONDS | MODIFIED)
            || matches!(u32::from_be_bytes(magic), MICROSECONDS | NANOSECONDS | MODIFIED)
    }

    pub(super) fn from_header(header: &[u8; 24]) -> Option<Self> {
        let [m0, m1, m2, m3, ..] = *header;
        if !Self::knows([m0, m1, m2, m3]) {
            return None;
        }
        let big_endian = matches!(
            u32::from_be_bytes([m0, m1, m2, m3]),
            MICROSECONDS | NANOSECONDS | MODIFIED
        );
        let magic = word(header, 0, big_endian);
        // Bits 0–15 are the link type; bit 26 says that bits 28–31 hold the FCS length in 16-bit units.
        let network = word(header, 20, big_endian);
        let version = word(header, 4, big_endian);
        let (major, minor) = if big_endian {
            (version >> 16, version & 0xffff)
        } else {
            (version & 0xffff, version >> 16)
        };
        Some(Self {
            big_endian,
            nanoseconds: magic == NANOSECONDS,
            record_header: if magic == MODIFIED { 24 } else { 16 },
            may_be_swapped: (major, minor) <= (2, 3),
            link: link_of(network & 0xffff),
            fcs: if network & 0x0400_0000 != 0 {
                (network >> 28) * 2
            } else {
                0
            },
        })
    }

    #[inline]
    pub(super) fn next_frame<'a>(&self, input: &'a mut Input) -> Result<Option<RawFrame<'a>>, Fault> {
        let head = self.record_header;
        let bytes = input.peek(head)?;
        let Some(record) = bytes.first_chunk::<16>().filter(|_| bytes.len() >= head) else {
            return match bytes.len() {
                0 => Ok(None),
                present => Err(cut("a record header", head, present)),
            };
        };
        let seconds = word(record, 0, self.big_endian);
        let fraction = word(record, 4, self.big_endian);
        let mut captured = word(record, 8, self.big_endian);
        let mut original = word(record, 12, self.big_endian);
        if self.may_be_swapped && captured > original {
            (captured, original) = (original, captured);
        }
        let whole = head + captured as usize;
        if whole > LONGEST_PIECE {
            return Err(Fault::TooLong {
                what: "a frame",
                length: u64::from(captured),
            });
        }
        let present = input.peek(whole)?.len();
        if present < whole {
            return Err(cut("a frame", whole, present));
        }
        let nanos = i64::from(fraction) * if self.nanoseconds { 1 } else { 1000 };
        let frame = RawFrame {
            time: Timestamp(i64::from(seconds) * 1_000_000_000 + nanos),
            wire_len: original.max(captured),
            bytes: &input.take(whole)[head..],
            link: self.link,
        };
        Ok(Some(without_fcs(frame, self.fcs)))
    }
}

/// Callers pass constant offsets inside the array.
#[inline]
const fn word<const N: usize>(bytes: &[u8; N], at: usize, big_endian: bool) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if big_endian {
        u32::from_be_bytes(word)
    } else {
        u32::from_le_bytes(word)
    }
}
