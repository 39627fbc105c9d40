//! Where the region is, how large, and that it keeps what it promises.

use std::f64::consts::{PI, TAU};

use lynceus_enrich::latency::{
    EARTH_RADIUS_KM, LatLon, Located, Observation, Region, Settings, locate, possible,
};
use proptest::prelude::*;

use crate::{SPHERE, at, cities, city, seen};

fn region(observations: &[Observation], settings: &Settings) -> Region {
    match locate(observations, &[], settings).unwrap() {
        Located::Within(region) => *region,
        other => panic!("no region but {other:?}"),
    }
}

fn cap(place: LatLon, km: f64) -> Observation {
    Observation {
        landmark: "cap".to_owned(),
        place,
        error_km: km,
        rtt_ms: 0.0,
        floor_ms: 0.0,
    }
}

#[test]
fn distances_between_cities_are_the_known_ones() {
    assert_eq!(cities().len(), 60);
    // Great-circle distances as handbooks print them, within the errors of the centers.
    for (one, other, km) in [
        ("london", "newyork", 5570.0),
        ("paris", "tokyo", 9712.0),
        ("sydney", "auckland", 2156.0),
        ("frankfurt", "singapore", 10_260.0),
        ("losangeles", "honolulu", 4113.0),
        ("buenosaires", "sydney", 11_800.0),
    ] {
        let found = city(one).distance_km(city(other));
        assert!((found - km).abs() < 30.0, "{one}–{other}: {found}");
    }
}

#[test]
fn a_single_cap_is_a_disk() {
    let sofia = city("sofia");
    let found = region(&[cap(sofia, 310.0)], &SPHERE);
    let angle: f64 = 310.0 / EARTH_RADIUS_KM;
    let area = TAU * EARTH_RADIUS_KM * EARTH_RADIUS_KM * (1.0 - angle.cos());
    assert!(
        (found.area_km2 / area - 1.0).abs() < 0.01,
        "{} {area}",
        found.area_km2
    );
    assert!(found.centroid.distance_km(sofia) < 1.0);
    assert!(
        (found.radius_max_km - 310.0).abs() < 1.5,
        "{}",
        found.radius_max_km
    );
    // Half of a disk's area lies within 1/√2 of its radius, nine tenths within √0.9.
    assert!((found.radius_50_km / 310.0 - 0.5f64.sqrt()).abs() < 0.01);
    assert!((found.radius_90_km / 310.0 - 0.9f64.sqrt()).abs() < 0.01);
    let degrees = angle.to_degrees();
    let (lat, lon) = (sofia.lat().to_radians(), sofia.lon());
    assert!((found.bounding_box.north - sofia.lat() - degrees).abs() < 1e-4);
    assert!((found.bounding_box.south - sofia.lat() + degrees).abs() < 1e-4);
    // The meridian that touches a circle: sin(Δλ) = sin(r) / cos(φ).
    let half = (angle.sin() / lat.cos()).asin().to_degrees();
    assert!((found.bounding_box.east - lon - half).abs() < 1e-4);
    assert!((found.bounding_box.west - lon + half).abs() < 1e-4);
}

#[test]
fn a_lens_has_its_exact_corners() {
    // Two caps of 1,000 km whose centers on the equator are 1,600 km apart.
    let apart: f64 = 1600.0 / EARTH_RADIUS_KM;
    let found = region(
        &[
            cap(at(0.0, 0.0), 1000.0),
            cap(at(0.0, apart.to_degrees()), 1000.0),
        ],
        &SPHERE,
    );
    // Right-angled triangle: cos(r) = cos(half distance) · cos(latitude of the corner).
    let corner = ((1000.0f64 / EARTH_RADIUS_KM).cos() / (apart / 2.0).cos()).acos();
    assert!((found.bounding_box.north - corner.to_degrees()).abs() < 1e-3);
    assert!((found.bounding_box.south + corner.to_degrees()).abs() < 1e-3);
    let width = 400.0 / EARTH_RADIUS_KM;
    assert!((found.bounding_box.width() - width.to_degrees()).abs() < 1e-3);
    assert!(found.centroid.distance_km(at(0.0, apart.to_degrees() / 2.0)) < 2.0);
    assert!((found.radius_max_km - corner * EARTH_RADIUS_KM).abs() < 3.0);
    assert_eq!(found.constraints, 2);
}

