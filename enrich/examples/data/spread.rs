//! How far positions under the same name are from each other.

use std::collections::HashMap;
use std::hash::Hash;

use lynceus_enrich::dossier::distance_km;

/// The middle of positions, and the kilometres around it that hold 90 % of them.
pub(crate) struct Spread {
    pub(crate) center: (f64, f64),
    pub(crate) radius_km: f64,
}

impl Spread {
    /// Kilometres around `point` that surely hold 90 % of the positions.
    pub(crate) fn from(&self, point: (f64, f64)) -> i64 {
        (distance_km(self.center, point) + self.radius_km).ceil() as i64
    }
}

/// The spread of the positions of each name.
pub(crate) fn around<N: Hash + Eq>(
    places: impl Iterator<Item = (N, Option<(f64, f64)>)>,
) -> HashMap<N, Spread> {
    let mut groups: HashMap<N, Vec<(f64, f64)>> = HashMap::new();
    for (name, point) in places {
        groups.entry(name).or_default().extend(point);
    }
    let spread = |points: Vec<(f64, f64)>| {
        let center = middle(&points);
        let mut distances: Vec<f64> = points.iter().map(|point| distance_km(center, *point)).collect();
        distances.sort_by(f64::total_cmp);
        Spread {
            center,
            radius_km: distances[(distances.len() - 1) * 9 / 10],
        }
    };
    groups
        .into_iter()
        .filter(|(_, points)| !points.is_empty())
        .map(|(name, points)| (name, spread(points)))
        .collect()
}

/// The mean on the sphere.
fn middle(points: &[(f64, f64)]) -> (f64, f64) {
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for (latitude, longitude) in points {
        let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    (z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees())
}
