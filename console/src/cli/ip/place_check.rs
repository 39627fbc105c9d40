//! `lynceus ip --where`: what light says about the places that sources claim.

use std::path::PathBuf;

use clap::Args;
use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::fact::{Fact, Field, Source};
use lynceus_enrich::latency::{LatLon, Settings};

use super::super::landmarks::locate::{self, Claim, Finding, Sources};
use super::super::place::Place;

/// How far an address may be from the place of a source that does not say.
const USUAL_ERROR_KM: f64 = 50.0;

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

/// The place of each source that gives one, with its error radius.
#[must_use]
pub fn claims(dossier: &Dossier) -> Vec<Claim> {
    let number = |source: &Source, field: Field| {
        let of_it = |fact: &&Fact| fact.field == field && fact.source == *source;
        dossier.facts().iter().find(of_it)?.value.real()
    };
    let latitudes = dossier
        .facts()
        .iter()
        .filter(|fact| fact.field == Field::Latitude);
    let mut claims = Vec::new();
    for fact in latitudes {
        let source = &fact.source;
        let place = fact
            .value
            .real()
            .zip(number(source, Field::Longitude))
            .and_then(|(lat, lon)| LatLon::new(lat, lon));
        if let Some(place) = place {
            claims.push(Claim {
                source: source.title().to_owned(),
                place,
                error_km: number(source, Field::ErrorRadius)
                    .filter(|km| km.is_finite() && *km >= 0.0)
                    .unwrap_or(USUAL_ERROR_KM),
            });
        }
    }
    claims
}
