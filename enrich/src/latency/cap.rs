//! Spherical caps: everything that light in fiber reaches from a landmark within half a round trip.

use super::Settings;
use super::sphere::{EARTH_RADIUS_KM, LatLon, Unit};

/// Added to each cap: far above what 64-bit floating point loses (millimeters), far below what a clock shows.
const ROUNDING_KM: f64 = 0.001;

/// A landmark that measured a round-trip time to the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Identifier of the landmark, for people.
    pub landmark: String,
    pub place: LatLon,
    /// How far the landmark may be from `place`, in km.
    pub error_km: f64,
    /// Smallest round-trip time seen, in ms.
    pub rtt_ms: f64,
    /// Part of it that was certainly not distance, in ms. 0 unless proven: guessing here makes the region wrong.
    pub floor_ms: f64,
}

/// A measurement that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("landmark {landmark}: {field} is not a number of at least 0")]
pub struct BadObservation {
    pub landmark: String,
    pub field: &'static str,
}

impl Observation {
    /// Half the round trip at the given speed, in km: what the formula says, before any allowance.
    #[must_use]
    pub fn radius_km(&self, settings: &Settings) -> f64 {
        (self.rtt_ms - self.floor_ms).max(0.0) * settings.speed_km_per_ms / 2.0
    }

    pub(super) fn check(&self) -> Result<(), BadObservation> {
        let fields = [
            ("rtt_ms", self.rtt_ms),
            ("floor_ms", self.floor_ms),
            ("error_km", self.error_km),
        ];
        for (field, value) in fields {
            if !value.is_finite() || value < 0.0 {
                let landmark = self.landmark.clone();
                return Err(BadObservation { landmark, field });
            }
        }
        Ok(())
    }
}

/// A closed cap of the sphere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub(super) center: Unit,
    /// Angular radius in radians, at most π.
    pub(super) radius: f64,
    cos: f64,
}

impl Cap {
    pub(super) fn new(center: Unit, radius_km: f64) -> Self {
        let radius = (radius_km / EARTH_RADIUS_KM).min(std::f64::consts::PI);
        Self {
            center,
            radius,
            cos: radius.cos(),
        }
    }

    /// With every allowance: the landmark's own error, the figure of the Earth, rounding.
    pub(super) fn of(observation: &Observation, settings: &Settings) -> Self {
        let reach = observation.radius_km(settings) * (1.0 + settings.figure_slack);
        Self::new(
            observation.place.into(),
            reach + observation.error_km + ROUNDING_KM,
        )
    }

    /// Half the circumference and more: no place is excluded.
    pub(super) fn is_everything(&self) -> bool {
        self.radius >= std::f64::consts::PI
    }

    pub(super) fn contains(&self, point: Unit) -> bool {
        self.is_everything() || self.center.dot(point) >= self.cos
    }

    /// Every point of `other` is in this one.
    fn covers(&self, other: &Self) -> bool {
        self.center.angle(other.center) + other.radius <= self.radius
    }

    pub(super) const fn cos(&self) -> f64 {
        self.cos
    }
}

/// The caps that make the intersection what it is, the smallest first: none covers another.
pub(super) fn necessary(mut caps: Vec<Cap>) -> Vec<Cap> {
    caps.retain(|cap| !cap.is_everything());
    caps.sort_by(|a, b| a.radius.total_cmp(&b.radius));
    let mut kept: Vec<Cap> = Vec::new();
    for cap in caps {
        // A larger cap never lies in a smaller one, so looking back is enough.
        if !kept.iter().any(|smaller| cap.covers(smaller)) {
            kept.push(cap);
        }
    }
    kept
}
