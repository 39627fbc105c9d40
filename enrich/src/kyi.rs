//! Know Your IP's files, so that its users can go on with theirs: configurations of both generations (INI of 0.1.8, TOML of
//! 0.6.2), `columns.txt`, lists of addresses, and tables with its column names. `docs/know-your-ip.md` maps each name.

pub mod columns;
pub mod config;
pub mod extract;
mod ini;
pub mod list;
pub mod shape;

pub use config::{Config, ConfigError, Generation};
