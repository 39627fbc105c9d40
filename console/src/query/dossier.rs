//! All that is known of an address, as text: tables that come with the program, then what the store has.

use std::net::IpAddr;

use super::{Query, Wanted};
use crate::human;
use crate::peers::{self, other_side};
use crate::text::{Line, Tone};

/// Evidence about the address that is shown.
const MAX_FINDINGS: usize = 20;

impl Query {
    pub(super) fn dossier(&self, ip: IpAddr) -> anyhow::Result<Vec<Line>> {
        let evidence = self.evidence(&Wanted::default())?;
        let mut about: Vec<_> = evidence
            .items
            .into_iter()
            .filter(|found| found.profile == ip || other_side(found) == Some(ip))
            .collect();
        let known = peers::of([ip], &about);
        let peer = known.get(&ip).cloned().unwrap_or_default();
        let labeled = |label: &str, tone: Tone, text: String| {
            Line::toned(Tone::Quiet, format!("{label:<14}")).and(tone, text)
        };
        let or_unknown = |text: String| {
            if text.is_empty() {
                "not known".to_owned()
            } else {
                text
            }
        };
        let mut lines = vec![
            Line::toned(Tone::Heading, ip.to_string()),
            labeled("kind", Tone::Plain, format!("{} address", peers::category(ip))),
            labeled("network", Tone::Plain, or_unknown(peer.network())),
            labeled("place", Tone::Plain, or_unknown(peer.place())),
            match peer.listed {
                Some(why) => labeled("lists", Tone::Alert, why),
                None => labeled(
                    "lists",
                    Tone::Quiet,
                    "no list that was asked named it; that is no proof of anything".to_owned(),
                ),
            },
            Line::default(),
        ];
        match self.profiles.get(&ip) {
            None => lines.push(labeled("here", Tone::Quiet, "no profile of its own".to_owned())),
            Some(profile) => {
                let flagged = if profile.flagged() {
                    Tone::Alert
                } else {
                    Tone::Plain
                };
                lines.push(labeled(
                    "here",
                    Tone::Plain,
                    format!(
                        "{}, {} in {}",
                        human::plural(profile.flows(), "flow", "flows"),
                        human::bytes(profile.bytes()),
                        human::plural(
                            profile.windows.len() as u64 + profile.earlier_windows,
                            "window",
                            "windows"
                        ),
                    ),
                ));
                lines.push(labeled(
                    "threat",
                    flagged,
                    format!(
                        "{:.2} in its worst window, {} evidence",
                        profile.threat(),
                        human::count(profile.evidence())
                    ),
                ));
            }
        }
        about.sort_by(|a, b| {
            b.threat_level
                .cmp(&a.threat_level)
                .then(a.first.cmp(&b.first))
                .then(a.id.cmp(&b.id))
        });
        if !about.is_empty() {
            lines.push(Line::default());
            lines.push(Line::toned(Tone::Heading, "Evidence about it"));
        }
        for found in about.iter().take(MAX_FINDINGS) {
            let level = found.threat_level;
            lines.push(
                Line::toned(Tone::of_level(level), format!("{:<14}", level.name()))
                    .and(Tone::Plain, human::printable(&found.description, 300)),
            );
        }
        if about.len() > MAX_FINDINGS {
            lines.push(Line::toned(
                Tone::Quiet,
                format!("and {} more", about.len() - MAX_FINDINGS),
            ));
        }
        Ok(lines)
    }
}
