//! All that is known of an address, as text: what the store has of it, then the collector's dossier: tables, files on its
//! machine, feeds, what sensors saw, what providers said before. No packet is sent.

use std::net::IpAddr;

use super::{Query, Wanted};
use crate::desk::Card;
use crate::human;
use crate::peers::{self, other_side};
use crate::text::{Line, Tone};

/// Evidence about the address that is shown.
const MAX_FINDINGS: usize = 12;

impl Query {
    pub(super) fn dossier(&self, ip: IpAddr) -> anyhow::Result<Card> {
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
        let mut lines = vec![
            Line::toned(Tone::Heading, ip.to_string()),
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
        lines.push(Line::default());
        let known = crate::dossier::table(&self.known_of(ip)?);
        let above = std::mem::take(&mut lines);
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
        Ok(Card {
            ip,
            above,
            known,
            below: lines,
        })
    }
}
