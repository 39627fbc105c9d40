//! Batches: the unit that is sent, committed and acknowledged.

mod payload;

use lynceus_model::status::Gap;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowUpdate};
use prost::Message;
use prost::bytes::Bytes;

use crate::field::{Checked, Invalid, Problem, array, bounded, limits, list, required};
use crate::v1;

/// Random, new for each start of the sensor: a sequence number never names two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId(pub [u8; 16]);

/// One ascending sequence of batches of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    pub boot: BootId,
    pub stream: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    pub sensor: SensorId,
    pub stream: StreamId,
    /// From 1, ascending within the stream.
    pub seq: u64,
}

/// What a batch carries.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Content {
    pub updates: Vec<WindowUpdate>,
    pub gaps: Vec<Gap>,
}

impl Content {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.gaps.is_empty()
    }
}

/// A received batch, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub id: BatchId,
    /// Least and greatest event time of the content.
    pub first: Timestamp,
    pub last: Timestamp,
    pub content: Content,
}

impl Batch {
    /// A batch that never travels (sensor and collector in one process).
    #[must_use]
    pub fn local(id: BatchId, content: Content) -> Self {
        let mut bounds = Bounds::default();
        for update in &content.updates {
            if let Some((first, last)) = update.delta.span {
                bounds.add(first.0, last.0);
            }
            update
                .flows
                .iter()
                .for_each(|flow| bounds.add(flow.flow.first.0, flow.flow.last.0));
            update
                .apps
                .iter()
                .for_each(|record| bounds.add(record.time.0, record.time.0));
        }
        content
            .gaps
            .iter()
            .for_each(|gap| bounds.add(gap.first.0, gap.last.0));
        let (first, last) = bounds.ends();
        Self {
            id,
            first,
            last,
            content,
        }
    }
}

impl From<Content> for v1::Payload {
    fn from(content: Content) -> Self {
        Self {
            updates: content.updates.into_iter().map(Into::into).collect(),
            gaps: content.gaps.into_iter().map(Into::into).collect(),
            said: None,
        }
    }
}

impl TryFrom<v1::Payload> for Content {
    type Error = Invalid;

    fn try_from(wire: v1::Payload) -> Checked<Self> {
        if wire.said.is_some() {
            return Err(Invalid::new(
                "said",
                Problem::Mismatch {
                    what: "a batch carries traffic, no findings",
                },
            ));
        }
        Ok(Self {
            updates: list(
                "updates",
                wire.updates,
                limits::BATCH_ITEMS,
                WindowUpdate::try_from,
            )?,
            gaps: list("gaps", wire.gaps, limits::BATCH_ITEMS, Gap::try_from)?,
        })
    }
}

impl v1::Batch {
    /// Encodes a payload and puts identity, bounds, counts and checksum around it.
    #[must_use]
    pub fn seal(id: &BatchId, payload: &v1::Payload) -> Self {
        let (first, last) = payload.bounds();
        let bytes = Bytes::from(payload.encode_to_vec());
        Self {
            sensor_id: id.sensor.0.to_vec(),
            stream: Some(id.stream.into()),
            seq: id.seq,
            first: first.0,
            last: last.0,
            counts: Some(payload.counts()),
            crc32c: crc32c::crc32c(&bytes),
            payload: bytes,
        }
    }

    /// Who it is, without a look at the content: enough to recognise a duplicate.
    ///
    /// # Errors
    /// The identity is incomplete.
    pub fn identity(&self) -> Result<BatchId, Invalid> {
        if self.seq == 0 {
            return Err(Invalid::new("seq", Problem::Range { value: 0 }));
        }
        Ok(BatchId {
            sensor: SensorId(array("sensor_id", &self.sensor_id, "16")?),
            stream: required("stream", self.stream.as_ref())?.try_into()?,
            seq: self.seq,
        })
    }
}

impl TryFrom<v1::Batch> for Batch {
    type Error = Invalid;

    fn try_from(wire: v1::Batch) -> Checked<Self> {
        let id = wire.identity()?;
        bounded("payload", wire.payload.len(), limits::BATCH_BYTES)?;
        if crc32c::crc32c(&wire.payload) != wire.crc32c {
            return Err(Invalid::new(
                "crc32c",
                Problem::Mismatch {
                    what: "the payload is not what was sent",
                },
            ));
        }
        let payload = v1::Payload::decode(wire.payload).map_err(|error| {
            Invalid::new(
                "payload",
                Problem::Decode {
                    reason: error.to_string(),
                },
            )
        })?;
        if payload.counts() != wire.counts.unwrap_or_default() {
            return Err(Invalid::new(
                "counts",
                Problem::Mismatch {
                    what: "the payload holds other numbers",
                },
            ));
        }
        if payload.bounds() != (Timestamp(wire.first), Timestamp(wire.last)) {
            return Err(Invalid::new(
                "first",
                Problem::Mismatch {
                    what: "the payload has other bounds",
                },
            ));
        }
        Ok(Self {
            id,
            first: Timestamp(wire.first),
            last: Timestamp(wire.last),
            content: payload
                .try_into()
                .map_err(|error: Invalid| error.inside("payload"))?,
        })
    }
}

impl From<StreamId> for v1::StreamId {
    fn from(id: StreamId) -> Self {
        Self {
            boot_id: id.boot.0.to_vec(),
            stream: id.stream,
        }
    }
}

impl TryFrom<&v1::StreamId> for StreamId {
    type Error = Invalid;

    fn try_from(wire: &v1::StreamId) -> Checked<Self> {
        Ok(Self {
            boot: BootId(array("boot_id", &wire.boot_id, "16")?),
            stream: wire.stream,
        })
    }
}

/// Least and greatest time so far.
struct Bounds {
    first: i64,
    last: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            first: i64::MAX,
            last: i64::MIN,
        }
    }
}

impl Bounds {
    fn add(&mut self, first: i64, last: i64) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }

    /// Both 0 when there was nothing.
    fn ends(&self) -> (Timestamp, Timestamp) {
        if self.first > self.last {
            return (Timestamp(0), Timestamp(0));
        }
        (Timestamp(self.first), Timestamp(self.last))
    }
}
