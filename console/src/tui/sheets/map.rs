//! Countries of the destinations, for the list beside the map.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::{Facts, count};
use crate::human;
use crate::peers;
use crate::tui::filter::Subject;
use crate::tui::sheet::{Cell, Column, Row, Sheet, Target, Value};
use crate::view::WindowDetail;

#[derive(Default)]
struct Country {
    ips: HashSet<IpAddr>,
    flows: u64,
    bytes: u64,
    cities: BTreeMap<String, u64>,
}

/// A row for each country; addresses whose country is not known, and those that have none, stand under their kind.
pub(in crate::tui) fn countries(detail: &WindowDetail, facts: Facts<'_>) -> Sheet {
    let mut countries: BTreeMap<String, Country> = BTreeMap::new();
    let destinations = &detail.tables.destination_ips;
    for row in destinations
        .established
        .iter()
        .chain(&destinations.not_established)
    {
        let Some(ip) = row.ip else { continue };
        let peer = facts.peers.get(&ip);
        let label = match peer.and_then(|peer| peer.country.clone()) {
            Some(code) => code,
            None => match peers::category(ip) {
                "public" => "?".to_owned(),
                kind => kind.to_owned(),
            },
        };
        let country = countries.entry(label).or_default();
        country.ips.insert(ip);
        country.flows += row.flows;
        country.bytes += row.bytes;
        if let Some(city) = peer.and_then(|peer| peer.city.clone()) {
            *country.cities.entry(city).or_default() += row.bytes;
        }
    }
    let mut rows: Vec<Row> = countries
        .into_iter()
        .map(|(label, country)| {
            let mut cities: Vec<_> = country.cities.into_iter().collect();
            cities.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
            let cities: Vec<String> = cities.into_iter().take(3).map(|(city, _)| city).collect();
            let mut ips: Vec<IpAddr> = country.ips.into_iter().collect();
            ips.sort_unstable();
            Row {
                cells: vec![
                    Cell::text(label),
                    count(ips.len() as u64),
                    count(country.flows),
                    Cell::of(human::bytes(country.bytes), Value::Count(country.bytes)),
                    Cell::text(cities.join(", ")),
                ],
                target: ips.first().map_or(Target::None, |ip| Target::Ip(*ip)),
                subject: Subject {
                    ips,
                    ..Subject::default()
                },
                measure: country.bytes,
            }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.measure));
    let columns = vec![
        Column::text("country", 11, 0, 0),
        Column::number("IPs", 6, 0),
        Column::number("flows", 8, 1),
        Column::number("bytes", 8, 0),
        Column::text("cities", 8, 1, 2),
    ];
    Sheet::new("Destinations".to_owned(), columns, rows)
}
