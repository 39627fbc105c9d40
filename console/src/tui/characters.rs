//! What is drawn with: Unicode, or ASCII where the terminal would show squares and question marks.

use clap::ValueEnum;
use ratatui::buffer::Buffer;

/// Characters that the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Characters {
    /// UTF-8, with lines, arrows and braille dots
    #[default]
    Unicode,
    /// For a locale without UTF-8, serial lines and the kernel's own console
    Ascii,
}

/// Terminals whose fonts have no arrows and dots, whatever the locale says: the kernel's console has at most 512
/// characters, serial terminals a hundred more than ASCII.
const POOR: [&str; 6] = ["linux", "vt100", "vt102", "vt220", "ansi", "cons25"];

impl Characters {
    /// `chosen`, else as the user's environment says.
    #[must_use]
    pub fn from_environment(chosen: Option<Self>) -> Self {
        chosen.unwrap_or_else(|| Self::of(|name| std::env::var(name).ok()))
    }

    /// By `TERM`, then by the first of `LC_ALL`, `LC_CTYPE` and `LANG` that says something (POSIX, XBD 8.2). Where none
    /// does, as under sudo and in containers, the terminal is one of today, which has UTF-8.
    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        if get("TERM").is_some_and(|term| POOR.contains(&term.as_str())) {
            return Self::Ascii;
        }
        let mut locales = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(get);
        match locales.find(|locale| !locale.is_empty()) {
            Some(locale) => {
                let locale = locale.to_ascii_lowercase();
                if locale.contains("utf-8") || locale.contains("utf8") {
                    Self::Unicode
                } else {
                    Self::Ascii
                }
            }
            None => Self::Unicode,
        }
    }

    /// Puts what was drawn into these characters. Nothing moves: each cell stays where it is.
    pub(super) fn put(self, buffer: &mut Buffer) {
        if self == Self::Unicode {
            return;
        }
        for cell in &mut buffer.content {
            if let Some(c) = cell.symbol().chars().next().filter(|_| !cell.symbol().is_ascii()) {
                cell.set_char(ascii(c));
            }
        }
    }
}

/// The nearest character of ASCII, which has the same meaning where there is one.
const fn ascii(c: char) -> char {
    match c {
        '─' | '╌' | '┄' | '┈' | '═' | '–' | '—' | '−' | '·' | '•' => '-',
        // The pane in focus has heavy lines, which must differ without color, too.
        '━' | '╍' | '┅' | '┉' => '=',
        '│' | '║' | '╎' | '┆' | '┊' => '|',
        '┃' | '┏' | '┓' | '┗' | '┛' | '█' | '■' | '▪' => '#',
        '└' => '`',
        '\u{2500}'..='\u{257f}' => '+',
        '▸' | '▶' | '►' | '→' | '⇒' | '≥' | '›' | '»' => '>',
        '◂' | '◀' | '◄' | '←' | '⇐' | '≤' | '‹' | '«' => '<',
        '▾' | '▼' | '↓' => 'v',
        '▴' | '▲' | '↑' => '^',
        '…' => '.',
        '×' => 'x',
        '±' => '+',
        '≈' => '~',
        'µ' | 'μ' => 'u',
        '°' => 'o',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '▏' => '_',
        '░' => '.',
        '▒' => ':',
        '\u{2580}'..='\u{259f}' => '#',
        // Braille: eight dots of the map, by how many of them there are.
        '\u{2800}'..='\u{28ff}' => match (c as u32 & 0xff).count_ones() {
            0 => ' ',
            1 | 2 => '.',
            3..=5 => ':',
            _ => '#',
        },
        '\u{a0}' => ' ',
        c if c.is_ascii() => c,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn of(environment: &[(&str, &str)]) -> Characters {
        Characters::of(|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_decides() {
        use Characters::{Ascii, Unicode};
        for (environment, expected) in [
            (&[][..], Unicode),
            (&[("TERM", "xterm")], Unicode),
            (&[("TERM", "linux"), ("LANG", "C.UTF-8")], Ascii),
            (&[("TERM", "xterm"), ("LANG", "C")], Ascii),
            (&[("LANG", "de_DE@euro")], Ascii),
            (&[("LANG", "en_US.utf8")], Unicode),
            (&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], Ascii),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], Unicode),
        ] {
            assert_eq!(of(environment), expected, "{environment:?}");
        }
        assert_eq!(Characters::from_environment(Some(Ascii)), Ascii);
    }

    #[test]
    fn lines_arrows_and_dots_have_their_likes() {
        let text = "┏━▸↑1 │ ▾ … ≥ ⣿⠁ ä";
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        buffer.set_string(0, 0, text, Style::new());
        Characters::Unicode.put(&mut buffer);
        assert_eq!(buffer[(0, 0)].symbol(), "┏");
        Characters::Ascii.put(&mut buffer);
        let line: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(line.trim_end(), "#=>^1 | v . > #. ?");
    }

    proptest! {
        #[test]
        fn whatever_is_drawn_becomes_ascii_and_stays_in_its_place(text in "\\PC{0,40}") {
            let mut drawn = Buffer::empty(Rect::new(0, 0, 80, 1));
            drawn.set_string(0, 0, &text, Style::new());
            let before = drawn.clone();
            Characters::Ascii.put(&mut drawn);
            for (cell, was) in drawn.content.iter().zip(&before.content) {
                prop_assert!(cell.symbol().is_ascii());
                prop_assert!(!was.symbol().is_ascii() || cell.symbol() == was.symbol());
            }
        }
    }
}
