//! Blocks: what is blocked, and forms to block (a dry run first) and to unblock.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form};
use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;
use lynceus_proto::block::prefix_of;
use lynceus_proto::v1;
use lynceus_view::human;
use serde::Deserialize;

use super::super::Web;
use super::super::auth::{Account, Role};
use super::super::error::Refusal;
use super::super::guard;
use super::super::table::{Cell, Table, number, text};
use super::{Shell, Visit, html};
use crate::control::{Control, ControlError};

/// Longest block that the form takes, in minutes: a week. `lynceus block` takes more.
const MINUTES: u64 = 7 * 24 * 60;

#[derive(Template)]
#[template(path = "blocks.html")]
struct BlocksPage {
    shell: Shell,
    /// Why nothing can be blocked here; empty: it can.
    off: &'static str,
    /// The whole collector only counts.
    dry_run: bool,
    may_dry_run: bool,
    may_block: bool,
    csrf: String,
    network: String,
    table: Table,
    networks: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    network: String,
}

#[derive(Deserialize)]
pub(super) struct BlockForm {
    csrf: String,
    network: String,
    minutes: u64,
    #[serde(default)]
    reason: String,
    /// `dry` or `drop`.
    mode: String,
}

#[derive(Deserialize)]
pub(super) struct UnblockForm {
    csrf: String,
    network: String,
}

pub(super) async fn show(
    State(web): State<Web>,
    Query(wish): Query<Wish>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let account = Arc::clone(&visit.account);
    let blocks = web.ask(Web::blocks).await?;
    let options = web
        .0
        .options
        .control
        .as_ref()
        .map(|control| control.options().clone());
    let off = match &options {
        None => "This process has no sensors to tell: blocks are the collector's.",
        Some(options) if !options.enabled => {
            "Blocking is off: the collector's configuration has enabled = false in [block]."
        }
        Some(_) => "",
    };
    Ok(html(&BlocksPage {
        off,
        dry_run: options.is_some_and(|options| options.dry_run),
        may_dry_run: account.role >= Role::Analyst,
        may_block: account.role >= Role::Admin,
        csrf: account.csrf.clone(),
        network: wish.network,
        table: table(&blocks, &web.0.clock),
        networks: blocks
            .iter()
            .filter_map(network_of)
            .map(|network| network.to_string())
            .collect(),
        shell: visit.shell("Blocks", "Blocks"),
    }))
}

fn network_of(block: &v1::Block) -> Option<Network> {
    prefix_of(&block.address, block.prefix).ok()
}

fn table(blocks: &[v1::Block], clock: &human::Clock) -> Table {
    let mut table = Table::new(
        "active blocks",
        vec![
            text("network"),
            text("mode"),
            text("since (UTC)"),
            text("until (UTC)"),
            text("asked by"),
            text("reason"),
            number("packets"),
            number("bytes"),
        ],
        "Nothing is blocked.",
    );
    for block in blocks {
        let network = network_of(block).map_or_else(|| "?".to_owned(), |network| network.to_string());
        let (mode, class) = if block.dry_run {
            ("dry run", "quiet")
        } else {
            ("drops", "bad")
        };
        table.row(vec![
            Cell::Text(network),
            Cell::Badge {
                text: mode.to_owned(),
                class: class.to_owned(),
            },
            Cell::Quiet(clock.date_time(Timestamp(block.since))),
            Cell::Quiet(clock.date_time(Timestamp(block.until))),
            Cell::Text(block.origin.clone()),
            Cell::Text(human::printable(&block.reason, 200)),
            Cell::count(block.packets),
            Cell::bytes(block.bytes),
        ]);
    }
    table
}

pub(super) async fn block(
    State(web): State<Web>,
    Extension(account): Extension<Arc<Account>>,
    headers: HeaderMap,
    Form(form): Form<BlockForm>,
) -> Result<Response, Refusal> {
    let dry_run = match form.mode.as_str() {
        "dry" => true,
        "drop" => false,
        _ => return Err(Refusal::bad("mode: dry or drop")),
    };
    let role = if dry_run { Role::Analyst } else { Role::Admin };
    guard::may(&account, &headers, role, &form.csrf)?;
    let network: Network = form
        .network
        .trim()
        .parse()
        .map_err(|_| Refusal::bad("network: an address or prefix is wanted"))?;
    if !(1..=MINUTES).contains(&form.minutes) {
        return Err(Refusal::bad(format!("minutes: between 1 and {MINUTES}")));
    }
    let time = Duration::from_secs(form.minutes * 60);
    let reason = format!(
        "{} on the page: {}",
        account.name,
        human::printable(&form.reason, 150)
    );
    web.control(move |control| control.block(network, time, dry_run, &reason, crate::now()))
        .await?;
    Ok(Redirect::to("/blocks").into_response())
}

pub(super) async fn unblock(
    State(web): State<Web>,
    Extension(account): Extension<Arc<Account>>,
    headers: HeaderMap,
    Form(form): Form<UnblockForm>,
) -> Result<Response, Refusal> {
    guard::may(&account, &headers, Role::Admin, &form.csrf)?;
    let network: Network = form
        .network
        .parse()
        .map_err(|_| Refusal::bad("network: an address or prefix is wanted"))?;
    let reason = format!("{} on the page", account.name);
    web.control(move |control| control.unblock(network, &reason, crate::now()))
        .await?;
    Ok(Redirect::to("/blocks").into_response())
}

impl Web {
    /// What is blocked now. Blocks.
    pub(in super::super) fn blocks(&self) -> Result<Vec<v1::Block>, Refusal> {
        match &self.0.options.control {
            Some(control) => control.list(false).map_err(|error| refused(&error.into())),
            None => Ok(Vec::new()),
        }
    }

    async fn control<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(move |web| {
            let off = || Refusal::new(StatusCode::CONFLICT, "this process has no sensors to tell");
            let control = web.0.options.control.as_ref().ok_or_else(off)?;
            question(control).map_err(|error| refused(&error))
        })
        .await
    }
}

fn refused(error: &ControlError) -> Refusal {
    let status = match error {
        ControlError::Off | ControlError::Refused(..) => StatusCode::CONFLICT,
        ControlError::NotBlocked(_) => StatusCode::NOT_FOUND,
        ControlError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string())
}
