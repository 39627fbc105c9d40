//! Rows and lines that several pages, and the report, have in common.

use std::net::IpAddr;

use lynceus_model::evidence::{AttackerSide, Evidence};
use lynceus_view::alerts;
use lynceus_view::human::{self, Clock};
use lynceus_view::screens::{Histogram, HistogramRow, TupleView};
use lynceus_view::service;
use lynceus_view::timeline::{Entry, Item, group};

use super::super::link;
use super::super::load::Explained;
use super::super::svg::{self, Part};
use super::super::table::{Cell, Table, number, text};
use super::whose;

/// Longest description in a table.
const MAX_DESCRIPTION: usize = 300;
/// Rows of one histogram that a page shows; the API has all.
const MAX_ROWS: usize = 200;

pub(in super::super) fn evidence_rows(evidence: &[Evidence], clock: &Clock, caption: &str) -> Table {
    let mut table = Table::new(
        caption,
        vec![
            text(clock.heading()),
            text("level"),
            number("confidence"),
            text("profile"),
            text("what"),
        ],
        "No evidence: nothing looked suspicious here.",
    );
    for found in evidence {
        table.row(vec![
            Cell::Quiet(clock.date_time(found.last)),
            Cell::level(found.threat_level),
            Cell::Number(
                format!("{:.2}", found.confidence.value()),
                found.confidence.value(),
            ),
            Cell::link(found.profile.to_string(), link::profile(found.profile)),
            Cell::link(
                human::printable(&found.description, MAX_DESCRIPTION),
                link::evidence(found),
            ),
        ]);
    }
    table
}

/// An alert's sum as a chart, and its terms as a table.
pub(in super::super) fn explained(explained: &Explained) -> (String, Table) {
    let alert = &explained.alert;
    let mut parts = Vec::new();
    let mut table = Table::new(
        "terms of the sum",
        vec![
            number("adds"),
            text("level"),
            number("confidence"),
            text("type"),
            text("what"),
        ],
        "No terms.",
    );
    for term in &alert.terms {
        let adds = Cell::Number(format!("{:.2}", term.weight), term.weight);
        let Some(found) = explained.evidence.get(&term.evidence) else {
            parts.push(Part {
                label: format!("evidence {} (expired)", crate::json::uuid(term.evidence.0)),
                product: String::new(),
                level: "info",
                weight: term.weight,
                href: String::new(),
            });
            table.row(vec![
                adds,
                Cell::Quiet("–".into()),
                Cell::Quiet("–".into()),
                Cell::Quiet("expired".into()),
                Cell::Code(crate::json::uuid(term.evidence.0).to_string()),
            ]);
            continue;
        };
        if term.weight > 0.0 {
            parts.push(Part {
                label: kind_and_aim(found),
                product: format!("{} × {:.2}", found.threat_level.name(), found.confidence.value()),
                level: found.threat_level.name(),
                weight: term.weight,
                href: link::evidence(found),
            });
        }
        table.row(vec![
            adds,
            Cell::level(found.threat_level),
            Cell::Number(
                format!("{:.2}", found.confidence.value()),
                found.confidence.value(),
            ),
            Cell::Text(kind_words(found)),
            Cell::link(
                human::printable(&found.description, MAX_DESCRIPTION),
                link::evidence(found),
            ),
        ]);
    }
    (svg::terms(&parts, alert.sum, alert.threshold), table)
}

/// `horizontal port scan`
pub(in super::super) fn kind_words(evidence: &Evidence) -> String {
    alerts::kind_words(Some(evidence.kind))
}

/// What tells findings of one kind apart: the port, else the subject, else the other side.
pub(super) fn kind_and_aim(evidence: &Evidence) -> String {
    let aim = evidence
        .dst_port
        .map(|port| match evidence.protocol {
            Some(protocol) => service::port(port, protocol).to_string(),
            None => port.to_string(),
        })
        .or_else(|| {
            evidence
                .subject
                .as_deref()
                .map(|subject| human::printable(subject, 60))
        })
        .or_else(|| evidence.victim.map(|victim| victim.to_string()));
    match aim {
        Some(aim) => format!("{}: {aim}", kind_words(evidence)),
        None => kind_words(evidence),
    }
}

/// Facts about an evidence, a name and a value each.
pub(in super::super) fn facts(evidence: &Evidence, clock: &Clock) -> Vec<(&'static str, Cell)> {
    let weight = evidence.threat_level.weight() * evidence.confidence.value();
    let adds = match evidence.attacker_side {
        AttackerSide::Source => format!("{weight:.2} to the sum of its window"),
        AttackerSide::Destination => "nothing: the attacker is the other side".to_owned(),
    };
    let address = |ip: IpAddr| Cell::link(ip.to_string(), link::ip(ip));
    let mut facts = vec![
        ("threat level", Cell::level(evidence.threat_level)),
        (
            "confidence",
            Cell::Text(format!("{:.2}", evidence.confidence.value())),
        ),
        ("adds", Cell::Text(adds)),
        ("attacker", address(evidence.attacker)),
    ];
    facts.extend(whose::line(evidence.attacker));
    if let Some(victim) = evidence.victim {
        facts.push(("victim", address(victim)));
        facts.extend(whose::line(victim));
    }
    if let Some(subject) = &evidence.subject {
        facts.push(("about", Cell::Code(human::printable(subject, MAX_DESCRIPTION))));
    }
    if let (Some(port), Some(protocol)) = (evidence.dst_port, evidence.protocol) {
        let name = service::name(port, protocol).map_or_else(String::new, |name| format!(" {name}"));
        facts.push((
            "port",
            Cell::Text(format!("{}{name}", service::port(port, protocol))),
        ));
    }
    facts.extend([
        (
            "when",
            Cell::Text(format!(
                "{} to {} {}, {} long",
                clock.date_time(evidence.first),
                clock.date_time(evidence.last),
                clock.label(),
                human::duration(evidence.last.since(evidence.first))
            )),
        ),
        ("id", Cell::Code(evidence.id.to_string())),
    ]);
    facts
}

