//! Blocks of the log as bytes: a frame with checksums around entries that became durable together.
//!
//! ```text
//! magic "LYN1" | header length u32 | header crc32c u32 | body length u32 | body crc32c u32   (little endian)
//! header: protobuf BlockHeader (positions, sequence numbers, event times, filter)
//! body:   one zstd frame of the payloads, one after another
//! ```
//! A block is whole or it is not there: sequence numbers and payloads stand or fall together.

use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use prost::Message;
use prost::bytes::Bytes;

use super::{Entry, LogRecord, Position, Span, StreamId, filter};

/// Bytes before the header.
pub(super) const PRELUDE: usize = 20;
const MAGIC: u32 = u32::from_le_bytes(*b"LYN1");
/// Payload bytes of one block at most; a batch is never larger (gRPC messages end at 4 MiB).
pub(super) const MAX_RAW: usize = 8 << 20;
/// Bound for lengths read back: a header holds names and a filter, far below.
const MAX_HEADER: usize = 4 << 20;
/// Level 1: a third of the size for about 2 ns a byte.
const LEVEL: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BlockHeader {
    #[prost(uint64, tag = "1")]
    pub(super) first_position: u64,
    #[prost(uint64, tag = "2")]
    raw_len: u64,
    #[prost(bytes = "vec", tag = "3")]
    filter: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(super) entries: Vec<EntryHead>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EntryHead {
    #[prost(bytes = "vec", tag = "1")]
    sensor: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    boot: Vec<u8>,
    #[prost(uint32, tag = "3")]
    stream: u32,
    #[prost(uint64, tag = "4")]
    pub(super) seq: u64,
    #[prost(sfixed64, optional, tag = "5")]
    first: Option<i64>,
    #[prost(sfixed64, optional, tag = "6")]
    last: Option<i64>,
    #[prost(uint64, tag = "7")]
    len: u64,
}

impl EntryHead {
    /// `None` when the stored identity is not one (only a bug or an unlucky checksum makes that).
    pub(super) fn stream_id(&self) -> Option<StreamId> {
        Some(StreamId {
            sensor: SensorId(self.sensor.as_slice().try_into().ok()?),
            boot: self.boot.as_slice().try_into().ok()?,
            stream: self.stream,
        })
    }

    pub(super) fn span(&self) -> Option<Span> {
        Some(Span {
            first: Timestamp(self.first?),
            last: Timestamp(self.last?),
        })
    }
}

impl BlockHeader {
    pub(super) fn last_position(&self) -> u64 {
        self.first_position + (self.entries.len() as u64).saturating_sub(1)
    }

    pub(super) fn span(&self) -> Option<Span> {
        self.entries.iter().filter_map(EntryHead::span).reduce(Span::join)
    }

    pub(super) fn may_hold(&self, keys: &[u64]) -> bool {
        keys.is_empty() || keys.iter().any(|key| filter::may_hold(&self.filter, *key))
    }
}

/// The part of a block before the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    pub(super) header_len: usize,
    header_crc: u32,
    pub(super) body_len: usize,
    body_crc: u32,
}

impl Prelude {
    pub(super) fn read(bytes: &[u8; PRELUDE]) -> Result<Self, &'static str> {
        let word = |at: usize| {
            let mut word = [0_u8; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        if word(0) != MAGIC {
            return Err("no block begins here");
        }
        let prelude = Self {
            header_len: word(4) as usize,
            header_crc: word(8),
            body_len: word(12) as usize,
            body_crc: word(16),
        };
        if prelude.header_len > MAX_HEADER || prelude.body_len > zstd::zstd_safe::compress_bound(MAX_RAW) {
            return Err("a length is beyond its bound");
        }
        Ok(prelude)
    }

    pub(super) fn header(&self, bytes: &[u8]) -> Result<BlockHeader, &'static str> {
        if crc32c::crc32c(bytes) != self.header_crc {
            return Err("header checksum");
        }
        BlockHeader::decode(bytes).map_err(|_| "header is not readable")
    }

    /// Checks the body without opening it.
    pub(super) fn body_is_whole(&self, bytes: &[u8]) -> bool {
        crc32c::crc32c(bytes) == self.body_crc
    }
}

