//! The tables of each screen, made of what the desk answered.

mod findings;
mod map;

use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_view::search::Field;

use super::filter::Subject;
use super::keys::Screen;
use super::sheet::{Cell, Column, Row, Sheet, Target, Value};
use crate::peers::{Peer, Peers};
use crate::text::Tone;
use crate::view::{Histogram, HistogramRow, Tables, TupleView, WindowDetail};
use crate::{human, service};

pub(super) use findings::{alert_text, findings, flows, of_evidence, subject};
pub(super) use map::countries;

/// What is known of addresses.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) peers: &'a Peers,
    pub(super) names: &'a HashMap<IpAddr, String>,
}

impl Facts<'_> {
    fn name(&self, ip: IpAddr) -> String {
        self.names.get(&ip).cloned().unwrap_or_default()
    }

    /// Network, country, and what lists say; empty where nothing is known.
    fn cells(&self, ip: IpAddr) -> [Cell; 3] {
        let unknown = Peer::default();
        let peer = self.peers.get(&ip).unwrap_or(&unknown);
        let listed = match &peer.listed {
            Some(_) => Cell::text("listed").toned(Tone::Bad),
            None => Cell::text(""),
        };
        [
            Cell::text(peer.network()),
            Cell::text(peer.country.clone().unwrap_or_default()),
            listed,
        ]
    }
}

/// Tables of a screen about a window; one, or established and not established.
pub(super) fn of_window(screen: Screen, detail: &WindowDetail, facts: Facts<'_>) -> Vec<Sheet> {
    match screen {
        Screen::OutTuples => vec![tuples(&detail.tables.out_tuples, &detail.tables, facts)],
        Screen::InTuples => vec![tuples(&detail.tables.in_tuples, &detail.tables, facts)],
        Screen::Map => vec![countries(detail, facts)],
        _ => histogram(&detail.tables, screen).map_or_else(Vec::new, |histogram| {
            [
                (&histogram.established, "Established"),
                (&histogram.not_established, "Not established"),
            ]
            .into_iter()
            .map(|(rows, title)| counts(screen, rows, title, histogram.truncated, facts))
            .collect()
        }),
    }
}

const fn histogram(tables: &Tables, screen: Screen) -> Option<&Histogram> {
    match screen {
        Screen::SourcePorts => Some(&tables.source_ports),
        Screen::ServerPorts => Some(&tables.server_ports),
        Screen::DestinationIps => Some(&tables.destination_ips),
        Screen::DestinationPorts => Some(&tables.destination_ports),
        Screen::PortsAndIps => Some(&tables.ports_and_ips),
        _ => None,
    }
}

const TRUNCATED: &str = "list truncated, totals exact";

