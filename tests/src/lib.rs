//! Support of the system tests and of the demo: made-up networks and their traffic.

pub mod frames;
pub mod scenario;
