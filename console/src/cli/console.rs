//! `lynceus console`: the terminal UI over a collector or a result folder.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::Outcome;
use super::place::{Place, Zone};
use crate::desk::{Desk, Later};
use crate::kept;
use crate::tui::{self, Characters, Theme};

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
    #[command(flatten)]
    look: Look,
}

/// How the terminal UI looks.
#[derive(Args, Clone, Copy, Debug)]
pub struct Look {
    /// Colors; T changes them while it runs [default: terminal, mono with NO_COLOR]
    #[arg(long, value_enum, value_name = "THEME", env = "LYNCEUS_THEME")]
    theme: Option<Theme>,
    /// What lines, arrows and the map are drawn with [default: unicode, ascii where TERM or the locale has no UTF-8]
    #[arg(long, value_enum, value_name = "SET", env = "LYNCEUS_CHARACTERS")]
    characters: Option<Characters>,
    /// Leave the mouse to the terminal, as for selecting text
    #[arg(long)]
    no_mouse: bool,
}

impl Look {
    #[must_use]
    pub fn options(self, zone: Zone, stop: Option<Arc<AtomicBool>>) -> tui::Options {
        tui::Options {
            clock: zone.clock(),
            theme: Theme::from_environment(self.theme),
            characters: Characters::from_environment(self.characters),
            no_mouse: self.no_mouse,
            stop,
            refused: None,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The terminal cannot be used, or the place cannot be opened.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let place = options.place.clone();
    // A store that is not there is told before the screen opens; a large one is opened behind the first picture.
    let mut look = options.look.options(options.zone, None);
    let desk: Box<dyn Desk> = match place.store()? {
        None => Box::new(place.open()?),
        Some(store) => {
            let glance = kept::glance(&store).unwrap_or_else(|error| {
                // Still there when the screen is gone.
                super::say(&format!("the kept list of profiles is not taken: {error:#}"));
                look.refused = Some(format!("{error:#}"));
                None
            });
            Box::new(Later::new(false, glance, move || place.open()))
        }
    };
    tui::run(options.place.title(), desk, look)?;
    Ok(Outcome::Done)
}
