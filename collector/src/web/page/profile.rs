//! A profile with its windows, and what is known of an address.

use std::net::IpAddr;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::WindowId;
use lynceus_view::human;
use lynceus_view::screens::{Tables, WindowView};
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::load::{Timeline, Window};
use super::super::svg::{self, Strip};
use super::super::table::{Cell, Table};
use super::super::{Web, link};
use super::parts::{self, Line};
use super::{PathOf, Shell, Visit, alert_rows, evidence_rows, html, timeline_lines};

/// Lines of a timeline on one page.
const LINES: usize = 400;
/// Bars of the strip of windows; the newest.
const BARS: usize = 180;

/// Findings beside the timeline.
const GRAVEST: usize = 3;
/// Views of a window: name in the address, name for people, key of the terminal.
const VIEWS: [(&str, &str, char); 8] = [
    ("timeline", "Timeline", 't'),
    ("evidence", "Evidence", 'z'),
    ("peers", "Destination IPs", 'c'),
    ("ports", "Destination ports", 'p'),
    ("sources", "Source ports", 'e'),
    ("server", "Ports as server", 'b'),
    ("tuples", "Out and in tuples", 'h'),
    ("map", "Map", 'm'),
];

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    shell: Shell,
    ip: IpAddr,
    me: bool,
    strip: String,
    window: String,
    number: String,
    facts: Vec<(&'static str, String, &'static str)>,
    note: &'static str,
    view: &'static str,
    /// Beside the timeline, so that nobody has to look for it.
    gravest: Option<Table>,
    views: Vec<(String, &'static str, char, bool)>,
    alerts: Option<Table>,
    lines: Vec<Line>,
    lines_note: String,
    next: Option<String>,
    tables: Vec<Table>,
    map: String,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    view: String,
    #[serde(default)]
    page: String,
}

/// Leads to the window that a reader wants first.
pub(super) async fn newest(State(web): State<Web>, PathOf(ip): PathOf<IpAddr>) -> Result<Response, Refusal> {
    let ip = ip.to_canonical();
    let windows = web.ask(move |web| web.windows(ip)).await?;
    let rank = |window: &&WindowView| (window.alerts, window.threat, window.start);
    let telling = windows.iter().max_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
    });
    let telling = telling.ok_or_else(|| Refusal::nothing("profile"))?;
    let window = WindowId {
        profile: ip,
        start: telling.start,
    };
    Ok(Redirect::to(&link::window(window)).into_response())
}

pub(super) async fn show(
    State(web): State<Web>,
    PathOf((ip, start)): PathOf<(IpAddr, String)>,
    Query(choice): Query<Choice>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let ip = ip.to_canonical();
    let start = link::time(&start).ok_or_else(|| Refusal::bad("start: seconds since 1970 are wanted"))?;
    let page = link::page(&choice.page).ok_or_else(|| Refusal::bad("page: not a token of this list"))?;
    let id = WindowId { profile: ip, start };
    let (windows, data) = web
        .ask(move |web| Ok((web.windows(ip)?, web.window(id, page)?)))
        .await?;
    let view = VIEWS
        .iter()
        .find(|(name, ..)| *name == choice.view)
        .unwrap_or(&VIEWS[0])
        .0;
    let clock = &web.0.clock;
    let here = link::window(id);
    let (lines, left_out) = match view {
        "timeline" => timeline_lines(&data.timeline.entries, clock, LINES),
        _ => (Vec::new(), 0),
    };
    let next = data
        .timeline
        .next
        .as_deref()
        .map(|next| format!("{here}?view=timeline&page={}", link::token(next)));
    let window = &data.view;
    Ok(html(&ProfilePage {
        ip,
        me: web.is_me(ip),
        strip: svg::strip(&strip(&windows, &data, ip, clock), window.threshold),
        window: clock.span(window.start, window.end),
        number: human::window(window.number),
        facts: facts(window),
        note: match bound(&data.tables, data.delta.as_ref()) {
            "" if !data.closed && web.0.options.live => "This window is still open.",
            note => note,
        },
        views: VIEWS
            .iter()
            .map(|(name, title, key)| (format!("{here}?view={name}"), *title, *key, *name == view))
            .collect(),
        alerts: (!data.alerts.is_empty()).then(|| alert_rows(&data.alerts, clock, "alerts of this window")),
        lines_note: lines_note(&data.timeline, left_out),
        lines,
        next: next.filter(|_| view == "timeline"),
        gravest: (view == "timeline" && !data.evidence.is_empty()).then(|| {
            let shown: Vec<_> = super::super::load::gravest(data.evidence.iter(), GRAVEST)
                .into_iter()
                .cloned()
                .collect();
            let mut table = evidence_rows(&shown, clock, "Gravest evidence of this window");
            if data.evidence.len() > shown.len() {
                let more = (data.evidence.len() - shown.len()) as u64;
                table.note = format!("and {} more under Evidence", human::count(more));
            }
            table
        }),
        tables: tables(&data, view, clock),
        map: if view == "map" {
            map(&web, &data)
        } else {
            String::new()
        },
        view,
        shell: visit.shell(ip.to_string(), "Profiles"),
    }))
}

/// What had to go to keep the bound of memory. The profile's own flag says also of letters and of what no table shows.
fn bound(tables: &Tables, delta: Option<&ProfileDelta>) -> &'static str {
    let cut = [
        &tables.source_ports,
        &tables.destination_ips,
        &tables.destination_ports,
        &tables.server_ports,
    ]
    .iter()
    .any(|histogram| histogram.truncated);
    if cut || tables.tuples_truncated {
        "The profile passed its bound of memory: totals are exact, tables hold the largest rows."
    } else if delta.is_some_and(|delta| delta.letters.truncated()) {
        "Only the tuples with the most flows have behavioral letters: there are more tuples than letters are kept of."
    } else {
        ""
    }
}

