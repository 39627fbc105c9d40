//! Outliers: who is odd, what the odd ones share, and all about one of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use lynceus_model::window::WindowId;
use lynceus_view::human::{self, Clock};
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::outliers::{Dive, TOP};
use super::super::svg::{self, Surprisal};
use super::super::table::{Cell, Table, number, text};
use super::super::{Web, link};
use super::parts::Line;
use super::{PathOf, Shell, Visit, alert_rows, evidence_rows, html, timeline_lines};
use crate::outliers::{Account, Alike, Group, Pattern, Shared, Warming, value};

/// Windows of the list.
const LIST: u32 = 100;
/// Features of a chart.
const FEATURES: usize = 8;
/// Lines of the flows behind an account.
const LINES: usize = 50;
/// Groups that a page shows.
const GROUPS: usize = 20;
/// Bytes of a text that was made from traffic.
const MAX_TEXT: usize = 2_000;

#[derive(Template)]
#[template(path = "outliers.html")]
struct ListPage {
    shell: Shell,
    flagged: bool,
    profile: String,
    shown: String,
    warming: String,
    table: Table,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    ip: String,
    #[serde(default)]
    flagged: Option<String>,
}

pub(super) async fn list(
    State(web): State<Web>,
    Query(filter): Query<Filter>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let profile = match filter.ip.trim() {
        "" => None,
        ip => Some(
            ip.parse::<IpAddr>()
                .map_err(|_| Refusal::bad("ip: not an address"))?
                .to_canonical(),
        ),
    };
    let flagged = filter.flagged.is_some();
    let found = web
        .ask(move |web| web.outliers(profile, (None, None), flagged, LIST))
        .await?;
    let mut table = rows(&found.accounts, &web.0.clock, "windows, the oddest first");
    if flagged {
        table.empty = "No window is flagged.";
    }
    if found.cut {
        table.note = "There are older windows that were not looked at.".to_owned();
    }
    Ok(html(&ListPage {
        shown: format!(
            "{} of {} looked at",
            human::count(found.accounts.len() as u64),
            human::plural(found.windows, "window", "windows")
        ),
        warming: warming(found.accounts.iter().find_map(|account| account.warming)),
        profile: filter.ip,
        flagged,
        table,
        shell: visit.shell("Outliers", "Outliers"),
    }))
}

fn warming(warming: Option<Warming>) -> String {
    warming.map_or_else(String::new, Warming::sentence)
}

/// A line for each account; it leads to the dive.
fn rows(accounts: &[Account], clock: &Clock, caption: &str) -> Table {
    let mut table = Table::new(
        caption,
        vec![
            text(""),
            text("profile"),
            text(clock.heading()),
            text("role"),
            number("score"),
            text("why"),
            text("label"),
        ],
        "No window is over yet: a window has an account once it has ended.",
    );
    for account in accounts {
        let (verdict, class) = if account.flagged {
            (badge("outlier", "level-medium"), "alerted")
        } else {
            (Cell::Quiet(String::new()), "")
        };
        table.row_of(
            class,
            vec![
                verdict,
                Cell::link(account.profile.to_string(), link::outlier(account.id())),
                Cell::Quiet(clock.date_minute(account.window_start)),
                Cell::Text(human::printable(&account.role, 60)),
                Cell::Number(format!("{:.1}", account.score), account.score),
                Cell::Text(human::printable(&account.reasons(), 300)),
                Cell::Quiet(human::printable(
                    account.label.as_deref().unwrap_or_default(),
                    100,
                )),
            ],
        );
    }
    table
}

fn badge(text: &str, class: &str) -> Cell {
    Cell::Badge {
        text: text.to_owned(),
        class: class.to_owned(),
    }
}

#[derive(Template)]
#[template(path = "patterns.html")]
struct PatternPage {
    shell: Shell,
    sentence: String,
    patterns: Table,
    groups: Vec<GroupCard>,
}

struct GroupCard {
    title: String,
    shared: String,
    members: Table,
}

pub(super) async fn patterns(State(web): State<Web>, visit: Visit) -> Result<Response, Refusal> {
    let shared = web.ask(|web| web.patterns((None, None), TOP, 0)).await?;
    let clock = &web.0.clock;
    Ok(html(&PatternPage {
        sentence: sentence(&shared),
        patterns: pattern_rows(&shared.patterns, "what outliers share and others do not"),
        groups: shared
            .groups
            .iter()
            .take(GROUPS)
            .map(|group| card(group, clock))
            .collect(),
        shell: visit.shell("Patterns of outliers", "Outliers"),
    }))
}

