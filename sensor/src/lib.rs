//! The sensor: sources of traffic, decoders, flow assembly, profiles, and their way to the collector.

pub mod clock;
pub mod export;
pub mod flow_table;
pub mod decode;
pub mod queue;
pub mod source;
