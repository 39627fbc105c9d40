//! `lynceus`: the program that people use. Commands, tables and the terminal UI over the sensor and the collector.
#![forbid(unsafe_code)]

pub mod human;
pub mod service;
pub mod table;
pub mod timeline;
