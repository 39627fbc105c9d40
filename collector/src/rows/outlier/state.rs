//! What the outlier detector remembers, as one row: it is written as a whole at one place of the log.

mod windows;

use lynceus_detect::outlier::{Fingerprints, Fleet, Generation, Heard, Role, State};
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::outlier::loda::Loda;
use lynceus_model::outlier::{COUNT, Quantiles};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;

use self::windows::{
    StoredClosed, StoredOpen, StoredType, StoredWindowId, read_closed, read_open, read_window, stored_closed,
    stored_open, stored_window,
};
use super::super::{damaged, put, read};
use crate::store::{Change, Position, StoreError, Table};

/// Key of the row.
pub(crate) const KEY: &[u8] = b"state";

#[derive(Clone, PartialEq, prost::Message)]
struct StoredState {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(message, repeated, tag = "3")]
    generations: Vec<StoredGeneration>,
    #[prost(fixed64, repeated, tag = "4")]
    young: Vec<u64>,
    #[prost(fixed64, repeated, tag = "5")]
    old: Vec<u64>,
    #[prost(sfixed64, optional, tag = "6")]
    fingerprints_since: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    open: Vec<StoredOpen>,
    #[prost(message, repeated, tag = "8")]
    closed: Vec<StoredClosed>,
    #[prost(message, repeated, tag = "9")]
    done: Vec<StoredWindowId>,
    #[prost(message, repeated, tag = "10")]
    said: Vec<StoredSaid>,
    #[prost(message, repeated, tag = "11")]
    heard: Vec<StoredHeard>,
}

