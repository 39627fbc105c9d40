//! Live capture: the kernel programs, their maps and hooks. The only place that uses aya.

pub mod attach;
pub mod interfaces;
pub mod load;
pub mod maps;
