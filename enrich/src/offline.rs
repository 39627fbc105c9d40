//! Tables that come with the program: what is known about an address without asking anybody.
//!
//! Each is a file of our own format, made by `cargo xtask data` from a pinned package: ranges with a number each, and
//! records that the numbers stand for. Nothing is unpacked before it is asked for.

pub mod asn;
mod bytes;
pub mod container;
pub mod country;
pub mod facts;
pub mod notice;
pub mod place;
pub mod ranges;
pub mod records;
pub mod registry;
pub mod short;
pub mod special;
pub mod tables;
pub mod vendor;
pub mod write;
pub mod zones;

#[cfg(test)]
mod tests;