/// How far a sensor is.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredHeard {
    #[prost(bytes = "vec", tag = "1")]
    sensor: Vec<u8>,
    #[prost(sfixed64, tag = "2")]
    newest: i64,
    #[prost(sfixed64, tag = "3")]
    over: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredSketch {
    #[prost(uint32, tag = "1")]
    bits: u32,
    /// Each as the difference to the one before.
    #[prost(uint32, repeated, tag = "2")]
    buckets: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    counts: Vec<u32>,
    #[prost(double, tag = "4")]
    min: f64,
    #[prost(double, tag = "5")]
    max: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredGeneration {
    #[prost(uint32, tag = "1")]
    role: u32,
    #[prost(bool, tag = "2")]
    current: bool,
    #[prost(sint64, tag = "3")]
    index: i64,
    #[prost(sfixed64, tag = "4")]
    first: i64,
    #[prost(sfixed64, tag = "5")]
    last: i64,
    #[prost(uint64, tag = "6")]
    windows: u64,
    #[prost(message, repeated, tag = "7")]
    features: Vec<StoredSketch>,
    #[prost(uint32, repeated, tag = "8")]
    loda: Vec<u32>,
    #[prost(message, optional, tag = "9")]
    scores: Option<StoredSketch>,
    #[prost(message, optional, tag = "10")]
    odd_scores: Option<StoredSketch>,
    #[prost(message, repeated, tag = "11")]
    types: Vec<StoredType>,
    #[prost(uint64, tag = "12")]
    flags: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredSaid {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(message, optional, tag = "2")]
    evidence: Option<v1::Evidence>,
}

/// Windows, names or updates that can have been seen: what is larger was not counted, and sums of such would overflow.
const MAX_COUNT: u64 = 1 << 48;

/// Writes the state as it is after `position`. `said`: evidence that a replay would pass again.
#[must_use]
pub fn put_state(position: Position, state: &State, said: &[(Position, Evidence)]) -> Change {
    let generations = state.baselines.iter().flat_map(|(role, current, previous)| {
        [
            stored_generation(*role, true, current),
            stored_generation(*role, false, previous),
        ]
    });
    let stored = StoredState {
        position: position.0,
        version: state.version,
        generations: generations.collect(),
        young: state.fingerprints.young.iter().copied().collect(),
        old: state.fingerprints.old.iter().copied().collect(),
        fingerprints_since: state.fingerprints_since.map(|since| since.0),
        open: state.open.iter().map(stored_open).collect(),
        closed: state.closed.iter().map(stored_closed).collect(),
        done: state.done.iter().map(stored_window).collect(),
        heard: state
            .fleet
            .heard()
            .map(|(sensor, heard)| StoredHeard {
                sensor: sensor.0.to_vec(),
                newest: heard.newest.0,
                over: heard.over.0,
            })
            .collect(),
        said: said
            .iter()
            .map(|(position, evidence)| StoredSaid {
                position: position.0,
                evidence: Some(evidence.clone().into()),
            })
            .collect(),
    };
    put(Table::OutlierState, KEY.to_vec(), &stored)
}

/// Position, state, and evidence that a replay would pass again.
pub(crate) type Read = (Position, State, Vec<(Position, Evidence)>);

/// # Errors
/// The value is not a state.
pub fn read_state(value: &[u8]) -> Result<Read, StoreError> {
    let stored: StoredState = read(Table::OutlierState, value)?;
    let mut baselines: Vec<(Role, Generation, Generation)> = Vec::new();
    for pair in stored.generations.chunks(2) {
        let [current, previous] = pair else {
            return Err(wrong("one generation of two"));
        };
        let role = u8::try_from(current.role).ok().and_then(Role::from_number);
        let role = role.ok_or_else(|| wrong("an unknown role"))?;
        if current.role != previous.role || !current.current || previous.current {
            return Err(wrong("generations in disorder"));
        }
        let weeks = Generation::of(Timestamp::MIN)..=Generation::of(Timestamp::MAX);
        if !weeks.contains(&current.index) {
            return Err(wrong("a week that no window is in"));
        }
        // A window belongs to one of two weeks in a row.
        if current.index.checked_sub(1) != Some(previous.index) {
            return Err(wrong("generations that do not follow each other"));
        }
        baselines.push((role, read_generation(current)?, read_generation(previous)?));
    }
    let said = stored.said.into_iter().map(|said| {
        let evidence = said.evidence.ok_or_else(|| wrong("no evidence"))?;
        let evidence = Evidence::try_from(evidence).map_err(|error| wrong(&error.to_string()))?;
        Ok((Position(said.position), evidence))
    });
    let state = State {
        version: stored.version,
        baselines,
        fingerprints: Fingerprints {
            young: stored.young.into_iter().collect(),
            old: stored.old.into_iter().collect(),
            forgotten: 0,
        },
        fingerprints_since: stored.fingerprints_since.map(Timestamp),
        open: stored.open.into_iter().map(read_open).collect::<Result<_, _>>()?,
        closed: stored
            .closed
            .into_iter()
            .map(read_closed)
            .collect::<Result<_, _>>()?,
        done: stored
            .done
            .into_iter()
            .map(|window| read_window(Some(window)))
            .collect::<Result<_, _>>()?,
        fleet: stored
            .heard
            .into_iter()
            .map(|known| {
                let heard = Heard {
                    newest: Timestamp(known.newest),
                    over: Timestamp(known.over),
                };
                Ok((read_sensor(known.sensor)?, heard))
            })
            .collect::<Result<Fleet, StoreError>>()?,
    };
    Ok((
        Position(stored.position),
        state,
        said.collect::<Result<_, StoreError>>()?,
    ))
}

fn wrong(what: &str) -> StoreError {
    damaged(Table::OutlierState, what)
}

fn read_sensor(bytes: Vec<u8>) -> Result<SensorId, StoreError> {
    bytes.try_into().map(SensorId).map_err(|_| wrong("no sensor"))
}

fn stored_sketch(sketch: &Quantiles) -> StoredSketch {
    let (bits, buckets) = sketch.parts();
    let mut before = 0;
    let steps = buckets.iter().map(|(bucket, _)| {
        let step = bucket - before;
        before = *bucket;
        step
    });
    StoredSketch {
        bits: bits.into(),
        buckets: steps.collect(),
        counts: buckets.iter().map(|(_, count)| *count).collect(),
        min: sketch.min().unwrap_or(0.0),
        max: sketch.max().unwrap_or(0.0),
    }
}

fn read_sketch(stored: &StoredSketch) -> Result<Quantiles, StoreError> {
    if stored.buckets.len() != stored.counts.len() {
        return Err(wrong("buckets without counts"));
    }
    let mut before: u32 = 0;
    let mut buckets = Vec::with_capacity(stored.buckets.len().min(Quantiles::LIMIT));
    for (step, count) in stored.buckets.iter().zip(&stored.counts) {
        before = before.checked_add(*step).ok_or_else(|| wrong("a bucket"))?;
        buckets.push((before, *count));
    }
    u8::try_from(stored.bits)
        .ok()
        .and_then(|bits| Quantiles::from_parts(bits, buckets, stored.min, stored.max))
        .ok_or_else(|| wrong("what no sketch has"))
}

fn stored_generation(role: Role, current: bool, generation: &Generation) -> StoredGeneration {
    let types = EvidenceType::ALL.iter().zip(&generation.types);
    StoredGeneration {
        role: role.number().into(),
        current,
        index: generation.index,
        first: generation.first.0,
        last: generation.last.0,
        windows: generation.windows,
        flags: generation.flags,
        features: generation.features.iter().map(stored_sketch).collect(),
        loda: generation.loda.cells().to_vec(),
        scores: Some(stored_sketch(&generation.scores)),
        odd_scores: Some(stored_sketch(&generation.odd_scores)),
        types: types
            .filter(|(_, windows)| **windows > 0)
            .map(|(kind, windows)| StoredType {
                name: kind.name().to_owned(),
                windows: *windows,
            })
            .collect(),
    }
}

fn read_generation(stored: &StoredGeneration) -> Result<Generation, StoreError> {
    if stored.windows.max(stored.flags) > MAX_COUNT {
        return Err(wrong("more windows than a week has"));
    }
    let mut generation = Generation::new(stored.index);
    generation.first = Timestamp(stored.first);
    generation.last = Timestamp(stored.last);
    generation.windows = stored.windows;
    generation.flags = stored.flags;
    generation.features = stored
        .features
        .iter()
        .map(read_sketch)
        .collect::<Result<_, _>>()?;
    if generation.features.len() != COUNT {
        return Err(wrong("another number of features"));
    }
    generation.loda = Loda::from_cells(&stored.loda).ok_or_else(|| wrong("histograms of another size"))?;
    let sketch = |stored: &Option<StoredSketch>| stored.as_ref().map_or(Ok(Quantiles::new()), read_sketch);
    generation.scores = sketch(&stored.scores)?;
    generation.odd_scores = sketch(&stored.odd_scores)?;
    for known in &stored.types {
        let place = EvidenceType::ALL
            .iter()
            .position(|kind| kind.name() == known.name);
        if let Some(place) = place {
            generation.types[place] = known.windows;
        }
    }
    Ok(generation)
}
