//! What the tables say, as facts.

use lynceus_model::time::Timestamp;

use super::container::Container;
use super::registry::registry;
use super::special::{Category, is_routable};
use super::tables::{Offline, Tables};
use crate::dossier::{Dossier, distance_km};
use crate::fact::{Fact, Field, Item, Matched, Reason, Source, Value};
use crate::offline::country::Code;
use crate::offline::place::LEAST_ERROR_KM;
use crate::offline::{notice, zones};

const NETWORK: Source = Source::new("network");
const ASN: Source = Source::new("asn");
const IPTOASN: Source = Source::new("iptoasn");
const DBIP: Source = Source::new("dbip");
const TIMEZONE: Source = Source::new("timezone");
const IANA: Source = Source::new("iana");
/// What follows from the merged facts.
const COMPUTED: Source = Source::new("computed");

/// Fields that a table of ours would answer.
const PLACED: [Field; 5] = [
    Field::Region,
    Field::City,
    Field::Latitude,
    Field::Longitude,
    Field::Timezone,
];

impl Tables {
    /// Adds everything that the tables say of the dossier's address.
    pub fn describe(&self, dossier: &mut Dossier) {
        let offline = self.find(dossier.ip);
        let category = offline
            .special
            .map_or(Category::Public, |special| special.category);
        let registries = day(notice::SPECIAL_USE);
        let network = offline.special.map(|special| Matched::from(special.network));
        let mut add = |field, value: Value| {
            dossier.add(
                Fact::new(field, value, NETWORK)
                    .as_of(registries)
                    .matched(network),
            );
        };
        add(Field::Category, category.name().into());
        add(Field::IsRoutable, is_routable(offline.ip).into());
        if let Some(special) = offline.special {
            add(Field::SpecialUse, special.name.into());
        }
        let unknown = if offline.special.is_some_and(|special| !special.global) {
            Reason::NotRoutable
        } else if offline.damaged {
            Reason::Failed("a table is damaged there".to_owned())
        } else {
            Reason::NoEntry
        };
        match registry(offline.ip).filter(|_| unknown != Reason::NotRoutable) {
            Some((name, block)) => {
                let fact = Fact::new(Field::Registry, name, IANA).matched(Some(block.into()));
                dossier.add(fact.as_of(day(notice::REGISTRIES)));
            }
            None => dossier.add(Fact::unknown(Field::Registry, unknown.clone(), IANA)),
        }
        self.system(&offline, &unknown, dossier);
        self.place(&offline, &unknown, dossier);
    }

    fn system(&self, offline: &Offline<'_>, unknown: &Reason, dossier: &mut Dossier) {
        let date = date_of(&self.systems.container);
        let Some(system) = offline.system else {
            for field in [Field::Asn, Field::AsName, Field::Network] {
                dossier.add(Fact::unknown(field, unknown.clone(), ASN));
            }
            return;
        };
        let mut add = |field, value: Value| {
            dossier.add(
                Fact::new(field, value, ASN)
                    .as_of(date)
                    .matched(Some(system.matched)),
            );
        };
        add(Field::Asn, system.number.into());
        add(Field::AsName, system.organization.to_owned().into());
        add(Field::Network, system.matched.to_string().into());
    }

    fn place(&self, offline: &Offline<'_>, unknown: &Reason, dossier: &mut Dossier) {
        let countries = [
            (IPTOASN, offline.iptoasn, &self.iptoasn.container),
            (DBIP, offline.dbip, &self.dbip.container),
        ];
        for (source, found, container) in countries {
            dossier.add(match found {
                Some((code, matched)) => Fact::new(Field::CountryCode, code.text().to_owned(), source)
                    .as_of(date_of(container))
                    .matched(Some(matched)),
                None => Fact::unknown(Field::CountryCode, unknown.clone(), source),
            });
        }
        let Some(place) = offline.place else {
            for field in PLACED {
                dossier.add(Fact::unknown(field, unknown.clone(), DBIP));
            }
            return;
        };
        let date = date_of(&self.places.container);
        let mut add = |field, value: Value| {
            dossier.add(
                Fact::new(field, value, DBIP)
                    .as_of(date)
                    .matched(Some(place.matched)),
            );
        };
        for (field, text) in [(Field::Region, place.region), (Field::City, place.city)] {
            if text.is_empty() {
                add(field, Value::Unknown(Reason::NoEntry));
            } else {
                add(field, text.to_owned().into());
            }
        }
        if let Some((latitude, longitude)) = place.position {
            add(Field::Latitude, latitude.into());
            add(Field::Longitude, longitude.into());
        }
    }

