//! Search over evidence, alerts and flows; the whole question stands in the address.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use lynceus_view::human;
use lynceus_view::search::{Field, Search};
use lynceus_view::service;
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::find::{Found, FoundFlow};
use super::super::table::{Cell, Table, number, text};
use super::super::{Web, link};
use super::{Shell, Visit, alert_rows, evidence_rows, html};

/// Rows of a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    shell: Shell,
    kinds: Vec<(&'static str, &'static str, String, bool)>,
    kind: &'static str,
    problem: String,
    table: Option<Table>,
    fields: Vec<(&'static str, &'static str)>,
}

#[derive(Deserialize)]
pub(super) struct Question {
    #[serde(default)]
    q: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    page: String,
}

const KINDS: [(&str, &str); 3] = [("evidence", "Evidence"), ("alerts", "Alerts"), ("flows", "Flows")];

pub(super) async fn show(
    State(web): State<Web>,
    Query(question): Query<Question>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let kind = KINDS
        .iter()
        .find(|(name, _)| *name == question.kind)
        .unwrap_or(&KINDS[0])
        .0;
    let mut shell = visit.shell("Search", "Search");
    shell.query.clone_from(&question.q);
    let mut page = SearchPage {
        kinds: KINDS
            .iter()
            .map(|(name, title)| {
                let href = format!("/search?kind={name}&q={}", link::encoded(&question.q));
                (*name, *title, href, *name == kind)
            })
            .collect(),
        kind,
        problem: String::new(),
        table: None,
        fields: Field::NAMES
            .iter()
            .map(|(name, _, what)| (*name, *what))
            .collect(),
        shell,
    };
    match question.q.parse::<Search>() {
        Err(error) => page.problem = error.to_string(),
        Ok(search) => {
            let from =
                link::page(&question.page).ok_or_else(|| Refusal::bad("page: not a token of this list"))?;
            let next = |next: Option<Vec<u8>>| {
                next.map(|next| {
                    format!(
                        "/search?kind={kind}&q={}&page={}",
                        link::encoded(&question.q),
                        link::token(&next)
                    )
                })
            };
            let clock = &web.0.clock;
            let (mut table, more, looked_at) = match kind {
                "alerts" => {
                    let found = web.ask(move |web| web.find_alerts(&search, from, PAGE)).await?;
                    (
                        alert_rows(&found.items, clock, "alerts, the newest first"),
                        found.next,
                        found.looked_at,
                    )
                }
                "flows" => {
                    let found = web.ask(move |web| web.find_flows(&search, from, PAGE)).await?;
                    let looked_at = found.looked_at;
                    (flow_rows(&found, clock), found.next, looked_at)
                }
                _ => {
                    let found = web.ask(move |web| web.find_evidence(&search, from, PAGE)).await?;
                    (
                        evidence_rows(&found.items, clock, "evidence, the newest first"),
                        found.next,
                        found.looked_at,
                    )
                }
            };
            table.empty = if more.is_some() {
                "Nothing among the rows looked at so far; go on with the next page."
            } else {
                "Nothing fits this search."
            };
            table.note = format!(
                "{} looked at for this page.",
                human::plural(looked_at as u64, "row", "rows")
            );
            table.next = next(more);
            page.table = Some(table);
        }
    }
    Ok(html(&page))
}

fn flow_rows(found: &Found<FoundFlow>, clock: &human::Clock) -> Table {
    let mut table = Table::new(
        "flows",
        vec![
            text(clock.heading()),
            text("originator"),
            text("responder"),
            text("port"),
            text("state"),
            number("packets"),
            number("bytes"),
            number("duration"),
            text("what it said"),
        ],
        "",
    );
    for FoundFlow { flow, notes } in &found.items {
        let tuple = &flow.tuple;
        let name = service::name(tuple.responder.port, tuple.protocol)
            .filter(|_| service::has_ports(tuple.protocol));
        let port = service::port(tuple.responder.port, tuple.protocol);
        table.row(vec![
            Cell::Quiet(clock.date_time(flow.first)),
            Cell::link(tuple.originator.ip.to_string(), link::ip(tuple.originator.ip)),
            Cell::link(tuple.responder.ip.to_string(), link::ip(tuple.responder.ip)),
            Cell::Text(name.map_or_else(|| port.clone(), |name| format!("{port} {name}"))),
            Cell::Code(flow.state.name().to_owned()),
            Cell::count(flow.out.packets + flow.back.packets),
            Cell::bytes(flow.out.bytes + flow.back.bytes),
            Cell::Number(human::duration(flow.duration()), flow.duration().as_secs_f64()),
            Cell::Quiet(notes.join("; ")),
        ]);
    }
    table
}
