//! The collector: takes batches of sensors, keeps them, runs the detectors and answers queries.
//!
//! ```text
//! ingest → store (log) → dispatch → detectors → alerting → store (tables) → query, sinks
//! ```
#![forbid(unsafe_code)]

pub mod store;
