//! Accounts, patterns and dives in words.

use lynceus_model::outlier::sentence::{number, odds};

use super::dive::{Dive, Found as Finding};
use super::{Account, Alike, Found, Group, Shared, Term, value};
use crate::human::{self, Clock};
use crate::table::{Align, Table};
use crate::text::{Line, Tone};

/// Longest text that is printed of what came from traffic.
const MAX_TEXT: usize = 400;
/// Findings of one type that a dive prints.
const FINDINGS: usize = 3;
/// Terms of an account.
const TERMS: usize = 6;
/// Columns from which on the table of an account is shown whole.
const WIDE: usize = 140;

/// The list of `lynceus outliers`.
#[must_use]
pub fn outliers(found: &Found, clock: &Clock, width: Option<usize>) -> Vec<Line> {
    let mut table = Table::new(vec![
        ("", Align::Left),
        ("profile", Align::Left),
        (clock.heading(), Align::Left),
        ("role", Align::Left),
        ("score", Align::Right),
        ("why", Align::Left),
    ]);
    for account in &found.accounts {
        let tone = if account.flagged {
            Tone::Warning
        } else {
            Tone::Plain
        };
        table.row(vec![
            crate::table::Cell::toned(tone, if account.flagged { "!" } else { "" }),
            account.profile.to_string().into(),
            clock.date_minute(account.window_start).into(),
            account.role.clone().into(),
            format!("{:.1}", account.score).into(),
            account.reasons().into(),
        ]);
    }
    let mut lines = table.lines_within(0, width);
    let flagged = found.accounts.iter().filter(|account| account.flagged).count();
    lines.push(Line::default());
    lines.push(Line::toned(
        Tone::Quiet,
        format!(
            "{} of {} shown are flagged; {} looked at",
            flagged,
            found.accounts.len(),
            human::plural(found.windows, "window", "windows")
        ),
    ));
    if let Some(warming) = found.accounts.iter().find_map(|account| account.warming) {
        lines.push(Line::toned(Tone::Warning, warming.sentence()));
    }
    lines
}

/// The whole account of one window. Where there is little room, its table has the columns that say most.
#[must_use]
pub fn account(account: &Account, clock: &Clock, width: Option<usize>) -> Vec<Line> {
    let verdict = match (account.flagged, account.warming) {
        (true, _) => (Tone::Alert, "outlier"),
        (false, _) if account.few_peers() => (Tone::Warning, "too few peers to say"),
        (false, Some(_)) => (Tone::Plain, "not judged yet"),
        (false, None) => (Tone::Good, "no outlier"),
    };
    let mut lines = vec![
        Line::toned(
            Tone::Heading,
            format!(
                "{}, {} from {} {}: ",
                account.profile,
                human::window(account.window),
                clock.date_minute(account.window_start),
                clock.label()
            ),
        )
        .and(verdict.0, verdict.1),
        Line::from(human::printable(&account.text, 2 * MAX_TEXT)),
        Line::default(),
    ];
    lines.extend(terms(account, width).lines(0));
    lines.push(Line::toned(
        Tone::Quiet,
        format!(
            "score {:.3} = the sum of the first three{}{}",
            account.score,
            account.threshold.map_or_else(String::new, |threshold| format!(
                "; flagged from {threshold:.3} on"
            )),
            account
                .false_alarms_per_day
                .map_or_else(String::new, |alarms| format!(
                    "; usual windows score so high {} times a day",
                    number(alarms)
                )),
        ),
    ));
    if let Some(odd) = account.odd.as_ref().filter(|odd| !odd.features.is_empty()) {
        let features: Vec<String> = odd
            .features
            .iter()
            .take(3)
            .map(|(feature, t)| format!("{feature} (t {t:.1})"))
            .collect();
        lines.push(Line::toned(
            Tone::Quiet,
            format!(
                "combination {:.2} nats{}: {}",
                odd.score,
                if odd.flagged { ", flagged" } else { "" },
                features.join(", ")
            ),
        ));
    }
    if let Some(warming) = account.warming {
        lines.push(Line::toned(Tone::Warning, warming.sentence()));
    }
    if let Some(label) = &account.label {
        lines.push(Line::toned(Tone::Heading, "label ").and(Tone::Plain, human::printable(label, MAX_TEXT)));
    }
    lines
}

