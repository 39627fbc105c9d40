//! The terminal UI: a pure state ([`App`]) that takes keys and data, views that draw it, and a thin shell around both.

mod app;
mod characters;
mod cursor;
mod filter;
pub mod keys;
mod refused;
mod sheet;
mod sheets;
mod shell;
mod theme;
mod timeline_pane;
mod tree;
mod views;
mod widgets;

#[cfg(test)]
pub(crate) use app::tests;
pub use app::{App, Connection, Effect, Input};
pub use characters::Characters;
pub use shell::{Options, is_possible, run};
pub use theme::Theme;
pub use views::draw;
