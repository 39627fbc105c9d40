//! The way to the collector: batches, the spool that bridges its absence, and the two ways of handing over.

pub mod spool;
