//! What round-trip times say of an address, as facts of its dossier; and the places that the dossier's sources claim.

use lynceus_model::time::Timestamp;

use super::{LatLon, Located, NoPlace, Observation, Refutation, Region, Settings, locate, refute};
use crate::dossier::Dossier;
use crate::fact::{Fact, Field, Item, Reason, Source, Value};

/// Handshakes that sensors of known places saw: no packet is sent.
pub const HANDSHAKES: Source = Source::new("handshakes");

/// How far an address may be from the place of a source that does not say, in km.
const USUAL_ERROR_KM: f64 = 50.0;
/// Landmarks that are named.
const NAMED: usize = 8;

/// A place that some source gives.
#[derive(Clone, Debug)]
pub struct Claim {
    pub source: String,
    pub place: LatLon,
    pub error_km: f64,
}

/// The place of each source that gives one, with its error radius.
#[must_use]
pub fn claims(dossier: &Dossier) -> Vec<Claim> {
    let number = |source: &Source, field: Field| {
        let of_it = |fact: &&Fact| fact.field == field && fact.source == *source;
        dossier.facts().iter().find(of_it)?.value.real()
    };
    let latitudes = dossier.facts().iter();
    latitudes
        .filter(|fact| fact.field == Field::Latitude)
        .filter_map(|fact| {
            let source = &fact.source;
            Some(Claim {
                source: source.title().to_owned(),
                place: LatLon::new(fact.value.real()?, number(source, Field::Longitude)?)?,
                error_km: number(source, Field::ErrorRadius)
                    .filter(|km| km.is_finite() && *km >= 0.0)
                    .unwrap_or(USUAL_ERROR_KM),
            })
        })
        .collect()
}

/// Adds the region that the smallest round-trip times permit, who measured, and which of the dossier's places are
/// impossible; unknown with the reason where nothing was measured. `last`: of when the latest measurement is.
pub fn describe(dossier: &mut Dossier, observations: &[Observation], last: Option<Timestamp>) {
    let settings = Settings::default();
    let unknown =
        |why: &'static str| Fact::unknown(Field::LightLatitude, Reason::NoData(why.into()), HANDSHAKES);
    if observations.is_empty() {
        dossier.add(unknown("handshake that a sensor with a position saw"));
        return;
    }
    let mut facts = match locate(observations, &[], &settings) {
        Ok(Located::Anywhere) => vec![unknown("round trip that is short enough to exclude a place")],
        Ok(Located::Within(region)) => of_region(&region),
        Ok(Located::NoPlace(why)) => of_no_place(&why),
        Err(error) => vec![Fact::unknown(
            Field::LightLatitude,
            Reason::Failed(error.to_string()),
            HANDSHAKES,
        )],
    };
    let mut nearest: Vec<&Observation> = observations.iter().collect();
    nearest.sort_by(|a, b| {
        a.rtt_ms
            .total_cmp(&b.rtt_ms)
            .then_with(|| a.landmark.cmp(&b.landmark))
    });
    let landmarks = nearest.into_iter().take(NAMED).map(|one| {
        let reach = one.radius_km(&settings);
        Item::Text(format!(
            "{} {:.1} ms ⇒ within {reach:.0} km",
            one.landmark, one.rtt_ms
        ))
    });
    facts.push(Fact::new(
        Field::LightLandmarks,
        landmarks.collect::<Value>(),
        HANDSHAKES,
    ));
    let claims = claims(dossier);
    if !claims.is_empty() {
        let refuted = claims.iter().filter_map(|claim| {
            let found = refute(observations, claim.place, claim.error_km, &settings)?;
            Some(Item::Text(format!(
                "{} ({})",
                refutation(&found, claim.place),
                claim.source
            )))
        });
        facts.push(Fact::new(
            Field::LightRefutes,
            refuted.collect::<Value>(),
            HANDSHAKES,
        ));
    }
    dossier.extend(facts.into_iter().map(|fact| fact.as_of(last)));
}

/// `51.51° N 0.11° W: sofia 3.1 ms ⇒ within 310 km, and that is at least 1942 km away`
fn refutation(found: &Refutation, place: LatLon) -> String {
    format!(
        "{place}: {} {:.1} ms ⇒ within {:.0} km, and that is at least {:.0} km away",
        found.landmark, found.rtt_ms, found.within_km, found.claimed_km
    )
}

fn of_region(region: &Region) -> Vec<Fact> {
    let bounds = &region.bounding_box;
    let numbers = [
        (Field::LightLatitude, region.centroid.lat()),
        (Field::LightLongitude, region.centroid.lon()),
        (Field::LightRadius50, region.radius_50_km),
        (Field::LightRadius90, region.radius_90_km),
        (Field::LightRadiusMax, region.radius_max_km),
    ];
    let mut facts: Vec<Fact> = numbers
        .into_iter()
        .map(|(field, value)| Fact::new(field, Value::Real(value), HANDSHAKES))
        .collect();
    let bounds = format!(
        "{:.2}..{:.2} N, {:.2}..{:.2} E",
        bounds.south, bounds.north, bounds.west, bounds.east
    );
    facts.push(Fact::new(Field::LightBox, bounds, HANDSHAKES));
    facts
}

