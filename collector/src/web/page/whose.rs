//! Whose the addresses in tables are: country and network by the tables of the program, and which feeds have them.

use std::net::IpAddr;

use lynceus_enrich::offline::short::Short;
use lynceus_view::human;

use super::super::table::{Cell, Column, Table, text};
use super::super::{Web, link};

/// Headings of [`cells`].
pub(super) fn columns() -> [Column; 2] {
    [text("country"), text("network")]
}

/// Whose some addresses are, and whether a feed has them.
pub(super) fn rows(web: &Web, ips: &[IpAddr]) -> Table {
    let [country, network] = columns();
    let mut table = Table::new(
        "other sides of the evidence",
        vec![text("address"), country, network, text("blocklists")],
        "No other address stands in the evidence.",
    );
    let facts = web.0.query.facts();
    let feeds = facts.feeds();
    for ip in ips {
        let [country, network] = cells(Some(*ip));
        let listed = match feeds.ip(*ip) {
            None => Cell::Quiet("unknown: no feed is loaded".into()),
            Some(hits) if hits.is_empty() => Cell::Quiet("none".into()),
            Some(hits) => {
                let names: Vec<&str> = hits.iter().map(|hit| hit.feed.as_str()).collect();
                Cell::Text(human::printable(&names.join(", "), 200))
            }
        };
        table.row(vec![
            Cell::link(ip.to_string(), link::ip(*ip)),
            country,
            network,
            listed,
        ]);
    }
    table
}

/// Country and network of an address by the program's tables; the kind of one that nobody routes.
pub(super) fn cells(ip: Option<IpAddr>) -> [Cell; 2] {
    let Some(ip) = ip else {
        return [Cell::Quiet("–".into()), Cell::Quiet("–".into())];
    };
    let short = Short::of(ip);
    if !short.is_routable() {
        return [Cell::Quiet("–".into()), Cell::Quiet(short.category.name().into())];
    }
    let country = short.country.map(|code| {
        let doubt = if short.agree == Some(false) { "?" } else { "" };
        format!("{}{doubt}", code.text())
    });
    let network = short.asn.zip(short.organization);
    let unknown = || Cell::Quiet("unknown".into());
    [
        country.map_or_else(unknown, Cell::Text),
        network.map_or_else(unknown, |(number, name)| {
            Cell::Text(human::printable(&format!("AS{number} {name}"), 80))
        }),
    ]
}

/// Whose an address is, in a line; nothing of one that nobody routes.
pub(super) fn line(ip: IpAddr) -> Option<(&'static str, Cell)> {
    let short = Short::of(ip);
    let text = human::printable(&short.to_string(), 120);
    short.is_routable().then_some(("whose", Cell::Quiet(text)))
}
