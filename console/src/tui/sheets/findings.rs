//! All evidence of a profile, and flows behind an evidence.

use std::collections::HashMap;

use lynceus_model::evidence::{Evidence, ThreatLevel};
use lynceus_model::time::Timestamp;
use lynceus_view::search::{Field, kind_words};

use super::Facts;
use crate::desk::{Findings, FlowList};
use crate::human::{self, Clock};
use crate::peers::other_side;
use crate::service;
use crate::text::Tone;
use crate::timeline::{Direction, Entry};
use crate::tui::filter::Subject;
use crate::tui::sheet::{Cell, Column, Row, Sheet, Target, Value};

/// Longest description in a row; the whole one stands in the reason.
const MAX_DESCRIPTION: usize = 300;

/// Alerts and evidence in order of time.
pub(in crate::tui) fn findings(findings: &Findings, clock: &Clock) -> Sheet {
    let columns = vec![
        Column::text(clock.heading(), 19, 0, 2),
        Column::text("window", 11, 0, 3),
        Column::text("level", 8, 0, 0),
        Column::number("conf", 4, 1),
        Column::text("type", 14, 2, 4),
        Column::text("evidence", 20, 5, 0),
    ];
    let alerts = findings.alerts.iter().enumerate().map(|(index, alert)| Row {
        cells: vec![
            Cell::of(clock.date_time(alert.last), Value::Time(alert.last)),
            window_cell(alert.window, alert.window_start, clock),
            Cell::of("ALERT".to_owned(), Value::Ranked(9)).toned(Tone::Alert),
            Cell::of(
                format!("{:.2}", alert.confidence.value()),
                Value::Real(alert.confidence.value()),
            ),
            Cell::text("alert"),
            Cell::text(alert_text(alert)),
        ],
        subject: Subject {
            ips: vec![alert.profile],
            kinds: vec!["alert".into()],
            level: Some(ThreatLevel::Critical),
            roles: vec![(Field::Profile, alert.profile), (Field::Attacker, alert.profile)],
            numbers: vec![(Field::Confidence, alert.confidence.value())],
            span: Some((alert.first, alert.last)),
            moment: Some(alert.last),
            flagged: true,
            ..Subject::default()
        },
        target: Target::Alert(index),
        measure: 0,
    });
    let evidence = findings.evidence.iter().enumerate().map(|(index, found)| {
        let level = found.threat_level;
        Row {
            cells: vec![
                Cell::of(clock.date_time(found.last), Value::Time(found.last)),
                window_cell(found.window, found.window_start, clock),
                Cell::of(level.name().to_owned(), Value::Ranked(level as u64)).toned(Tone::of_level(level)),
                Cell::of(
                    format!("{:.2}", found.confidence.value()),
                    Value::Real(found.confidence.value()),
                ),
                Cell::text(found.kind.name().to_lowercase().replace('_', " ")),
                Cell::text(human::printable(&found.description, MAX_DESCRIPTION)),
            ],
            subject: of_evidence(found),
            target: Target::Evidence(index),
            measure: 0,
        }
    });
    let mut rows: Vec<Row> = alerts.chain(evidence).collect();
    rows.sort_by_key(|row| row.subject.span.map(|(_, last)| last));
    let mut sheet = Sheet::new(format!("All evidence of {}", findings.profile), columns, rows);
    sheet.note = if findings.more { "there is more" } else { "" };
    sheet
}

/// Number of a window, of a live one its time.
fn window_cell(number: i64, start: Timestamp, clock: &Clock) -> Cell {
    let name = human::window(number);
    let text = if name == "window" {
        clock.day_minute(start)
    } else {
        name
    };
    Cell::of(text, Value::Time(start))
}

/// The sum of an alert in a few words.
pub(in crate::tui) fn alert_text(alert: &lynceus_model::alert::Alert) -> String {
    format!(
        "accumulated threat {:.2} ≥ {:.2} from {}{}",
        alert.sum,
        alert.threshold,
        human::plural(alert.terms.len() as u64, "evidence", "pieces of evidence"),
        crate::alerts::again(alert),
    )
}

