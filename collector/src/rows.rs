//! The rows of the tables: how their keys are made and what stands in their values.
//!
//! A value is a version byte and a protobuf message, mostly the one that travels (`lynceus-proto`). Keys sort as
//! people ask: by profile and window, or by time. Addresses are 16 bytes (IPv4 as `::ffff:a.b.c.d`), times 8 bytes with
//! the sign bit turned, so that bytes sort as numbers.

pub mod outlier;

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::alert::{Alert, AlertId};
use lynceus_model::evidence::{Evidence, EvidenceId};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::status::{Gap, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use lynceus_proto::v1;
use prost::Message;

use crate::store::{Change, Position, StoreError, Table};

/// Version byte of all values; another one is refused, never guessed at.
const VERSION: u8 = 1;

/// A window as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRow {
    /// Log position of the first update that is merged in.
    pub since: Position,
    /// Log position of the last one.
    pub applied: Position,
    /// Run of the collector that wrote the row.
    pub run: u64,
    pub closed: bool,
    /// Evidence and alerts up to `applied`, and the sum of these alerts.
    pub evidence: u64,
    pub alerts: u64,
    pub alerted: f64,
    /// Shared with the modules that look at it.
    pub profile: Arc<ProfileDelta>,
}

/// An evidence with its place in the order of its window.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceRow {
    /// Log position of the update that brought it.
    pub position: Position,
    /// Number of the evidence in its window, from 0.
    pub order: u64,
    /// What it added to the sum when it was first said; a finding that grows adds nothing more.
    pub weight: f64,
    pub evidence: Evidence,
}

/// What a sensor last said about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorRow {
    pub sensor: SensorId,
    pub status: SensorStatus,
    /// Wall clock of the collector.
    pub received_at: Timestamp,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredWindow {
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(uint64, tag = "2")]
    applied: u64,
    #[prost(bool, tag = "3")]
    closed: bool,
    #[prost(message, optional, tag = "4")]
    profile: Option<v1::ProfileDelta>,
    #[prost(fixed64, tag = "5")]
    run: u64,
    #[prost(uint64, tag = "6")]
    evidence: u64,
    #[prost(uint64, tag = "7")]
    alerts: u64,
    #[prost(double, tag = "8")]
    alerted: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredEvidence {
    #[prost(uint64, tag = "1")]
    order: u64,
    #[prost(message, optional, tag = "2")]
    evidence: Option<v1::Evidence>,
    #[prost(uint64, tag = "3")]
    position: u64,
    #[prost(double, tag = "4")]
    weight: f64,
}