#[test]
fn exact_times_from_all_around_leave_only_the_target() {
    let truth = city("sofia");
    for error_km in [0.0, 5.0] {
        let observations: Vec<_> = (0..12)
            .map(|at| truth.toward(f64::from(at) * 30.0, 400.0 + 90.0 * f64::from(at)))
            .map(|landmark| Observation {
                error_km,
                ..seen(landmark, truth, 1.0, 0.0)
            })
            .collect();
        let found = region(&observations, &SPHERE);
        assert!(found.centroid.distance_km(truth) < 0.1 + error_km, "{found:?}");
        assert!(found.box_center.distance_km(truth) < 0.1 + error_km, "{found:?}");
        assert!(found.radius_max_km < 0.1 + 3.0 * error_km, "{found:?}");
        assert!(possible(&observations, truth, &SPHERE));
    }
}

#[test]
fn two_exact_landmarks_touch_in_one_point() {
    // On the great circle between them, the caps only touch.
    let (one, other) = (city("london"), city("sydney"));
    let truth = one.toward(57.0, 9000.0);
    let behind = one.toward(57.0, 14_000.0);
    let found = region(
        &[seen(one, truth, 1.0, 0.0), seen(behind, truth, 1.0, 0.0)],
        &SPHERE,
    );
    assert!(found.bounding_box.contains(truth));
    assert!(found.centroid.distance_km(truth) < 5.0, "{found:?}");
    assert!(other.distance_km(truth) > 1.0);
}

#[test]
fn a_region_around_the_pole_has_all_longitudes() {
    for (lat, pole) in [(85.0, 90.0), (-85.0, -90.0)] {
        let found = region(&[cap(at(lat, 40.0), 1000.0)], &SPHERE);
        assert!((found.bounding_box.width() - 360.0).abs() < 1e-9);
        assert!(found.bounding_box.contains(at(pole, 0.0)));
        assert!(found.bounding_box.contains(at(lat, -140.0)));
        assert!(found.centroid.distance_km(at(lat, 40.0)) < 2.0);
        let far = lat.signum() * (lat.abs() - (1000.0 / EARTH_RADIUS_KM).to_degrees());
        let edge = if lat > 0.0 {
            found.bounding_box.south
        } else {
            found.bounding_box.north
        };
        assert!((edge - far).abs() < 1e-4);
    }
}

#[test]
fn a_region_beside_the_pole_has_not() {
    let found = region(&[cap(at(85.0, 40.0), 500.0)], &SPHERE);
    assert!(found.bounding_box.width() < 180.0);
    assert!(found.bounding_box.north < 90.0);
}

#[test]
fn a_region_across_the_antimeridian_is_narrow() {
    let auckland = city("auckland");
    let found = region(&[cap(at(auckland.lat(), 179.5), 300.0)], &SPHERE);
    let bounds = found.bounding_box;
    assert!(bounds.west > 170.0 && bounds.east < -170.0, "{bounds:?}");
    assert!(bounds.width() < 10.0);
    assert!(bounds.contains(at(auckland.lat(), -179.0)) && !bounds.contains(at(auckland.lat(), 0.0)));
    assert!((found.box_center.lon() - 179.5).abs() < 1e-6);
    assert!(found.centroid.distance_km(at(auckland.lat(), 179.5)) < 2.0);
}

#[test]
fn beyond_half_the_circumference_nothing_is_known() {
    let slow = Observation {
        rtt_ms: 200.6,
        ..seen(city("tokyo"), city("tokyo"), 1.0, 0.0)
    };
    assert_eq!(locate(&[slow], &[], &SPHERE), Ok(Located::Anywhere));
    assert_eq!(locate(&[], &[], &SPHERE), Ok(Located::Anywhere));
}

#[test]
fn all_but_a_small_cap_is_a_region() {
    // More than a hemisphere: everything but 500 km around the opposite point.
    let km = PI * EARTH_RADIUS_KM - 500.0;
    let found = region(&[cap(at(10.0, 20.0), km)], &SPHERE);
    let sphere = 4.0 * PI * EARTH_RADIUS_KM * EARTH_RADIUS_KM;
    assert!(found.area_km2 > 0.98 * sphere && found.area_km2 <= 1.02 * sphere);
    assert!((found.bounding_box.width() - 360.0).abs() < 1e-9);
    // The middle of nearly everything is hardly a direction: the grid may miss it by some hundred kilometers.
    assert!(
        (km - 1.0..km + 300.0).contains(&found.radius_max_km),
        "{}",
        found.radius_max_km
    );
}

fn place() -> impl Strategy<Value = LatLon> {
    // Evenly over the sphere, and often where coordinates are special.
    let even = (-1.0f64..=1.0, -180.0f64..180.0).prop_map(|(z, lon)| at(z.asin().to_degrees(), lon));
    let special = prop::sample::select(vec![
        at(90.0, 0.0),
        at(-90.0, 0.0),
        at(0.0, 180.0),
        at(0.0, 0.0),
        at(60.0, -179.999),
        at(-60.0, 179.999),
        at(89.99, 90.0),
    ]);
    prop_oneof![4 => even, 1 => special]
}

