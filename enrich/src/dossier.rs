//! All facts about one address, merged field by field, with who agrees and who does not.

mod json;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_model::time::Timestamp;

use crate::fact::{Fact, Field, Matched, Reason, Shape, Source, Value};

pub use json::dossier_json;
pub use words::PARTS;

/// Facts of one dossier; a hostile provider cannot make it grow without bound. What finds no room is counted.
pub const MAX_FACTS: usize = 512;
/// Points of two sources that are nearer than this say the same place, kilometres.
pub const SAME_PLACE_KM: f64 = 50.0;

/// What is known about an address at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Dossier {
    pub ip: IpAddr,
    /// For when local time, age and history are meant.
    pub at: Timestamp,
    facts: Vec<Fact>,
    /// Facts beyond [`MAX_FACTS`].
    pub refused: u64,
}

/// One field of a dossier.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged<'a> {
    pub field: Field,
    /// The answer; `None`: unknown, and [`Self::unknown`] says why.
    pub value: Option<Value>,
    /// The facts of those who say so, the first of the tie order first. Of a set: of all that gave members.
    pub sources: Vec<&'a Fact>,
    /// Those who say something else.
    pub others: Vec<&'a Fact>,
    /// Those who cannot say.
    pub unknown: Vec<(&'a Source, &'a Reason)>,
}

impl Merged<'_> {
    /// Sources with an answer.
    #[must_use]
    pub const fn asked(&self) -> usize {
        self.sources.len() + self.others.len()
    }

    /// Whether all say the same; `None` with fewer than two.
    #[must_use]
    pub fn agree(&self) -> Option<bool> {
        (self.asked() > 1).then(|| match &self.value {
            Some(all @ Value::Set(_)) => self.sources.iter().all(|fact| fact.value == *all),
            _ => self.others.is_empty(),
        })
    }

    /// The range of the first source that has one.
    #[must_use]
    pub fn matched(&self) -> Option<Matched> {
        self.sources.iter().find_map(|fact| fact.matched)
    }

    /// `4 of 5 sources; DB-IP says CA`; `None` with fewer than two sources.
    #[must_use]
    pub fn agreement(&self) -> Option<String> {
        let agree = self.agree()?;
        let all = self.asked();
        if agree {
            return Some(format!("{all} of {all} sources"));
        }
        if matches!(self.value, Some(Value::Set(_))) {
            return Some(format!("union of {all} sources"));
        }
        let others: Vec<String> = self
            .others
            .iter()
            .map(|fact| format!("{} says {}", fact.source.title(), fact.value))
            .collect();
        Some(format!(
            "{} of {all} sources; {}",
            self.sources.len(),
            others.join(", ")
        ))
    }
}

impl Dossier {
    #[must_use]
    pub const fn new(ip: IpAddr, at: Timestamp) -> Self {
        Self {
            ip,
            at,
            facts: Vec::new(),
            refused: 0,
        }
    }

    pub fn add(&mut self, fact: Fact) {
        if self.facts.len() < MAX_FACTS {
            self.facts.push(fact);
        } else {
            self.refused += 1;
        }
    }

    pub fn extend(&mut self, facts: impl IntoIterator<Item = Fact>) {
        facts.into_iter().for_each(|fact| self.add(fact));
    }

    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Every field that some source spoke of, in the order of [`Field::ALL`].
    pub fn fields(&self) -> impl Iterator<Item = Merged<'_>> {
        Field::ALL.iter().filter_map(|field| self.field(*field))
    }

    /// One field; `None`: no source spoke of it.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<Merged<'_>> {
        let facts = self.of(field);
        if facts.is_empty() {
            return None;
        }
        let unknown = facts
            .iter()
            .filter_map(|fact| match &fact.value {
                Value::Unknown(reason) => Some((&fact.source, reason)),
                _ => None,
            })
            .collect();
        let known: Vec<&Fact> = facts.into_iter().filter(|fact| fact.value.is_known()).collect();
        let (value, sources, others) = match field.shape() {
            Shape::Vote => vote(known),
            Shape::Position => self.position_of(field, known),
            Shape::Set => union(known),
        };
        Some(Merged {
            field,
            value,
            sources,
            others,
            unknown,
        })
    }

    /// The answer alone; `None`: unknown.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<Value> {
        self.field(field)?.value
    }

    /// Latitude and longitude of one source, in degrees.
    #[must_use]
    pub fn position(&self) -> Option<(f64, f64)> {
        let latitude = self.of(Field::Latitude);
        latitude.iter().find_map(|fact| self.point(&fact.source))
    }

    /// Facts of a field in tie order, one of each source: a known one before an unknown one.
    fn of(&self, field: Field) -> Vec<&Fact> {
        let mut facts: Vec<&Fact> = self.facts.iter().filter(|fact| fact.field == field).collect();
        // Stable: of one source the first known one stays.
        facts.sort_by(|one, other| {
            (field.rank(one.source.name()), &one.source, !one.value.is_known()).cmp(&(
                field.rank(other.source.name()),
                &other.source,
                !other.value.is_known(),
            ))
        });
        facts.dedup_by(|later, earlier| later.source == earlier.source);
        facts
    }

    /// Latitude and longitude of one source; `None`: it does not give both.
    pub(crate) fn point(&self, source: &Source) -> Option<(f64, f64)> {
        let of = |field| {
            let mut facts = self.facts.iter();
            facts.find_map(|fact| {
                (fact.field == field && fact.source == *source)
                    .then(|| fact.value.real())
                    .flatten()
            })
        };
        Some((of(Field::Latitude)?, of(Field::Longitude)?))
    }

    fn position_of<'a>(
        &'a self,
        field: Field,
        known: Vec<&'a Fact>,
    ) -> (Option<Value>, Vec<&'a Fact>, Vec<&'a Fact>) {
        let Some(chosen) = self.position() else {
            return (None, Vec::new(), Vec::new());
        };
        let value = if field == Field::Latitude {
            chosen.0
        } else {
            chosen.1
        };
        let (sources, others) = known.into_iter().partition(|fact| {
            self.point(&fact.source)
                .is_some_and(|point| distance_km(point, chosen) <= SAME_PLACE_KM)
        });
        (Some(Value::Real(value)), sources, others)
    }
}