    /// Adds what follows from the facts that a dossier has: error radius, zones, local time at the dossier's moment.
    /// Comes last.
    pub fn conclude(&self, dossier: &mut Dossier) {
        let country = dossier.value(Field::CountryCode);
        let code = country.as_ref().and_then(Value::text).and_then(Code::parse);
        if let Some(name) = code.and_then(|code| code.name())
            && dossier.value(Field::CountryName).is_none()
        {
            dossier.add(Fact::new(Field::CountryName, name, IANA).as_of(day(notice::COUNTRIES)));
        }
        let Some(position) = dossier.position() else {
            return;
        };
        // What follows from the position is as old as it; local time is now.
        let placed = dossier
            .field(Field::Latitude)
            .and_then(|merged| merged.sources.first()?.as_of);
        let now = dossier.at;
        if dossier.value(Field::ErrorRadius).is_none() {
            let radius = self.error_radius(dossier, position);
            dossier.add(Fact::new(Field::ErrorRadius, radius, COMPUTED).as_of(placed));
        }
        dossier.add(Fact::new(Field::NominalZone, zones::nominal(position.1), COMPUTED).as_of(placed));
        let legal = zones::legal(position.0, position.1);
        if let Some(first) = legal.first() {
            dossier.add(Fact::new(Field::Timezone, *first, TIMEZONE));
            let all: Value = legal.iter().map(|name| Item::from(*name)).collect();
            dossier.add(Fact::new(Field::LegalZones, all, TIMEZONE));
        }
        let zone = dossier.value(Field::Timezone);
        let clock = zone
            .as_ref()
            .and_then(Value::text)
            .and_then(|zone| zones::clock(zone, dossier.at));
        if let Some(clock) = clock {
            dossier.add(Fact::new(Field::UtcOffset, i64::from(clock.offset), COMPUTED).as_of(now));
            dossier.add(Fact::new(Field::Dst, clock.dst, COMPUTED).as_of(now));
            dossier.add(Fact::new(Field::LocalTime, clock.local, COMPUTED).as_of(now));
        }
    }

    /// Kilometres. At least what the table's own names spread over, the distance to what other sources say, and to the
    /// countries that they say.
    fn error_radius(&self, dossier: &Dossier, position: (f64, f64)) -> f64 {
        let own = self.find(dossier.ip).place;
        let mut radius = own.map_or(LEAST_ERROR_KM, |place| place.spread_km.max(LEAST_ERROR_KM));
        if let Some(merged) = dossier.field(Field::Latitude) {
            for other in merged.sources.iter().chain(&merged.others) {
                let point = dossier.point(&other.source);
                radius = point.map_or(radius, |point| radius.max(distance_km(position, point)));
            }
        }
        let chosen = own.and_then(|place| place.country);
        let Some(countries) = dossier.field(Field::CountryCode) else {
            return radius.ceil();
        };
        for fact in countries.sources.iter().chain(&countries.others) {
            let code = fact.value.text().and_then(Code::parse);
            let extent = code
                .filter(|code| chosen != Some(*code))
                .and_then(|code| self.places.extent(code).ok().flatten());
            if let Some(extent) = extent {
                radius = radius.max(distance_km(position, extent.center));
            }
        }
        radius.ceil()
    }
}

/// Day of a table's data.
#[must_use]
pub fn date_of(container: &Container) -> Option<Timestamp> {
    day(&container.header.date)
}

/// Midnight of a day, as `2026-11-22`.
fn day(date: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_secs(midnight.timestamp().as_second()))
}
