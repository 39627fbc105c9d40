//! The pipeline's thread: pulls window updates and pushes batches, until the source ends or somebody says stop.

use std::time::{Duration, Instant};

use anyhow::Context;
use lynceus_model::status::{Fill, Loss, Position, SensorStatus};

use crate::board::Board;
use crate::capture::Capture;
use crate::clock;
use crate::export::Exporter;
use crate::export::batcher::Batcher;
use crate::profiler::Pipeline;
use crate::source::Status;

/// What the pump puts into every status.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub started: lynceus_model::time::Timestamp,
    pub position: Option<Position>,
}

/// The rhythm of the pump.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// See [`Batcher`].
    pub batch_delay: Duration,
    pub report_every: Duration,
}

/// Between two looks at a source that had nothing.
const IDLE_WAIT: Duration = Duration::from_millis(5);
/// A source that fails so often in a row will not recover (each file of a list may fail once).
const MOST_FAILURES: u32 = 1_000;

/// Runs to the end. `describe` adds what the exporter knows to a status.
///
/// # Errors
/// The first error of the source, after everything that was readable was exported; or the exporter's.
pub fn run<E: Exporter>(
    pipeline: &mut Pipeline<Capture>,
    exporter: &mut E,
    board: &Board,
    identity: &Identity,
    rhythm: Rhythm,
    describe: impl Fn(&mut SensorStatus),
) -> anyhow::Result<()> {
    let mut batcher = Batcher::new(Batcher::BYTES, rhythm.batch_delay);
    let mut updates = Vec::new();
    let (mut first_error, mut failures) = (None, 0);
    let mut stopping = false;
    let mut last_report: Option<Instant> = None;
    loop {
        if board.is_stopping() && !stopping {
            stopping = true;
            pipeline.source_mut().stop();
        }
        let status = match pipeline.next(&mut updates) {
            Ok(status) => {
                failures = 0;
                status
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the source failed; going on with what it still has"
                );
                first_error.get_or_insert(error);
                failures += 1;
                if failures == MOST_FAILURES {
                    pipeline.finish(&mut updates);
                }
                Status::More
            }
        };
        let now = Instant::now();
        for update in updates.drain(..) {
            if let Some(batch) = batcher.push(update, now) {
                exporter.export(batch)?;
            }
        }
        if let Some(batch) = batcher.due(now) {
            exporter.export(batch)?;
        }
        if last_report.is_none_or(|last| now.saturating_duration_since(last) >= rhythm.report_every) {
            last_report = Some(now);
            report(pipeline, exporter, board, identity, &describe)?;
        }
        match status {
            Status::More => {}
            Status::Idle => std::thread::sleep(IDLE_WAIT),
            Status::Ended => break,
        }
    }
    let rest = batcher.take();
    if !rest.is_empty() {
        exporter.export(rest)?;
    }
    report(pipeline, exporter, board, identity, &describe)?;
    first_error.map_or(Ok(()), |error| Err(error).context("the source failed"))
}

fn report<E: Exporter>(
    pipeline: &Pipeline<Capture>,
    exporter: &mut E,
    board: &Board,
    identity: &Identity,
    describe: &impl Fn(&mut SensorStatus),
) -> anyhow::Result<()> {
    let mut status = SensorStatus {
        name: identity.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: identity.started,
        position: identity.position,
        read_at: clock::now(),
        ..pipeline.source().status()
    };
    let counters = pipeline.counters();
    let losses = [
        ("flow_not_carried", "flows", counters.flows_not_carried),
        ("app_not_carried", "messages", counters.apps_not_carried),
        ("solicitation_hurried", "messages", counters.solicitations_hurried),
        ("letter_refused", "flows", counters.letters_refused),
        ("letter_late", "flows", counters.letters_late),
        ("whitelisted", "flows", pipeline.whitelisted()),
    ];
    status.losses.extend(
        losses
            .into_iter()
            .filter(|loss| loss.2 > 0)
            .map(|(reason, unit, count)| Loss {
                stage: "profiler".into(),
                reason: reason.into(),
                unit: unit.into(),
                count,
            }),
    );
    status.fills.push(Fill {
        name: "profiles".into(),
        used: pipeline.windows() as u64,
        limit: pipeline.max_windows() as u64,
        unit: "windows".into(),
    });
    describe(&mut status);
    board.put(status.clone());
    exporter.report(status)
}
