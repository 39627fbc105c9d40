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

    /// Cut into lines of at most `width` columns at blanks, the later ones indented; tones are kept.
    #[must_use]
    pub fn wrap(&self, width: usize, indent: usize) -> Vec<Self> {
        if self.plain().width() <= width {
            return vec![self.clone()];
        }
        let mut lines = vec![Self::default()];
        let mut used = 0;
        for (tone, text) in &self.0 {
            for word in text.split_inclusive(' ') {
                if used + word.trim_end().width() > width && used > indent {
                    lines.push(Self::toned(Tone::Plain, " ".repeat(indent)));
                    used = indent;
                }
                used += word.width();
                if let Some(line) = lines.last_mut() {
                    line.0.push((*tone, word.to_owned()));
                }
            }
        }
        lines
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
    fn long_lines_are_wrapped_at_blanks_and_keep_their_tones() {
        let line = Line::toned(Tone::Alert, "one two ").and(Tone::Plain, "three four");
        let wrapped = line.wrap(9, 2);
        let texts: Vec<String> = wrapped
            .iter()
            .map(|line| line.plain().trim_end().to_owned())
            .collect();
        assert_eq!(texts, ["one two", "  three", "  four"]);
        assert_eq!(wrapped[0].0[0].0, Tone::Alert);
        assert_eq!(Line::from("unbreakable").wrap(4, 2).len(), 1);
        assert_eq!(line.wrap(80, 2), [line]);
    }
}
