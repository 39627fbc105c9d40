//! How an entry stands in a segment file.
//!
//! ```text
//! segment = magic (8 bytes) frame*
//! frame   = length (u32: bytes of meta and payload) crc32c (u32: over length, meta, payload) meta (72 bytes) payload
//! ```
//! All numbers are little endian.

use lynceus_model::time::Timestamp;
use lynceus_proto::limits;

pub(super) const MAGIC: &[u8; 8] = b"lynspl01";
pub(super) const HEADER: usize = 8;
const META: usize = 72;
/// No entry is longer; a longer length is damage.
const LONGEST: usize = META + limits::MESSAGE_BYTES;

/// What the spool must know of an entry to say what is missing when it is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// When it was stored (wall clock).
    pub stored: Timestamp,
    /// Event time.
    pub first: Timestamp,
    pub last: Timestamp,
    /// What it holds; of a batch of gap records, what these say is missing.
    pub batches: u64,
    pub updates: u64,
    pub flows: u64,
    pub apps: u64,
    /// Gap records in it.
    pub gaps: u64,
    /// Gap records in it that do not know how much is missing.
    pub unknown: u64,
}

impl Meta {
    fn words(&self) -> [u64; META / 8] {
        [
            self.stored.0.cast_unsigned(),
            self.first.0.cast_unsigned(),
            self.last.0.cast_unsigned(),
            self.batches,
            self.updates,
            self.flows,
            self.apps,
            self.gaps,
            self.unknown,
        ]
    }

    fn from_bytes(bytes: &[u8; META]) -> Self {
        let word = |index: usize| {
            bytes
                .as_chunks::<8>()
                .0
                .get(index)
                .map_or(0, |word| u64::from_le_bytes(*word))
        };
        let time = |index: usize| Timestamp(word(index).cast_signed());
        Self {
            stored: time(0),
            first: time(1),
            last: time(2),
            batches: word(3),
            updates: word(4),
            flows: word(5),
            apps: word(6),
            gaps: word(7),
            unknown: word(8),
        }
    }
}

/// `None` if the payload is longer than any message may be.
pub(super) fn encode(meta: &Meta, payload: &[u8]) -> Option<Vec<u8>> {
    let length = META + payload.len();
    if length > LONGEST {
        return None;
    }
    let length_bytes = u32::try_from(length).ok()?.to_le_bytes();
    let mut frame = Vec::with_capacity(HEADER + length);
    frame.extend_from_slice(&length_bytes);
    frame.extend_from_slice(&[0; 4]);
    meta.words()
        .iter()
        .for_each(|word| frame.extend_from_slice(&word.to_le_bytes()));
    frame.extend_from_slice(payload);
    let crc = checksum(length_bytes, &frame[HEADER..]);
    frame[4..HEADER].copy_from_slice(&crc.to_le_bytes());
    Some(frame)
}

/// An intact frame at the beginning of some bytes.
pub(super) struct Frame<'a> {
    pub(super) meta: Meta,
    pub(super) payload: &'a [u8],
    /// Bytes that it takes.
    pub(super) len: usize,
}

/// `None` if the frame is cut or damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let (length_bytes, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length_bytes)).ok()?;
    if length > LONGEST {
        return None;
    }
    let body = rest.get(..length)?;
    let (meta, payload) = body.split_first_chunk::<META>()?;
    if checksum(*length_bytes, body) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some(Frame {
        meta: Meta::from_bytes(meta),
        payload,
        len: HEADER + length,
    })
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_comes_back(payload: Vec<u8>, numbers: [i64; 9], tail: Vec<u8>) {
            let meta = Meta {
                stored: Timestamp(numbers[0]),
                first: Timestamp(numbers[1]),
                last: Timestamp(numbers[2]),
                batches: numbers[3].cast_unsigned(),
                updates: numbers[4].cast_unsigned(),
                flows: numbers[5].cast_unsigned(),
                apps: numbers[6].cast_unsigned(),
                gaps: numbers[7].cast_unsigned(),
                unknown: numbers[8].cast_unsigned(),
            };
            let mut bytes = encode(&meta, &payload).unwrap();
            let len = bytes.len();
            prop_assert_eq!(len, HEADER + META + payload.len());
            bytes.extend_from_slice(&tail);
            let frame = decode(&bytes).unwrap();
            prop_assert_eq!(frame.meta, meta);
            prop_assert_eq!(frame.payload, payload.as_slice());
            prop_assert_eq!(frame.len, len);
            prop_assert!(decode(&bytes[..len - 1]).is_none());
        }

        #[test]
        fn a_flipped_bit_is_seen(payload: Vec<u8>, place: prop::sample::Index, bit in 0..8_u32) {
            let mut bytes = encode(&Meta::default(), &payload).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_none());
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
