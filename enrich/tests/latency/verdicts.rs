//! Claims that light forbids, several machines behind one address, and votes.

use lynceus_enrich::latency::{Bestline, Located, Observation, Settings, locate, possible, refute};
use proptest::prelude::*;

use crate::{SPHERE, at, cities, city, seen};

fn named(id: &str, rtt_ms: f64) -> Observation {
    let cities = cities();
    let city = cities.iter().find(|city| city.id == id).unwrap();
    Observation {
        landmark: id.to_owned(),
        place: city.place,
        error_km: city.error_km,
        rtt_ms,
        floor_ms: 0.0,
    }
}

#[test]
fn light_refutes_montreal() {
    let settings = Settings::default();
    let observations = [named("sofia", 3.1), named("london", 35.0)];
    let found = refute(&observations, city("montreal"), 50.0, &settings).unwrap();
    assert_eq!(found.landmark, "sofia");
    assert!((found.within_km - 309.8).abs() < 0.1, "{}", found.within_km);
    assert!(found.claimed_km > 7000.0);
    assert_eq!(refute(&observations, city("sofia"), 0.0, &settings), None);
    // The claim's own error counts for it.
    let skopje = at(41.998, 21.435);
    assert_eq!(refute(&observations, skopje, 0.0, &settings), None);
    let belgrade = city("belgrade");
    assert!(
        refute(&observations, belgrade, 0.0, &settings).is_some()
            == (belgrade.distance_km(city("sofia")) > 325.0)
    );
    assert_eq!(refute(&observations, city("montreal"), 8000.0, &settings), None);
}

#[test]
fn an_address_that_answers_nearby_everywhere_is_anycast() {
    let near = ["sofia", "tokyo", "newyork", "frankfurt"].map(|id| named(id, 4.0));
    let Located::NoPlace(why) = locate(&near, &[], &Settings::default()).unwrap() else {
        panic!("a place for four continents");
    };
    assert_eq!(why.conflicting_pairs, 6);
    assert_eq!(why.separate.len(), 4);
    // The pair that is most clearly impossible comes first.
    let first = &why.conflicts[0];
    assert!(first.landmarks.contains(&"tokyo".to_owned()) && first.landmarks.contains(&"newyork".to_owned()));
    assert!(first.apart_km > 10_000.0 && first.reach_km < 900.0);
}

#[test]
fn three_that_only_together_exclude_every_place() {
    // Pairwise the caps overlap; the middle belongs to none.
    let corners = [0.0, 120.0, 240.0].map(|bearing| city("prague").toward(bearing, 1000.0));
    let side = corners[0].distance_km(corners[1]);
    let observations = corners.map(|corner| Observation {
        rtt_ms: 2.0 * (side / 2.0 + 20.0) / SPHERE.speed_km_per_ms,
        ..seen(corner, corner, 1.0, 0.0)
    });
    let Located::NoPlace(why) = locate(&observations, &[], &SPHERE).unwrap() else {
        panic!("a place for all three");
    };
    assert_eq!((why.conflicting_pairs, why.separate.len()), (0, 1));
    assert!(matches!(
        locate(&observations[..2], &[], &SPHERE),
        Ok(Located::Within(_))
    ));
}

#[test]
fn the_earths_figure_accuses_nobody() {
    // Exactly at the limit on the sphere: on the ellipsoid the two may meet.
    let (one, other) = (at(0.0, 0.0), at(40.0, 0.0));
    let middle = at(20.05, 0.0);
    let observations = [seen(one, middle, 0.998, 0.0), seen(other, middle, 0.998, 0.0)];
    assert!(matches!(
        locate(&observations, &[], &SPHERE),
        Ok(Located::NoPlace(_))
    ));
    assert!(matches!(
        locate(&observations, &[], &Settings::default()),
        Ok(Located::Within(_))
    ));
}

#[test]
fn votes_rank_places_within_the_hard_region() {
    let truth = city("budapest");
    let landmarks = [
        "vienna", "prague", "belgrade", "warsaw", "sofia", "milan", "berlin",
    ];
    let cities = cities();
    let observations: Vec<_> = cities
        .iter()
        .filter(|city| landmarks.contains(&city.id.as_str()))
        .map(|city| seen(city.place, truth, 1.6, 1.0))
        .collect();
    let lines: Vec<_> = observations
        .iter()
        .map(|_| {
            Some(Bestline {
                slope: 1.5 * 2.0 / SPHERE.speed_km_per_ms,
                intercept: 0.5,
            })
        })
        .collect();
    let Located::Within(region) = locate(&observations, &lines, &SPHERE).unwrap() else {
        panic!()
    };
    let vote = region.vote.unwrap();
    assert_eq!((vote.agree, vote.of), (6, 6));
    assert!(possible(&observations, vote.place, &SPHERE));
    assert!(vote.place.distance_km(truth) < region.radius_max_km / 2.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Lines that promise far too little cannot move the vote out of the hard region, nor the region itself.
    #[test]
    fn no_line_moves_the_vote_out(
        truth in (-80.0f64..80.0, -180.0f64..180.0), slope in 0.0f64..4.0, intercept in 0.0f64..200.0,
        bearings in prop::collection::vec((0.0f64..360.0, 10.0f64..4000.0, 1.0f64..2.5), 1..9)
    ) {
        let truth = at(truth.0, truth.1);
        let observations: Vec<_> = bearings.iter().map(|(bearing, km, inflation)| seen(truth.toward(*bearing, *km), truth, *inflation, 0.0)).collect();
        let line = Bestline { slope: 2.0 / SPHERE.speed_km_per_ms * (1.0 + slope), intercept };
        let with = locate(&observations, &vec![Some(line); observations.len()], &SPHERE).unwrap();
        let without = locate(&observations, &[], &SPHERE).unwrap();
        if let (Located::Within(mut with), Located::Within(without)) = (with, without) {
            if let Some(vote) = with.vote.take() {
                prop_assert!(possible(&observations, vote.place, &SPHERE));
            }
            prop_assert_eq!(with, without);
        }
    }

    /// What light permits is never refuted: the truth, whatever the noise.
    #[test]
    fn the_truth_is_never_refuted(
        truth in (-90.0f64..90.0, -180.0f64..180.0),
        bearings in prop::collection::vec((0.0f64..360.0, 0.0f64..20_000.0, 1.0f64..3.0), 1..9)
    ) {
        let truth = at(truth.0, truth.1);
        let observations: Vec<_> = bearings.iter().map(|(bearing, km, inflation)| seen(truth.toward(*bearing, *km), truth, *inflation, 0.0)).collect();
        prop_assert_eq!(refute(&observations, truth, 0.001, &SPHERE), None);
        prop_assert_eq!(refute(&observations, truth, 0.0, &Settings::default()), None);
    }
}
