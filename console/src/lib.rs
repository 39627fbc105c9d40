//! `lynceus`: the program that people use. Commands, tables and the terminal UI over the sensor and the collector.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod analysis;
pub mod cli;
pub mod desk;
pub mod explain;
pub mod human;
pub mod json;
pub mod local;
pub mod query;
pub mod report;
pub mod service;
pub mod table;
pub mod text;
pub mod timeline;
pub mod tui;
pub mod view;
