//! The export against collectors that die, refuse, or want certificates.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print its seed"
)]

mod export {
    pub(crate) mod collector;
    pub(crate) mod exactly_once;
    pub(crate) mod tls;
}
