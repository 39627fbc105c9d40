//! The collector as a daemon.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{Parser, Subcommand};
use lynceus_collector::app;
use lynceus_collector::config::{Config, Engine};
use lynceus_collector::external::{self, ModuleOptions};
use lynceus_collector::web::{self, Role};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is logged where `RUST_LOG` says nothing: the store's engine tells of every table that it writes.
const LOG: &str = "info,fjall=warn,lsm_tree=warn";

/// Takes batches of sensors, keeps them, finds what is wrong, and answers questions
#[derive(Parser)]
#[command(name = "lynceus-collector", version)]
struct Arguments {
    /// Configuration file (TOML); without one the defaults hold
    #[arg(long, short, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Keeps everything in this Redis instead: `redis://host:port/db` or `redis+unix:///path`
    #[arg(long, value_name = "URL", global = true)]
    store: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
    /// Prints the configuration as it would be used, and ends
    #[arg(long)]
    print_config: bool,
    /// Makes a token for the page, prints it with the section of the configuration that admits it, and ends
    #[arg(long, value_name = "NAME:ROLE")]
    new_token: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Works as one of the modules that the collector's `modules.external` names, over the same Redis
    ///
    /// One process of a module works, others stand by and take over within seconds. How the detectors are configured,
    /// the collector says; of the configuration file only `[store]`, `[[feeds]]` and `feed_cache` are read.
    Module {
        /// Name of a detector or of a group
        name: String,
    },
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

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            // What nobody can read must not end in a panic.
            let _ = writeln!(std::io::stderr(), "lynceus-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(wanted) = &arguments.new_token {
        return new_token(wanted);
    }
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(url) = &arguments.store {
        config.store.engine = Engine::Redis;
        config.store.redis_url.clone_from(url);
    }
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
    if let Some(Command::Module { name }) = arguments.command {
        return module(name, config);
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(async {
        let end = end()?;
        app::run(config, end).await
    })
}

/// Comes when somebody asks us to end.
fn end() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn module(name: String, config: Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.store.engine == Engine::Redis,
        "a module finds its collector in Redis: --store redis://host:port/db"
    );
    let options = ModuleOptions {
        name,
        redis: config.redis(),
        config,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let stopped = Arc::new(AtomicBool::new(false));
    runtime.spawn({
        let (end, stopped) = (
            {
                let _inside = runtime.enter();
                end()?
            },
            Arc::clone(&stopped),
        );
        async move {
            end.await;
            stopped.store(true, Ordering::Release);
        }
    });
    external::run(&options, &stopped)
}
