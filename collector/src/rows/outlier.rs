//! Rows of the outlier detector: accounts of windows, cases that are searched, labels, and what it remembers.

mod state;

use std::net::IpAddr;

use lynceus_detect::outlier::{Closed, Judged, Own, Warmth};
use lynceus_model::outlier::score::likeness;
use lynceus_model::outlier::{COUNT, FEATURES, FEATURES_VERSION, Past, features::place_of, past::Summary};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

pub(crate) use state::KEY as STATE_KEY;
pub use state::{put_state, read_state};

use super::{address_bytes, address_key, damaged, put, read, window_key, window_time_key};
use crate::store::{Change, StoreError, Table};

/// Terms of which is kept what is usual: as many as are shown.
const COMPARED: usize = 6;
/// Features of the second voter that are kept.
const ODD_FEATURES: usize = 5;

/// The parts of an account by which windows are ranked: nothing else of the row is read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Head {
    #[prost(bytes = "vec", tag = "1")]
    pub profile: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    pub start: i64,
    #[prost(double, tag = "10")]
    pub score: f64,
    #[prost(bool, tag = "16")]
    pub flagged: bool,
}

/// The parts of an account that patterns are made of.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attributes {
    #[prost(bytes = "vec", tag = "1")]
    pub profile: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    pub start: i64,
    #[prost(message, repeated, tag = "19")]
    pub items: Vec<v1::OutlierItem>,
}

/// A case as it is searched: its direction and how far it is.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredCase {
    #[prost(float, repeated, tag = "1")]
    direction: Vec<f32>,
    #[prost(double, tag = "2")]
    score: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredOwn {
    #[prost(uint32, repeated, tag = "1")]
    counts: Vec<u32>,
    #[prost(float, repeated, tag = "2")]
    means: Vec<f32>,
    #[prost(float, repeated, tag = "3")]
    variances: Vec<f32>,
    #[prost(float, repeated, tag = "4")]
    smallest: Vec<f32>,
    #[prost(float, repeated, tag = "5")]
    largest: Vec<f32>,
    #[prost(bytes = "vec", tag = "6")]
    hours: Vec<u8>,
    #[prost(sfixed64, tag = "7")]
    last: i64,
    #[prost(uint64, tag = "8")]
    position: u64,
    #[prost(uint32, tag = "9")]
    version: u32,
}

/// Attributes of a window as they travel and are stored.
fn items_of(closed: &Closed) -> Vec<v1::OutlierItem> {
    let items = closed.items.iter().map(|item| v1::OutlierItem {
        attribute: item.attribute.clone(),
        value: item.value.clone(),
    });
    items.collect()
}

/// The account of a window as it travels and is stored.
#[must_use]
pub fn outlier_of(judged: &Judged) -> v1::Outlier {
    let closed = &judged.closed;
    let finite = |value: f64| value.is_finite().then_some(value);
    let terms = judged.account.terms.iter().enumerate().map(|(place, term)| {
        let shown = place < COMPARED;
        let usual = judged.usual.get(place).copied().flatten().filter(|_| shown);
        let own = judged.own.get(place).copied().flatten().filter(|_| shown);
        v1::OutlierTerm {
            feature: term.name().to_owned(),
            value: term.value,
            unit: FEATURES[term.feature].unit.to_owned(),
            nats: term.nats,
            peers_nats: term.peers.nats,
            own_nats: term.own.map(|own| own.nats),
            high: term.peers.high,
            extrapolated: term.peers.extrapolated,
            peers_median: usual.map(|(median, _)| median),
            peers_p99: usual.map(|(_, p99)| p99),
            own_center: own.map(|own| own.0),
            own_smallest: own.map(|own| own.1),
            own_largest: own.map(|own| own.2),
            own_windows: own.map_or(0, |own| own.3.into()),
        }
    });
    let odd_features = judged.odd.iter().flat_map(|odd| &odd.opinion.features);
    v1::Outlier {
        profile: address_bytes(closed.window.profile),
        start: closed.window.start.0,
        number: closed.number,
        first: closed.span.0.0,
        last: closed.span.1.0,
        role: judged.role.clone(),
        peers: judged.peers,
        features_version: FEATURES_VERSION,
        terms: terms.collect(),
        score: judged.account.score,
        threshold: finite(judged.threshold),
        false_alarms_per_day: judged.false_alarms,
        odd_score: judged.odd.as_ref().map(|odd| odd.opinion.score),
        odd_flagged: judged.odd.as_ref().is_some_and(|odd| odd.flagged),
        odd_features: odd_features
            .take(ODD_FEATURES)
            .map(|(feature, t)| v1::OddFeature {
                feature: FEATURES[*feature].name.to_owned(),
                t: *t,
            })
            .collect(),
        flagged: judged.flagged,
        limit: judged.counterfactual.map(|found| v1::OutlierLimit {
            feature: FEATURES[found.feature].name.to_owned(),
            limit: found.limit,
            below: found.below,
        }),
        text: judged.text.clone(),
        items: items_of(closed),
        flows: closed.flows.iter().map(|id| id.0.to_vec()).collect(),
        warming: match judged.warmth {
            Warmth::Warm => None,
            Warmth::Cold { windows, span } => Some(v1::Warming {
                windows,
                hours: span.as_secs_f64() / 3600.0,
            }),
        },
        label: None,
    }
}

