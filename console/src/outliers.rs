//! Outliers on the terminal: dives, and everything in words. Accounts themselves are the collector's.

pub mod dive;
pub mod text;

pub use lynceus_collector::outliers::{
    AROUND, Account, Alike, Attribute, Found, Group, NEAR, Pattern, Shared, Term, seconds, value,
};
