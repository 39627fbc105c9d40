//! The boundary of an intersection of caps, exactly: on each circle the arcs that all other caps contain.
//!
//! A closed region that is not the whole sphere has a boundary unless it is empty, so emptiness, the extreme latitudes
//! and longitudes and the farthest point are decided here and not on a grid.

use std::f64::consts::{PI, TAU};

use super::cap::Cap;
use super::sphere::{EARTH_RADIUS_KM, LatLon, Unit};

/// Below this, a circle's distance to another's plane does not vary along it: they have one axis.
const SAME_AXIS: f64 = 1e-14;
/// Degrees of longitude; a tenth of a meter at the equator.
const NEARLY_NO_WAY: f64 = 1e-6;

/// A piece of a circle, by bearings in radians: from `begin` clockwise over `width` (0 to 2π).
#[derive(Clone, Copy, Debug)]
struct Arc {
    begin: f64,
    width: f64,
}

#[derive(Clone, Copy, Debug)]
struct Circle {
    cap: Cap,
    north: Unit,
    east: Unit,
}

impl Circle {
    fn new(cap: Cap) -> Self {
        let (north, east) = cap.center.compass();
        Self { cap, north, east }
    }

    fn point(&self, bearing: f64) -> Unit {
        let cap = &self.cap;
        cap.center.on_circle(cap.radius, bearing, self.north, self.east)
    }

    /// Which part of this circle another cap contains.
    fn inside(&self, other: &Cap) -> Part {
        let (sin, cos) = self.cap.radius.sin_cos();
        let along_north = sin * self.north.dot(other.center);
        let along_east = sin * self.east.dot(other.center);
        let needed = other.cos() - cos * self.cap.center.dot(other.center);
        let most = along_north.hypot(along_east);
        if most < SAME_AXIS {
            return if needed <= SAME_AXIS {
                Part::All
            } else {
                Part::Nothing
            };
        }
        if needed <= -most {
            return Part::All;
        }
        if needed > most {
            return Part::Nothing;
        }
        let half = (needed / most).acos();
        let middle = along_east.atan2(along_north);
        Part::Some(Arc {
            begin: middle - half,
            width: 2.0 * half,
        })
    }

    /// Distance of the point from the arc's farthest point, as an angle.
    fn farthest(&self, arc: Arc, from: Unit) -> f64 {
        let toward = self.north.dot(from).hypot(self.east.dot(from));
        let ends = [arc.begin, arc.begin + arc.width].map(|bearing| self.point(bearing).angle(from));
        let opposite = (-self.east.dot(from)).atan2(-self.north.dot(from));
        let across = if toward < SAME_AXIS || arc.holds(opposite) {
            self.point(opposite).angle(from)
        } else {
            0.0
        };
        across.max(ends[0]).max(ends[1])
    }
}

enum Part {
    All,
    Nothing,
    Some(Arc),
}

impl Arc {
    const FULL: Self = Self {
        begin: 0.0,
        width: TAU,
    };

    fn holds(self, bearing: f64) -> bool {
        (bearing - self.begin).rem_euclid(TAU) <= self.width
    }
}

/// The boundary of a region.
#[derive(Debug)]
pub(super) struct Boundary {
    arcs: Vec<(Circle, Arc)>,
}

/// Latitudes and longitudes of a region, in degrees. `west` is greater than `east` across the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    pub south: f64,
    pub north: f64,
    pub west: f64,
    pub east: f64,
}

impl BoundingBox {
    /// Degrees from west to east.
    #[must_use]
    pub fn width(&self) -> f64 {
        if self.west <= self.east {
            self.east - self.west
        } else {
            self.east - self.west + 360.0
        }
    }

