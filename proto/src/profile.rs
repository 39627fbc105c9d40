//! Window updates and profiles on the wire.

mod counts;
mod key;
mod table;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::profile::{Histogram, LetterBook, Letters, ProfileDelta};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId, WindowUpdate};

use self::key::WireKey;
use self::table::{sample, sample_of, table, table_of};
use crate::field::{
    Checked, Invalid, Problem, address, address_bytes, array, bounded, limits, list, nested, nested_required,
    required, unknown_number,
};
use crate::v1;

impl TryFrom<v1::WindowUpdate> for WindowUpdate {
    type Error = Invalid;

    fn try_from(wire: v1::WindowUpdate) -> Checked<Self> {
        let stage = match v1::Stage::try_from(wire.stage) {
            Ok(v1::Stage::Partial) => Stage::Partial,
            Ok(v1::Stage::Refreshed) => Stage::Refreshed,
            Ok(v1::Stage::Closed) => Stage::Closed,
            Ok(v1::Stage::Unspecified) | Err(_) => return Err(unknown_number("stage", wire.stage)),
        };
        Ok(Self {
            delta: Box::new(nested_required("delta", wire.delta)?),
            stage,
            flows: list("flows", wire.flows, limits::BATCH_ITEMS, FlowUpdate::try_from)?,
            apps: list("apps", wire.apps, limits::BATCH_ITEMS, AppRecord::try_from)?,
        })
    }
}

impl From<WindowUpdate> for v1::WindowUpdate {
    fn from(update: WindowUpdate) -> Self {
        let stage = match update.stage {
            Stage::Partial => v1::Stage::Partial,
            Stage::Refreshed => v1::Stage::Refreshed,
            Stage::Closed => v1::Stage::Closed,
        };
        Self {
            delta: Some(update.delta.as_ref().into()),
            stage: stage.into(),
            flows: update.flows.into_iter().map(Into::into).collect(),
            apps: update.apps.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ProfileDelta> for ProfileDelta {
    type Error = Invalid;

    fn try_from(wire: v1::ProfileDelta) -> Checked<Self> {
        let window = WindowId {
            profile: address("profile", &wire.profile)?,
            start: Timestamp(wire.window_start),
        };
        Ok(Self {
            window,
            span: wire.span.map(span).transpose()?,
            totals: wire.totals.unwrap_or_default().into(),
            client_source_ports: table("client_source_ports", wire.client_source_ports, Self::PORT_ROWS)?,
            client_ports: table("client_ports", wire.client_ports, Self::PORT_ROWS)?,
            client_peers: table("client_peers", wire.client_peers, Self::PEER_ROWS)?,
            server_ports: table("server_ports", wire.server_ports, Self::PORT_ROWS)?,
            server_peers: table("server_peers", wire.server_peers, Self::PEER_ROWS)?,
            out_tuples: table("out_tuples", wire.out_tuples, Self::PEER_ROWS)?,
            in_tuples: table("in_tuples", wire.in_tuples, Self::PEER_ROWS)?,
            attempts: sample("attempts", wire.attempts, Self::ATTEMPT_ROWS)?,
            icmp_targets: sample("icmp_targets", wire.icmp_targets, Self::TARGET_ROWS)?,
            arp_targets: sample("arp_targets", wire.arp_targets, Self::TARGET_ROWS)?,
            letters: nested("letters", wire.letters.unwrap_or_default())?,
            flow_bytes: histogram("flow_bytes", &wire.flow_bytes)?,
            flow_durations: histogram("flow_durations", &wire.flow_durations)?,
            apps: wire.apps.unwrap_or_default().into(),
            not_carried: wire.not_carried.unwrap_or_default().into(),
        })
    }
}

/// By reference: stores keep the profile that they write.
impl From<&ProfileDelta> for v1::ProfileDelta {
    fn from(delta: &ProfileDelta) -> Self {
        Self {
            profile: address_bytes(delta.window.profile),
            window_start: delta.window.start.0,
            span: delta.span.map(|(first, last)| v1::Span {
                first: first.0,
                last: last.0,
            }),
            totals: Some((&delta.totals).into()).filter(|totals| *totals != v1::ProfileTotals::default()),
            client_source_ports: table_of(&delta.client_source_ports),
            client_ports: table_of(&delta.client_ports),
            client_peers: table_of(&delta.client_peers),
            server_ports: table_of(&delta.server_ports),
            server_peers: table_of(&delta.server_peers),
            out_tuples: table_of(&delta.out_tuples),
            in_tuples: table_of(&delta.in_tuples),
            attempts: sample_of(&delta.attempts),
            icmp_targets: sample_of(&delta.icmp_targets),
            arp_targets: sample_of(&delta.arp_targets),
            letters: letters_of(&delta.letters),
            flow_bytes: buckets(&delta.flow_bytes),
            flow_durations: buckets(&delta.flow_durations),
            apps: Some(delta.apps.into()).filter(|apps| *apps != v1::AppCounts::default()),
            not_carried: Some(delta.not_carried.into()).filter(|counts| *counts != v1::NotCarried::default()),
        }
    }
}

fn span(wire: v1::Span) -> Checked<(Timestamp, Timestamp)> {
    if wire.first > wire.last {
        return Err(Invalid::new(
            "span",
            Problem::Mismatch {
                what: "it ends before it begins",
            },
        ));
    }
    Ok((Timestamp(wire.first), Timestamp(wire.last)))
}

fn histogram(field: &'static str, wire: &[u32]) -> Checked<Histogram> {
    bounded(field, wire.len(), Histogram::BUCKETS)?;
    let mut histogram = Histogram::default();
    histogram.buckets[..wire.len()].copy_from_slice(wire);
    Ok(histogram)
}

fn buckets(histogram: &Histogram) -> Vec<u32> {
    let used = histogram
        .buckets
        .iter()
        .rposition(|bucket| *bucket != 0)
        .map_or(0, |last| last + 1);
    histogram.buckets[..used].to_vec()
}

impl TryFrom<v1::LetterBook> for LetterBook {
    type Error = Invalid;

    fn try_from(wire: v1::LetterBook) -> Checked<Self> {
        let mut book = Self::default();
        let entries = list("entries", wire.entries, Self::LIMIT, |entry| {
            let sensor = SensorId(array("sensor_id", &entry.sensor_id, "16")?);
            let key = WireKey::from_wire(required("key", entry.key)?).map_err(|error| error.inside("key"))?;
            bounded("text", entry.text.len(), Letters::MAX_TEXT)?;
            Ok((
                sensor,
                key,
                Letters {
                    version: entry.version,
                    text: entry.text,
                },
            ))
        })?;
        for (sensor, key, letters) in entries {
            book.put(sensor, key, letters);
        }
        if wire.truncated {
            book.mark_truncated();
        }
        Ok(book)
    }
}

fn letters_of(book: &LetterBook) -> Option<v1::LetterBook> {
    if book.is_empty() && !book.truncated() {
        return None;
    }
    let entries = book.entries().map(|(sensor, key, letters)| v1::Letters {
        sensor_id: sensor.0.to_vec(),
        key: Some(key.to_wire()),
        version: letters.version,
        text: letters.text.clone(),
    });
    Some(v1::LetterBook {
        entries: entries.collect(),
        truncated: book.truncated(),
    })
}
