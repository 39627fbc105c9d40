//! `lynceus web`: the page over a result folder.

use std::path::PathBuf;

use clap::Args;
use lynceus_collector::web::WebOptions;

use super::{Outcome, say, signal};
use crate::kept::Kept;
use crate::local::Local;
use crate::serve::Door;

/// Serves the page over the result folder of an analysis, on this machine
///
/// A collector serves its page itself: at 127.0.0.1:7444 unless its configuration says otherwise.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus analyze capture.pcap --out results/
  lynceus web --from results/")]
pub struct Options {
    /// Result folder of `lynceus analyze --out`
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Where to listen; only this machine. Port 0: a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7444")]
    listen: String,
}

/// Runs the command.
///
/// # Errors
/// The folder holds no results, or the address cannot be used.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let store = options.from.join(Local::STORE);
    anyhow::ensure!(
        store.is_dir(),
        "{} is no result folder of lynceus analyze --out",
        options.from.display()
    );
    let stop = signal::stop_flag()?;
    let door = Door::open("--listen", &options.listen)?;
    let kept = Kept::open(&store)?;
    let page = WebOptions {
        title: options.from.display().to_string(),
        live: false,
        kept: true,
        ..WebOptions::default()
    };
    let serving = door.serve(kept.service(), page)?;
    say(&format!("page at {} until Ctrl-C", serving.url()));
    serving.wait(&stop)?;
    Ok(Outcome::Done)
}
