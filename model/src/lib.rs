//! The pure domain of lynceus: flows, windows, profiles, evidence, alerts. No I/O, no clock, no serde, no async.
#![forbid(unsafe_code)]

pub mod address;
pub mod alert;
pub mod app;
mod app_report;
pub mod block;
pub mod evidence;
pub mod flow;
mod id;
pub mod letters;
pub mod names;
pub mod outlier;
pub mod profile;
pub mod profiler;
pub mod seeded;
pub mod status;
mod text;
pub mod time;
pub mod whitelist;
pub mod window;
pub mod words;