fn sentence(shared: &Shared) -> String {
    let counted = format!(
        "{} and {}.",
        human::plural(shared.outliers, "outlier", "outliers"),
        human::plural(shared.others, "other window", "other windows")
    );
    if shared.by_score {
        format!("{counted} Nothing is flagged: the windows with the highest scores count as outliers.")
    } else {
        counted
    }
}

fn pattern_rows(patterns: &[Pattern], caption: &str) -> Table {
    let mut table = Table::new(
        caption,
        vec![
            text("what"),
            number("outliers"),
            number("others"),
            number("risk ratio"),
            text("95 %"),
            number("false discoveries"),
        ],
        "They share nothing that others do not have as well.",
    );
    for pattern in patterns {
        table.row(vec![
            Cell::Text(human::printable(&pattern.text(), 400)),
            Cell::count(pattern.outliers),
            Cell::count(pattern.others),
            Cell::Number(format!("{:.1}", pattern.risk_ratio), pattern.risk_ratio),
            Cell::Quiet(format!("{:.1} to {:.1}", pattern.low, pattern.high)),
            Cell::Number(
                format!("{:.1e}", pattern.false_discovery_rate),
                pattern.false_discovery_rate,
            ),
        ]);
    }
    table
}

fn card(group: &Group, clock: &Clock) -> GroupCard {
    let mut members = Table::new(
        "members, the highest score first",
        vec![text("profile"), text(clock.heading()), number("score")],
        "No member.",
    );
    for member in &group.members {
        let window = WindowId {
            profile: member.profile,
            start: member.window_start,
        };
        members.row(vec![
            Cell::link(member.profile.to_string(), link::outlier(window)),
            Cell::Quiet(clock.date_minute(member.window_start)),
            Cell::Number(format!("{:.1}", member.score), member.score),
        ]);
    }
    GroupCard {
        title: human::printable(&group.title(), MAX_TEXT),
        shared: human::printable(&group.shared(), MAX_TEXT),
        members,
    }
}

#[derive(Template)]
#[template(path = "outlier.html")]
struct DivePage {
    shell: Shell,
    ip: IpAddr,
    window: String,
    window_href: String,
    verdict: Cell,
    text: String,
    warming: String,
    label: String,
    chart: String,
    sum: String,
    odd: String,
    attributes: Vec<(String, String)>,
    evidence: Table,
    alerts: Option<Table>,
    lines: Vec<Line>,
    lines_note: String,
    neighbors: Table,
    history: Table,
    alike: Table,
    patterns: Table,
    json: String,
}

/// Leads to the window of an address that is odd most.
pub(super) async fn newest(State(web): State<Web>, PathOf(ip): PathOf<IpAddr>) -> Result<Response, Refusal> {
    let ip = ip.to_canonical();
    let found = web
        .ask(move |web| web.outliers(Some(ip), (None, None), false, 1))
        .await?;
    let first = found
        .accounts
        .first()
        .ok_or_else(|| Refusal::nothing("account"))?;
    Ok(Redirect::to(&link::outlier(first.id())).into_response())
}

pub(super) async fn dive(
    State(web): State<Web>,
    PathOf((ip, start)): PathOf<(IpAddr, String)>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let window = WindowId {
        profile: ip.to_canonical(),
        start: link::time(&start).ok_or_else(|| Refusal::bad("start: seconds since 1970 are wanted"))?,
    };
    let dive = web.ask(move |web| web.dive(window)).await?;
    let clock = &web.0.clock;
    let account = &dive.account;
    let (lines, left_out) = timeline_lines(&dive.flows.entries, clock, LINES);
    Ok(html(&DivePage {
        ip: account.profile,
        window: format!(
            "{} from {} {}",
            human::window(account.window),
            clock.date_minute(account.window_start),
            clock.label()
        ),
        window_href: link::window(window),
        verdict: verdict(account),
        text: human::printable(&account.text, MAX_TEXT),
        warming: warming(account.warming),
        label: human::printable(account.label.as_deref().unwrap_or_default(), MAX_TEXT),
        chart: svg::account(&surprisals(account)),
        sum: sum(account),
        odd: odd(account),
        attributes: account
            .attributes
            .iter()
            .filter(|item| !item.attribute.starts_with("feature "))
            .map(|item| (item.attribute.clone(), human::printable(&item.value, 200)))
            .collect(),
        evidence: evidence_rows(&dive.evidence, clock, "evidence of this window"),
        alerts: (!dive.alerts.is_empty()).then(|| alert_rows(&dive.alerts, clock, "alerts of this window")),
        lines_note: match (lines.is_empty(), left_out) {
            (true, _) => "None of them is kept any more.".to_owned(),
            (_, 1..) => format!("and {} more lines", human::count(left_out as u64)),
            _ => String::new(),
        },
        lines,
        neighbors: neighbors(&dive),
        history: rows(&dive.history, clock, "its earlier windows, the newest first"),
        alike: alike(&dive.alike, clock),
        patterns: pattern_rows(&dive.patterns, "patterns it belongs to"),
        json: format!(
            "/api/v1/outliers/{}/{}",
            account.profile,
            link::seconds(window.start)
        ),
        shell: visit.shell(format!("Dive into {}", account.profile), "Outliers"),
    }))
}

