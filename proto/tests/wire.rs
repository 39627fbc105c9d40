//! The wire: what is sent comes back the same, and what nobody sent is refused without a panic.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod wire {
    pub(crate) mod hostile;
    pub(crate) mod limits;
    pub(crate) mod round_trip;
    pub(crate) mod values;
}
