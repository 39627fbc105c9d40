//! The daemon: opens everything in the order of least privilege, runs, and ends in order — stop the intake, drain the
//! pipeline, send, wait for the acknowledgements, leave.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::board::Board;
use crate::capture::Capture;
use crate::config::{Config, SpoolKind, parse_id};
use crate::export::grpc::{self, Command};
use crate::export::outbox::{AnyDisk, Outbox};
use crate::export::spool::{Directory, Memory};
use crate::profiler::Pipeline;
use crate::pump::{self, Identity, Rhythm};
use crate::{clock, metrics, privilege};

/// Runs the daemon until its source ends or a signal comes (SIGTERM, SIGINT). Call it on the main thread, before any
/// other thread was started.
///
/// # Errors
/// It could not start, or its source failed.
pub fn run(config: &Config) -> anyhow::Result<()> {
    config.check()?;
    // Threads inherit what is left here. Files need no capability at all.
    let live = !config.capture.interfaces.is_empty();
    privilege::keep_only(if live { &privilege::FOR_CAPTURE } else { &[] })?;
    let sensor = identity(config)?;
    let outbox = Arc::new(open_outbox(config, sensor)?);
    let board = Arc::new(Board::default());
    let (pump, pumped) = start_pump(config, sensor, &outbox, &board)?;
    // Only the pipeline's thread and its drain thread attach and read; those that talk to the network, started from
    // here on, have nothing.
    privilege::keep_only(&[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("lynceus-net")
        .enable_all()
        .build()
        .context("cannot start the network threads")?;
    tracing::info!(%sensor, collector = config.collector.url, "the sensor runs");
    let served = runtime.block_on(serve(config, &outbox, &board, pumped));
    // A pump that hangs in a read must not keep the program; what it had is in the next start's gap.
    let pumped = match &served {
        Ok(Pump::Ended) => join(pump),
        Ok(Pump::Hangs) => Err(anyhow!("the source does not end")),
        Err(_) => Ok(()),
    };
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.and(pumped)
}

/// How the pipeline's thread was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pump {
    Ended,
    Hangs,
}

async fn serve(
    config: &Config,
    outbox: &Arc<Outbox>,
    board: &Arc<Board>,
    mut pumped: oneshot::Receiver<()>,
) -> anyhow::Result<Pump> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    if let Some(address) = config.status_address()? {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("status.listen: cannot listen on {address}"))?;
        tokio::spawn(metrics::serve(listener, Arc::clone(board), Arc::clone(outbox)));
    }
    let (commands, told) = watch::channel(Command::Run);
    let sender = tokio::spawn(grpc::run(
        Arc::clone(outbox),
        config.target()?,
        config.sender(),
        told,
    ));
    let patience = config.collector.drain_timeout.0;
    let mut pump = Pump::Hangs;
    tokio::select! {
        _ = &mut pumped => pump = Pump::Ended,
        () = either(&mut terminate, &mut interrupt) => tracing::info!("told to end"),
    }
    board.stop();
    if pump == Pump::Hangs {
        tokio::select! {
            _ = &mut pumped => pump = Pump::Ended,
            () = tokio::time::sleep(patience) => tracing::warn!("the source does not end in time"),
            () = either(&mut terminate, &mut interrupt) => {}
        }
    }
    outbox.flush(clock::now());
    commands.send_replace(Command::Drain);
    let abort = sender.abort_handle();
    tokio::select! {
        _ = sender => {}
        () = tokio::time::sleep(patience) => tracing::warn!("the collector does not take everything in time"),
        () = either(&mut terminate, &mut interrupt) => tracing::warn!("told to end at once"),
    }
    abort.abort();
    let waiting = outbox.waiting();
    if waiting > 0 && config.spool.kind == SpoolKind::Memory {
        tracing::warn!(batches = waiting, "batches are lost with the spool in memory");
    } else {
        tracing::info!(
            batches = waiting,
            "the sensor ends; batches that wait are in the spool"
        );
    }
    if pump == Pump::Ended {
        outbox.close();
    }
    Ok(pump)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Starts the pipeline's thread and waits until its source is open.
fn start_pump(
    config: &Config,
    sensor: SensorId,
    outbox: &Arc<Outbox>,
    board: &Arc<Board>,
) -> anyhow::Result<(JoinHandle<anyhow::Result<()>>, oneshot::Receiver<()>)> {
    let settings = config.profile_settings(sensor)?;
    let capture = config.capture.clone();
    let block = config.block.allow_block.then(|| config.never()).transpose()?;
    let block = block.map(|never| (Arc::clone(&outbox.blocks), never));
    let (mut exporter, board) = (Arc::clone(outbox), Arc::clone(board));
    let (opened, wait_for_open) = std::sync::mpsc::channel();
    let (ended, pumped) = oneshot::channel();
    let identity = Identity {
        name: name(config),
        position: config.position()?,
        started: clock::now(),
    };
    let rhythm = Rhythm {
        batch_delay: config.collector.batch_delay.0,
        report_every: config.status.report.0,
    };
    let thread = std::thread::Builder::new()
        .name("lynceus-pump".to_owned())
        .spawn(move || {
            let source = match Capture::open(&capture, block) {
                Ok(source) => source,
                Err(error) => {
                    // The receiver waits for just this.
                    let _ = opened.send(Err(error));
                    return Ok(());
                }
            };
            let _ = opened.send(Ok(()));
            let mut pipeline = Pipeline::new(source, settings)?;
            let outbox = Arc::clone(&exporter);
            let result = pump::run(
                &mut pipeline,
                &mut exporter,
                &board,
                &identity,
                rhythm,
                |status| {
                    outbox.describe(status);
                },
            );
            let _ = ended.send(());
            result
        })?;
    wait_for_open
        .recv()
        .context("the pipeline ended before it began")??;
    Ok((thread, pumped))
}

fn join(pump: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    pump.join().map_err(|_| anyhow!("the pipeline panicked"))?
}

fn open_outbox(config: &Config, sensor: SensorId) -> anyhow::Result<Outbox> {
    let disk: AnyDisk = match config.spool.kind {
        SpoolKind::Memory => Box::new(Memory::default()),
        SpoolKind::Disk => {
            let path = config.state_dir.join("spool");
            Box::new(Directory::open(&path).with_context(|| format!("spool {}", path.display()))?)
        }
    };
    let boot = BootId(uuid::Uuid::new_v4().into_bytes());
    let (outbox, recovery) = Outbox::open(sensor, boot, disk, config.limits())?;
    if recovery.killed {
        let (batches, cut_bytes) = (recovery.entries, recovery.cut_bytes);
        tracing::warn!(
            batches,
            cut_bytes,
            "the last sensor was killed; the collector is told of the gap"
        );
    } else if recovery.entries > 0 {
        tracing::info!(
            batches = recovery.entries,
            "batches of an earlier start wait in the spool"
        );
    }
    Ok(outbox)
}

/// The configured id, or the one that an earlier start made.
fn identity(config: &Config) -> anyhow::Result<SensorId> {
    if !config.id.is_empty() {
        return parse_id(&config.id).context("id");
    }
    let path = config.state_dir.join("sensor-id");
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_id(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => new_identity(&path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn new_identity(path: &Path) -> anyhow::Result<SensorId> {
    let sensor = SensorId(uuid::Uuid::new_v4().into_bytes());
    let write = || -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        // Whole or not at all: half an id would be refused at the next start.
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, format!("{sensor}\n"))?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    tracing::info!(%sensor, "this sensor has a new id");
    Ok(sensor)
}

fn name(config: &Config) -> String {
    if config.name.is_empty() {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        config.name.clone()
    }
}
