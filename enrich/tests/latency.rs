//! Latency geolocation: exact geometry, properties, and what files may hold.
#![allow(clippy::unwrap_used, reason = "tests")]

mod latency {
    mod files;
    mod geometry;
    mod verdicts;
}

use lynceus_enrich::latency::landmark::{self, Landmark};
use lynceus_enrich::latency::{LatLon, Observation, Settings};

/// The golden file of sixty cities.
fn cities() -> Vec<Landmark> {
    landmark::read(&include_bytes!("data/cities.csv")[..]).unwrap()
}

fn city(id: &str) -> LatLon {
    let cities = cities();
    cities.iter().find(|city| city.id == id).unwrap().place
}

fn at(lat: f64, lon: f64) -> LatLon {
    LatLon::new(lat, lon).unwrap()
}

/// The sphere itself, for which light's time is `2 · distance / speed` exactly.
const SPHERE: Settings = Settings {
    speed_km_per_ms: lynceus_enrich::latency::FIBER_KM_PER_MS,
    figure_slack: 0.0,
};

/// What a landmark sees of a target when the way is longer than the great circle by `inflation`, and `extra_ms` pass.
fn seen(landmark: LatLon, target: LatLon, inflation: f64, extra_ms: f64) -> Observation {
    Observation {
        landmark: format!("{landmark}"),
        place: landmark,
        error_km: 0.0,
        rtt_ms: 2.0 * landmark.distance_km(target) * inflation / SPHERE.speed_km_per_ms + extra_ms,
        floor_ms: 0.0,
    }
}
