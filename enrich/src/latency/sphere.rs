//! Points on the sphere: degrees for people, unit vectors for everything else (no pole or antimeridian is special).

/// Mean radius of the Earth in km (IUGG `R1`).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Latitude and longitude in degrees; longitude in [-180, 180).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatLon {
    lat: f64,
    lon: f64,
}

impl LatLon {
    /// `None` unless the latitude is within ±90 and the longitude within ±180 degrees.
    #[must_use]
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        let good = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        good.then(|| Self {
            lat,
            lon: if lon == 180.0 { -180.0 } else { lon },
        })
    }

    #[must_use]
    pub const fn lat(self) -> f64 {
        self.lat
    }

    #[must_use]
    pub const fn lon(self) -> f64 {
        self.lon
    }

    /// Great-circle distance in km. The Earth is no sphere: this is up to 0.56 % more, or 0.45 % less, than the
    /// geodesic on the WGS 84 ellipsoid.
    #[must_use]
    pub fn distance_km(self, other: Self) -> f64 {
        Unit::from(self).angle(Unit::from(other)) * EARTH_RADIUS_KM
    }

    /// The point so far away in a direction (degrees clockwise from north).
    #[must_use]
    pub fn toward(self, bearing: f64, km: f64) -> Self {
        let here = Unit::from(self);
        let (north, east) = here.compass();
        let bearing = bearing.to_radians();
        here.on_circle(km / EARTH_RADIUS_KM, bearing, north, east).into()
    }
}

impl std::fmt::Display for LatLon {
    /// As `42.70° N 23.32° E`: two digits are about a kilometer, which no round-trip time exceeds in exactness.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (north, east) = (self.lat >= 0.0, self.lon >= 0.0);
        write!(
            f,
            "{:.2}° {} {:.2}° {}",
            self.lat.abs(),
            if north { "N" } else { "S" },
            self.lon.abs(),
            if east { "E" } else { "W" }
        )
    }
}

/// A unit vector from the center of the Earth: x to 0° N 0° E, y to 0° N 90° E, z to the north pole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit(pub(super) [f64; 3]);

impl Unit {
    pub(super) const NORTH: Self = Self([0.0, 0.0, 1.0]);
    pub(super) const SOUTH: Self = Self([0.0, 0.0, -1.0]);

    pub(super) fn dot(self, other: Self) -> f64 {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        a * x + b * y + c * z
    }

    fn cross(self, other: Self) -> [f64; 3] {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        [b * z - c * y, c * x - a * z, a * y - b * x]
    }

    /// Angle between two directions in radians, exact near 0 and π too, where the arc cosine is not.
    pub(super) fn angle(self, other: Self) -> f64 {
        length(self.cross(other)).atan2(self.dot(other))
    }

    pub(super) fn opposite(self) -> Self {
        Self(self.0.map(|part| -part))
    }

    /// The direction of any vector but the null vector.
    pub(super) fn of(vector: [f64; 3]) -> Option<Self> {
        let length = length(vector);
        (length > 1e-12).then(|| Self(vector.map(|part| part / length)))
    }

    /// North and east in the plane that touches the sphere here. At a pole east is where the meridian 90° E goes.
    pub(super) fn compass(self) -> (Self, Self) {
        let [x, y, z] = self.0;
        let flat = x.hypot(y);
        let (cos, sin) = if flat > 1e-12 {
            (x / flat, y / flat)
        } else {
            (1.0, 0.0)
        };
        (Self([-z * cos, -z * sin, flat]), Self([-sin, cos, 0.0]))
    }

    /// A point of the circle around this one, by its bearing in radians; `north` and `east` from [`Self::compass`].
    pub(super) fn on_circle(self, radius: f64, bearing: f64, north: Self, east: Self) -> Self {
        let (sin_r, cos_r) = radius.sin_cos();
        let (sin_b, cos_b) = bearing.sin_cos();
        let part =
            |at: usize| cos_r.mul_add(self.0[at], sin_r * cos_b.mul_add(north.0[at], sin_b * east.0[at]));
        Self([part(0), part(1), part(2)])
    }

    pub(super) fn longitude(self) -> f64 {
        self.0[1].atan2(self.0[0])
    }

    pub(super) fn latitude(self) -> f64 {
        self.0[2].atan2(self.0[0].hypot(self.0[1]))
    }
}

fn length([x, y, z]: [f64; 3]) -> f64 {
    x.hypot(y).hypot(z)
}

impl From<LatLon> for Unit {
    fn from(place: LatLon) -> Self {
        let (sin_lat, cos_lat) = place.lat.to_radians().sin_cos();
        let (sin_lon, cos_lon) = place.lon.to_radians().sin_cos();
        Self([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
    }
}

impl From<Unit> for LatLon {
    fn from(unit: Unit) -> Self {
        let lon = unit.longitude().to_degrees();
        Self {
            lat: unit.latitude().to_degrees(),
            lon: if lon >= 180.0 { -180.0 } else { lon },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(lat: f64, lon: f64) -> LatLon {
        LatLon::new(lat, lon).unwrap()
    }

    #[test]
    fn distances_that_are_known() {
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_KM;
        assert!((at(0.0, 0.0).distance_km(at(0.0, 90.0)) - quarter).abs() < 1e-9);
        assert!((at(90.0, 12.0).distance_km(at(-90.0, 99.0)) - 2.0 * quarter).abs() < 1e-6);
        assert!((at(0.0, 179.5).distance_km(at(0.0, -179.5)) - quarter / 90.0).abs() < 1e-9);
        // Paris to New York, known as about 5,837 km on the sphere.
        let km = at(48.8566, 2.3522).distance_km(at(40.7128, -74.0060));
        assert!((km - 5837.0).abs() < 2.0, "{km}");
    }

    #[test]
    fn what_is_no_place() {
        for (lat, lon) in [(90.1, 0.0), (0.0, 180.5), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(LatLon::new(lat, lon).is_none(), "{lat} {lon}");
        }
        assert_eq!(at(0.0, 180.0), at(0.0, -180.0));
    }

    proptest! {
        #[test]
        fn there_and_back(lat in -90.0f64..=90.0, lon in -180.0f64..180.0, bearing in 0.0f64..360.0, km in 0.0f64..20_000.0) {
            let here = at(lat, lon);
            prop_assert!((here.distance_km(Unit::from(here).into())) < 1e-6);
            prop_assert!((here.distance_km(here.toward(bearing, km)) - km).abs() < 1e-5);
        }
    }
}
