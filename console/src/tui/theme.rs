//! Styles by meaning. Nothing is told by color alone, so that `NO_COLOR` loses nothing.

use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::BorderType;

use crate::text::Tone;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    color: bool,
}

impl Theme {
    #[must_use]
    pub const fn new(color: bool) -> Self {
        Self { color }
    }

    /// No color where the user's environment asks for none (<https://no-color.org>).
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    const fn fg(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    /// Flagged by an alert.
    #[must_use]
    pub const fn alert(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn good(self) -> Style {
        self.fg(Color::Green)
    }

    #[must_use]
    pub const fn warning(self) -> Style {
        self.fg(Color::Yellow)
    }

    #[must_use]
    pub const fn heading(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn key(self) -> Style {
        self.fg(Color::Cyan)
    }

    /// Of less weight than the rest.
    #[must_use]
    pub const fn quiet(self) -> Style {
        if self.color {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        }
    }

    #[must_use]
    pub const fn selected(self, focused: bool) -> Style {
        if focused {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::BOLD)
        }
    }

    #[must_use]
    pub const fn border(self, focused: bool) -> (Style, BorderType) {
        if focused {
            (self.fg(Color::Magenta), BorderType::Thick)
        } else {
            (self.quiet(), BorderType::Plain)
        }
    }

    /// The look of a shared line of text.
    #[must_use]
    pub const fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Heading => self.heading(),
            Tone::Good => self.good(),
            Tone::Warning => self.warning(),
            Tone::Bad => self.fg(Color::Red),
            Tone::Alert => self.alert(),
            Tone::Quiet => self.quiet(),
        }
    }
}
