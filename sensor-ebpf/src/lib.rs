//! The contract between the kernel programs and user space: one packet parser, the flow key and record,
//! the events of the ring buffer, the counters and the settings.
//!
//! Everything here is `no_std`, has no dependency and no `unsafe`; the kernel programs (`main.rs`), the sensor and
//! the tests use the same code, so a packet means the same thing in the kernel and in a file.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod block;
pub mod counters;
pub mod event;
pub mod flow;
pub mod hash;
pub mod heads;
pub mod layout;
pub mod parse;
pub mod record;
pub mod settings;

/// Version of every layout in this crate. The sensor refuses an object or a pinned map of another version.
pub const ABI_VERSION: u32 = 4;