/// Writes the account of a window, and its case if it was flagged.
#[must_use]
pub fn put_outlier(outlier: &v1::Outlier, window: WindowId) -> Vec<Change> {
    let mut changes = vec![put(Table::Outliers, window_time_key(window), outlier)];
    if outlier.flagged {
        changes.push(put_case(outlier, window));
    }
    changes
}

/// Writes a window among the cases that are searched.
#[must_use]
pub fn put_case(outlier: &v1::Outlier, window: WindowId) -> Change {
    let case = StoredCase {
        direction: direction_of(outlier).to_vec(),
        score: outlier.score,
    };
    put(Table::OutlierCases, window_time_key(window), &case)
}

/// Surprisals of all features as one direction, see `Account::direction`.
#[must_use]
pub fn direction_of(outlier: &v1::Outlier) -> [f32; COUNT] {
    let terms = outlier.terms.iter();
    let known = terms.filter_map(|term| Some((place_of(&term.feature)?, term.nats)));
    lynceus_model::outlier::score::direction(known)
}

/// # Errors
/// The value is not an account.
pub fn read_outlier(value: &[u8]) -> Result<v1::Outlier, StoreError> {
    read(Table::Outliers, value)
}

/// A part of an account: [`Head`] or [`Attributes`].
///
/// # Errors
/// The value is not an account.
pub fn read_part<M: prost::Message + Default>(value: &[u8]) -> Result<M, StoreError> {
    read(Table::Outliers, value)
}

/// How alike a case is to a direction, 0 to 1, and its score.
///
/// # Errors
/// The value is not a case.
pub fn likeness_of_case(value: &[u8], direction: &[f32; COUNT]) -> Result<(f64, f64), StoreError> {
    let case: StoredCase = read(Table::OutlierCases, value)?;
    let known: &[f32; COUNT] = case
        .direction
        .as_slice()
        .try_into()
        .map_err(|_| damaged(Table::OutlierCases, "another number of features"))?;
    Ok((likeness(known, direction).clamp(0.0, 1.0), case.score))
}

/// Writes what an analyst said of a window; `None` takes it away.
#[must_use]
pub fn put_label(window: WindowId, label: Option<&v1::OutlierLabel>) -> Change {
    match label {
        Some(label) => put(Table::Labels, window_key(window), label),
        None => Change {
            table: Table::Labels,
            key: window_key(window),
            value: None,
        },
    }
}

/// # Errors
/// The value is not a label.
pub fn read_label(value: &[u8]) -> Result<v1::OutlierLabel, StoreError> {
    read(Table::Labels, value)
}

/// Key of the past of a profile.
#[must_use]
pub fn own_key(profile: IpAddr) -> Vec<u8> {
    [address_key(profile).as_slice(), b"own"].concat()
}

/// Writes the past of a profile.
#[must_use]
pub fn put_own(profile: IpAddr, own: &Own) -> Change {
    let all: Vec<Summary> = (0..COUNT)
        .map(|feature| own.past.summary(feature).unwrap_or_default())
        .collect();
    let stored = StoredOwn {
        counts: all.iter().map(|summary| summary.count.into()).collect(),
        means: all.iter().map(|summary| summary.mean).collect(),
        variances: all.iter().map(|summary| summary.variance).collect(),
        smallest: all.iter().map(|summary| summary.smallest).collect(),
        largest: all.iter().map(|summary| summary.largest).collect(),
        hours: own.hours.to_vec(),
        last: own.last.0,
        position: own.position,
        version: FEATURES_VERSION,
    };
    put(Table::OutlierState, own_key(profile), &stored)
}

/// The past of a profile; `None` where it was made with other features.
///
/// # Errors
/// The value is not a past.
pub fn read_own(value: &[u8]) -> Result<Option<Own>, StoreError> {
    let stored: StoredOwn = read(Table::OutlierState, value)?;
    if stored.version != FEATURES_VERSION {
        return Ok(None);
    }
    let lengths = [
        stored.counts.len(),
        stored.means.len(),
        stored.variances.len(),
        stored.smallest.len(),
        stored.largest.len(),
    ];
    if lengths != [COUNT; 5] {
        return Err(damaged(Table::OutlierState, "another number of features"));
    }
    let mut past = Past::new();
    for feature in 0..COUNT {
        past.put(
            feature,
            Summary {
                count: u16::try_from(stored.counts[feature]).unwrap_or(u16::MAX),
                mean: stored.means[feature],
                variance: stored.variances[feature],
                smallest: stored.smallest[feature],
                largest: stored.largest[feature],
            },
        );
    }
    Ok(Some(Own {
        past,
        hours: stored
            .hours
            .try_into()
            .map_err(|_| damaged(Table::OutlierState, "not 24 hours"))?,
        last: Timestamp(stored.last),
        position: stored.position,
        dirty: false,
    }))
}
