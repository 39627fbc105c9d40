//! The sensor: sources of traffic, decoders, flow assembly, profiles, and their way to the collector.

pub mod clock;
pub mod decode;
pub mod export;
pub mod flow_table;
pub mod kernel;
pub mod profiler;
pub mod queue;
pub mod source;
