//! The collector: takes batches of sensors, keeps them, runs the detectors and answers queries.
//!
//! ```text
//! ingest → store (log) → dispatch → detectors → alerting → store (tables) → query, sinks
//! ```
#![forbid(unsafe_code)]

pub mod app;
pub mod attach;
pub mod auth;
pub mod config;
pub mod control;
pub mod dispatch;
mod earlier;
pub mod external;
pub mod feeds;
pub mod ingest;
pub mod json;
pub mod knowledge;
pub mod lookups;
pub mod metrics;
pub mod modules;
pub mod outliers;
pub mod output;
mod peers;
pub mod pipeline;
pub mod query;
pub mod retention;
pub mod rows;
pub mod shared;
pub mod sink;
pub mod store;
pub mod web;

use std::time::SystemTime;

use lynceus_model::time::Timestamp;

/// Wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
