//! Lines of text whose parts have a meaning; commands print them with terminal colors, screens draw them as they are.

use std::fmt::Write as _;
use std::net::IpAddr;

use anstyle::{AnsiColor, Style};
use lynceus_model::evidence::ThreatLevel;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a part of a line means; the look follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    #[default]
    Plain,
    Heading,
    Good,
    Warning,
    /// Bad, but not an alert.
    Bad,
    Alert,
    /// Of less weight than the rest.
    Quiet,
}

impl Tone {
    #[must_use]
    pub const fn of_level(level: ThreatLevel) -> Self {
        match level {
            ThreatLevel::Info => Self::Quiet,
            ThreatLevel::Low => Self::Plain,
            ThreatLevel::Medium => Self::Warning,
            ThreatLevel::High => Self::Bad,
            ThreatLevel::Critical => Self::Alert,
        }
    }

    fn ansi(self) -> Style {
        let color = |color: AnsiColor| Style::new().fg_color(Some(anstyle::Color::Ansi(color)));
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => color(AnsiColor::Green),
            Self::Warning => color(AnsiColor::Yellow),
            Self::Bad => color(AnsiColor::Red),
            Self::Alert => color(AnsiColor::Red).bold(),
            Self::Quiet => color(AnsiColor::BrightBlack),
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<(Tone, String)>);

impl Line {
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    #[must_use]
    pub fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// The text alone.
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// With ANSI styles; the writer strips them where there is no terminal.
    #[must_use]
    pub fn ansi(&self) -> String {
        let mut out = String::new();
        for (tone, text) in &self.0 {
            let style = tone.ansi();
            // Writing into a String cannot fail.
            let _ = write!(out, "{style}{text}{style:#}");
        }
        out
    }
}

impl<T: Into<String>> From<T> for Line {
    fn from(text: T) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

/// `text` cut to `width` columns of a terminal, with `…` where something was cut.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns >= width {
            break;
        }
        used += columns;
        fitted.push(c);
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

/// Cut and filled up with blanks to exactly `width` columns.
#[must_use]
pub fn pad(text: &str, width: usize) -> String {
    let mut text = fit(text, width);
    let missing = width.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The same with the text at the right.
#[must_use]
pub fn pad_left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// Cut into lines of at most `width` columns at blanks; the later ones indented.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let room = width.saturating_sub(line.width());
        if !line.trim().is_empty() && word.width() + 1 > room {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A name with its address, or the address alone.
#[must_use]
pub fn named(ip: IpAddr, name: Option<&str>) -> String {
    name.map_or_else(|| ip.to_string(), |name| format!("{name} ({ip})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns_not_by_bytes() {
        assert_eq!(fit("größer", 6), "größer");
        assert_eq!(fit("größer", 4), "grö…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(pad("ab", 4), "ab  ");
        assert_eq!(pad_left("ab", 4), "  ab");
    }

    #[test]
    fn long_text_is_wrapped_at_blanks() {
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "  three", "  four"]);
        assert_eq!(wrap("unbreakable", 4, 2), ["unbreakable"]);
        assert_eq!(wrap("", 4, 2), [""]);
    }
}