/// One line of a timeline, ready to show.
pub(in super::super) struct Line {
    pub(in super::super) time: String,
    pub(in super::super) what: String,
    pub(in super::super) direction: &'static str,
    pub(in super::super) peer: String,
    pub(in super::super) href: String,
    pub(in super::super) name: String,
    pub(in super::super) port: String,
    pub(in super::super) outcome: String,
    pub(in super::super) established: bool,
    pub(in super::super) volume: String,
    pub(in super::super) notes: Vec<String>,
}

/// Lines of a timeline; long rows of alike attempts are one line. At most `most`; then how many were left out.
pub(in super::super) fn timeline_lines(entries: &[Entry], clock: &Clock, most: usize) -> (Vec<Line>, usize) {
    let items = group(entries);
    let left_out = items.len().saturating_sub(most);
    let lines = items
        .iter()
        .take(most)
        .map(|item| line(entries, item, clock))
        .collect();
    (lines, left_out)
}

fn line(entries: &[Entry], item: &Item, clock: &Clock) -> Line {
    match item {
        Item::Entry(at) => {
            let entry = &entries[*at];
            Line {
                time: clock.milliseconds(entry.time),
                what: entry.what.clone(),
                direction: entry.direction.word(),
                peer: entry.peer.to_string(),
                href: link::ip(entry.peer),
                name: entry.peer_name.clone().unwrap_or_default(),
                port: entry.port.clone(),
                outcome: entry.outcome.to_owned(),
                established: entry.established,
                volume: format!(
                    "{} sent, {} received, {}",
                    human::bytes(entry.sent),
                    human::bytes(entry.received),
                    human::duration(entry.duration)
                ),
                notes: entry.notes.clone(),
            }
        }
        Item::Run(run) => {
            let first = &entries[run.first];
            Line {
                time: clock.milliseconds(first.time),
                what: first.what.clone(),
                direction: "",
                peer: String::new(),
                href: String::new(),
                name: run.target(entries, true),
                port: String::new(),
                outcome: format!("{} × {}", human::count(run.len as u64), first.outcome),
                established: false,
                volume: format!("{} sent", human::bytes(run.sent)),
                notes: Vec::new(),
            }
        }
    }
}

/// A histogram as its two tables: established and not established.
pub(in super::super) fn histogram(histogram: &Histogram, key: &'static str) -> [Table; 2] {
    let largest = |rows: &[HistogramRow]| rows.iter().map(|row| row.bytes).max().unwrap_or(0);
    [
        ("established", &histogram.established, "No established flows."),
        (
            "not established",
            &histogram.not_established,
            "No flows that were not established.",
        ),
    ]
    .map(|(caption, rows, empty)| {
        // Ports belong to nobody.
        let addresses = rows.iter().any(|row| row.ip.is_some());
        let mut columns = vec![text(key)];
        if addresses {
            columns.extend(whose::columns());
        }
        columns.extend([
            number("flows"),
            number("packets"),
            number("bytes"),
            text("log share"),
        ]);
        let mut table = Table::new(caption, columns, empty);
        let most = largest(rows);
        for row in rows.iter().take(MAX_ROWS) {
            let mut cells = vec![peer_cell(&row.key)];
            if addresses {
                cells.extend(whose::cells(row.ip));
            }
            cells.extend([
                Cell::count(row.flows),
                Cell::count(row.packets),
                Cell::bytes(row.bytes),
                Cell::share(row.bytes, most),
            ]);
            table.row(cells);
        }
        if rows.len() > MAX_ROWS {
            table.note = format!("and {} more rows", human::count((rows.len() - MAX_ROWS) as u64));
        } else if histogram.truncated {
            table.note =
                "The profile reached its bound: totals are exact, these are the largest rows.".to_owned();
        }
        table
    })
}

/// Tuples with their letters.
pub(in super::super) fn tuples(tuples: &[TupleView], caption: &str, cut: bool) -> Table {
    let [country, network] = whose::columns();
    let mut table = Table::new(
        caption,
        vec![
            text("peer, port"),
            text("name"),
            country,
            network,
            text("behavior"),
            text("letters"),
            number("flows"),
            number("packets"),
            number("bytes"),
        ],
        "No tuples.",
    );
    for tuple in tuples.iter().take(MAX_ROWS) {
        let [country, network] = whose::cells(Some(tuple.ip));
        table.row(vec![
            peer_cell(&tuple.key),
            Cell::Quiet(tuple.name.clone().unwrap_or_default()),
            country,
            network,
            Cell::Drawing(svg::letters(&tuple.letters)),
            Cell::Code(human::printable(&tuple.letters, 40)),
            Cell::count(tuple.flows),
            Cell::count(tuple.packets),
            Cell::bytes(tuple.bytes),
        ]);
    }
    if tuples.len() > MAX_ROWS || cut {
        table.note = "There are more tuples than these.".to_owned();
    }
    table
}

/// `10.0.0.1 tcp` leads to the dossier of the address; a port leads nowhere.
fn peer_cell(key: &str) -> Cell {
    let ip = key.split(' ').find_map(|word| word.parse::<IpAddr>().ok());
    match ip {
        Some(ip) => Cell::link(key, link::ip(ip)),
        None => Cell::Text(key.to_owned()),
    }
}
