//! What travels between sensor, collector and console: the generated wire types ([`v1`]) and their conversion from and
//! to the types of `lynceus-model`.
//!
//! `TryFrom` from the wire is the only validation of what a peer sends: it bounds every list, text and byte string and
//! names the field that is wrong. `From` to the wire cannot fail: it cuts what is longer than the receiver accepts.
#![forbid(unsafe_code)]

mod app;
mod app_report;
pub mod batch;
pub mod block;
mod evidence;
mod field;
mod flow;
pub mod glance;
pub mod module;
mod profile;
pub mod session;
mod sources;
mod status;

pub use field::{Invalid, Problem, limits};
pub use sources::SOURCES;

/// Generated from `proto/lynceus/v1/*.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::clone_on_ref_ptr,
    clippy::or_fun_call,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    unused_lifetimes,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("lynceus.v1");
}