/// 16 bytes of an address.
#[must_use]
pub fn address_key(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

/// The address of a key, IPv4 where it was one.
#[must_use]
pub fn address_of(key: [u8; 16]) -> IpAddr {
    IpAddr::from(key).to_canonical()
}

/// The address as it travels: 4 or 16 bytes.
#[must_use]
pub fn address_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

/// 8 bytes that sort as the time does.
#[must_use]
pub fn time_key(time: Timestamp) -> [u8; 8] {
    (time.0 ^ i64::MIN).to_be_bytes()
}

fn time_of(key: [u8; 8]) -> Timestamp {
    Timestamp(i64::from_be_bytes(key) ^ i64::MIN)
}

/// Profile, window start: the key in `Windows` and `Summaries` and the begin of the keys in `Evidence` and `Alerts`.
#[must_use]
pub fn window_key(window: WindowId) -> Vec<u8> {
    [address_key(window.profile).as_slice(), &time_key(window.start)].concat()
}

/// The window that a key names or begins with.
#[must_use]
pub fn window_of(key: &[u8]) -> Option<WindowId> {
    Some(WindowId {
        profile: address_of(*key.first_chunk()?),
        start: time_of(key.get(16..24)?.try_into().ok()?),
    })
}

/// Window start, profile: the key in `WindowsByTime`.
#[must_use]
pub fn window_time_key(window: WindowId) -> Vec<u8> {
    [time_key(window.start).as_slice(), &address_key(window.profile)].concat()
}

/// The window that a key of `WindowsByTime` names.
#[must_use]
pub fn window_of_time_key(key: &[u8]) -> Option<WindowId> {
    Some(WindowId {
        profile: address_of(key.get(8..24)?.try_into().ok()?),
        start: time_of(*key.first_chunk()?),
    })
}

#[must_use]
pub fn evidence_key(window: WindowId, id: EvidenceId) -> Vec<u8> {
    [window_key(window).as_slice(), &id.0].concat()
}

#[must_use]
pub fn alert_key(window: WindowId, id: AlertId) -> Vec<u8> {
    [window_key(window).as_slice(), &id.0].concat()
}

/// Last packet, then the key of the row: the key in `EvidenceByTime` and `AlertsByTime`.
#[must_use]
pub fn by_time_key(last: Timestamp, key: &[u8]) -> Vec<u8> {
    [time_key(last).as_slice(), key].concat()
}

/// The time with which a key of `EvidenceByTime` or `AlertsByTime` begins.
#[must_use]
pub fn time_of_key(key: &[u8]) -> Option<Timestamp> {
    key.first_chunk().map(|time| time_of(*time))
}

/// Writes the row of a window.
#[must_use]
pub fn put_window(row: &WindowRow) -> Change {
    let stored = StoredWindow {
        since: row.since.0,
        applied: row.applied.0,
        closed: row.closed,
        run: row.run,
        evidence: row.evidence,
        alerts: row.alerts,
        alerted: row.alerted,
        profile: Some((&*row.profile).into()),
    };
    put(Table::Windows, window_key(row.profile.window), &stored)
}

/// Writes the summary of a window and its place in the order of time.
#[must_use]
pub fn put_summary(window: WindowId, summary: &v1::WindowSummary) -> [Change; 2] {
    [
        Change {
            table: Table::WindowsByTime,
            key: window_time_key(window),
            value: Some(Vec::new()),
        },
        put(Table::Summaries, window_key(window), summary),
    ]
}

/// Writes an evidence and its place in the order of time.
#[must_use]
pub fn put_evidence(row: &EvidenceRow) -> [Change; 2] {
    let key = evidence_key(window_of_evidence(&row.evidence), row.evidence.id);
    let by_time = Change {
        table: Table::EvidenceByTime,
        key: by_time_key(row.evidence.last, &key),
        value: Some(Vec::new()),
    };
    let stored = StoredEvidence {
        order: row.order,
        position: row.position.0,
        weight: row.weight,
        evidence: Some(row.evidence.clone().into()),
    };
    [put(Table::Evidence, key, &stored), by_time]
}

/// Takes an evidence out of the order of time, where it is with its earlier last packet, before it is put there anew.
#[must_use]
pub fn forget_time_of(row: &EvidenceRow, last: Timestamp) -> Change {
    let key = evidence_key(window_of_evidence(&row.evidence), row.evidence.id);
    Change {
        table: Table::EvidenceByTime,
        key: by_time_key(last, &key),
        value: None,
    }
}

/// Writes an alert and its place in the order of time.
#[must_use]
pub fn put_alert(alert: &Alert) -> [Change; 2] {
    let window = WindowId {
        profile: alert.profile,
        start: alert.window_start,
    };
    let key = alert_key(window, alert.id);
    let by_time = Change {
        table: Table::AlertsByTime,
        key: by_time_key(alert.last, &key),
        value: Some(Vec::new()),
    };
    [put(Table::Alerts, key, &v1::Alert::from(alert.clone())), by_time]
}

/// Writes what a sensor said about itself.
#[must_use]
pub fn put_sensor(row: &SensorRow, connected: bool) -> Change {
    let stored = v1::Sensor {
        id: row.sensor.0.to_vec(),
        status: Some(row.status.clone().into()),
        received_at: row.received_at.0,
        connected,
    };
    put(Table::Sensors, row.sensor.0.to_vec(), &stored)
}

/// Writes a gap; the position of its batch makes the key, so a replay writes the same row.
#[must_use]
pub fn put_gap(position: Position, index: usize, sensor: SensorId, gap: &Gap) -> Change {
    let key = [position.0.to_be_bytes(), (index as u64).to_be_bytes()].concat();
    let stored = v1::SensorGap {
        sensor_id: sensor.0.to_vec(),
        gap: Some(gap.clone().into()),
    };
    put(Table::Gaps, key, &stored)
}

/// Key in `Meta` of how far a module in a program of its own has come.
#[must_use]
pub fn module_key(module: &str) -> Vec<u8> {
    format!("module/{module}").into_bytes()
}

/// Writes how far a module in a program of its own has come.
#[must_use]
pub fn put_cursor(module: &str, cursor: u64) -> Change {
    Change {
        table: Table::Meta,
        key: module_key(module),
        value: Some(cursor.to_be_bytes().to_vec()),
    }
}

#[must_use]
pub fn read_cursor(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// # Errors
/// The value is not a window.
pub fn read_window(value: &[u8]) -> Result<WindowRow, StoreError> {
    let stored: StoredWindow = read(Table::Windows, value)?;
    let profile = stored
        .profile
        .ok_or_else(|| damaged(Table::Windows, "no profile"))?;
    Ok(WindowRow {
        since: Position(stored.since),
        applied: Position(stored.applied),
        closed: stored.closed,
        run: stored.run,
        evidence: stored.evidence,
        alerts: stored.alerts,
        alerted: stored.alerted,
        profile: ProfileDelta::try_from(profile)
            .map_err(|error| damaged(Table::Windows, &error.to_string()))?
            .into(),
    })
}

/// # Errors
/// The value is not a summary.
pub fn read_summary(value: &[u8]) -> Result<v1::WindowSummary, StoreError> {
    read(Table::Summaries, value)
}

/// # Errors
/// The value is not an evidence.
pub fn read_evidence(value: &[u8]) -> Result<EvidenceRow, StoreError> {
    let stored: StoredEvidence = read(Table::Evidence, value)?;
    let evidence = stored
        .evidence
        .ok_or_else(|| damaged(Table::Evidence, "no evidence"))?;
    Ok(EvidenceRow {
        order: stored.order,
        position: Position(stored.position),
        weight: stored.weight,
        evidence: Evidence::try_from(evidence)
            .map_err(|error| damaged(Table::Evidence, &error.to_string()))?,
    })
}

/// # Errors
/// The value is not an alert.
pub fn read_alert(value: &[u8]) -> Result<Alert, StoreError> {
    let stored: v1::Alert = read(Table::Alerts, value)?;
    Alert::try_from(stored).map_err(|error| damaged(Table::Alerts, &error.to_string()))
}

/// The row of a sensor, as it travels.
///
/// # Errors
/// The value is not that of a sensor.
pub fn read_sensor(value: &[u8]) -> Result<v1::Sensor, StoreError> {
    read(Table::Sensors, value)
}

/// The row of a gap, as it travels.
///
/// # Errors
/// The value is not a gap.
pub fn read_gap(value: &[u8]) -> Result<v1::SensorGap, StoreError> {
    read(Table::Gaps, value)
}

/// The window in which an evidence stands.
#[must_use]
pub const fn window_of_evidence(evidence: &Evidence) -> WindowId {
    WindowId {
        profile: evidence.profile,
        start: evidence.window_start,
    }
}

pub(crate) fn put(table: Table, key: Vec<u8>, message: &impl Message) -> Change {
    let mut value = Vec::with_capacity(1 + message.encoded_len());
    value.push(VERSION);
    message.encode(&mut value).expect("a vector grows");
    Change {
        table,
        key,
        value: Some(value),
    }
}

pub(crate) fn read<M: Message + Default>(table: Table, value: &[u8]) -> Result<M, StoreError> {
    match value.split_first() {
        Some((&VERSION, message)) => M::decode(message).map_err(|error| damaged(table, &error.to_string())),
        Some((version, _)) => Err(damaged(table, &format!("version {version} is not known"))),
        None => Err(damaged(table, "empty value")),
    }
}

fn damaged(table: Table, what: &str) -> StoreError {
    StoreError::Damaged {
        place: format!("table {}", table.name()),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_come_back() {
        for ip in ["10.0.0.1", "2001:db8::1", "::1"] {
            let window = WindowId {
                profile: ip.parse().unwrap(),
                start: Timestamp(-5),
            };
            assert_eq!(window_of(&window_key(window)), Some(window));
            assert_eq!(window_of_time_key(&window_time_key(window)), Some(window));
        }
    }

    #[test]
    fn a_window_comes_back() {
        let window = WindowId {
            profile: "10.0.0.1".parse().unwrap(),
            start: Timestamp(3600),
        };
        let row = WindowRow {
            since: Position(3),
            applied: Position(9),
            closed: true,
            run: 77,
            evidence: 2,
            alerts: 1,
            alerted: 15.5,
            profile: ProfileDelta::new(window).into(),
        };
        let change = put_window(&row);
        assert_eq!(read_window(&change.value.unwrap()).unwrap(), row);
        assert!(read_window(&[]).is_err());
        assert!(
            read_window(&[7, 1, 2])
                .unwrap_err()
                .to_string()
                .contains("version 7")
        );
    }

    proptest! {
        #[test]
        fn times_sort_as_bytes(a: i64, b: i64) {
            prop_assert_eq!(a.cmp(&b), time_key(Timestamp(a)).cmp(&time_key(Timestamp(b))));
        }

        #[test]
        fn foreign_values_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            let _ = read_window(&bytes);
            bytes.insert(0, VERSION);
            let _ = read_window(&bytes);
            let _ = read_evidence(&bytes);
            let _ = read_alert(&bytes);
            let _ = outlier::read_outlier(&bytes);
            let _ = outlier::read_own(&bytes);
            let _ = outlier::read_state(&bytes);
            let _ = outlier::read_label(&bytes);
            let _ = outlier::likeness_of_case(&bytes, &[0.0; lynceus_model::outlier::COUNT]);
        }
    }
}
