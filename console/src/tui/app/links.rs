//! Addresses under the cursor: they lead to what is known of them, to a block, to the clipboard.

use std::net::IpAddr;

use super::{App, Pane, Reason};
use crate::peers::other_side;
use crate::tui::keys::Screen;
use crate::tui::sheet::Target;
use crate::tui::timeline_pane::Line;

impl App {
    /// The address that the reader points at.
    pub(in crate::tui) fn link(&self) -> Option<IpAddr> {
        let of_reason = |reason: &Reason| match reason {
            Reason::Evidence(found) => other_side(found).unwrap_or(found.profile),
            Reason::Alert(alert, _) => alert.profile,
        };
        match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => self.tree.selected_profile().map(|profile| profile.ip),
            (Screen::Main, Pane::Timeline) => self.timeline_link().or_else(|| self.profile()),
            (Screen::Main, Pane::Evidence) | (Screen::Why, _) => self
                .pointed_at()
                .as_ref()
                .map(of_reason)
                .or_else(|| self.profile()),
            (Screen::Dossier, _) => self.card_of,
            (Screen::Dive, _) => self.dive_of.map(|window| window.profile),
            (Screen::Block, _) => self.blocking.as_ref().map(|blocking| blocking.ip),
            (Screen::Sensors, _) => None,
            _ => match self.selected_target() {
                Target::Ip(ip) => Some(ip),
                Target::Alert(_) | Target::Evidence(_) => self.pointed_at().as_ref().map(of_reason),
                Target::Port(_) | Target::None => self.profile(),
            },
        }
    }

    /// On a line: the peer. On its interpretation: the first address that stands there.
    fn timeline_link(&self) -> Option<IpAddr> {
        let entry = match self.timeline.lines().get(self.timeline.cursor.selected)? {
            Line::Entry { entry, .. } => *entry,
            Line::Run { run, .. } => run.first,
            Line::Note { entry, note } => {
                let text = self.timeline.entry(*entry).notes.get(*note)?;
                if let Some((_, ip)) = ips_in(text).next() {
                    return Some(ip);
                }
                *entry
            }
        };
        Some(self.timeline.entry(entry).peer)
    }
}

/// Addresses in a text, with the bytes that they take.
pub(in crate::tui) fn ips_in(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, IpAddr)> {
    let mut at = 0;
    let mut words = Vec::new();
    for part in text.split_inclusive(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':'))) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        // A name may end in what looks like a number: `x10.0.0.1` is no address.
        let begins = at == 0 || !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        if begins
            && word.len() >= 3
            && let Ok(ip) = word.parse::<IpAddr>()
        {
            words.push((at..at + word.len(), ip));
        }
        at += part.len();
    }
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_sentences() {
        let found = |text: &str| {
            ips_in(text)
                .map(|(range, ip)| (text[range].to_owned(), ip.to_string()))
                .collect::<Vec<_>>()
        };
        for (text, expected) in [
            (
                "A example.com → 93.184.216.34, 10.0.0.1 (12.0 ms)",
                vec!["93.184.216.34", "10.0.0.1"],
            ),
            ("AAAA x → 2606:2800:220:1::1946.", vec!["2606:2800:220:1::1946"]),
            ("10.0.0.1", vec!["10.0.0.1"]),
            ("größe 10.0.0.1:", vec!["10.0.0.1"]),
            ("host-10.0.0.1 and x10.0.0.1", vec![]),
            ("JA4 t13d1516h2_8daaf6152771_02713d6af862", vec![]),
            ("at 10:21:33", vec![]),
            ("", vec![]),
        ] {
            let texts: Vec<String> = found(text).into_iter().map(|(text, _)| text).collect();
            assert_eq!(texts, expected, "{text}");
        }
    }
}