fn terms(account: &Account, width: Option<usize>) -> Table {
    let columns = [
        ("feature", Align::Left),
        ("value", Align::Right),
        ("peers' median", Align::Right),
        ("p99", Align::Right),
        ("own mean", Align::Right),
        ("own range", Align::Right),
        ("against peers", Align::Right),
        ("against itself", Align::Right),
        ("adds", Align::Right),
    ];
    let narrow = width.is_some_and(|width| width < WIDE);
    let kept = |place: usize| !narrow || [0, 1, 2, 4, 8].contains(&place);
    let columns = columns.into_iter().enumerate().filter(|(place, _)| kept(*place));
    let mut table = Table::new(columns.map(|(_, column)| column).collect());
    // What adds nothing says something only where nothing is odd.
    let shown = |term: &Term| term.nats > 0.0 || account.score <= 0.0;
    let terms = account.terms.iter().take(TERMS).filter(|term| shown(term));
    for (rank, term) in terms.enumerate() {
        let cells = row(term, rank < account.strongest().len(), account.score);
        let cells = cells.into_iter().enumerate().filter(|(place, _)| kept(*place));
        table.row(cells.map(|(_, cell)| cell).collect());
    }
    table
}

fn row(term: &Term, counts: bool, score: f64) -> Vec<crate::table::Cell> {
    let absent = || "–".to_owned();
    let of = |number: Option<f64>| number.map_or_else(absent, |number| value(&term.feature, number));
    let tone = if counts { Tone::Plain } else { Tone::Quiet };
    let share = if counts && score > 0.0 {
        format!("{:.2} ({:.0} %)", term.nats, 100.0 * term.nats / score)
    } else {
        format!("{:.2}", term.nats)
    };
    [
        term.feature.clone(),
        value(&term.feature, term.value),
        of(term.peers_median),
        of(term.peers_p99),
        of(term.own.map(|own| own.center)),
        term.own.map_or_else(absent, |own| {
            format!(
                "{} to {}",
                value(&term.feature, own.smallest),
                value(&term.feature, own.largest)
            )
        }),
        // Among too few peers nothing is usual.
        term.peers_median
            .map_or_else(absent, |_| odds(term.peers_nats, term.extrapolated)),
        term.own_nats.map_or_else(absent, |nats| odds(nats, false)),
        share,
    ]
    .map(|text| crate::table::Cell::toned(tone, text))
    .into()
}

/// The answer of `lynceus patterns`.
#[must_use]
pub fn patterns(shared: &Shared, clock: &Clock) -> Vec<Line> {
    let mut lines = vec![Line::toned(
        Tone::Heading,
        format!(
            "{} and {}",
            human::plural(shared.outliers, "outlier", "outliers"),
            human::plural(shared.others, "other window", "other windows")
        ),
    )];
    if shared.by_score {
        lines.push(Line::toned(
            Tone::Warning,
            "Nothing is flagged: the windows with the highest scores count as outliers.",
        ));
    }
    lines.push(Line::default());
    if shared.patterns.is_empty() {
        lines.push("They share nothing that others do not have as well.".into());
    } else {
        let mut table = Table::new(vec![
            ("what outliers share", Align::Left),
            ("outliers", Align::Right),
            ("others", Align::Right),
            ("risk ratio (95 %)", Align::Right),
            ("false discoveries", Align::Right),
        ]);
        for pattern in &shared.patterns {
            table.row(vec![
                human::printable(&pattern.text(), MAX_TEXT).into(),
                human::count(pattern.outliers).into(),
                human::count(pattern.others).into(),
                format!(
                    "{:.1} ({:.1}–{:.1})",
                    pattern.risk_ratio, pattern.low, pattern.high
                )
                .into(),
                format!("{:.1e}", pattern.false_discovery_rate).into(),
            ]);
        }
        lines.extend(table.lines(0));
    }
    lines.push(Line::default());
    lines.extend(
        shared
            .groups
            .iter()
            .take(20)
            .flat_map(|group| of_group(group, clock)),
    );
    lines
}

