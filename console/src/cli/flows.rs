//! `lynceus flows`: the flows of capture files or live interfaces as JSON Lines. `docs/json.md` describes the lines.

mod live;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use lynceus_sensor::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use lynceus_sensor::source::pcap::{Depth, PcapError, PcapSource, Tally};
use lynceus_sensor::source::{Status, kernel};

use super::{Outcome, say, size};
use crate::json;

/// Written at once.
const OUTPUT_BYTES: usize = 256 * 1024;

#[derive(Args)]
pub struct Options {
    /// Capture files: pcap or pcapng, plain, gzip or zstd; `-` is standard input
    #[arg(
        required_unless_present = "interface",
        conflicts_with = "interface",
        value_name = "FILE"
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    live: live::LiveOptions,
    /// One flow per key for the whole input, however long it was silent
    #[arg(long)]
    no_timeouts: bool,
    /// Which IP header makes the flow where there is a tunnel
    #[arg(long, value_enum, default_value_t)]
    layer: Layer,
    /// Most memory for flows. When it is full, the flows nearest to their timeout end early; with --no-timeouts the
    /// program stops
    #[arg(long, value_name = "SIZE", value_parser = size::memory, default_value = "2G")]
    max_memory: u64,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Layer {
    Outer,
    #[default]
    Inner,
}

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written, the memory limit was reached with `--no-timeouts`, or an interface cannot be
/// observed.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    if !options.live.interface.is_empty() {
        return live::run(&options.live, table_config(options), layer(options.layer));
    }
    let mut source = PcapSource::new(options.files.clone(), table_config(options), depth(options.layer));
    let progress = progress_bar(options);
    let mut output = io::stdout().lock();
    let mut outcome = Outcome::Done;
    let mut flows = Vec::new();
    let mut lines = Vec::with_capacity(OUTPUT_BYTES + 64 * 1024);
    loop {
        let status = source.next_flows(&mut flows);
        for update in flows.drain(..) {
            json::flow::write_line(&mut lines, &update);
            if lines.len() >= OUTPUT_BYTES {
                output.write_all(&lines)?;
                lines.clear();
            }
        }
        progress.set_position(source.bytes_read());
        match status {
            Ok(Status::Ended) => break,
            Ok(Status::More | Status::Idle) => {}
            Err(PcapError::Capture(error)) => {
                outcome = Outcome::Damaged;
                progress.suspend(|| say(&error.to_string()));
            }
            Err(PcapError::Full(full)) => {
                output.write_all(&lines)?;
                anyhow::bail!(
                    "{full}, which is what --max-memory {} holds; give more memory, or leave out --no-timeouts",
                    options.max_memory
                );
            }
        }
    }
    output.write_all(&lines)?;
    output.flush()?;
    progress.finish_and_clear();
    summarize(&source);
    Ok(outcome)
}

fn table_config(options: &Options) -> FlowTableConfig {
    let fits = FlowTable::flows_in(options.max_memory);
    if options.no_timeouts {
        FlowTableConfig {
            expiry: Expiry::Never,
            max_flows: fits,
            when_full: WhenFull::Fail,
        }
    } else {
        // A line is a whole flow: in a file nobody waits for news of a long one.
        let timeouts = Timeouts {
            active: None,
            ..Timeouts::default()
        };
        FlowTableConfig {
            expiry: Expiry::Timeouts(timeouts),
            max_flows: fits.min(FlowTableConfig::DEFAULT_MAX_FLOWS),
            when_full: WhenFull::Evict,
        }
    }
}

const fn depth(layer: Layer) -> Depth {
    match layer {
        Layer::Outer => Depth::Outer,
        Layer::Inner => Depth::Deep,
    }
}

const fn layer(layer: Layer) -> kernel::Layer {
    match layer {
        Layer::Outer => kernel::Layer::Outer,
        Layer::Inner => kernel::Layer::Inner,
    }
}

fn progress_bar(options: &Options) -> ProgressBar {
    if options.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes = options
        .files
        .iter()
        .map(|path| std::fs::metadata(path).map_or(0, |file| file.len()));
    let bar = ProgressBar::new(sizes.sum());
    let template = "{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Tells what did not make flows, or not whole ones.
fn summarize(source: &PcapSource) {
    let line = |what: &str, reason: &str, tally: Tally| {
        say(&format!(
            "{what} {reason}: {} packets, {} bytes",
            tally.packets, tally.bytes
        ));
    };
    for (reason, tally) in source.counts().refused_by_reason() {
        line("refused", reason, tally);
    }
    for (reason, tally) in source.counts().degraded_by_reason() {
        line("counted with less,", reason, tally);
    }
    let table = source.table();
    if table.orphan_fragments > 0 {
        say(&format!(
            "fragments without their first: {}",
            table.orphan_fragments
        ));
    }
    if table.evicted > 0 {
        say(&format!(
            "flows that ended early because the table was full: {}",
            table.evicted
        ));
    }
}
