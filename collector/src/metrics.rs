//! `/metrics` in Prometheus text, `/healthz` and `/readyz`, on a port of their own.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::query::QueryService;

/// Routes for scrapers and supervisors.
pub fn router(query: QueryService) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(query)
}

async fn metrics(State(query): State<QueryService>) -> Response {
    let text = tokio::task::spawn_blocking(move || render(&query)).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ready: batches are taken and applied.
async fn ready(State(query): State<QueryService>) -> Response {
    let status = tokio::task::spawn_blocking(move || query.collector()).await;
    match status {
        Ok(status) => match status.degraded {
            None => (StatusCode::OK, "ready\n".to_owned()).into_response(),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        },
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Gauges among the totals: they go up and down.
const GAUGES: [&str; 3] = ["missing_now", "windows_in_memory", "window_bytes"];

fn render(query: &QueryService) -> String {
    let status = query.collector();
    let mut out = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, rows: &[(String, u64)]| {
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "# HELP lynceus_collector_{name} {help}\n# TYPE lynceus_collector_{name} {kind}"
        );
        for (labels, value) in rows {
            let _ = writeln!(out, "lynceus_collector_{name}{labels} {value}");
        }
    };
    let one = |value: u64| [(String::new(), value)];
    for total in &status.totals {
        let name = total.reason.as_str();
        if GAUGES.contains(&name) {
            metric(name, "gauge", "Of this moment.", &one(total.count));
        } else {
            metric(
                &format!("{name}_total"),
                "counter",
                "Since the start.",
                &one(total.count),
            );
        }
    }
    let refused: Vec<(String, u64)> = status
        .refused
        .iter()
        .map(|counter| {
            (
                format!("{{reason=\"{}\"}}", label(&counter.reason)),
                counter.count,
            )
        })
        .collect();
    metric(
        "refused_total",
        "counter",
        "What was refused, by reason.",
        &refused,
    );
    let feeds = |value: &dyn Fn(&lynceus_proto::v1::FeedStatus) -> Option<u64>| -> Vec<(String, u64)> {
        let row = |feed: &lynceus_proto::v1::FeedStatus| {
            Some((format!("{{feed=\"{}\"}}", label(&feed.name)), value(feed)?))
        };
        status.feeds.iter().filter_map(row).collect()
    };
    let seconds =
        |feed: &lynceus_proto::v1::FeedStatus| feed.taken?.div_euclid(1_000_000_000).try_into().ok();
    for (name, help, rows) in [
        (
            "feed_indicators",
            "Indicators loaded.",
            feeds(&|feed| Some(feed.indicators)),
        ),
        ("feed_taken_seconds", "Unix time of the copy.", feeds(&seconds)),
        (
            "feed_bad_lines",
            "Lines that were not understood.",
            feeds(&|feed| Some(feed.bad)),
        ),
        (
            "feed_failed",
            "1 when the last try failed.",
            feeds(&|feed| Some(feed.error.is_some().into())),
        ),
    ] {
        if !rows.is_empty() {
            metric(name, "gauge", help, &rows);
        }
    }
    let modules = |value: &dyn Fn(&lynceus_proto::v1::ModuleStatus) -> u64| -> Vec<(String, u64)> {
        let row = |module: &lynceus_proto::v1::ModuleStatus| {
            (format!("{{module=\"{}\"}}", label(&module.name)), value(module))
        };
        status.modules.iter().map(row).collect()
    };
    let at_work = |state: &str| matches!(state, "running" | "attached");
    for (name, kind, help, rows) in [
        (
            "module_running",
            "gauge",
            "1 when the module is at work.",
            modules(&|module| at_work(&module.state).into()),
        ),
        (
            "module_updates_total",
            "counter",
            "Updates that the module was shown.",
            modules(&|module| module.updates),
        ),
        (
            "module_busy_nanoseconds_total",
            "counter",
            "Time that the module took for them.",
            modules(&|module| module.busy_nanos.unwrap_or(0)),
        ),
        (
            "module_restarts_total",
            "counter",
            "How often the module was begun anew or came back.",
            modules(&|module| module.restarts),
        ),
        (
            "module_slow_total",
            "counter",
            "Groups of updates for which the module took too long.",
            modules(&|module| module.slow),
        ),
        (
            "module_late_total",
            "counter",
            "Findings that came after the other modules had gone on.",
            modules(&|module| module.late),
        ),
        (
            "module_waiting_groups",
            "gauge",
            "Groups of updates that wait for a module that is behind the others.",
            modules(&|module| module.waiting),
        ),
        (
            "module_queue_full_total",
            "counter",
            "Groups that found the module's queue full, so that everything waited.",
            modules(&|module| module.full),
        ),
        (
            "module_missed_groups_total",
            "counter",
            "Groups that the module was not shown.",
            modules(&|module| module.missed),
        ),
    ] {
        metric(name, kind, help, &rows);
    }
    metric(
        "log_bytes",
        "gauge",
        "Bytes of the log as stored.",
        &one(status.log_bytes),
    );
    if let Some(bytes) = status.table_bytes {
        metric(
            "table_bytes",
            "gauge",
            "Bytes of the tables as stored.",
            &one(bytes),
        );
    }
    metric(
        "accepted_position",
        "gauge",
        "Newest log entry.",
        &one(status.accepted_position),
    );
    metric(
        "applied_position",
        "gauge",
        "Log entry up to which the tables speak.",
        &one(status.applied_position),
    );
    metric(
        "degraded",
        "gauge",
        "1 when nothing is taken or applied.",
        &one(u64::from(status.degraded.is_some())),
    );
    let info = format!(
        "{{version=\"{}\",engine=\"{}\",durability=\"{}\"}}",
        label(&status.version),
        label(&status.engine),
        label(&status.durability)
    );
    metric("info", "gauge", "What runs.", &[(info, 1)]);
    out
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
