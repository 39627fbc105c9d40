//! JSON as `docs/json.md` describes it, written by hand: millions of lines, and numbers that must stay exact.

pub mod finding;
pub mod flow;

pub(crate) use lynceus_collector::json::{number, optional, seconds};
