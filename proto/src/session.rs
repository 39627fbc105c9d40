//! The conversation around the batches: hello, welcome, acknowledgement.

use std::time::Duration;

use lynceus_model::window::SensorId;

use crate::batch::StreamId;
use crate::field::{Checked, Invalid, Problem, array, bounded, limits, list, required};
use crate::v1;

/// First message of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub sensor: SensorId,
    /// Streams for which the sensor still holds batches. At most [`limits::STREAMS`].
    pub streams: Vec<StreamId>,
    /// Width of the sensor's time windows; `None`: one window over all time.
    pub window_width: Option<Duration>,
    /// The sensor does what block orders say.
    pub takes_blocks: bool,
}

/// The collector's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Highest committed number of each stream that it knows.
    pub committed: Vec<Ack>,
    /// Most bytes of payload that may be unacknowledged.
    pub credit_bytes: u64,
}

/// Everything up to `seq` is committed durably, or refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub stream: StreamId,
    pub seq: u64,
    /// New credit; `None`: as before.
    pub credit_bytes: Option<u64>,
    /// Why the batch `seq` itself was refused; sending it again would not help.
    pub refused: Option<String>,
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            sensor_id: hello.sensor.0.to_vec(),
            streams: hello.streams.into_iter().map(Into::into).collect(),
            window_width_nanos: hello
                .window_width
                .map_or(0, |width| u64::try_from(width.as_nanos()).unwrap_or(u64::MAX)),
            takes_blocks: hello.takes_blocks,
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Invalid;

    fn try_from(wire: v1::Hello) -> Checked<Self> {
        Ok(Self {
            sensor: SensorId(array("sensor_id", &wire.sensor_id, "16")?),
            streams: list("streams", wire.streams, limits::STREAMS, |stream| {
                (&stream).try_into()
            })?,
            window_width: match wire.window_width_nanos {
                0 => None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
            takes_blocks: wire.takes_blocks,
        })
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            committed: welcome.committed.into_iter().map(Into::into).collect(),
            credit_bytes: welcome.credit_bytes,
        }
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = Invalid;

    fn try_from(wire: v1::Welcome) -> Checked<Self> {
        if wire.credit_bytes == 0 {
            return Err(Invalid::new("credit_bytes", Problem::Range { value: 0 }));
        }
        Ok(Self {
            committed: list("committed", wire.committed, limits::STREAMS, Ack::try_from)?,
            credit_bytes: wire.credit_bytes,
        })
    }
}

impl From<Ack> for v1::Ack {
    fn from(ack: Ack) -> Self {
        Self {
            stream: Some(ack.stream.into()),
            seq: ack.seq,
            credit_bytes: ack.credit_bytes,
            refused: ack.refused.map(crate::field::cut_text),
        }
    }
}

impl TryFrom<v1::Ack> for Ack {
    type Error = Invalid;

    fn try_from(wire: v1::Ack) -> Checked<Self> {
        if let Some(text) = &wire.refused {
            bounded("refused", text.len(), limits::TEXT)?;
        }
        Ok(Self {
            stream: required("stream", wire.stream.as_ref())?.try_into()?,
            seq: wire.seq,
            credit_bytes: wire.credit_bytes,
            refused: wire.refused,
        })
    }
}
