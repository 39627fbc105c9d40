//! The sensor daemon: observes, profiles, and ships to the collector. `docs/config.md` describes its configuration.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lynceus_sensor::app;
use lynceus_sensor::config::{CaptureConfig, Config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Observes traffic and ships profiles to the collector.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// TOML file; without it every key has its default.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// Interface to observe instead of those in the configuration; several allowed.
    #[arg(short, long, group = "source")]
    interface: Vec<String>,
    /// Capture or flow log instead of those in the configuration; `-` is standard input.
    #[arg(short, long, group = "source")]
    file: Vec<PathBuf>,
    /// Receive NetFlow v5, v9 and IPFIX at this address, as 127.0.0.1:2055.
    #[arg(long, value_name = "ADDR", group = "source")]
    netflow: Option<SocketAddr>,
    /// Read the logs of Zeek in this directory while they grow.
    #[arg(long, value_name = "DIR", group = "source")]
    watch: Option<PathBuf>,
    /// Address of the collector instead of that in the configuration.
    #[arg(long)]
    collector: Option<String>,
    /// Log a line for each packet that the kernel programs refuse or take with less than it should have.
    #[arg(long)]
    kernel_log: bool,
    /// Print the configuration that results, with every key, and end.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What nobody can read must not end in a panic.
            let _ = writeln!(std::io::stderr(), "lynceus-sensor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut config = options
        .config
        .as_deref()
        .map(Config::read)
        .transpose()?
        .unwrap_or_default();
    let named = !options.file.is_empty() || !options.interface.is_empty();
    if named || options.netflow.is_some() || options.watch.is_some() {
        // One source is named here; those of the file are not meant.
        config.capture = CaptureConfig {
            interfaces: options.interface,
            hook: config.capture.hook,
            files: options.file,
            netflow: options.netflow,
            watch: options.watch,
            kernel_log: config.capture.kernel_log,
        };
    }
    config.capture.kernel_log |= options.kernel_log;
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
