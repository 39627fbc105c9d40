//! Batches: the unit that is sent, committed and acknowledged.

use std::fmt;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::status::Gap;
use lynceus_model::time::Timestamp;
use prost::Message;
use prost::bytes::Bytes;

use crate::field::{Checked, Invalid, Problem, array, bounded, limits, list, required};
use crate::v1;

/// Name of a sensor: 1 to 64 of `A-Z a-z 0-9 . _ -`. Where TLS is used it stands in the client certificate (SAN).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SensorId(String);

impl SensorId {
    /// # Errors
    /// The text is empty, too long, or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        bounded("sensor_id", text.len(), 64)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(Invalid::new("sensor_id", Problem::Unknown { value: text }));
        }
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SensorId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Random, new for each start of the sensor: a sequence number never names two contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId(pub [u8; 16]);

/// One ascending sequence of batches of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    pub boot: BootId,
    pub stream: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    pub sensor: SensorId,
    pub stream: StreamId,
    /// From 1, ascending within the stream.
    pub seq: u64,
}

/// What a batch carries.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Content {
    pub flows: Vec<FlowUpdate>,
    pub apps: Vec<AppRecord>,
    pub gaps: Vec<Gap>,
}

impl Content {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.apps.is_empty() && self.gaps.is_empty()
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
        content
            .flows
            .iter()
            .for_each(|update| bounds.add(update.flow.first.0, update.flow.last.0));
        content
            .apps
            .iter()
            .for_each(|record| bounds.add(record.time.0, record.time.0));
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
            flows: content.flows.into_iter().map(Into::into).collect(),
            apps: content.apps.into_iter().map(Into::into).collect(),
            gaps: content.gaps.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Payload> for Content {
    type Error = Invalid;

    fn try_from(wire: v1::Payload) -> Checked<Self> {
        Ok(Self {
            flows: list("flows", wire.flows, limits::BATCH_ITEMS, FlowUpdate::try_from)?,
            apps: list("apps", wire.apps, limits::BATCH_ITEMS, AppRecord::try_from)?,
            gaps: list("gaps", wire.gaps, limits::BATCH_ITEMS, Gap::try_from)?,
        })
    }
}

impl v1::Payload {
    #[must_use]
    pub fn counts(&self) -> v1::Counts {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        v1::Counts {
            flows: count(self.flows.len()),
            apps: count(self.apps.len()),
            deltas: 0,
            gaps: count(self.gaps.len()),
        }
    }

    /// Cuts it into parts that a receiver takes, in order. `Err` carries one item that is too large even alone.
    pub fn split(self, each: impl FnMut(Result<Self, Self>)) {
        self.split_to(limits::BATCH_BYTES, each);
    }

    /// [`split`](Self::split) with another limit of encoded bytes.
    pub fn split_to(self, bytes: usize, mut each: impl FnMut(Result<Self, Self>)) {
        // Depth first keeps the order; the stack grows with the logarithm of the number of items.
        let mut stack = vec![self];
        while let Some(mut payload) = stack.pop() {
            if payload.longest_list() <= limits::BATCH_ITEMS && payload.encoded_len() <= bytes {
                each(Ok(payload));
            } else if payload.items() <= 1 {
                each(Err(payload));
            } else {
                let rest = payload.second_half();
                stack.push(rest);
                stack.push(payload);
            }
        }
    }

    fn items(&self) -> usize {
        self.flows.len() + self.apps.len() + self.gaps.len()
    }

    fn longest_list(&self) -> usize {
        self.flows.len().max(self.apps.len()).max(self.gaps.len())
    }

    /// Takes off the later half of each list; with one item in each list, whole lists.
    fn second_half(&mut self) -> Self {
        if self.longest_list() <= 1 {
            let flows = std::mem::take(&mut self.flows);
            if !flows.is_empty() {
                let rest = std::mem::take(self);
                self.flows = flows;
                return rest;
            }
            let apps = std::mem::take(&mut self.apps);
            let rest = std::mem::take(self);
            self.apps = apps;
            return rest;
        }
        Self {
            flows: self.flows.split_off(self.flows.len().div_ceil(2)),
            apps: self.apps.split_off(self.apps.len().div_ceil(2)),
            gaps: self.gaps.split_off(self.gaps.len().div_ceil(2)),
        }
    }

    fn bounds(&self) -> (Timestamp, Timestamp) {
        let mut bounds = Bounds::default();
        let flows = self.flows.iter().filter_map(|update| update.flow.as_ref());
        flows.for_each(|flow| bounds.add(flow.first, flow.last));
        self.apps
            .iter()
            .for_each(|record| bounds.add(record.time, record.time));
        self.gaps.iter().for_each(|gap| bounds.add(gap.first, gap.last));
        bounds.ends()
    }
}

impl v1::Batch {
    /// Encodes a payload and puts identity, bounds, counts and checksum around it.
    #[must_use]
    pub fn seal(id: &BatchId, payload: &v1::Payload) -> Self {
        let (first, last) = payload.bounds();
        let bytes = Bytes::from(payload.encode_to_vec());
        Self {
            sensor_id: id.sensor.as_str().to_owned(),
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
            sensor: SensorId::new(self.sensor_id.clone())?,
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
