//! Windows in the row: those that are open, and those that wait to be judged.

use lynceus_detect::outlier::{Closed, Open, Role};
use lynceus_model::evidence::EvidenceType;
use lynceus_model::flow::CommunityId;
use lynceus_model::outlier::Values;
use lynceus_model::outlier::patterns::Item;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::super::super::{address_key, address_of};
use super::{MAX_COUNT, read_sensor, wrong};
use crate::store::StoreError;

/// By name, so that a list of types that grew does no harm.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredType {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) windows: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredWindowId {
    #[prost(bytes = "vec", tag = "1")]
    profile: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    start: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredOpen {
    #[prost(message, optional, tag = "1")]
    window: Option<StoredWindowId>,
    #[prost(uint64, tag = "2")]
    names: u64,
    #[prost(double, tag = "3")]
    entropy: f64,
    #[prost(string, repeated, tag = "4")]
    fingerprints: Vec<String>,
    #[prost(uint64, tag = "5")]
    new_fingerprints: u64,
    #[prost(message, repeated, tag = "6")]
    domains: Vec<StoredType>,
    #[prost(uint32, repeated, tag = "7")]
    vlans: Vec<u32>,
    #[prost(string, repeated, tag = "8")]
    types: Vec<String>,
    #[prost(uint64, tag = "9")]
    updates: u64,
    /// Sensors.
    #[prost(bytes = "vec", repeated, tag = "10")]
    holders: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredValue {
    #[prost(uint32, tag = "1")]
    feature: u32,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StoredClosed {
    #[prost(message, optional, tag = "1")]
    window: Option<StoredWindowId>,
    #[prost(bytes = "vec", tag = "2")]
    sensor: Vec<u8>,
    #[prost(int64, tag = "3")]
    number: i64,
    #[prost(sfixed64, tag = "4")]
    first: i64,
    #[prost(sfixed64, tag = "5")]
    last: i64,
    #[prost(uint32, tag = "6")]
    role: u32,
    #[prost(message, repeated, tag = "7")]
    values: Vec<StoredValue>,
    #[prost(message, repeated, tag = "8")]
    items: Vec<v1::OutlierItem>,
    #[prost(string, repeated, tag = "9")]
    types: Vec<String>,
    #[prost(bytes = "vec", repeated, tag = "10")]
    flows: Vec<Vec<u8>>,
}

pub(super) fn stored_window(window: &WindowId) -> StoredWindowId {
    StoredWindowId {
        profile: address_key(window.profile).to_vec(),
        start: window.start.0,
    }
}

pub(super) fn read_window(stored: Option<StoredWindowId>) -> Result<WindowId, StoreError> {
    let stored = stored.ok_or_else(|| wrong("no window"))?;
    let profile: [u8; 16] = stored.profile.try_into().map_err(|_| wrong("no address"))?;
    Ok(WindowId {
        profile: address_of(profile),
        start: Timestamp(stored.start),
    })
}

fn names_of(types: u128) -> Vec<String> {
    let kinds = EvidenceType::ALL.iter().enumerate();
    kinds
        .filter(|(place, _)| types >> place & 1 == 1)
        .map(|(_, kind)| kind.name().to_owned())
        .collect()
}

fn types_of(names: &[String]) -> u128 {
    let kinds = EvidenceType::ALL.iter().enumerate();
    kinds
        .filter(|(_, kind)| names.iter().any(|name| name == kind.name()))
        .fold(0, |types, (place, _)| types | 1 << place)
}

pub(super) fn stored_open((window, open): &(WindowId, Open)) -> StoredOpen {
    StoredOpen {
        window: Some(stored_window(window)),
        names: open.names,
        entropy: open.entropy,
        fingerprints: open.fingerprints.iter().cloned().collect(),
        new_fingerprints: open.new_fingerprints,
        domains: open
            .domains
            .iter()
            .map(|(name, count)| StoredType {
                name: name.clone(),
                windows: u32::try_from(*count).unwrap_or(u32::MAX),
            })
            .collect(),
        vlans: open.vlans.iter().map(|vlan| u32::from(*vlan)).collect(),
        types: names_of(open.types),
        updates: open.updates,
        holders: open.holders.iter().map(|sensor| sensor.0.to_vec()).collect(),
    }
}

pub(super) fn read_open(stored: StoredOpen) -> Result<(WindowId, Open), StoreError> {
    if stored.names.max(stored.new_fingerprints).max(stored.updates) > MAX_COUNT {
        return Err(wrong("more than a window says"));
    }
    let open = Open {
        names: stored.names,
        entropy: if stored.entropy.is_finite() {
            stored.entropy
        } else {
            0.0
        },
        fingerprints: stored.fingerprints.into_iter().collect(),
        new_fingerprints: stored.new_fingerprints,
        domains: stored
            .domains
            .into_iter()
            .map(|known| (known.name, known.windows.into()))
            .collect(),
        vlans: stored
            .vlans
            .iter()
            .filter_map(|vlan| u16::try_from(*vlan).ok())
            .collect(),
        types: types_of(&stored.types),
        updates: stored.updates,
        holders: stored
            .holders
            .into_iter()
            .map(read_sensor)
            .collect::<Result<_, _>>()?,
    };
    Ok((read_window(stored.window)?, open))
}

pub(super) fn stored_closed(closed: &Closed) -> StoredClosed {
    StoredClosed {
        window: Some(stored_window(&closed.window)),
        sensor: closed.sensor.0.to_vec(),
        number: closed.number,
        first: closed.span.0.0,
        last: closed.span.1.0,
        role: closed.role.number().into(),
        values: closed
            .values
            .present()
            .map(|(feature, value)| StoredValue {
                feature: feature as u32,
                value,
            })
            .collect(),
        items: super::super::items_of(closed),
        types: names_of(closed.types),
        flows: closed.flows.iter().map(|id| id.0.to_vec()).collect(),
    }
}

pub(super) fn read_closed(stored: StoredClosed) -> Result<Closed, StoreError> {
    let mut values = Values::default();
    for known in &stored.values {
        values.set(known.feature as usize, Some(known.value));
    }
    let role = u8::try_from(stored.role).ok().and_then(Role::from_number);
    Ok(Closed {
        window: read_window(stored.window)?,
        sensor: read_sensor(stored.sensor)?,
        number: stored.number,
        span: (Timestamp(stored.first), Timestamp(stored.last)),
        role: role.ok_or_else(|| wrong("an unknown role"))?,
        values,
        items: stored
            .items
            .into_iter()
            .map(|item| Item {
                attribute: item.attribute,
                value: item.value,
            })
            .collect(),
        types: types_of(&stored.types),
        flows: stored
            .flows
            .into_iter()
            .map(|id| {
                id.try_into()
                    .map(CommunityId)
                    .map_err(|_| wrong("no Community ID"))
            })
            .collect::<Result<_, _>>()?,
    })
}
