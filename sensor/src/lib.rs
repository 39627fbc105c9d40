//! The sensor: sources of traffic, decoders, flow assembly, profiles, and their way to the collector.

pub mod app;
pub mod block;
pub mod board;
pub mod capture;
pub mod clock;
pub mod config;
pub mod decode;
pub mod export;
pub mod flow_table;
pub mod kernel;
pub mod left_out;
pub mod metrics;
pub mod own;
pub mod privilege;
pub mod profiler;
pub mod pump;
pub mod queue;
pub mod source;
pub mod units;
