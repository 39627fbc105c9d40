//! `lynceus ip --where`: what light says about the places that sources claim.

use std::path::PathBuf;

use clap::Args;
use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::latency::Settings;
use lynceus_enrich::latency::facts::claims;

use super::super::landmarks::locate::{self, Finding, Sources};
use super::super::place::Place;

#[derive(Args, Debug)]
#[command(next_help_heading = "Where it really is")]
pub struct WhereOptions {
    /// Hold the places of all sources against handshake times that our own sensors saw; sends nothing
    #[arg(long = "where")]
    wanted: bool,
    /// Landmark file for --where: places of the landmarks in measurements
    #[arg(long, value_name = "FILE", requires = "wanted")]
    landmarks: Option<PathBuf>,
    /// Lines landmark,target,rtt_ms for --where; may be given several times
    #[arg(long, value_name = "FILE", requires = "wanted")]
    measurements: Vec<PathBuf>,
}

impl WhereOptions {
    /// The region of an address, and what it says of the dossier's places; `None` where nobody asked.
    ///
    /// # Errors
    /// A file cannot be read, or neither collector nor file has a measurement.
    pub(super) fn find(&self, dossier: &Dossier, collector: &Place) -> anyhow::Result<Option<Finding>> {
        if !self.wanted {
            return Ok(None);
        }
        let sources = Sources {
            landmarks: self.landmarks.as_deref(),
            measurements: &self.measurements,
            collector: Some(collector),
        };
        let settings = Settings::default();
        let gathered = sources.gather(dossier.ip, &settings)?;
        locate::find(dossier.ip, gathered, claims(dossier), settings).map(Some)
    }
}
