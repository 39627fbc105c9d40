//! `lynceus flows -i IFACE`: the flows of live interfaces until Ctrl-C or SIGTERM, then what is left and the
//! accounting.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::kernel::load;
use lynceus_sensor::source::kernel::{KernelConfig, KernelSource, Layer};
use lynceus_sensor::source::{Event, Source, Status};

use super::super::{Outcome, say, signal};
use crate::accounting;
use crate::human::Clock;
use crate::json;

/// Wait when nothing is there: a flow is printed at most this much later, and an idle capture costs next to nothing.
const IDLE_WAIT: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(super) struct LiveOptions {
    /// Network interface to observe until Ctrl-C (needs root); may be given several times
    #[arg(long, short, value_name = "IFACE")]
    pub(super) interface: Vec<String>,
    /// Where to hook into the kernel
    #[arg(long, value_enum, default_value_t, requires = "interface")]
    hook: HookChoice,
    /// Say on standard error of each packet that the kernel refuses or takes with less than it should have, and why
    #[arg(long, requires = "interface")]
    kernel_log: bool,
}

/// Runs the live form of the command.
///
/// # Errors
/// An interface cannot be observed, standard output cannot be written, or the memory limit was reached with
/// `--no-timeouts`.
pub(super) fn run(options: &LiveOptions, table: FlowTableConfig, layer: Layer) -> anyhow::Result<Outcome> {
    tell_what_happens();
    let stop = signal::stop_flag()?;
    let mut source = KernelSource::start(KernelConfig {
        interfaces: options.interface.clone(),
        hook: options.hook,
        // Nobody reads payloads here.
        kernel: load::Options {
            layer,
            heads: None,
            log: options.kernel_log,
            ..load::Options::default()
        },
        table,
        ..KernelConfig::default()
    })?;
    for hooks in source.hooks() {
        say(&format!("observing {hooks}"));
    }
    let result = print(&mut source, &stop);
    // Also after a failure: nothing else tells what was seen.
    source.stop();
    let status = source.status();
    for line in accounting::report(std::slice::from_ref(&status), &Clock::utc()) {
        say(&line.plain());
    }
    result?;
    let balanced = status.points.iter().all(|point| point.missing() == 0);
    Ok(if balanced { Outcome::Done } else { Outcome::Damaged })
}

fn print(source: &mut KernelSource, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    let mut events = Vec::new();
    let mut lines = Vec::new();
    loop {
        if stop.load(Ordering::Acquire) {
            source.stop();
        }
        let status = source.next(&mut events)?;
        for event in events.drain(..) {
            if let Event::Flow(update) = event {
                json::flow::write_line(&mut lines, &update);
            }
        }
        if !lines.is_empty() {
            output.write_all(&lines)?;
            output.flush()?;
            lines.clear();
        }
        match status {
            Status::Ended => return Ok(()),
            Status::More => {}
            Status::Idle => thread::sleep(IDLE_WAIT),
        }
    }
}

/// Messages of the library (an interface went away, the clock was set) go to standard error.
fn tell_what_happens() {
    // Fails only where a subscriber is there already, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .with_target(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .try_init();
}
