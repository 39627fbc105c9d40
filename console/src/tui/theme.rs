//! Styles by meaning. Nothing is told by color alone, so that `NO_COLOR` loses nothing.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::BorderType;

use crate::text::Tone;

/// How things look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// The sixteen colors as the terminal is set up
    #[default]
    Terminal,
    /// For light backgrounds
    Light,
    /// Okabe and Ito's colors, told apart with any kind of color vision
    ColorBlind,
    /// No color
    Mono,
}

/// Colors by meaning.
struct Palette {
    alert: Color,
    good: Color,
    warning: Color,
    accent: Color,
    focus: Color,
    quiet: Color,
}

/// The user's palette decides what red looks like.
const TERMINAL: Palette = Palette {
    alert: Color::Red,
    good: Color::Green,
    warning: Color::Yellow,
    accent: Color::Cyan,
    focus: Color::Magenta,
    quiet: Color::DarkGray,
};
/// Of the 256 colors, so that tmux and old terminals have them: dark enough on white.
const LIGHT: Palette = Palette {
    alert: Color::Indexed(124),
    good: Color::Indexed(22),
    warning: Color::Indexed(94),
    accent: Color::Indexed(25),
    focus: Color::Indexed(90),
    quiet: Color::Indexed(240),
};
/// The 256 colors nearest to vermillion, bluish green, yellow, sky blue and reddish purple of Okabe and Ito, "Color
/// Universal Design" (2008).
const COLOR_BLIND: Palette = Palette {
    alert: Color::Indexed(202),
    good: Color::Indexed(36),
    warning: Color::Indexed(227),
    accent: Color::Indexed(74),
    focus: Color::Indexed(175),
    quiet: Color::Indexed(246),
};

impl Theme {
    const ALL: [Self; 4] = [Self::Terminal, Self::Light, Self::ColorBlind, Self::Mono];

    /// `chosen`, else no color where the user's environment asks for none (<https://no-color.org>).
    #[must_use]
    pub fn from_environment(chosen: Option<Self>) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        chosen.unwrap_or(if no_color { Self::Mono } else { Self::Terminal })
    }

    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|theme| *theme == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Light => "light",
            Self::ColorBlind => "color-blind",
            Self::Mono => "mono",
        }
    }

    const fn palette(self) -> Option<&'static Palette> {
        match self {
            Self::Terminal => Some(&TERMINAL),
            Self::Light => Some(&LIGHT),
            Self::ColorBlind => Some(&COLOR_BLIND),
            Self::Mono => None,
        }
    }

    /// Flagged by an alert.
    #[must_use]
    pub const fn alert(self) -> Style {
        self.bad().add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn bad(self) -> Style {
        match self.palette() {
            Some(palette) => Style::new().fg(palette.alert),
            None => Style::new(),
        }
    }

    #[must_use]
    pub const fn good(self) -> Style {
        match self.palette() {
            Some(palette) => Style::new().fg(palette.good),
            None => Style::new(),
        }
    }

    #[must_use]
    pub const fn warning(self) -> Style {
        match self.palette() {
            Some(palette) => Style::new().fg(palette.warning),
            None => Style::new(),
        }
    }

    #[must_use]
    pub const fn heading(self) -> Style {
        self.key().add_modifier(Modifier::BOLD)
    }

    #[must_use]
    pub const fn key(self) -> Style {
        match self.palette() {
            Some(palette) => Style::new().fg(palette.accent),
            None => Style::new(),
        }
    }

    /// An address that leads somewhere.
    #[must_use]
    pub const fn link(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// Of less weight than the rest.
    #[must_use]
    pub const fn quiet(self) -> Style {
        match self.palette() {
            Some(palette) => Style::new().fg(palette.quiet),
            None => Style::new().add_modifier(Modifier::DIM),
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
        match (focused, self.palette()) {
            (true, Some(palette)) => (Style::new().fg(palette.focus), BorderType::Thick),
            (true, None) => (Style::new(), BorderType::Thick),
            (false, _) => (self.quiet(), BorderType::Plain),
        }
    }

    /// Color of something drawn on a canvas.
    #[must_use]
    pub fn color(self, style: Style) -> Color {
        style.fg.unwrap_or(Color::Reset)
    }

    /// The look of a shared line of text.
    #[must_use]
    pub const fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Heading => self.heading(),
            Tone::Good => self.good(),
            Tone::Warning => self.warning(),
            Tone::Bad => self.bad(),
            Tone::Alert => self.alert(),
            Tone::Quiet => self.quiet(),
        }
    }
}

#[cfg(test)]
#[path = "theme/tests.rs"]
mod tests;
