//! `lynceus`: the program that people use. Commands, tables and the terminal UI over the sensor and the collector.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod analysis;
pub mod cli;
pub mod desk;
pub mod dossier;
pub mod explain;
pub mod json;
pub mod kept;
pub mod local;
pub mod outliers;
pub mod peers;
pub mod query;
pub mod report;
pub mod serve;
pub mod table;
pub mod text;
pub mod tui;

pub use lynceus_view::{alerts, human, screens as view, service, timeline};
