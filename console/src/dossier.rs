//! A dossier as text for terminal and screen: a value a line, with who says so, of when, and who does not.

mod said;

use lynceus_enrich::dossier::{Dossier, Merged, PARTS};
use lynceus_enrich::fact::{Fact, Field, Group, Value};
use lynceus_model::time::Timestamp;

use crate::human::{self, Clock};
use crate::table::{Align, Cell, Table};
use crate::text::{Line, Tone};

/// Longest value that is printed.
const MAX_VALUE: usize = 120;

/// Fields that stand in a line of their own only if somebody knows them: most addresses have none.
const ONLY_KNOWN: &[Field] = &[
    Field::SpecialUse,
    Field::PostalCode,
    Field::RegisteredCountryCode,
    Field::AsCountryCode,
    Field::WhoisCountryCode,
    Field::HostingProvider,
    Field::BotName,
    Field::IsProxy,
    Field::IsVpn,
    Field::LightBox,
    Field::LightLandmarks,
    Field::LightRefutes,
    Field::IsAnycast,
    Field::PortsSilent,
];

/// Fields that stand in the line of another one.
const TOLD_ELSEWHERE: &[Field] = &[
    Field::CountryName,
    Field::Region,
    Field::Longitude,
    Field::ErrorRadius,
    Field::LightLongitude,
    Field::LightRadius50,
    Field::LightRadius90,
    Field::LightRadiusMax,
    Field::LegalZones,
    Field::UtcOffset,
    Field::Dst,
    Field::AsName,
    Field::IsRoutable,
];

/// Everything that is known, and what is not with its reason.
#[must_use]
pub fn lines(dossier: &Dossier, width: Option<usize>) -> Vec<Line> {
    let mut lines = vec![Line::toned(Tone::Heading, dossier.ip.to_string())];
    // The headings of the first two columns are empty: the table speaks for itself.
    lines.extend(table(dossier).lines_within(2, width));
    lines
}

/// A row for each value.
#[must_use]
pub fn table(dossier: &Dossier) -> Table {
    let mut table = Table::new(vec![
        ("", Align::Left),
        ("", Align::Left),
        ("source", Align::Left),
        ("of", Align::Left),
        ("agreement", Align::Left),
    ]);
    let of_address = dossier
        .fields()
        .filter(|merged| merged.field.group() == Group::Address);
    for merged in of_address {
        let hidden = match &merged.value {
            None => ONLY_KNOWN.contains(&merged.field),
            Some(Value::Set(items)) => merged.field == Field::PortsSilent && items.is_empty(),
            Some(_) => false,
        };
        if hidden || TOLD_ELSEWHERE.contains(&merged.field) || PARTS.contains(&merged.field) {
            continue;
        }
        table.row(row(dossier, &merged));
    }
    said::rows(dossier, &mut table);
    table
}

fn row(dossier: &Dossier, merged: &Merged<'_>) -> Vec<Cell> {
    let title = match merged.field {
        Field::Latitude => "position",
        field => field.title(),
    };
    let title = Cell::toned(Tone::Quiet, title);
    let Some(value) = &merged.value else {
        let reasons: Vec<String> = merged
            .unknown
            .iter()
            .map(|(_, reason)| reason.to_string())
            .collect();
        let source = merged
            .unknown
            .first()
            .map(|(source, _)| source.title().to_owned());
        let mut reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        reasons.dedup();
        return vec![
            title,
            Cell::toned(Tone::Warning, "unknown"),
            source.unwrap_or_default().into(),
            "".into(),
            Cell::toned(Tone::Quiet, human::printable(&reasons.join("; "), MAX_VALUE)),
        ];
    };
    let tone = tone(merged.field, value);
    let first = merged.sources.first();
    let agreement = merged.agreement().unwrap_or_default();
    let doubt = if merged.agree() == Some(false) && !matches!(value, Value::Set(_)) {
        Tone::Warning
    } else {
        Tone::Quiet
    };
    vec![
        title,
        Cell::toned(tone, human::printable(&told(dossier, merged, value), MAX_VALUE)),
        Cell::from(
            first
                .map(|fact| fact.source.title().to_owned())
                .unwrap_or_default(),
        ),
        Cell::from(first.and_then(|fact| date(fact)).unwrap_or_default()),
        Cell::toned(doubt, human::printable(&agreement, MAX_VALUE)),
    ]
}

