//! Evidence, alerts and flows: by search, and one by its address.

use std::net::IpAddr;

use axum::extract::State;
use lynceus_model::alert::AlertId;
use lynceus_model::evidence::EvidenceId;
use lynceus_model::window::WindowId;

use super::super::error::Refusal;
use super::super::{Web, link};
use super::{Answer, Json, Page, PathOf, QueryOf, write};
use crate::json::{self, Object, list};

type Place = (IpAddr, String, String);

fn place((ip, start, id): &Place) -> Result<(WindowId, [u8; 16]), Refusal> {
    let start = link::time(start).ok_or_else(|| Refusal::bad("start: seconds since 1970 are wanted"))?;
    let id = link::id(id).ok_or_else(|| Refusal::bad("id: a UUID is wanted"))?;
    Ok((
        WindowId {
            profile: ip.to_canonical(),
            start,
        },
        id,
    ))
}

pub(super) async fn evidence(State(web): State<Web>, QueryOf(page): QueryOf<Page>) -> Answer {
    let (search, token, limit) = (page.search()?, page.token()?, page.limit()?);
    let found = web
        .ask(move |web| web.find_evidence(&search, token, limit))
        .await?;
    Ok(Json(write::page(
        &found.items,
        found.next.as_deref(),
        |out, found| {
            write::line(out, |out| json::write_evidence(out, found));
        },
    )))
}

pub(super) async fn alerts(State(web): State<Web>, QueryOf(page): QueryOf<Page>) -> Answer {
    let (search, token, limit) = (page.search()?, page.token()?, page.limit()?);
    let found = web.ask(move |web| web.find_alerts(&search, token, limit)).await?;
    Ok(Json(write::page(
        &found.items,
        found.next.as_deref(),
        |out, alert| {
            write::line(out, |out| json::write_alert(out, alert));
        },
    )))
}

/// Pages end with a whole block of the log, so they may hold more than `limit`.
pub(super) async fn flows(State(web): State<Web>, QueryOf(page): QueryOf<Page>) -> Answer {
    let (search, token, limit) = (page.search()?, page.token()?, page.limit()?);
    let found = web.ask(move |web| web.find_flows(&search, token, limit)).await?;
    Ok(Json(write::page(
        &found.items,
        found.next.as_deref(),
        |out, found| {
            write::flow(out, &found.flow, &found.notes);
        },
    )))
}

pub(super) async fn one_evidence(State(web): State<Web>, PathOf(path): PathOf<Place>) -> Answer {
    let (window, id) = place(&path)?;
    let found = web
        .ask(move |web| web.evidence_of(window, EvidenceId(id)))
        .await?;
    let mut out = Vec::new();
    json::write_evidence(&mut out, &found);
    Ok(Json(out))
}

/// The alert and the evidence of its terms, as far as it is kept.
pub(super) async fn one_alert(State(web): State<Web>, PathOf(path): PathOf<Place>) -> Answer {
    let (window, id) = place(&path)?;
    let found = web.ask(move |web| web.explained(window, AlertId(id))).await?;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("alert", |out| {
        write::line(out, |out| json::write_alert(out, &found.alert))
    });
    let evidence: Vec<_> = found
        .alert
        .terms
        .iter()
        .filter_map(|term| found.evidence.get(&term.evidence))
        .collect();
    object.value("evidence", |out| {
        list(out, &evidence, |out, found| {
            write::line(out, |out| json::write_evidence(out, found))
        });
    });
    object.close();
    Ok(Json(out))
}