/// Flows in order of time.
pub(in crate::tui) fn flows(list: &FlowList, clock: &Clock) -> Sheet {
    let names = HashMap::new();
    let facts = Facts {
        peers: &list.peers,
        names: &names,
    };
    let columns = vec![
        Column::text(clock.heading(), 19, 0, 0),
        Column::text("what", 8, 1, 5),
        Column::text("IP", 15, 2, 0),
        Column::text("port", 9, 1, 0),
        Column::text("outcome", 11, 2, 1),
        Column::text("name", 12, 3, 6),
        Column::text("network", 12, 2, 7),
        Column::text("CN", 2, 0, 2),
        Column::text("listed", 6, 0, 8),
        Column::number("sent", 8, 2),
        Column::number("received", 8, 3),
        Column::number("duration", 12, 4),
        Column::text("messages", 16, 6, 9),
    ];
    let rows = list
        .entries
        .iter()
        .map(|entry| flow(entry, clock, facts))
        .collect();
    let mut sheet = Sheet::new(format!("Flows of {}", list.profile), columns, rows);
    if list.entries.len() < list.asked {
        sheet.note = "some are not kept any more";
    }
    sheet
}

fn flow(entry: &Entry, clock: &Clock, facts: Facts<'_>) -> Row {
    let outcome = Cell::text(entry.outcome).toned(if entry.established {
        Tone::Good
    } else {
        Tone::Warning
    });
    let duration = entry.duration.as_secs_f64();
    let mut cells = vec![
        Cell::of(clock.date_time(entry.time), Value::Time(entry.time)),
        Cell::text(entry.what.clone()),
        Cell::text(entry.peer.to_string()),
        Cell::of(
            entry.port.clone(),
            port_of(entry).map_or(Value::Text, |port| Value::Ranked(port.into())),
        ),
        outcome,
        Cell::text(entry.peer_name.clone().unwrap_or_default()),
    ];
    cells.extend(facts.cells(entry.peer));
    cells.extend([
        Cell::of(human::bytes(entry.sent), Value::Count(entry.sent)),
        Cell::of(human::bytes(entry.received), Value::Count(entry.received)),
        Cell::of(human::duration(entry.duration), Value::Real(duration)),
        Cell::text(entry.notes.join("; ")),
    ]);
    Row {
        cells,
        subject: subject(entry),
        target: Target::Ip(entry.peer),
        measure: entry.sent + entry.received,
    }
}

/// What an evidence says of itself.
pub(in crate::tui) fn of_evidence(found: &Evidence) -> Subject<'static> {
    let victim = found.victim.map(|ip| (Field::Victim, ip));
    let roles = [(Field::Profile, found.profile), (Field::Attacker, found.attacker)];
    Subject {
        ips: other_side(found).into_iter().chain([found.profile]).collect(),
        roles: roles.into_iter().chain(victim).collect(),
        ports: found.dst_port.into_iter().collect(),
        protocol: found.protocol.map_or("", service::protocol_name),
        kinds: kind_words(found.kind).into(),
        texts: vec![found.description.clone().into()],
        about: found.subject.as_deref().map(str::to_owned),
        level: Some(found.threat_level),
        numbers: vec![(Field::Confidence, found.confidence.value())],
        span: Some((found.first, found.last)),
        moment: Some(found.last),
        ..Subject::default()
    }
}

/// What a line of the timeline says of itself.
pub(in crate::tui) fn subject(entry: &Entry) -> Subject<'static> {
    let end = entry.time.saturating_add(entry.duration);
    let texts = entry
        .notes
        .iter()
        .chain(&entry.peer_name)
        .map(|text| text.clone().into());
    Subject {
        ips: vec![entry.peer],
        ports: port_of(entry).into_iter().collect(),
        protocol: protocol_of(entry),
        kinds: vec![entry.what.clone().into()],
        texts: texts
            .chain([entry.outcome.into(), entry.port.clone().into()])
            .collect(),
        roles: vec![match entry.direction {
            Direction::To => (Field::Destination, entry.peer),
            Direction::From => (Field::Source, entry.peer),
        }],
        numbers: vec![
            (Field::Bytes, (entry.sent + entry.received) as f64),
            (Field::Packets, entry.packets as f64),
            (Field::Duration, entry.duration.as_secs_f64()),
        ],
        span: Some((entry.time, end)),
        moment: Some(entry.time),
        established: Some(entry.established),
        ..Subject::default()
    }
}

/// `443` of `443/tcp`.
fn port_of(entry: &Entry) -> Option<u16> {
    entry.port.split_once('/')?.0.parse().ok()
}

fn protocol_of(entry: &Entry) -> &'static str {
    const NAMES: [&str; 7] = ["tcp", "udp", "icmp", "icmp6", "sctp", "gre", "arp"];
    let name = entry.port.rsplit('/').next().unwrap_or_default();
    NAMES.into_iter().find(|known| *known == name).unwrap_or_default()
}
