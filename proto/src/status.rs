//! Sensor status and gaps on the wire.

use lynceus_model::block::BlockStatus;
use lynceus_model::status::{
    Counter, Fill, Gap, GapReason, Loss, Moved, PointStatus, Position, SensorStatus,
};
use lynceus_model::time::Timestamp;

use crate::field::{Checked, Invalid, Problem, cut_name, finite, known, limits, list, name, nested_optional};
use crate::v1;

impl TryFrom<v1::SensorStatus> for SensorStatus {
    type Error = Invalid;

    fn try_from(wire: v1::SensorStatus) -> Checked<Self> {
        Ok(Self {
            name: name("name", wire.name)?,
            version: name("version", wire.version)?,
            kernel: wire.kernel.map(|kernel| name("kernel", kernel)).transpose()?,
            started: Timestamp(wire.started),
            read_at: Timestamp(wire.read_at),
            points: list("points", wire.points, limits::POINTS, PointStatus::try_from)?,
            losses: list("losses", wire.losses, limits::COUNTERS, Loss::try_from)?,
            fills: list("fills", wire.fills, limits::COUNTERS, Fill::try_from)?,
            nanos_per_packet: wire
                .nanos_per_packet
                .map(|value| finite("nanos_per_packet", value))
                .transpose()?,
            blocks: list("blocks", wire.blocks, limits::BLOCKS, BlockStatus::try_from)?,
            position: nested_optional("position", wire.position)?,
        })
    }
}

impl From<SensorStatus> for v1::SensorStatus {
    fn from(status: SensorStatus) -> Self {
        Self {
            name: cut_name(status.name),
            version: cut_name(status.version),
            kernel: status.kernel.map(cut_name),
            started: status.started.0,
            read_at: status.read_at.0,
            points: status
                .points
                .into_iter()
                .take(limits::POINTS)
                .map(Into::into)
                .collect(),
            losses: counters(status.losses),
            fills: counters(status.fills),
            nanos_per_packet: status.nanos_per_packet.filter(|value| value.is_finite()),
            blocks: status
                .blocks
                .into_iter()
                .take(limits::BLOCKS)
                .map(Into::into)
                .collect(),
            position: status.position.map(|position| v1::Position {
                latitude: position.latitude,
                longitude: position.longitude,
                error_km: position.error_km,
            }),
        }
    }
}

impl TryFrom<v1::Position> for Position {
    type Error = Invalid;

    fn try_from(wire: v1::Position) -> Checked<Self> {
        let within = |field, value: f64, range: std::ops::RangeInclusive<f64>| {
            let good = range.contains(&value).then_some(value);
            good.ok_or_else(|| Invalid::new(field, Problem::Number { value }))
        };
        Ok(Self {
            latitude: within("latitude", wire.latitude, -90.0..=90.0)?,
            longitude: within("longitude", wire.longitude, -180.0..=180.0)?,
            error_km: within("error_km", wire.error_km, 0.0..=Self::MAX_ERROR_KM)?,
        })
    }
}

fn counters<M, W: From<M>>(values: Vec<M>) -> Vec<W> {
    values
        .into_iter()
        .take(limits::COUNTERS)
        .map(Into::into)
        .collect()
}

impl TryFrom<v1::PointStatus> for PointStatus {
    type Error = Invalid;

    fn try_from(wire: v1::PointStatus) -> Checked<Self> {
        Ok(Self {
            interface: name("interface", wire.interface)?,
            egress: wire.egress,
            hook: name("hook", wire.hook)?,
            seen: wire.seen,
            recorded: wire.recorded,
            resident: wire.resident,
            refused: list("refused", wire.refused, limits::COUNTERS, Counter::try_from)?,
            degraded: list("degraded", wire.degraded, limits::COUNTERS, Counter::try_from)?,
            blocked: wire.blocked,
            moved: Moved {
                seen: wire.moved_seen,
                recorded: wire.moved_recorded,
            },
        })
    }
}

impl From<PointStatus> for v1::PointStatus {
    fn from(point: PointStatus) -> Self {
        Self {
            interface: cut_name(point.interface),
            egress: point.egress,
            hook: cut_name(point.hook),
            seen: point.seen,
            recorded: point.recorded,
            resident: point.resident,
            refused: counters(point.refused),
            degraded: counters(point.degraded),
            blocked: point.blocked,
            moved_seen: point.moved.seen,
            moved_recorded: point.moved.recorded,
        }
    }
}

impl TryFrom<v1::Counter> for Counter {
    type Error = Invalid;

    fn try_from(wire: v1::Counter) -> Checked<Self> {
        Ok(Self {
            reason: name("reason", wire.reason)?.into(),
            count: wire.count,
        })
    }
}

impl From<Counter> for v1::Counter {
    fn from(counter: Counter) -> Self {
        Self {
            reason: cut_name(counter.reason),
            count: counter.count,
        }
    }
}

impl TryFrom<v1::Loss> for Loss {
    type Error = Invalid;

    fn try_from(wire: v1::Loss) -> Checked<Self> {
        Ok(Self {
            stage: name("stage", wire.stage)?.into(),
            reason: name("reason", wire.reason)?.into(),
            unit: name("unit", wire.unit)?.into(),
            count: wire.count,
        })
    }
}

impl From<Loss> for v1::Loss {
    fn from(loss: Loss) -> Self {
        Self {
            stage: cut_name(loss.stage),
            reason: cut_name(loss.reason),
            unit: cut_name(loss.unit),
            count: loss.count,
        }
    }
}

impl TryFrom<v1::Fill> for Fill {
    type Error = Invalid;

    fn try_from(wire: v1::Fill) -> Checked<Self> {
        Ok(Self {
            name: name("name", wire.name)?.into(),
            used: wire.used,
            limit: wire.limit,
            unit: name("unit", wire.unit)?.into(),
        })
    }
}

impl From<Fill> for v1::Fill {
    fn from(fill: Fill) -> Self {
        Self {
            name: cut_name(fill.name),
            used: fill.used,
            limit: fill.limit,
            unit: cut_name(fill.unit),
        }
    }
}

impl TryFrom<v1::Gap> for Gap {
    type Error = Invalid;

    fn try_from(wire: v1::Gap) -> Checked<Self> {
        let reason = GapReason::from_name(&wire.reason);
        Ok(Self {
            reason: known("reason", wire.reason, reason)?,
            first: Timestamp(wire.first),
            last: Timestamp(wire.last),
            batches: wire.batches,
            flows: wire.flows,
            apps: wire.apps,
            updates: wire.updates,
            packets: wire.packets,
        })
    }
}

impl From<Gap> for v1::Gap {
    fn from(gap: Gap) -> Self {
        Self {
            reason: gap.reason.name().to_owned(),
            first: gap.first.0,
            last: gap.last.0,
            batches: gap.batches,
            flows: gap.flows,
            apps: gap.apps,
            updates: gap.updates,
            packets: gap.packets,
        }
    }
}
