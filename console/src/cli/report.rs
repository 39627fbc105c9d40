//! `lynceus report`: one HTML file of a run.

use std::path::PathBuf;

use clap::Args;
use lynceus_collector::web::WebOptions;

use super::settings::Settings;
use super::{Outcome, analyze};
use crate::kept::Kept;
use crate::local::Local;

/// Writes one HTML file of a run: summary, alerts and why, timelines, maps, tables
///
/// The file opens without a server and loads nothing. Times are UTC. Exit code 1: a file was damaged (what was readable
/// counts).
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus report --out report.html capture.pcap
  lynceus report --out report.html /opt/zeek/logs/2026-01-31/
  lynceus report --out report.html --from results/")]
pub struct Options {
    /// Where the report goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Captures, logs, or directories of Zeek, in the order of time; `-` is standard input
    #[arg(value_name = "PATH", required_unless_present = "from")]
    files: Vec<PathBuf>,
    /// Result folder of `lynceus analyze --out` instead
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    from: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command.
///
/// # Errors
/// The input cannot be read, or the file cannot be written.
pub fn run(options: Options) -> anyhow::Result<Outcome> {
    let Some(folder) = options.from else {
        return analyze::run(&analyze::Options::for_report(
            options.files,
            options.out,
            options.settings,
        ));
    };
    let store = folder.join(Local::STORE);
    anyhow::ensure!(
        store.is_dir(),
        "{} is no result folder of lynceus analyze --out",
        folder.display()
    );
    let kept = Kept::open(&store)?;
    let page = WebOptions {
        title: folder.display().to_string(),
        live: false,
        kept: true,
        ..WebOptions::default()
    };
    analyze::write_report(&options.out, kept.service(), page)?;
    Ok(Outcome::Done)
}