/// Two reaches that do not meet are two machines, or a wrong clock or position; three that exclude each other only together
/// say less.
fn of_no_place(why: &NoPlace) -> Vec<Fact> {
    let nowhere = match why.conflicts.first() {
        Some(conflict) => {
            let [one, other] = &conflict.landmarks;
            format!(
                "no single place: {one} and {other} are {:.0} km apart and reach {:.0} km together",
                conflict.apart_km, conflict.reach_km
            )
        }
        None => "no single place fits all landmarks together".to_owned(),
    };
    let mut facts = vec![Fact::unknown(
        Field::LightLatitude,
        Reason::Failed(nowhere),
        HANDSHAKES,
    )];
    if why.separate.len() > 1 {
        facts.push(Fact::new(Field::IsAnycast, true, HANDSHAKES));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dossier() -> Dossier {
        let mut dossier = Dossier::new("94.31.29.154".parse().unwrap(), Timestamp(0));
        for (field, value) in [(Field::Latitude, 51.51), (Field::Longitude, -0.11)] {
            dossier.add(Fact::new(field, value, Source::new("dbip")));
        }
        dossier
    }

    fn seen(landmark: &str, lat: f64, lon: f64, rtt_ms: f64) -> Observation {
        Observation {
            landmark: landmark.to_owned(),
            place: LatLon::new(lat, lon).unwrap(),
            error_km: 0.0,
            rtt_ms,
            floor_ms: 0.0,
        }
    }

    fn told(observations: &[Observation]) -> Dossier {
        let mut dossier = dossier();
        describe(&mut dossier, observations, Some(Timestamp::from_secs(7)));
        dossier
    }

    #[test]
    fn nothing_measured_is_unknown_with_its_reason() {
        let dossier = told(&[]);
        let merged = dossier.field(Field::LightLatitude).unwrap();
        assert_eq!(merged.value, None);
        assert_eq!(
            merged.unknown[0].1.to_string(),
            "no handshake that a sensor with a position saw here"
        );
        assert_eq!(dossier.field(Field::LightRefutes), None, "nobody could refute");
    }

    #[test]
    fn a_near_sensor_refutes_a_distant_claim() {
        let dossier = told(&[
            seen("sofia", 42.70, 23.32, 3.1),
            seen("london", 51.51, -0.13, 40.0),
        ]);
        let number = |field| dossier.value(field).and_then(|value| value.real()).unwrap();
        assert!((number(Field::LightLatitude) - 42.7).abs() < 0.1);
        assert!((number(Field::LightLongitude) - 23.32).abs() < 0.1);
        assert!(number(Field::LightRadius50) < number(Field::LightRadius90));
        assert!(number(Field::LightRadius90) < number(Field::LightRadiusMax));
        assert!((310.0..330.0).contains(&number(Field::LightRadiusMax)));
        let refuted = dossier.value(Field::LightRefutes).unwrap().to_string();
        assert!(
            refuted.contains("sofia 3.1 ms ⇒ within 310 km") && refuted.ends_with("(DB-IP)"),
            "{refuted}"
        );
        assert_eq!(
            dossier.value(Field::IsAnycast),
            None,
            "one place is no proof of one machine"
        );
        let region = dossier.field(Field::LightLatitude).unwrap();
        assert_eq!(region.sources[0].as_of, Some(Timestamp::from_secs(7)));
    }

    #[test]
    fn a_possible_claim_is_none_refuted_not_unknown() {
        let dossier = told(&[seen("london", 51.51, -0.13, 3.0)]);
        let refuted = dossier.value(Field::LightRefutes).unwrap();
        assert_eq!(refuted, Value::Set(std::collections::BTreeSet::new()));
    }

    #[test]
    fn two_places_that_cannot_meet_are_anycast_and_no_region() {
        let dossier = told(&[
            seen("sofia", 42.70, 23.32, 1.0),
            seen("lima", -12.05, -77.04, 1.0),
        ]);
        assert_eq!(dossier.value(Field::IsAnycast), Some(Value::Flag(true)));
        assert_eq!(dossier.value(Field::LightLatitude), None);
        assert_eq!(dossier.value(Field::LightRadiusMax), None);
    }

    #[test]
    fn times_that_exclude_nothing_are_unknown() {
        let dossier = told(&[seen("sofia", 42.70, 23.32, 900.0)]);
        assert_eq!(dossier.value(Field::LightLatitude), None);
        assert_eq!(
            dossier.value(Field::LightLandmarks).unwrap().to_string(),
            "sofia 900.0 ms ⇒ within 89938 km"
        );
    }
}