fn verdict(account: &Account) -> Cell {
    if account.flagged {
        badge("outlier", "level-medium")
    } else if account.few_peers() {
        badge("too few peers to say", "level-info")
    } else if account.warming.is_some() {
        badge("not judged yet", "level-info")
    } else {
        badge("no outlier", "level-info")
    }
}

fn surprisals(account: &Account) -> Vec<Surprisal> {
    let strongest = account.strongest().len();
    let shown = account.terms.iter().take(FEATURES).enumerate();
    shown
        .map(|(place, term)| {
            let usual = term.peers_median.zip(term.peers_p99).map(|(median, p99)| {
                format!(
                    "peers' median {}, p99 {}",
                    value(&term.feature, median),
                    value(&term.feature, p99)
                )
            });
            let own = term.own.map(|own| {
                format!(
                    "own mean {} in {}",
                    value(&term.feature, own.center),
                    human::plural(own.windows.into(), "window", "windows")
                )
            });
            let odds = lynceus_model::outlier::sentence::odds(term.nats, term.extrapolated);
            let notes: Vec<String> = [usual, own, Some(odds)].into_iter().flatten().collect();
            Surprisal {
                name: term.feature.clone(),
                value: value(&term.feature, term.value),
                peers: term.peers_nats,
                own: term.own_nats,
                note: notes.join("; "),
                counts: place < strongest,
            }
        })
        .collect()
}

fn sum(account: &Account) -> String {
    let parts: Vec<String> = account
        .strongest()
        .iter()
        .map(|term| format!("{:.2} {}", term.nats, term.feature))
        .collect();
    let threshold = account.threshold.map_or_else(String::new, |threshold| {
        format!("; flagged from {threshold:.2} on")
    });
    format!("score {:.2} = {}{threshold}", account.score, parts.join(" + "))
}

fn odd(account: &Account) -> String {
    let Some(odd) = account.odd.as_ref().filter(|odd| !odd.features.is_empty()) else {
        return String::new();
    };
    let names: Vec<&str> = odd
        .features
        .iter()
        .take(3)
        .map(|(name, _)| name.as_str())
        .collect();
    format!(
        "The combination of values: {:.2} nats{}, most of all in {}.",
        odd.score,
        if odd.flagged { ", flagged" } else { "" },
        names.join(", ")
    )
}

fn neighbors(dive: &Dive) -> Table {
    let mut table = Table::new(
        "neighbors, most bytes first",
        vec![
            text("address"),
            text("known of it"),
            number("bytes"),
            text("findings"),
        ],
        "No neighbor.",
    );
    let bad: BTreeSet<IpAddr> = dive
        .evidence
        .iter()
        .flat_map(|found| [Some(found.attacker), found.victim])
        .flatten()
        .collect();
    for (ip, bytes) in &dive.neighbors {
        let who = lynceus_enrich::offline::short::Short::of(*ip).to_string();
        let named = if bad.contains(ip) {
            "named by evidence here"
        } else {
            ""
        };
        table.row(vec![
            Cell::link(ip.to_string(), link::ip(*ip)),
            Cell::Quiet(human::printable(&who, 200)),
            Cell::bytes(*bytes),
            Cell::Quiet(named.to_owned()),
        ]);
    }
    table
}

fn alike(alike: &[Alike], clock: &Clock) -> Table {
    let mut table = Table::new(
        "most similar past cases, and what was said of them",
        vec![
            number("alike"),
            text("profile"),
            text(clock.heading()),
            text("why"),
            text("label"),
        ],
        "No past case is like it.",
    );
    for case in alike {
        let account = &case.account;
        table.row(vec![
            Cell::Number(format!("{:.0} %", 100.0 * case.likeness), case.likeness),
            Cell::link(account.profile.to_string(), link::outlier(account.id())),
            Cell::Quiet(clock.date_minute(account.window_start)),
            Cell::Text(human::printable(&account.reasons(), 300)),
            Cell::Text(human::printable(account.label.as_deref().unwrap_or("–"), 300)),
        ]);
    }
    table
}