fn counts(screen: Screen, rows: &[HistogramRow], title: &str, truncated: bool, facts: Facts<'_>) -> Sheet {
    let with_ip = matches!(screen, Screen::DestinationIps | Screen::PortsAndIps);
    let mut columns = match screen {
        Screen::DestinationIps => vec![Column::text("IP", 15, 2, 0), Column::text("proto", 5, 0, 1)],
        Screen::PortsAndIps => vec![Column::text("port", 14, 1, 0), Column::text("IP", 15, 2, 0)],
        _ => vec![Column::text("port", 16, 2, 0)],
    };
    if with_ip {
        columns.extend([
            Column::text("name", 14, 3, 6),
            Column::text("network", 14, 2, 7),
            Column::text("CN", 2, 0, 3),
            Column::text("listed", 6, 0, 4),
        ]);
    }
    let first = columns.len();
    columns.extend([
        Column::number(
            if screen == Screen::PortsAndIps {
                "connections"
            } else {
                "flows"
            },
            11,
            1,
        ),
        Column::number("packets", 11, 2),
        Column::number("bytes", 9, 0),
    ]);
    let rows = rows
        .iter()
        .map(|row| {
            let mut cells = match (screen, row.ip) {
                (Screen::DestinationIps, Some(ip)) => {
                    vec![
                        Cell::text(ip.to_string()),
                        Cell::text(service::protocol(row.protocol)),
                    ]
                }
                (_, Some(ip)) => vec![port_cell(row), Cell::text(ip.to_string())],
                _ => vec![port_cell(row)],
            };
            if let (true, Some(ip)) = (with_ip, row.ip) {
                cells.push(Cell::text(facts.name(ip)));
                cells.extend(facts.cells(ip));
            }
            cells.extend([
                count(row.flows),
                count(row.packets),
                Cell::of(human::bytes(row.bytes), Value::Count(row.bytes)),
            ]);
            Row {
                cells,
                subject: Subject {
                    ips: row.ip.into_iter().collect(),
                    ports: row.port.into_iter().collect(),
                    protocol: service::protocol_name(row.protocol),
                    texts: vec![row.key.clone().into()],
                    numbers: sizes(row.bytes, row.packets),
                    established: Some(title == "Established"),
                    ..Subject::default()
                },
                target: match (row.ip, row.port) {
                    (Some(ip), _) => Target::Ip(ip),
                    (None, Some(port)) if screen == Screen::DestinationPorts => Target::Port(port),
                    _ => Target::None,
                },
                measure: row.bytes,
            }
        })
        .collect();
    let mut sheet = Sheet::new(title.to_owned(), columns, rows);
    sheet.note = if truncated { TRUNCATED } else { "" };
    sheet.bar = Some(first + 2);
    sheet
}

/// Sorted by its number, not by its text.
fn port_cell(row: &HistogramRow) -> Cell {
    Cell::of(
        row.key.clone(),
        row.port.map_or(Value::Text, |port| Value::Ranked(port.into())),
    )
}

/// What a filter compares.
fn sizes(bytes: u64, packets: u64) -> Vec<(Field, f64)> {
    vec![(Field::Bytes, bytes as f64), (Field::Packets, packets as f64)]
}

fn count(value: u64) -> Cell {
    Cell::of(human::count(value), Value::Count(value))
}

fn tuples(tuples: &[TupleView], tables: &Tables, facts: Facts<'_>) -> Sheet {
    let columns = vec![
        Column::text("tuple", 22, 2, 0),
        Column::text("letters", 20, 5, 0),
        Column::text("name", 14, 3, 5),
        Column::text("network", 12, 3, 6),
        Column::text("CN", 2, 0, 2),
        Column::text("listed", 6, 0, 3),
        Column::number("flows", 9, 1),
        Column::number("packets", 10, 7),
        Column::number("bytes", 9, 4),
    ];
    let rows = tuples
        .iter()
        .map(|tuple| {
            let name = tuple.name.clone().unwrap_or_else(|| facts.name(tuple.ip));
            let mut cells = vec![
                Cell::text(tuple.key.clone()),
                Cell::of(tuple.letters.clone(), Value::Ranked(tuple.letters.len() as u64))
                    .toned(Tone::Heading),
                Cell::text(name),
            ];
            cells.extend(facts.cells(tuple.ip));
            cells.extend([
                count(tuple.flows),
                count(tuple.packets),
                Cell::of(human::bytes(tuple.bytes), Value::Count(tuple.bytes)),
            ]);
            Row {
                cells,
                subject: Subject {
                    ips: vec![tuple.ip],
                    ports: if service::has_ports(tuple.protocol) {
                        vec![tuple.port]
                    } else {
                        Vec::new()
                    },
                    protocol: service::protocol_name(tuple.protocol),
                    texts: vec![tuple.key.clone().into(), tuple.letters.clone().into()],
                    numbers: sizes(tuple.bytes, tuple.packets),
                    ..Subject::default()
                },
                target: Target::Ip(tuple.ip),
                measure: tuple.bytes,
            }
        })
        .collect();
    let mut sheet = Sheet::new("Tuples".to_owned(), columns, rows);
    sheet.note = if tables.tuples_truncated { TRUNCATED } else { "" };
    sheet
}
