//! The collector as a daemon.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use lynceus_collector::app;
use lynceus_collector::config::Config;
use lynceus_collector::web::{self, Role};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` says nothing: the store's engine tells of every table that it writes.
const LOG: &str = "info,fjall=warn,lsm_tree=warn";

/// Takes batches of sensors, keeps them, finds what is wrong, and answers questions
#[derive(Parser)]
#[command(name = "lynceus-collector", version)]
struct Arguments {
    /// Configuration file (TOML); without one the defaults hold
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the configuration as it would be used, and ends
    #[arg(long)]
    print_config: bool,
    /// Makes a token for the page, prints it with the section of the configuration that admits it, and ends
    #[arg(long, value_name = "NAME:ROLE")]
    new_token: Option<String>,
}

/// `NAME:ROLE` → the token, once, and what the configuration needs of it.
fn new_token(wanted: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let (name, role) = wanted.rsplit_once(':').context("--new-token: write NAME:ROLE")?;
    let role = match role {
        "read" => Role::Read,
        "analyst" => Role::Analyst,
        "admin" => Role::Admin,
        other => anyhow::bail!("--new-token: role {other:?}; there are read, analyst, admin"),
    };
    let (token, config) = web::new_token(name, role)?;
    let mut out = std::io::stdout();
    writeln!(out, "# token, shown once: {token}")?;
    writeln!(out, "[[web.tokens]]\n{}", toml::to_string(&config)?.trim_end())?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(wanted) = &arguments.new_token {
        return new_token(wanted);
    }
    let config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if arguments.print_config {
        use std::io::Write as _;
        std::io::stdout().write_all(config.print()?.as_bytes())?;
        return Ok(());
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Where nobody reads the log (a pipe that closed, a full disk), the work goes on: reporting that would panic.
        .log_internal_errors(false)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let end = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        app::run(config, end).await
    })
}
