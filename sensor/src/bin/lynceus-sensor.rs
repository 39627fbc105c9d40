//! The sensor daemon: observes, profiles, and ships to the collector. `docs/config.md` describes its configuration.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Parser;
use lynceus_sensor::app;
use lynceus_sensor::config::Config;

/// Observes traffic and ships profiles to the collector.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// TOML file; without it every key has its default.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// Interface to observe instead of those in the configuration; several allowed.
    #[arg(short, long, conflicts_with = "file")]
    interface: Vec<String>,
    /// Capture file instead of those in the configuration; `-` is standard input.
    #[arg(short, long)]
    file: Vec<PathBuf>,
    /// Address of the collector instead of that in the configuration.
    #[arg(long)]
    collector: Option<String>,
    /// Print the configuration that results, with every key, and end.
    #[arg(long)]
    print_config: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut config = options
        .config
        .as_deref()
        .map(Config::read)
        .transpose()?
        .unwrap_or_default();
    if !options.file.is_empty() {
        config.capture.files = options.file;
        config.capture.interfaces.clear();
    }
    if !options.interface.is_empty() {
        config.capture.interfaces = options.interface;
        config.capture.files.clear();
    }
    if let Some(url) = options.collector {
        config.collector.url = url;
    }
    if options.print_config {
        return Ok(write!(std::io::stdout(), "{}", config.to_toml()?)?);
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Where nobody reads the log (a pipe that closed, a full disk), the work goes on: reporting that would panic.
        .log_internal_errors(false)
        .init();
    app::run(&config)
}
