//! `lynceus landmarks`: machines whose place is known, what they measured, and where that puts an address.

mod import;
pub mod locate;
mod ping;

use clap::{Args, Subcommand};

use super::Outcome;

/// Where an address can be, by the speed of light
///
/// Round-trip times of landmarks make a region that holds the address, whatever a database says. Landmarks are sensors
/// with a configured position (their handshake times cost no packet), or machines of a landmark file.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Import(import::Options),
    Ping(ping::Options),
    Locate(locate::Options),
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written, or a collector does not answer.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    match &options.action {
        Action::Import(options) => import::run(options),
        Action::Ping(options) => ping::run(options),
        Action::Locate(options) => locate::run(options),
    }
}
