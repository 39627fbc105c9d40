//! What people are shown, whatever shows it: numbers and times in words, names of services, the timeline of a profile,
//! tables. Shared by the terminal (`console`) and the page (`collector/src/web`). Pure: no I/O, no clock.
#![forbid(unsafe_code)]

pub mod alerts;
#[doc(hidden)]
pub mod examples;
pub mod human;
pub mod screens;
pub mod search;
pub mod service;
pub mod timeline;