    /// The middle of latitudes and of longitudes: the estimate of Know Your IP.
    ///
    /// # Panics
    /// Never for a box of this module.
    #[must_use]
    pub fn center(&self) -> LatLon {
        let lon = (self.west + self.width() / 2.0 + 180.0).rem_euclid(360.0) - 180.0;
        let lat = f64::midpoint(self.south, self.north).clamp(-90.0, 90.0);
        LatLon::new(lat, lon.clamp(-180.0, 180.0)).expect("both are within their bounds")
    }

    #[must_use]
    pub fn contains(&self, place: LatLon) -> bool {
        let east_of_west = (place.lon() - self.west).rem_euclid(360.0);
        (self.south..=self.north).contains(&place.lat()) && east_of_west <= self.width()
    }
}

impl Boundary {
    /// `caps` as [`super::cap::necessary`] leaves them, at least one.
    pub(super) fn new(caps: &[Cap]) -> Self {
        let mut arcs = Vec::new();
        for (index, cap) in caps.iter().enumerate() {
            let circle = Circle::new(*cap);
            let others = caps
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .map(|(_, cap)| cap);
            arcs.extend(common(&circle, others).into_iter().map(|arc| (circle, arc)));
        }
        Self { arcs }
    }

    /// No point is in all caps.
    pub(super) fn is_empty(&self) -> bool {
        self.arcs.is_empty()
    }

    /// The largest distance of a point of the region, in km.
    pub(super) fn farthest_km(&self, from: Unit, caps: &[Cap]) -> f64 {
        let opposite = from.opposite();
        if caps.iter().all(|cap| cap.contains(opposite)) {
            return PI * EARTH_RADIUS_KM;
        }
        let angles = self.arcs.iter().map(|(circle, arc)| circle.farthest(*arc, from));
        angles.fold(0.0, f64::max) * EARTH_RADIUS_KM
    }

    /// Points of the boundary, at most `step` radians of bearing apart, the corners among them.
    pub(super) fn samples(&self, step: f64) -> impl Iterator<Item = Unit> + '_ {
        self.arcs.iter().flat_map(move |(circle, arc)| {
            let pieces = (arc.width / step).ceil().max(1.0);
            (0..=pieces as u32)
                .map(move |piece| circle.point(arc.begin + arc.width * f64::from(piece) / pieces))
        })
    }

    /// Exact bounds of latitude and longitude.
    pub(super) fn bounding_box(&self, caps: &[Cap]) -> BoundingBox {
        let inside = |point: Unit| caps.iter().all(|cap| cap.contains(point));
        let (north_pole, south_pole) = (inside(Unit::NORTH), inside(Unit::SOUTH));
        let (mut south, mut north) = (f64::MAX, f64::MIN);
        for (circle, arc) in &self.arcs {
            // Latitude rises and falls once around a circle; bearing 0 is its top, π its bottom.
            let mut bearings = vec![arc.begin, arc.begin + arc.width];
            bearings.extend([0.0, PI].into_iter().filter(|bearing| arc.holds(*bearing)));
            for bearing in bearings {
                let latitude = circle.point(bearing).latitude();
                south = south.min(latitude);
                north = north.max(latitude);
            }
        }
        if north_pole {
            north = PI / 2.0;
        }
        if south_pole {
            south = -PI / 2.0;
        }
        // Every meridian touches a region with a pole inside; else those that its boundary touches.
        let (west, east) = if north_pole || south_pole {
            (-180.0, 180.0)
        } else {
            let spans = self.arcs.iter().flat_map(|(circle, arc)| spans(circle, *arc));
            around(spans.collect())
        };
        BoundingBox {
            south: south.to_degrees(),
            north: north.to_degrees(),
            west,
            east,
        }
    }
}

