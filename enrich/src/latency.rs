//! Where an address can be, by the speed of light: round-trip times at places that are known.
//!
//! A round trip of `t` ms puts the target within `t · v / 2` of the landmark, with `v` = 2/3 of the speed of light, the
//! usual bound for fiber. The intersection of these spherical caps is the *hard region*: for one machine, honest clocks
//! and signals in fiber it holds the target, whatever the routes and queues. What it is not: microwave links, hollow
//! fiber and low satellites are faster (set [`Settings::speed_km_per_ms`] to [`LIGHT_KM_PER_MS`] for them), and a proxy
//! or content network that answers in place of the target is located itself.
//!
//! Emptiness, bounding box and farthest point are exact ([`boundary`]); area, centroid and radii come from a grid of
//! cells of equal area. `docs/latency.md` tells how good the estimates are.

pub mod atlas;
mod bestline;
mod boundary;
mod cap;
pub mod facts;
mod grid;
pub mod landmark;
pub mod measurement;
mod sphere;
mod verdict;

pub use bestline::Bestline;
pub use boundary::BoundingBox;
pub use cap::{BadObservation, Observation};
pub use sphere::{EARTH_RADIUS_KM, LatLon};
pub use verdict::{Conflict, NoPlace, Refutation, refute};

use boundary::Boundary;
use cap::Cap;
use grid::Cells;
use sphere::Unit;

/// Speed of light in vacuum, km per ms.
pub const LIGHT_KM_PER_MS: f64 = 299.792_458;
/// Two thirds of it.
pub const FIBER_KM_PER_MS: f64 = LIGHT_KM_PER_MS * 2.0 / 3.0;
/// Most observations of one target. More than all RIPE Atlas anchors; the work grows with the square.
pub const MAX_OBSERVATIONS: usize = 4096;

/// What the hard region rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Fastest that a signal travels, in km/ms.
    pub speed_km_per_ms: f64,
    /// Part by which great circles on the sphere and true distances differ at most. Regions are so much larger, and
    /// claims and pairs of landmarks must contradict by more, so that the Earth's figure refutes nobody.
    pub figure_slack: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed_km_per_ms: FIBER_KM_PER_MS,
            figure_slack: 0.0056,
        }
    }
}

/// What round-trip times say about a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Located {
    /// No observation excludes any place.
    Anywhere,
    Within(Box<Region>),
    NoPlace(NoPlace),
}

/// The hard region of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub bounding_box: BoundingBox,
    pub box_center: LatLon,
    /// Middle of the area. It may lie outside of a region that is bent or in parts.
    pub centroid: LatLon,
    pub area_km2: f64,
    /// Distances from the centroid within which half and nine tenths of the area lie: error radii if every place of the
    /// region is as likely as another.
    pub radius_50_km: f64,
    pub radius_90_km: f64,
    /// No point of the region is farther from the centroid: the error radius without any assumption.
    pub radius_max_km: f64,
    /// The landmark with the smallest round-trip time.
    pub nearest: String,
    /// Landmarks whose caps make the region; the others do not narrow it.
    pub constraints: usize,
    pub vote: Option<Vote>,
}

/// Where most landmarks put the target by what their round-trip times usually mean. Always within the hard
/// region; a rank among possible places, not a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    pub place: LatLon,
    /// Landmarks that agree on it.
    pub agree: usize,
    /// Landmarks that have a line.
    pub of: usize,
}

/// Observations of one target that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LatencyError {
    #[error(transparent)]
    Bad(#[from] BadObservation),
    #[error("{0} observations; at most {MAX_OBSERVATIONS} of one target")]
    TooMany(usize),
}

/// Locates a target. `bestlines[i]`, where there is one, belongs to `observations[i]`.
///
/// # Errors
/// A number is negative or not finite, or there are too many.
pub fn locate(
    observations: &[Observation],
    bestlines: &[Option<Bestline>],
    settings: &Settings,
) -> Result<Located, LatencyError> {
    if observations.len() > MAX_OBSERVATIONS {
        return Err(LatencyError::TooMany(observations.len()));
    }
    for observation in observations {
        observation.check()?;
    }
    let caps: Vec<Cap> = observations.iter().map(|one| Cap::of(one, settings)).collect();
    let caps = cap::necessary(caps);
    if caps.is_empty() {
        return Ok(Located::Anywhere);
    }
    let boundary = Boundary::new(&caps);
    if boundary.is_empty() {
        return Ok(Located::NoPlace(verdict::no_place(observations, settings)));
    }
    let cells = Cells::of(&caps, &boundary);
    let bounding_box = boundary.bounding_box(&caps);
    let centroid = cells.centroid().unwrap_or(caps[0].center);
    let [radius_50_km, radius_90_km] = cells.radii_km(centroid, [0.5, 0.9]);
    let voters: Vec<Cap> = observations
        .iter()
        .zip(bestlines)
        .filter_map(|(one, line)| {
            Some(Cap::new(
                one.place.into(),
                line.as_ref()?.reach_km(one.rtt_ms) + one.error_km,
            ))
        })
        .collect();
    let vote = cells.vote(&voters, &caps).filter(|(_, agree)| *agree > 0);
    let nearest = observations
        .iter()
        .min_by(|a, b| a.rtt_ms.total_cmp(&b.rtt_ms))
        .map(|one| one.landmark.clone());
    Ok(Located::Within(Box::new(Region {
        bounding_box,
        box_center: bounding_box.center(),
        centroid: centroid.into(),
        area_km2: cells.area_km2(),
        radius_50_km,
        radius_90_km,
        radius_max_km: boundary.farthest_km(centroid, &caps),
        nearest: nearest.unwrap_or_default(),
        constraints: caps.len(),
        vote: vote.map(|(place, agree)| Vote {
            place,
            agree,
            of: voters.len(),
        }),
    })))
}

/// Whether the hard region holds a place, exactly.
#[must_use]
pub fn possible(observations: &[Observation], place: LatLon, settings: &Settings) -> bool {
    let point = Unit::from(place);
    observations
        .iter()
        .all(|one| Cap::of(one, settings).contains(point))
}
