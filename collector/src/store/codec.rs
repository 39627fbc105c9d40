//! Rows that the stores write for themselves: sequence marks. A version byte, then protobuf.

use lynceus_model::window::SensorId;
use prost::Message;

use super::{Mark, StreamId};

const VERSION: u8 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct MarkRow {
    #[prost(bytes = "vec", tag = "1")]
    sensor: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    boot: Vec<u8>,
    #[prost(uint32, tag = "3")]
    stream: u32,
    #[prost(uint64, tag = "4")]
    high: u64,
    /// Pairs of first and last.
    #[prost(uint64, repeated, tag = "5")]
    missing: Vec<u64>,
}

/// Key under which a stream's mark stands.
pub(super) fn mark_key(stream: &StreamId) -> Vec<u8> {
    let mut key = stream.boot.to_vec();
    key.extend_from_slice(&stream.stream.to_be_bytes());
    key.extend_from_slice(&stream.sensor.0);
    key
}

pub(super) fn encode_mark(stream: &StreamId, mark: &Mark) -> Vec<u8> {
    let row = MarkRow {
        sensor: stream.sensor.0.to_vec(),
        boot: stream.boot.to_vec(),
        stream: stream.stream,
        high: mark.high,
        missing: mark
            .missing
            .iter()
            .flat_map(|(first, last)| [*first, *last])
            .collect(),
    };
    let mut bytes = vec![VERSION];
    row.encode(&mut bytes).expect("a vector grows");
    bytes
}

/// `None` when the bytes are not a mark.
pub(super) fn decode_mark(bytes: &[u8]) -> Option<(StreamId, Mark)> {
    let (version, bytes) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let row = MarkRow::decode(bytes).ok()?;
    let stream = StreamId {
        sensor: SensorId(row.sensor.try_into().ok()?),
        boot: row.boot.try_into().ok()?,
        stream: row.stream,
    };
    let missing = row
        .missing
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    Some((
        stream,
        Mark {
            high: row.high,
            missing,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back() {
        let stream = StreamId {
            sensor: SensorId([4; 16]),
            boot: [1; 16],
            stream: 3,
        };
        let mark = Mark {
            high: 40,
            missing: vec![(2, 4), (30, 30)],
        };
        assert_eq!(decode_mark(&encode_mark(&stream, &mark)), Some((stream, mark)));
        assert_eq!(decode_mark(&[]), None);
        assert_eq!(decode_mark(&[9, 1, 2]), None);
    }
}
