//! Live capture: the kernel programs, their maps and hooks, and the thread that empties them. The only place that uses
//! aya.

pub mod attach;
pub mod block;
mod cost;
pub mod counters;
mod deltas;
pub mod drain;
pub mod heads;
pub mod hints;
pub mod interfaces;
pub mod load;
pub mod log;
pub mod maps;
mod sweep;
