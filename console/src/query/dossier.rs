//! All that is known of an address, as text: what the store has, then facts of the tables that come with the program and
//! of files that are on this machine. No packet is sent.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::local::{self, Local};
use lynceus_enrich::offline::tables::Tables;
use lynceus_model::time::Timestamp;

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
        lines.push(Line::default());
        lines.extend(facts(ip));
        Ok(lines)
    }
}

/// As `lynceus ip` prints them.
fn facts(ip: IpAddr) -> Vec<Line> {
    static FILES: OnceLock<Local> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Local::open(&local::usual_folders(home.as_deref()), &local::usual_ipfire())
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    let mut dossier = Dossier::new(ip.to_canonical(), now);
    files.describe(&mut dossier);
    match Tables::embedded() {
        Ok(tables) => {
            tables.describe(&mut dossier);
            tables.conclude(&mut dossier);
            crate::dossier::lines(&dossier, None)
        }
        Err(damaged) => vec![Line::toned(
            Tone::Bad,
            format!("a table of this program is damaged: {damaged}"),
        )],
    }
}
