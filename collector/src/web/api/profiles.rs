//! Profiles, their windows and timelines, and what is known of an address.

use std::net::IpAddr;

use axum::extract::State;
use lynceus_model::window::WindowId;

use super::super::error::Refusal;
use super::super::index::Short;
use super::super::page;
use super::super::{Web, link};
use super::{Answer, Json, PathOf, QueryOf, write};
use crate::json::{self, Object};

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    q: String,
    #[serde(default)]
    detected: bool,
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
}

/// The most threatening first. `next` is a number: the `from` of the next page.
pub(super) async fn list(State(web): State<Web>, QueryOf(filter): QueryOf<Filter>) -> Answer {
    let limit = match filter.limit {
        None => super::find::PAGE.0,
        Some(limit) if (1..=super::find::PAGE.1).contains(&limit) => limit,
        Some(_) => return Err(Refusal::bad(format!("limit: between 1 and {}", super::find::PAGE.1)).into()),
    };
    if filter.q.chars().count() > 1000 {
        return Err(Refusal::bad("q: at most 1000 characters").into());
    }
    if filter.from > 1_000_000 {
        return Err(Refusal::bad("from: at most 1,000,000").into());
    }
    let index = web.ask(Web::index).await?;
    let wanted = page::wanted(&index, &filter.q, filter.detected);
    let items: Vec<&Short> = wanted.iter().skip(filter.from).take(limit).copied().collect();
    let next = filter.from.saturating_add(limit);
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("items", |out| {
        json::list(out, &items, |out, short| {
            write::profile(out, short, web.is_me(short.ip))
        });
    });
    object.value("next", |out| {
        json::optional(out, (next < wanted.len()).then_some(next as u64))
    });
    object.value("total", |out| json::number(out, wanted.len()));
    object.close();
    Ok(Json(out))
}

/// The windows of one profile.
pub(super) async fn one(State(web): State<Web>, PathOf(ip): PathOf<IpAddr>) -> Answer {
    let ip = ip.to_canonical();
    let windows = web.ask(move |web| web.windows(ip)).await?;
    if windows.is_empty() {
        return Err(Refusal::nothing("profile").into());
    }
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.text("ip", &ip.to_string());
    object.value("me", |out| write::flag(out, web.is_me(ip)));
    object.value("windows", |out| json::list(out, &windows, write::window));
    object.close();
    Ok(Json(out))
}

pub(super) fn window_id((ip, start): &(IpAddr, String)) -> Result<WindowId, Refusal> {
    Ok(WindowId {
        profile: ip.to_canonical(),
        start: link::time(start).ok_or_else(|| Refusal::bad("start: seconds since 1970 are wanted"))?,
    })
}

pub(super) async fn window(State(web): State<Web>, PathOf(path): PathOf<(IpAddr, String)>) -> Answer {
    let id = window_id(&path)?;
    let data = web.ask(move |web| web.window(id, Vec::new())).await?;
    let tables = &data.tables;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.text("profile", &id.profile.to_string());
    write::window_fields(&mut object, &data.view);
    object.value("closed", |out| write::flag(out, data.closed));
    object.value("truncated", |out| write::flag(out, data.truncated));
    for (name, histogram) in [
        ("source_ports", &tables.source_ports),
        ("destination_ips", &tables.destination_ips),
        ("destination_ports", &tables.destination_ports),
        ("server_ports", &tables.server_ports),
    ] {
        object.value(name, |out| write::histogram(out, histogram));
    }
    object.value("out_tuples", |out| {
        json::list(out, &tables.out_tuples, write::tuple)
    });
    object.value("in_tuples", |out| {
        json::list(out, &tables.in_tuples, write::tuple)
    });
    object.value("tuples_truncated", |out| {
        write::flag(out, tables.tuples_truncated)
    });
    object.value("evidence", |out| {
        json::list(out, &data.evidence, |out, found| {
            write::line(out, |out| json::write_evidence(out, found))
        });
    });
    object.value("alerts", |out| {
        json::list(out, &data.alerts, |out, alert| {
            write::line(out, |out| json::write_alert(out, alert))
        });
    });
    object.close();
    Ok(Json(out))
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct From {
    #[serde(default)]
    page: String,
}

pub(super) async fn timeline(
    State(web): State<Web>,
    PathOf(path): PathOf<(IpAddr, String)>,
    QueryOf(from): QueryOf<From>,
) -> Answer {
    let id = window_id(&path)?;
    let token = link::page(&from.page).ok_or_else(|| Refusal::bad("page: not a token of this list"))?;
    let timeline = web.ask(move |web| Ok(web.window(id, token)?.timeline)).await?;
    Ok(Json(write::page(
        &timeline.entries,
        timeline.next.as_deref(),
        write::entry,
    )))
}

pub(super) async fn address(State(web): State<Web>, PathOf(ip): PathOf<IpAddr>) -> Answer {
    let ip = ip.to_canonical();
    let known = web.ask(move |web| web.address(ip)).await?;
    let mut out = Vec::new();
    write::dossier(&mut out, &known);
    Ok(Json(out))
}
