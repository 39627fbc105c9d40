//! The commands of `lynceus`, one file each, and what they share: exit codes and error output.

pub mod about;
pub mod analyze;
pub mod block;
pub mod console;
pub mod evidence;
mod feeds;
pub mod flows;
pub mod ip;
pub mod landmarks;
pub mod live;
pub mod module;
pub mod outliers;
mod output;
pub mod place;
pub mod profiles;
mod progress;
pub mod report;
mod settings;
mod signal;
mod size;
pub mod status;
pub mod watch;
pub mod web;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Network traffic as profiles, evidence and alerts
#[derive(Parser)]
#[command(
    name = "lynceus",
    version,
    max_term_width = 110,
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Each command's --help has examples. Colors only on a terminal; NO_COLOR is honored.

Exit codes:
  0  done
  1  damaged input, an accounting that does not balance, or another failure, after printing what was there
  2  wrong arguments
  130  Ctrl-C, where a table was being written; it holds whole rows";

#[derive(Subcommand)]
enum Command {
    /// Prints the bidirectional flows of capture files or live interfaces as JSON Lines
    Flows(flows::Options),
    Live(live::Options),
    Watch(watch::Options),
    Analyze(analyze::Options),
    Profiles(profiles::Options),
    Evidence(evidence::Options),
    Alerts(evidence::AlertOptions),
    Outliers(outliers::Options),
    Why(outliers::WhyOptions),
    Patterns(outliers::PatternOptions),
    Dive(outliers::DiveOptions),
    Label(outliers::LabelOptions),
    Status(status::Options),
    Ip(Box<ip::Options>),
    About(about::Options),
    Block(block::BlockOptions),
    Unblock(block::UnblockOptions),
    Blocked(block::BlockedOptions),
    Landmarks(landmarks::Options),
    Module(module::Options),
    Console(console::Options),
    Web(web::Options),
    Report(report::Options),
}

/// How a command ended, for people and for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Part of the input could not be read; what was readable was worked on.
    Damaged,
    /// The arguments do not go together in a way that only the command itself could see.
    Usage,
}

/// Runs the program: parses the arguments, runs the command, prints what went wrong.
///
/// Exit code 0: done. 1: damaged input or another failure, after printing what was there. 2: wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse_from(ip::file::as_in_the_slides(std::env::args_os())).command {
        Command::Flows(options) => flows::run(&options),
        Command::Live(options) => live::run(&options),
        Command::Watch(options) => watch::run(&options),
        Command::Analyze(options) => analyze::run(&options),
        Command::Profiles(options) => profiles::run(&options),
        Command::Evidence(options) => evidence::run(&options),
        Command::Alerts(options) => evidence::run_alerts(&options),
        Command::Outliers(options) => outliers::run(&options),
        Command::Why(options) => outliers::why(&options),
        Command::Patterns(options) => outliers::patterns(&options),
        Command::Dive(options) => outliers::dive(&options),
        Command::Label(options) => outliers::label(&options),
        Command::Status(options) => status::run(&options),
        Command::Ip(options) => ip::run(&options),
        Command::About(options) => about::run(&options),
        Command::Block(options) => block::block(&options),
        Command::Unblock(options) => block::unblock(&options),
        Command::Blocked(options) => block::blocked(&options),
        Command::Landmarks(options) => landmarks::run(&options),
        Command::Module(options) => module::run(&options),
        Command::Console(options) => console::run(&options),
        Command::Web(options) => web::run(&options),
        Command::Report(options) => report::run(options),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Damaged) => ExitCode::from(1),
        Ok(Outcome::Usage) => ExitCode::from(2),
        // A reader like `head` that has enough is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}

/// Tells people something on standard error, after the name of the program.
pub(crate) fn say(text: &str) {
    // What nobody can read must not end the work (`eprintln!` would panic).
    let _ = writeln!(std::io::stderr(), "lynceus: {text}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
