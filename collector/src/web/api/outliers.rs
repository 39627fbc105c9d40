//! Outliers, the account of one window with what it is compared with, and what outliers share.

use std::net::IpAddr;

use axum::extract::State;
use lynceus_model::time::Timestamp;
use serde::Serialize;

use super::super::error::Refusal;
use super::super::outliers::TOP;
use super::super::{Web, link};
use super::profiles::window_id;
use super::{Answer, Json, PathOf, QueryOf};
use crate::outliers::{Account, Alike, Pattern, Shared};

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Filter {
    ip: Option<IpAddr>,
    #[serde(default)]
    flagged: bool,
    since: Option<String>,
    until: Option<String>,
    limit: Option<u32>,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Period {
    since: Option<String>,
    until: Option<String>,
    top: Option<u32>,
}

#[derive(Serialize)]
struct List {
    items: Vec<Account>,
    windows: u64,
    cut: bool,
}

#[derive(Serialize)]
struct Compared {
    account: Account,
    alike: Vec<Alike>,
    patterns: Vec<Pattern>,
    outliers: u64,
}

/// Rows of one answer, when the reader does not say and at most.
const LIMIT: (u32, u32) = (100, 1000);

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    link::time(text)
        .map(Some)
        .ok_or_else(|| Refusal::bad(format!("{name}: seconds since 1970 are wanted")))
}

fn between(name: &str, asked: Option<u32>, (usual, most): (u32, u32)) -> Result<u32, Refusal> {
    match asked {
        None => Ok(usual),
        Some(number) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(Refusal::bad(format!("{name}: between 1 and {most}"))),
    }
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value)
        .map(Json)
        .map_err(|_| Refusal::internal().into())
}

/// Flagged ones first, then the highest score.
pub(super) async fn list(State(web): State<Web>, QueryOf(filter): QueryOf<Filter>) -> Answer {
    let limit = between("limit", filter.limit, LIMIT)?;
    let span = (
        time("since", filter.since.as_deref())?,
        time("until", filter.until.as_deref())?,
    );
    let ip = filter.ip.map(|ip| ip.to_canonical());
    let found = web
        .ask(move |web| web.outliers(ip, span, filter.flagged, limit))
        .await?;
    json(&List {
        items: found.accounts,
        windows: found.windows,
        cut: found.cut,
    })
}

/// Why, what was like it, and the patterns that it belongs to.
pub(super) async fn one(State(web): State<Web>, PathOf(path): PathOf<(IpAddr, String)>) -> Answer {
    let window = window_id(&path)?;
    let compared = web
        .ask(move |web| {
            let account = web.account(window)?;
            let (alike, patterns, outliers) = web.compared(&account)?;
            Ok(Compared {
                account,
                alike,
                patterns,
                outliers,
            })
        })
        .await?;
    json(&compared)
}

pub(super) async fn patterns(State(web): State<Web>, QueryOf(period): QueryOf<Period>) -> Answer {
    let top = between("top", period.top, (TOP, 1000))?;
    let span = (
        time("since", period.since.as_deref())?,
        time("until", period.until.as_deref())?,
    );
    let shared: Shared = web.ask(move |web| web.patterns(span, top, 0)).await?;
    json(&shared)
}
