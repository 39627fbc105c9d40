//! `lynceus console`: the terminal UI over a collector or a result folder.

use clap::Args;

use super::Outcome;
use super::place::{Place, Zone};
use crate::tui;

/// Opens the terminal UI: profiles and windows, timeline, evidence and why
///
/// Press ? for the keys. Works over SSH, from 80×24 up (smaller terminals show one pane at a time).
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus console                          the collector on this machine
  lynceus console --from results/          an analysis
  lynceus console --connect collector.example:7443 --ca ca.pem --cert me.pem --key me.key")]
pub struct Options {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    zone: Zone,
}

/// Runs the command.
///
/// # Errors
/// The terminal cannot be used, or the place cannot be opened.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let query = options.place.open()?;
    tui::run(options.place.title(), options.zone.clock(), Box::new(query), None)?;
    Ok(Outcome::Done)
}