fn tone(field: Field, value: &Value) -> Tone {
    match (field, value) {
        (Field::IsTor | Field::IsProxy, Value::Flag(true)) => Tone::Bad,
        (Field::Feeds | Field::LightRefutes, Value::Set(items)) if !items.is_empty() => Tone::Bad,
        (Field::DnsblListed | Field::BlacklistedBy, Value::Set(items)) if !items.is_empty() => Tone::Bad,
        (Field::MaliciousCount | Field::BlacklistDetections, Value::Integer(1..)) => Tone::Bad,
        (Field::Reputation, Value::Text(word)) if word == "malicious" => Tone::Bad,
        (Field::Reputation, Value::Text(word)) if word == "suspicious" => Tone::Warning,
        (Field::IsAnycast, Value::Flag(true)) => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// The value with what belongs to it.
fn told(dossier: &Dossier, merged: &Merged<'_>, value: &Value) -> String {
    let text = |field| dossier.value(field).map(|value| value.to_string());
    match merged.field {
        Field::CountryCode => match text(Field::CountryName) {
            Some(name) => format!("{value} {name}"),
            None => value.to_string(),
        },
        Field::City => match text(Field::Region) {
            Some(region) => format!("{value}, {region}"),
            None => value.to_string(),
        },
        Field::Latitude => {
            let Some((latitude, longitude)) = dossier.position() else {
                return value.to_string();
            };
            let radius = dossier.value(Field::ErrorRadius).and_then(|value| value.real());
            let radius = radius.map_or_else(String::new, |radius| {
                format!(" ± {} km", human::count(radius.max(0.0) as u64))
            });
            format!("{}{radius}", position(latitude, longitude))
        }
        Field::LightLatitude => by_light(dossier).unwrap_or_else(|| value.to_string()),
        Field::Timezone => match dossier.value(Field::LegalZones) {
            Some(Value::Set(zones)) if zones.len() > 1 => {
                let others: Vec<String> = zones
                    .iter()
                    .map(ToString::to_string)
                    .filter(|zone| *zone != value.to_string())
                    .collect();
                format!("{value}, also {}", others.join(", "))
            }
            _ => value.to_string(),
        },
        Field::LocalTime => {
            let dst = match dossier.value(Field::Dst).and_then(|value| value.flag()) {
                Some(true) => ", DST",
                Some(false) => ", no DST",
                None => "",
            };
            format!("{}{dst}", value.to_string().replace('T', " "))
        }
        Field::Asn => match text(Field::AsName) {
            Some(name) => format!("AS{value} {name}"),
            None => format!("AS{value}"),
        },
        _ => dossier.words(merged).unwrap_or_default(),
    }
}

/// The region that light permits: its middle and how far it reaches.
fn by_light(dossier: &Dossier) -> Option<String> {
    let number = |field| dossier.value(field)?.real();
    let km = |field| Some(human::count(number(field)?.max(0.0).ceil() as u64));
    Some(format!(
        "{}, all within {} km (nine tenths {}, half {})",
        position(number(Field::LightLatitude)?, number(Field::LightLongitude)?),
        km(Field::LightRadiusMax)?,
        km(Field::LightRadius90)?,
        km(Field::LightRadius50)?
    ))
}

/// `51.51° N, 0.13° W`
#[must_use]
pub fn position(latitude: f64, longitude: f64) -> String {
    let side = |value: f64, plus, minus| {
        let name = if value < 0.0 { minus } else { plus };
        format!("{:.2}° {name}", value.abs())
    };
    format!("{}, {}", side(latitude, "N", "S"), side(longitude, "E", "W"))
}

fn date(fact: &Fact) -> Option<String> {
    fact.as_of
        .map(|time: Timestamp| Clock::utc().date_time(time)[..10].to_owned())
}