fn lines_note(timeline: &Timeline, left_out: usize) -> String {
    match (timeline.entries.is_empty(), left_out) {
        (true, _) if timeline.next.is_none() => {
            "No flows are kept of this window: they expired, or were not stored.".to_owned()
        }
        (_, 1..) => format!(
            "{} further lines are not shown here; search the flows for them.",
            human::count(left_out as u64)
        ),
        _ => String::new(),
    }
}

fn strip(windows: &[WindowView], shown: &Window, ip: IpAddr, clock: &human::Clock) -> Vec<Strip> {
    let most = windows
        .iter()
        .map(|window| window.bytes)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    windows[windows.len().saturating_sub(BARS)..]
        .iter()
        .map(|window| Strip {
            href: link::window(WindowId {
                profile: ip,
                start: window.start,
            }),
            title: format!(
                "{}: threat {:.2}, {}, {}",
                clock.span(window.start, window.end),
                window.threat,
                human::plural(window.alerts, "alert", "alerts"),
                human::bytes(window.bytes)
            ),
            threat: window.threat,
            alerts: window.alerts,
            evidence: window.evidence,
            traffic: (1.0 + window.bytes as f64).ln() / (1.0 + most).ln(),
            selected: window.start == shown.id.start,
        })
        .collect()
}

pub(in super::super) fn facts(window: &WindowView) -> Vec<(&'static str, String, &'static str)> {
    let class = match window {
        WindowView { alerts: 1.., .. } => "bad",
        WindowView { evidence: 1.., .. } => "some",
        _ => "good",
    };
    vec![
        (
            "threat",
            format!("{:.2} of {:.2}", window.threat, window.threshold),
            class,
        ),
        ("alerts", human::count(window.alerts), ""),
        ("evidence", human::count(window.evidence), ""),
        ("flows", human::count(window.flows), ""),
        ("packets", human::count(window.packets), ""),
        ("bytes", human::bytes(window.bytes), ""),
    ]
}

/// The tables of a view.
pub(in super::super) fn tables(data: &Window, view: &str, clock: &human::Clock) -> Vec<Table> {
    let tables = &data.tables;
    match view {
        "evidence" => vec![evidence_rows(&data.evidence, clock, "evidence of this window")],
        "peers" => parts::histogram(&tables.destination_ips, "destination IP, as client").into(),
        "ports" => parts::histogram(&tables.destination_ports, "destination port, as client").into(),
        "sources" => parts::histogram(&tables.source_ports, "source port, as client").into(),
        "server" => parts::histogram(&tables.server_ports, "port, as server").into(),
        "tuples" => vec![
            parts::tuples(
                &tables.out_tuples,
                "out tuples: whom it called",
                tables.tuples_truncated,
            ),
            parts::tuples(
                &tables.in_tuples,
                "in tuples: who called it",
                tables.tuples_truncated,
            ),
        ],
        _ => Vec::new(),
    }
}

/// Where the peers are, as far as the tables know.
pub(in super::super) fn map(web: &Web, data: &Window) -> String {
    let Some(delta) = &data.delta else {
        return svg::map::world(&[]);
    };
    let bad: std::collections::BTreeSet<IpAddr> = data
        .evidence
        .iter()
        .flat_map(|found| [Some(found.attacker), found.victim])
        .flatten()
        .collect();
    svg::map::world(&web.places(&Web::peers(delta), &bad))
}

#[derive(Template)]
#[template(path = "ip.html")]
struct AddressPage {
    shell: Shell,
    ip: IpAddr,
    has_profile: bool,
    parts: Vec<Part>,
    map: String,
    evidence: Table,
}

/// Lines about one thing, with what stands above them.
struct Part {
    heading: Option<&'static str>,
    facts: Vec<(String, Vec<Cell>)>,
}

pub(super) async fn address(
    State(web): State<Web>,
    PathOf(ip): PathOf<IpAddr>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let ip = ip.to_canonical();
    let known = web.ask(move |web| web.address(ip)).await?;
    let clock = &web.0.clock;
    Ok(html(&AddressPage {
        has_profile: known.windows > 0,
        parts: known
            .lines(clock)
            .into_iter()
            .map(|(group, lines)| Part {
                heading: group.heading(),
                facts: lines
                    .into_iter()
                    .map(|(name, values)| (name, values.into_iter().map(Cell::Text).collect()))
                    .collect(),
            })
            .collect(),
        map: known
            .point
            .as_ref()
            .map_or_else(String::new, |point| svg::map::world(std::slice::from_ref(point))),
        evidence: evidence_rows(&known.evidence, clock, "evidence that names this address"),
        ip,
        shell: visit.shell(ip.to_string(), ""),
    }))
}

#[cfg(test)]
mod tests {
    use lynceus_model::time::Timestamp;

    use super::*;

    #[test]
    fn tables_are_called_cut_only_where_they_are() {
        let mut delta = ProfileDelta::new(WindowId {
            profile: IpAddr::from([192, 0, 2, 1]),
            start: Timestamp(0),
        });
        let mut tables = Tables::default();
        assert_eq!(bound(&tables, Some(&delta)), "");
        delta.letters.mark_truncated();
        assert!(delta.truncated());
        assert!(bound(&tables, Some(&delta)).starts_with("Only the tuples with the most flows have"));
        tables.destination_ports.truncated = true;
        assert!(bound(&tables, Some(&delta)).ends_with("tables hold the largest rows."));
        assert_eq!(bound(&Tables::default(), None), "");
    }
}
