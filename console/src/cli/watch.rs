//! `lynceus watch`: a directory of Zeek while it grows, with the terminal UI or with lines as they come.

use std::path::PathBuf;

use clap::Args;
use lynceus_sensor::capture::Capture;
use lynceus_sensor::source::follow::FollowSource;

use super::live::{self, Session, Watched};
use super::{Outcome, say};

/// Watches a directory of Zeek: profiles, evidence and alerts while its logs grow
///
/// Reads the logs that Zeek writes now from their beginning and then what is appended, through rotation and truncation.
/// Otherwise as `lynceus live`, and needs no root. Exit code 1: a row could not be placed.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus watch /opt/zeek/logs/current
  lynceus watch /opt/zeek/logs/current --json | jq 'select(.kind == \"alert\")'
  lynceus watch . --no-console --for 60")]
pub struct Options {
    /// Where Zeek writes conn.log and the others
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    session: Session,
}

/// Runs the command.
///
/// # Errors
/// The directory cannot be read, the store cannot be opened, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let directory = options.directory.display().to_string();
    let watched = Watched {
        title: format!("watch {directory}"),
        profiles: live::capture::profiles_of_logs,
        me: Vec::new(),
    };
    live::session(&options.session, watched, || {
        let source = FollowSource::start(&options.directory)?;
        say(&format!("watching {directory}"));
        Ok(Capture::Logs(Box::new(source)))
    })
}