/// The modal value; of equally frequent ones that of the earliest source.
fn vote(known: Vec<&Fact>) -> (Option<Value>, Vec<&Fact>, Vec<&Fact>) {
    let votes = |value: &Value| known.iter().filter(|fact| fact.value.agrees(value)).count();
    let mut best: Option<(usize, &Value)> = None;
    for fact in &known {
        let votes = votes(&fact.value);
        if best.is_none_or(|(most, _)| votes > most) {
            best = Some((votes, &fact.value));
        }
    }
    let Some(value) = best.map(|(_, value)| value.clone()) else {
        return (None, Vec::new(), Vec::new());
    };
    let (sources, others) = known.into_iter().partition(|fact| fact.value.agrees(&value));
    (Some(value), sources, others)
}

/// All members of all sources.
fn union(known: Vec<&Fact>) -> (Option<Value>, Vec<&Fact>, Vec<&Fact>) {
    if known.is_empty() {
        return (None, Vec::new(), Vec::new());
    }
    let mut all = BTreeSet::new();
    for fact in &known {
        if let Value::Set(items) = &fact.value {
            all.extend(items.iter().cloned());
        }
    }
    (Some(Value::Set(all)), known, Vec::new())
}

/// Great-circle distance of two points in degrees, on a sphere of 6371.0088 km.
#[must_use]
pub fn distance_km(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (latitude, longitude) = (one.0.to_radians(), one.1.to_radians());
    let (to_latitude, to_longitude) = (other.0.to_radians(), other.1.to_radians());
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord =
        half(to_latitude - latitude) + latitude.cos() * to_latitude.cos() * half(to_longitude - longitude);
    2.0 * 6371.0088 * chord.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fact::Item;

    fn dossier(facts: Vec<Fact>) -> Dossier {
        let mut dossier = Dossier::new("192.0.2.1".parse().unwrap(), Timestamp(0));
        dossier.extend(facts);
        dossier
    }

    fn country(source: &'static str, code: &'static str) -> Fact {
        Fact::new(Field::CountryCode, code, Source::new(source))
    }

    #[test]
    fn most_sources_win_and_the_others_are_named() {
        let dossier = dossier(vec![
            country("rdap", "US"),
            country("dbip", "CA"),
            country("iptoasn", "us"),
            country("ipfire", "US"),
            country("censys", "US"),
            Fact::unknown(
                Field::CountryCode,
                Reason::NotAsked("needs a key".into()),
                Source::new("virustotal"),
            ),
        ]);
        let merged = dossier.field(Field::CountryCode).unwrap();
        assert_eq!(merged.value, Some(Value::from("us")));
        assert_eq!(merged.agree(), Some(false));
        assert_eq!(merged.agreement().unwrap(), "4 of 5 sources; DB-IP says CA");
        assert_eq!(merged.unknown.len(), 1);
    }

    #[test]
    fn ties_go_to_the_earlier_source_whatever_the_order_of_arrival() {
        for facts in [
            vec![country("rdap", "US"), country("dbip", "CA")],
            vec![country("dbip", "CA"), country("rdap", "US")],
        ] {
            assert_eq!(dossier(facts).value(Field::CountryCode), Some(Value::from("CA")));
        }
    }

    #[test]
    fn one_maker_has_one_vote() {
        let dossier = dossier(vec![
            country("dbip", "CA"),
            country("dbip", "CA"),
            country("iptoasn", "US"),
            country("ipfire", "US"),
        ]);
        assert_eq!(dossier.value(Field::CountryCode), Some(Value::from("US")));
        assert_eq!(dossier.field(Field::CountryCode).unwrap().asked(), 3);
    }

    #[test]
    fn unknown_is_not_no() {
        let no_list =
            |source| Fact::unknown(Field::IsTor, Reason::NoData("list".into()), Source::new(source));
        let dossier = dossier(vec![no_list("ranges")]);
        let merged = dossier.field(Field::IsTor).unwrap();
        assert_eq!(merged.value, None);
        assert_eq!(merged.agree(), None);
        assert_eq!(dossier.field(Field::IsCdn), None, "nobody spoke of it");
    }

    #[test]
    fn a_known_answer_of_a_source_wins_over_its_unknown_one() {
        let dossier = dossier(vec![
            Fact::unknown(Field::CountryCode, Reason::NoEntry, Source::new("dbip")),
            country("dbip", "CA"),
        ]);
        assert_eq!(dossier.value(Field::CountryCode), Some(Value::from("CA")));
    }

    #[test]
    fn a_position_is_of_one_source() {
        let at = |source, latitude: f64, longitude: f64| {
            [
                Fact::new(Field::Latitude, latitude, Source::new(source)),
                Fact::new(Field::Longitude, longitude, Source::new(source)),
            ]
        };
        let mut facts = vec![Fact::new(Field::Latitude, 10.0, Source::new("maxmind"))];
        facts.extend(at("dbip", 50.08, 14.42));
        facts.extend(at("ipinfo", 50.09, 14.43));
        facts.extend(at("censys", 40.0, -74.0));
        let dossier = dossier(facts);
        assert_eq!(
            dossier.position(),
            Some((50.09, 14.43)),
            "half a point of MaxMind is none"
        );
        let merged = dossier.field(Field::Longitude).unwrap();
        assert_eq!((merged.sources.len(), merged.others.len()), (2, 1));
    }

    #[test]
    fn sets_are_joined() {
        let ports = |source, ports: &[i64]| {
            Fact::new(
                Field::Ports,
                ports.iter().map(|port| Item::from(*port)).collect::<Value>(),
                Source::new(source),
            )
        };
        let both = dossier(vec![ports("shodan", &[443, 22]), ports("censys", &[443, 9000])]);
        let merged = both.field(Field::Ports).unwrap();
        assert_eq!(merged.value.as_ref().unwrap().to_string(), "22, 443, 9000");
        assert_eq!(merged.agree(), Some(false));
        let same = dossier(vec![ports("shodan", &[22]), ports("censys", &[22])]);
        assert_eq!(same.field(Field::Ports).unwrap().agree(), Some(true));
    }

    #[test]
    fn distances_on_the_earth() {
        let prague = (50.0875, 14.4213);
        assert!((distance_km(prague, (51.5074, -0.1278)) - 1034.0).abs() < 5.0);
        assert!((distance_km((0.0, 0.0), (0.0, 180.0)) - 20_015.1).abs() < 1.0);
        assert!(distance_km((0.0, 179.9), (0.0, -179.9)) < 25.0);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Unknown(Reason::NoEntry)),
            prop::sample::select(vec!["US", "CA", "us", "DE"]).prop_map(Value::from),
            any::<bool>().prop_map(Value::Flag),
            (-90.0..90.0).prop_map(Value::Real),
            prop::collection::btree_set(0_i64..5, 0..3)
                .prop_map(|set| set.into_iter().map(Item::from).collect()),
        ]
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_the_order_of_sources(
            values in prop::collection::vec(any_value(), 0..6),
            field in prop::sample::select(Field::ALL.to_vec()),
            turn in 0_usize..6,
        ) {
            let names = ["maxmind", "dbip", "iptoasn", "rdap", "censys", "shodan"];
            let facts: Vec<Fact> = values
                .into_iter()
                .zip(names)
                .map(|(value, name)| Fact::new(field, value, Source::new(name)))
                .collect();
            let mut turned = facts.clone();
            turned.rotate_left(turn % facts.len().max(1));
            let (one, other) = (dossier(facts), dossier(turned));
            prop_assert_eq!(one.field(field), other.field(field));
            if let Some(merged) = one.field(field) {
                prop_assert!(merged.value.is_none() || !merged.sources.is_empty());
                prop_assert!(merged.sources.iter().chain(&merged.others).all(|fact| fact.value.is_known()));
            }
        }
    }
}