fn way() -> impl Strategy<Value = (LatLon, f64, f64)> {
    let inflation = prop_oneof![Just(1.0), 1.0f64..1.05, 1.0f64..4.0];
    let extra = prop_oneof![Just(0.0), 0.0f64..1.0, 0.0f64..80.0];
    (place(), inflation, extra)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the routes and queues: what is told contains the truth.
    #[test]
    fn the_truth_is_always_inside(truth in place(), ways in prop::collection::vec(way(), 1..20)) {
        for settings in [SPHERE, Settings::default()] {
            let observations: Vec<_> = ways.iter().map(|(from, inflation, extra)| seen(*from, truth, *inflation, *extra)).collect();
            prop_assert!(possible(&observations, truth, &settings));
            match locate(&observations, &[], &settings).unwrap() {
                Located::Anywhere => {}
                Located::NoPlace(why) => prop_assert!(false, "no place: {why:?}"),
                Located::Within(region) => {
                    let bounds = region.bounding_box;
                    // At a pole every longitude is the same place.
                    prop_assert!(bounds.contains(truth) || truth.lat().abs() > 89.999, "{truth} outside {bounds:?}");
                    prop_assert!(region.centroid.distance_km(truth) <= region.radius_max_km + 1e-3);
                    prop_assert!(region.radius_50_km <= region.radius_90_km);
                    prop_assert!(region.radius_90_km <= region.radius_max_km + 1e-3);
                }
            }
        }
    }

    /// A further landmark never adds a place, and never widens the box.
    #[test]
    fn a_landmark_never_grows_the_region(
        truth in place(), ways in prop::collection::vec(way(), 1..12), further in way(), probes in prop::collection::vec(place(), 40)
    ) {
        let mut observations: Vec<_> = ways.iter().map(|(from, inflation, extra)| seen(*from, truth, *inflation, *extra)).collect();
        let before = locate(&observations, &[], &SPHERE).unwrap();
        let possible_before: Vec<bool> = probes.iter().map(|probe| possible(&observations, *probe, &SPHERE)).collect();
        let (from, inflation, extra) = further;
        observations.push(seen(from, truth, inflation, extra));
        for (probe, before) in probes.iter().zip(possible_before) {
            prop_assert!(before || !possible(&observations, *probe, &SPHERE));
        }
        if let (Located::Within(before), Located::Within(after)) = (before, locate(&observations, &[], &SPHERE).unwrap()) {
            prop_assert!(after.bounding_box.north <= before.bounding_box.north + 1e-9);
            prop_assert!(after.bounding_box.south >= before.bounding_box.south - 1e-9);
            prop_assert!(after.bounding_box.width() <= before.bounding_box.width() + 1e-6, "{before:?} {after:?}");
            prop_assert!(after.area_km2 <= before.area_km2 * 1.05 + 10.0, "{} {}", before.area_km2, after.area_km2);
        }
    }

    /// The exact boundary and plain membership agree: no probe that all caps hold lies outside of what is told.
    #[test]
    fn every_possible_place_is_within_box_and_radius(
        caps in prop::collection::vec((place(), 50.0f64..19_000.0), 1..8), probes in prop::collection::vec(place(), 60)
    ) {
        let observations: Vec<_> = caps.iter().map(|(place, km)| cap(*place, *km)).collect();
        let found = locate(&observations, &[], &SPHERE).unwrap();
        for probe in probes.into_iter().chain(caps.iter().map(|(place, _)| *place)) {
            if !possible(&observations, probe, &SPHERE) {
                continue;
            }
            match &found {
                Located::Anywhere => {}
                Located::NoPlace(why) => prop_assert!(false, "{probe} is possible: {why:?}"),
                Located::Within(region) => {
                    prop_assert!(region.bounding_box.contains(probe) || probe.lat().abs() == 90.0, "{probe} {region:?}");
                    prop_assert!(region.centroid.distance_km(probe) <= region.radius_max_km + 1e-3);
                }
            }
        }
    }

    /// No number makes it panic.
    #[test]
    fn wild_numbers_are_refused_or_located(
        places in prop::collection::vec((place(), any::<f64>(), any::<f64>(), any::<f64>()), 0..6)
    ) {
        let observations: Vec<_> = places.iter().map(|(place, rtt_ms, floor_ms, error_km)| Observation {
            landmark: "x".to_owned(), place: *place, error_km: *error_km, rtt_ms: *rtt_ms, floor_ms: *floor_ms,
        }).collect();
        let good = |value: f64| value.is_finite() && value >= 0.0;
        let all = observations.iter().all(|one| good(one.rtt_ms) && good(one.floor_ms) && good(one.error_km));
        prop_assert_eq!(locate(&observations, &[], &SPHERE).is_ok(), all);
    }
}
