//! Live capture.
pub mod interfaces;
