//! Area, centroid and quantiles of a region by a grid of cells of equal area.

use std::f64::consts::PI;

use super::boundary::Boundary;
use super::cap::Cap;
use super::sphere::{EARTH_RADIUS_KM, LatLon, Unit};

/// Cells a side: the centroid of a disk is exact to about a thousandth of its radius.
pub(super) const SIDE: u32 = 121;
/// Times that the grid is laid closer around what the time before found.
const PASSES: usize = 3;
/// Between two points of the boundary, in radians of bearing.
const SAMPLE: f64 = 0.02;

/// A plane that touches the sphere, by Lambert's azimuthal projection: equal areas stay equal.
#[derive(Clone, Copy, Debug)]
struct Plane {
    center: Unit,
    north: Unit,
    east: Unit,
}

impl Plane {
    fn at(center: Unit) -> Self {
        let (north, east) = center.compass();
        Self { center, north, east }
    }

    /// In units of the radius; the whole sphere is the disk of radius 2.
    fn flat(&self, point: Unit) -> (f64, f64) {
        let scale = (2.0 / (1.0 + self.center.dot(point)).max(1e-12)).sqrt();
        (scale * self.east.dot(point), scale * self.north.dot(point))
    }

    fn lift(&self, (x, y): (f64, f64)) -> Option<Unit> {
        let square = x.mul_add(x, y * y);
        if square > 4.0 {
            return None;
        }
        let (up, side) = (1.0 - square / 2.0, (1.0 - square / 4.0).sqrt());
        let part = |at: usize| {
            up.mul_add(
                self.center.0[at],
                side * x.mul_add(self.east.0[at], y * self.north.0[at]),
            )
        };
        Unit::of([part(0), part(1), part(2)])
    }
}

/// The cells of a region: their middles, each for the same area.
#[derive(Debug)]
pub(super) struct Cells {
    pub(super) points: Vec<Unit>,
    /// Of one cell, in km².
    pub(super) cell_km2: f64,
}

impl Cells {
    /// `caps` with `boundary` must have a point in common.
    pub(super) fn of(caps: &[Cap], boundary: &Boundary) -> Self {
        // The smallest cap comes first; the region lies in it.
        let smallest = caps.first().map_or(Unit::NORTH, |cap| cap.center);
        let edge: Vec<Unit> = boundary.samples(SAMPLE).collect();
        let mut cells = Self::around(smallest, &edge, caps);
        for _ in 1..PASSES {
            // Around the middle of what was found, the extent is smallest and distortion too.
            match cells.centroid() {
                Some(middle) => cells = Self::around(middle, &edge, caps),
                None => break,
            }
        }
        if cells.points.is_empty() {
            // Thinner than a cell everywhere: the boundary is the region.
            cells = Self {
                points: edge,
                cell_km2: 0.0,
            };
        }
        cells
    }

    fn around(center: Unit, edge: &[Unit], caps: &[Cap]) -> Self {
        let plane = Plane::at(center);
        let (mut low, mut high) = ((f64::MAX, f64::MAX), (f64::MIN, f64::MIN));
        for point in edge {
            let (x, y) = plane.flat(*point);
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        // A region around the opposite point goes around the plane's rim.
        if caps.iter().all(|cap| cap.contains(center.opposite())) {
            (low, high) = ((-2.0, -2.0), (2.0, 2.0));
        }
        let (width, height) = (high.0 - low.0, high.1 - low.1);
        let mut points = Vec::new();
        for row in 0..SIDE {
            for column in 0..SIDE {
                let x = low.0 + width * (f64::from(column) + 0.5) / f64::from(SIDE);
                let y = low.1 + height * (f64::from(row) + 0.5) / f64::from(SIDE);
                let point = plane.lift((x, y));
                points.extend(point.filter(|point| caps.iter().all(|cap| cap.contains(*point))));
            }
        }
        let cell = width * height / f64::from(SIDE * SIDE);
        Self {
            points,
            cell_km2: cell * EARTH_RADIUS_KM * EARTH_RADIUS_KM,
        }
    }

    pub(super) fn area_km2(&self) -> f64 {
        self.points.len() as f64 * self.cell_km2
    }

    pub(super) fn centroid(&self) -> Option<Unit> {
        centroid(&self.points)
    }

    /// Distances in km from a point within which these parts of the area lie.
    pub(super) fn radii_km<const N: usize>(&self, from: Unit, parts: [f64; N]) -> [f64; N] {
        let mut angles: Vec<f64> = self.points.iter().map(|point| point.angle(from)).collect();
        angles.sort_by(f64::total_cmp);
        parts.map(|part| {
            let rank = (part * angles.len() as f64).ceil() as usize;
            let angle = angles.get(rank.saturating_sub(1).min(angles.len().saturating_sub(1)));
            angle.copied().unwrap_or(PI) * EARTH_RADIUS_KM
        })
    }

    /// The middle of the cells that most voters hold for possible, with the number of those voters. It lies within all
    /// `hard` caps.
    pub(super) fn vote(&self, voters: &[Cap], hard: &[Cap]) -> Option<(LatLon, usize)> {
        let count = |point: &Unit| voters.iter().filter(|cap| cap.contains(*point)).count();
        let counts: Vec<usize> = self.points.iter().map(count).collect();
        let most = counts.iter().copied().max()?;
        let winners = self.points.iter().zip(&counts);
        let winners: Vec<Unit> = winners
            .filter(|(_, count)| **count == most)
            .map(|(point, _)| *point)
            .collect();
        let middle = centroid(&winners)?;
        // Several islands may have their middle at sea: then the winner nearest to it.
        let near = |a: &&Unit, b: &&Unit| middle.dot(**a).total_cmp(&middle.dot(**b));
        let place = if hard.iter().all(|cap| cap.contains(middle)) {
            middle
        } else {
            *winners.iter().max_by(near)?
        };
        Some((place.into(), most))
    }
}

/// Middle of points on the sphere; `None` where they balance out, as on a whole sphere.
fn centroid(points: &[Unit]) -> Option<Unit> {
    let mut sum = [0.0; 3];
    for point in points {
        for (part, all) in point.0.iter().zip(&mut sum) {
            *all += part;
        }
    }
    // Relative to the number: what remains of rounding is no direction.
    Unit::of(sum.map(|part| part / points.len().max(1) as f64))
}