fn of_group(group: &Group, clock: &Clock) -> Vec<Line> {
    let mut head = group.title();
    let shared = group.shared();
    if !shared.is_empty() {
        head.push_str(&format!("; all have {shared}"));
    }
    let members: Vec<String> = group
        .members
        .iter()
        .take(5)
        .map(|member| {
            format!(
                "{} {} ({:.1})",
                member.profile,
                clock.date_minute(member.window_start),
                member.score
            )
        })
        .collect();
    let more = group.windows.saturating_sub(members.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    vec![
        Line::toned(Tone::Heading, human::printable(&head, MAX_TEXT)),
        Line::toned(Tone::Quiet, format!("  {}{more}", members.join(", "))),
    ]
}

/// Everything at hand about one window.
#[must_use]
pub fn dive(dive: &Dive, clock: &Clock, width: Option<usize>) -> Vec<Line> {
    let mut lines = account(&dive.account, clock, width);
    let mut part = |title: &str, content: Vec<Line>| {
        lines.push(Line::default());
        lines.push(Line::toned(Tone::Heading, title.to_owned()));
        if content.is_empty() {
            lines.push(Line::toned(Tone::Quiet, "  none"));
        }
        lines.extend(content);
    };
    part("known of it", known(&dive.dossier));
    part("evidence in this window", findings(&dive.evidence));
    part(
        "flows, most bytes first",
        dive.flows
            .iter()
            .map(|flow| {
                Line::from(human::printable(
                    &format!(
                        "  {} {} > {} {} {} {} {}",
                        clock.date_time(flow.first),
                        flow.from,
                        flow.to,
                        flow.protocol,
                        flow.state,
                        human::bytes(flow.bytes),
                        flow.community_id
                    ),
                    MAX_TEXT,
                ))
            })
            .collect(),
    );
    part(
        "neighbors, most bytes first",
        dive.neighbors
            .iter()
            .map(|neighbor| {
                let names = if neighbor.names.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", neighbor.names.join(", "))
                };
                Line::from(human::printable(
                    &format!(
                        "  {}{names} [{}]: {}, {}{}",
                        neighbor.ip,
                        neighbor.who,
                        human::plural(neighbor.flows, "flow", "flows"),
                        human::bytes(neighbor.bytes),
                        neighbor
                            .worst
                            .as_ref()
                            .map_or_else(String::new, |worst| format!(", {worst}"))
                    ),
                    MAX_TEXT,
                ))
            })
            .collect(),
    );
    part(
        "own history, newest first",
        dive.history
            .iter()
            .map(|window| {
                let score = window
                    .score
                    .map_or_else(|| "–".to_owned(), |score| format!("{score:.1}"));
                Line::from(format!(
                    "  {}  score {score:>6}{}  {}  {}",
                    clock.date_minute(window.window_start),
                    if window.flagged { " !" } else { "  " },
                    human::plural(window.evidence, "finding", "findings"),
                    human::printable(&window.why, MAX_TEXT)
                ))
            })
            .collect(),
    );
    part(
        "most similar cases",
        dive.alike.iter().map(|alike| of_alike(alike, clock)).collect(),
    );
    part(
        "patterns it belongs to",
        dive.patterns
            .iter()
            .map(|pattern| {
                Line::from(human::printable(
                    &format!(
                        "  {}: {} of {} outliers, risk ratio {:.1}",
                        pattern.text(),
                        pattern.outliers,
                        dive.outliers,
                        pattern.risk_ratio
                    ),
                    MAX_TEXT,
                ))
            })
            .collect(),
    );
    lines
}

/// A line for each name with all its values: `port: 23/tcp, 2323/tcp`.
fn known(dossier: &[(String, String)]) -> Vec<Line> {
    dossier
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            let values: Vec<&str> = same.iter().map(|(_, value)| value.as_str()).collect();
            let text = format!("  {}: {}", same[0].0, values.join(", "));
            Line::from(human::printable(&text, MAX_TEXT))
        })
        .collect()
}

/// The first few of each type, and how many more there are: a scan has hundreds that say the same.
fn findings(evidence: &[Finding]) -> Vec<Line> {
    let mut lines = Vec::new();
    for same in evidence.chunk_by(|a, b| (a.threat_level, a.kind) == (b.threat_level, b.kind)) {
        lines.extend(same.iter().take(FINDINGS).map(|found| {
            let text = format!("  {} {} {}", found.threat_level, found.kind, found.description);
            Line::from(human::printable(&text, MAX_TEXT))
        }));
        if let Some(more @ 1..) = same.len().checked_sub(FINDINGS) {
            let text = format!("  {} {} and {more} more", same[0].threat_level, same[0].kind);
            lines.push(Line::toned(Tone::Quiet, text));
        }
    }
    lines
}

fn of_alike(alike: &Alike, clock: &Clock) -> Line {
    let account = &alike.account;
    let said = account.label.as_ref().map_or_else(String::new, |label| {
        format!(": \"{}\"", human::printable(label, MAX_TEXT))
    });
    Line::from(human::printable(
        &format!(
            "  {:.0} % alike: {} on {} ({}){said}",
            100.0 * alike.likeness,
            account.profile,
            clock.date_minute(account.window_start),
            account.reasons()
        ),
        2 * MAX_TEXT,
    ))
}
