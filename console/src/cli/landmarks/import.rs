//! `lynceus landmarks import`: RIPE Atlas anchors as a landmark file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use lynceus_enrich::latency::{atlas, landmark};

use super::super::{Outcome, output, say};

/// Makes a landmark file of RIPE Atlas anchors
///
/// Takes the JSON of the anchors list of the RIPE Atlas API, one page or several behind each other.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus landmarks import anchors.json > landmarks.csv
  cat page1.json page2.json | lynceus landmarks import - -o landmarks.csv")]
pub(super) struct Options {
    /// The list as JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    anchors: PathBuf,
    /// Landmark file to write instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How far an anchor may be from its coordinates, in km: they are its city's
    #[arg(long, value_name = "KM", default_value_t = 10.0, value_parser = distance)]
    error_km: f64,
}

pub(super) fn distance(text: &str) -> Result<f64, String> {
    let km = text.parse::<f64>().ok();
    km.filter(|km| (0.0..=20_016.0).contains(km))
        .ok_or_else(|| format!("`{text}` is no distance in km"))
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let path = &options.anchors;
    let mut text = Vec::new();
    let most = atlas::MAX_BYTES as u64 + 1;
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut text)?;
    } else {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        file.take(most).read_to_end(&mut text)?;
    }
    let imported = atlas::import(&text, options.error_km).with_context(|| path.display().to_string())?;
    anyhow::ensure!(
        !imported.landmarks.is_empty(),
        "{}: no anchor with a place",
        path.display()
    );
    let mut csv = Vec::new();
    landmark::write(&imported.landmarks, &mut csv)?;
    match &options.output {
        Some(file) => std::fs::write(file, &csv).with_context(|| file.display().to_string())?,
        None => output::raw(&csv)?,
    }
    let mut said = format!("{} landmarks", imported.landmarks.len());
    for (count, what) in [
        (imported.disabled, "switched off"),
        (imported.without_place, "without a place"),
        (imported.twice, "listed twice"),
        (imported.too_many, "beyond the bound"),
    ] {
        if count > 0 {
            said += &format!(", {count} {what}");
        }
    }
    say(&said);
    Ok(Outcome::Done)
}
