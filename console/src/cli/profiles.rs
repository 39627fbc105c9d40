//! `lynceus profiles`: IP addresses and their windows.

use std::net::IpAddr;

use clap::Args;

use super::place::{Place, Zone};
use super::{Outcome, output, say};
use crate::{json, report};

/// Lists profiles and their windows, the most threatening first
///
/// A profile is everything about one IP address; it is cut into time windows. Evidence adds up to a threat in a
/// window; from a threshold on there is an alert.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus profiles --from results/             of an analysis
  lynceus profiles --flagged                   those with an alert, from the collector on this machine
  lynceus profiles --json | jq 'select(.threat > 1)'")]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Only this address; may be given several times
    #[arg(long, value_name = "IP")]
    profile: Vec<IpAddr>,
    /// Only profiles with an alert
    #[arg(long)]
    flagged: bool,
    /// Most rows of the table
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// JSON Lines, one window a line, in the order of addresses and times
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Runs the command.
///
/// # Errors
/// The data cannot be had, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut listed = options.place.open()?.profiles()?;
    listed.items.retain(|profile| {
        (options.profile.is_empty() || options.profile.contains(&profile.ip))
            && (!options.flagged || profile.flagged())
    });
    if options.json {
        let mut out = Vec::new();
        for profile in &listed.items {
            for window in &profile.windows {
                json::finding::write_window(&mut out, profile.ip, window);
            }
        }
        output::raw(&out)?;
    } else if listed.items.is_empty() {
        say("no profiles");
    } else {
        output::lines(&report::profiles(
            &listed.items,
            &options.zone.clock(),
            options.limit,
            report::BY_LIMIT,
            output::width(),
        ))?;
    }
    if listed.more {
        say(&format!(
            "there are more than these {} profiles",
            listed.items.len()
        ));
    }
    Ok(Outcome::Done)
}
