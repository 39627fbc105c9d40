//! What is known about addresses, domains and fingerprints from outside the traffic: one source a file. Answers are
//! three-valued: listed, not listed, unknown.
#![forbid(unsafe_code)]

pub mod discipline;
pub mod dossier;
pub mod fact;
pub mod feeds;
pub mod indicator;
pub mod kyi;
pub mod latency;
pub mod local;
pub mod lookup;
pub mod offline;
pub mod provider;
pub mod scans;
pub mod wire;
