//! An alert with the terms of its sum, and an evidence with its numbers and flows.

use std::net::IpAddr;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use lynceus_model::alert::AlertId;
use lynceus_model::evidence::EvidenceId;
use lynceus_model::window::WindowId;
use lynceus_view::alerts::{kind_words, shares};
use lynceus_view::human;

use super::super::error::Refusal;
use super::super::table::{Cell, Table};
use super::super::{Web, link, svg};
use super::parts::{self, Line};
use super::{PathOf, Shell, Visit, alerts, explained, html, timeline_lines, whose};

/// Lines of the flows behind an evidence.
const LINES: usize = 200;

type Place = (IpAddr, String, String);

/// The window and the id of an address of a page.
pub(in super::super) fn place((ip, start, id): &Place) -> Result<(WindowId, [u8; 16]), Refusal> {
    let start = link::time(start).ok_or_else(|| Refusal::bad("start: seconds since 1970 are wanted"))?;
    let id = link::id(id).ok_or_else(|| Refusal::bad("id: a UUID is wanted"))?;
    let window = WindowId {
        profile: ip.to_canonical(),
        start,
    };
    Ok((window, id))
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage {
    shell: Shell,
    ip: IpAddr,
    window: String,
    window_href: String,
    sentence: String,
    chart: String,
    missing: String,
    terms: Table,
    compared: Vec<alerts::Compared>,
    flows: Table,
    /// Alerts of its group; none if it stands alone.
    related: Option<Table>,
    peers: Table,
    json: String,
}

pub(super) async fn alert(
    State(web): State<Web>,
    PathOf(path): PathOf<Place>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let (window, id) = place(&path)?;
    let (data, related) = web
        .ask(move |web| {
            let data = web.explained(window, AlertId(id))?;
            let related = web.related(&data.alert)?;
            Ok((data, related))
        })
        .await?;
    let clock = &web.0.clock;
    let alert = &data.alert;
    let (chart, terms) = explained(&data);
    Ok(html(&AlertPage {
        ip: alert.profile,
        window: format!(
            "{} from {} {}",
            human::window(alert.window),
            clock.date_minute(alert.window_start),
            clock.label()
        ),
        window_href: link::window(window),
        sentence: sentence(&data, clock),
        chart,
        missing: without(&data),
        terms,
        compared: alerts::compared(&data),
        flows: alerts::flow_ids(alert),
        related: (!related.is_empty()).then(|| alerts::related_rows(&related, clock)),
        peers: whose::rows(&web, &alert.peers),
        json: format!("/api/v1{}", link::alert(alert).replacen("/alert/", "/alerts/", 1)),
        shell: visit.shell(format!("Alert for {}", alert.profile), "Profiles"),
    }))
}

pub(in super::super) fn sentence(data: &super::super::load::Explained, clock: &human::Clock) -> String {
    let alert = &data.alert;
    format!(
        "The accumulated threat reached {:.2} at {} {}; an alert is raised at {:.2}. Each piece of evidence adds its \
         threat level's weight × its confidence.",
        alert.sum,
        clock.date_time(alert.last),
        clock.label(),
        alert.threshold
    )
}

/// What would have had to be different: the fewest kinds of evidence without which there were no alert.
pub(in super::super) fn without(data: &super::super::load::Explained) -> String {
    let kinds = shares(&data.alert, |id| data.evidence.get(&id));
    let excess = data.alert.sum - data.alert.threshold;
    let (mut taken, mut names) = (0.0, Vec::new());
    for share in kinds {
        if taken > excess {
            break;
        }
        taken += share.weight;
        names.push(format!("{} ({:.2})", kind_words(share.kind), share.weight));
    }
    if taken <= excess {
        return String::new();
    }
    format!(
        "Without {} the sum would be {:.2}, below the threshold.",
        names.join(" and "),
        (data.alert.sum - taken).max(0.0)
    )
}

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidencePage {
    shell: Shell,
    kind: String,
    ip: IpAddr,
    window_href: String,
    description: String,
    facts: Vec<(&'static str, Cell)>,
    features: String,
    text: String,
    account: String,
    lines: Vec<Line>,
    lines_note: String,
    json: String,
}

pub(super) async fn evidence(
    State(web): State<Web>,
    PathOf(path): PathOf<Place>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let (window, id) = place(&path)?;
    let (found, timeline) = web
        .ask(move |web| {
            let found = web.evidence_of(window, EvidenceId(id))?;
            let timeline = if found.flows.is_empty() {
                super::super::load::Timeline::default()
            } else {
                web.timeline(found.profile, None, &found.flows, Vec::new())?
            };
            Ok((found, timeline))
        })
        .await?;
    let clock = &web.0.clock;
    let (lines, left_out) = timeline_lines(&timeline.entries, clock, LINES);
    let lines_note = match (lines.is_empty(), left_out) {
        (true, _) => format!(
            "{} behind it; none is kept any more.",
            human::plural(found.flows.len() as u64, "flow is", "flows are")
        ),
        (_, 1..) => format!("and {} more lines", human::count(left_out as u64)),
        _ => String::new(),
    };
    Ok(html(&EvidencePage {
        kind: parts::kind_words(&found),
        ip: found.profile,
        window_href: link::window(window),
        description: human::printable(&found.description, 1000),
        facts: parts::facts(&found, clock),
        features: if found.explanation.features.is_empty() {
            String::new()
        } else {
            svg::features(&found.explanation.features)
        },
        text: human::printable(&found.explanation.text, 2000),
        account: human::printable(found.account.as_deref().unwrap_or_default(), 2000),
        lines,
        lines_note,
        json: format!("/api/v1{}", link::evidence(&found)),
        shell: visit.shell(parts::kind_words(&found), "Profiles"),
    }))
}
