//! The terminal UI: a pure state ([`App`]) that takes keys and data, views that draw it, and a thin shell around both.

mod app;
mod cursor;
pub mod keys;
mod shell;
mod theme;
mod timeline_pane;
mod tree;
mod views;
mod widgets;

#[cfg(test)]
pub(crate) use app::tests;
pub use app::{App, Connection, Effect, Input};
pub use shell::run;
pub use theme::Theme;
pub use views::draw;