/// The arcs of a circle that all caps contain.
fn common<'a>(circle: &Circle, caps: impl Iterator<Item = &'a Cap>) -> Vec<Arc> {
    // What some cap leaves out, as intervals within [0, 2π].
    let mut left_out: Vec<(f64, f64)> = Vec::new();
    for cap in caps {
        match circle.inside(cap) {
            Part::All => {}
            Part::Nothing => return Vec::new(),
            Part::Some(arc) => {
                let begin = (arc.begin + arc.width).rem_euclid(TAU);
                let end = begin + (TAU - arc.width);
                left_out.push((begin, end.min(TAU)));
                if end > TAU {
                    left_out.push((0.0, end - TAU));
                }
            }
        }
    }
    if left_out.is_empty() {
        return vec![Arc::FULL];
    }
    left_out.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut arcs: Vec<Arc> = Vec::new();
    let mut covered = 0.0;
    for (begin, end) in left_out {
        if begin >= covered {
            arcs.push(Arc {
                begin: covered,
                width: begin - covered,
            });
        }
        covered = f64::max(covered, end);
    }
    if covered < TAU {
        arcs.push(Arc {
            begin: covered,
            width: TAU - covered,
        });
    }
    // An arc of no width at bearing 0 is an artifact of cutting there, not a corner.
    arcs.retain(|arc| arc.width > 0.0 || arc.begin > 0.0);
    arcs
}

/// The longitudes of an arc: (westernmost, width) in degrees for each of its pieces.
fn spans(circle: &Circle, arc: Arc) -> Vec<(f64, f64)> {
    // Where a meridian touches the circle, longitude turns: in the right-angled triangle of pole, center and that
    // point, cos(bearing) = tan(radius) · tan(latitude). A circle around a pole has no such point. Quarters keep each
    // piece below a whole turn.
    let mut cuts: Vec<f64> = (0..=4)
        .map(|quarter| arc.width * f64::from(quarter) / 4.0)
        .collect();
    let cosine = circle.cap.radius.tan() * circle.cap.center.latitude().tan();
    if cosine.abs() <= 1.0 {
        let turn = cosine.acos();
        let offsets = [turn, -turn].map(|bearing| (bearing - arc.begin).rem_euclid(TAU));
        cuts.extend(offsets.into_iter().filter(|offset| *offset < arc.width));
    }
    cuts.sort_by(f64::total_cmp);
    let longitude = |offset: f64| circle.point(arc.begin + offset).longitude().to_degrees();
    cuts.windows(2)
        .map(|piece| {
            let (from, to) = (longitude(piece[0]), longitude(piece[1]));
            let middle = longitude(f64::midpoint(piece[0], piece[1]));
            let eastward = (to - from).rem_euclid(360.0);
            let short = |degrees: f64| degrees.min(360.0 - degrees);
            let half_way = (middle - from).rem_euclid(360.0);
            if short(eastward) < NEARLY_NO_WAY && short(half_way) < NEARLY_NO_WAY {
                // Too short for its direction to be told from rounding.
                return if eastward < 180.0 {
                    (from, eastward)
                } else {
                    (to, 360.0 - eastward)
                };
            }
            // Between turns longitude only rises or only falls: the middle says which way round.
            if half_way <= eastward {
                (from, eastward)
            } else {
                (to, 360.0 - eastward)
            }
        })
        .collect()
}

/// The shortest interval of longitudes around spans of them.
fn around(mut spans: Vec<(f64, f64)>) -> (f64, f64) {
    for (begin, _) in &mut spans {
        *begin = begin.rem_euclid(360.0);
    }
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The widest gap stays outside; the first one lies behind what reaches around from the end.
    let around_from_end = spans.iter().map(|(begin, width)| begin + width - 360.0);
    let mut reached = around_from_end.fold(f64::MIN, f64::max);
    let mut widest = (0.0, -180.0, 180.0);
    for (begin, width) in spans {
        if begin - reached > widest.0 {
            widest = (begin - reached, begin, reached);
        }
        reached = reached.max(begin + width);
    }
    let (gap, west, east) = widest;
    let turn = |degrees: f64| (degrees + 180.0).rem_euclid(360.0) - 180.0;
    if gap == 0.0 {
        (-180.0, 180.0)
    } else {
        (turn(west), turn(east))
    }
}