/// Entries of a block.
pub(super) fn open_body(
    prelude: Prelude,
    header: &BlockHeader,
    body: &[u8],
) -> Result<Vec<LogRecord>, &'static str> {
    if !prelude.body_is_whole(body) {
        return Err("body checksum");
    }
    let raw_len = usize::try_from(header.raw_len).unwrap_or(usize::MAX);
    if raw_len > MAX_RAW {
        return Err("a length is beyond its bound");
    }
    let raw = Bytes::from(zstd::bulk::decompress(body, raw_len).map_err(|_| "body is not readable")?);
    let mut at = 0_usize;
    let mut records = Vec::with_capacity(header.entries.len());
    for (index, entry) in header.entries.iter().enumerate() {
        let end = usize::try_from(entry.len)
            .ok()
            .and_then(|len| at.checked_add(len));
        let end = end
            .filter(|end| *end <= raw.len())
            .ok_or("entry reaches beyond the body")?;
        records.push(LogRecord {
            position: Position(header.first_position + index as u64),
            stream: entry.stream_id().ok_or("an identity is not 16 bytes")?,
            seq: entry.seq,
            span: entry.span(),
            payload: raw.slice(at..end),
        });
        at = end;
    }
    Ok(records)
}

/// Writes blocks; keeps the compressor.
pub(super) struct BlockWriter {
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
}

impl BlockWriter {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
            raw: Vec::new(),
        })
    }

    /// Appends one block with these entries to `out`. The caller keeps their payloads within [`MAX_RAW`].
    pub(super) fn write(
        &mut self,
        first: Position,
        entries: &mut [Entry],
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        self.raw.clear();
        let mut keys = Vec::new();
        let mut heads = Vec::with_capacity(entries.len());
        for entry in entries {
            self.raw.extend_from_slice(&entry.payload);
            keys.append(&mut entry.keys);
            heads.push(EntryHead {
                sensor: entry.stream.sensor.0.to_vec(),
                boot: entry.stream.boot.to_vec(),
                stream: entry.stream.stream,
                seq: entry.seq,
                first: entry.span.map(|span| span.first.0),
                last: entry.span.map(|span| span.last.0),
                len: entry.payload.len() as u64,
            });
        }
        let header = BlockHeader {
            first_position: first.0,
            raw_len: self.raw.len() as u64,
            filter: filter::build(&mut keys),
            entries: heads,
        }
        .encode_to_vec();
        let body = self.compressor.compress(&self.raw)?;
        out.reserve(PRELUDE + header.len() + body.len());
        for word in [MAGIC, header.len() as u32, crc32c::crc32c(&header)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in [body.len() as u32, crc32c::crc32c(&body)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(&body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(seq: u64, payload: &[u8]) -> Entry {
        Entry {
            stream: StreamId {
                sensor: SensorId([4; 16]),
                boot: [7; 16],
                stream: 1,
            },
            seq,
            span: Some(Span {
                first: Timestamp(5),
                last: Timestamp(9),
            }),
            keys: vec![filter::key_hash(b"a")],
            payload: Bytes::copy_from_slice(payload),
        }
    }

    fn read(bytes: &[u8]) -> Result<(BlockHeader, Vec<LogRecord>), &'static str> {
        let start: &[u8; PRELUDE] = bytes.first_chunk().ok_or("short")?;
        let prelude = Prelude::read(start)?;
        let (header, rest) = bytes[PRELUDE..]
            .split_at_checked(prelude.header_len)
            .ok_or("short")?;
        let header = prelude.header(header)?;
        let body = rest.get(..prelude.body_len).ok_or("short")?;
        let records = open_body(prelude, &header, body)?;
        Ok((header, records))
    }

    #[test]
    fn a_block_comes_back_as_written() {
        let mut out = Vec::new();
        let mut entries = [entry(1, b"one"), entry(2, b""), entry(3, &[9; 5000])];
        let written = entries.clone();
        BlockWriter::new()
            .unwrap()
            .write(Position(40), &mut entries, &mut out)
            .unwrap();
        let (header, records) = read(&out).unwrap();
        assert_eq!((header.first_position, header.last_position()), (40, 42));
        assert!(header.may_hold(&[filter::key_hash(b"a")]));
        for (index, (record, entry)) in records.iter().zip(&written).enumerate() {
            assert_eq!(record.position, Position(40 + index as u64));
            assert_eq!(
                (record.seq, &record.payload, record.span),
                (entry.seq, &entry.payload, entry.span)
            );
            assert_eq!(record.stream, entry.stream);
        }
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at in 0_usize..200, bit in 0_u8..8) {
            let mut out = Vec::new();
            BlockWriter::new().unwrap().write(Position(1), &mut [entry(1, &[3; 100])], &mut out).unwrap();
            let at = at % out.len();
            out[at] ^= 1 << bit;
            prop_assert!(read(&out).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut framed = MAGIC.to_le_bytes().to_vec();
            framed.extend_from_slice(&bytes);
            let _ = read(&framed);
            let _ = read(&bytes);
        }
    }
}
