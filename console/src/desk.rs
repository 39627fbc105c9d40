//! Where the screens and tables get their data: a collector over the network, a result folder, or this very process.

use lynceus_model::window::WindowId;

use crate::view::{Overview, WindowDetail};

/// Answers the questions of the screens. Calls may block; the terminal UI makes them from a thread of its own.
pub trait Desk: Send {
    /// Everything at a glance.
    ///
    /// # Errors
    /// When the data cannot be had now; the caller may ask again.
    fn overview(&mut self) -> anyhow::Result<Overview>;

    /// Everything about one window; `None` where there is no such window.
    ///
    /// # Errors
    /// As [`Desk::overview`].
    fn window(&mut self, id: WindowId) -> anyhow::Result<Option<WindowDetail>>;

    /// Whether new data can still come.
    fn is_live(&self) -> bool;
}
