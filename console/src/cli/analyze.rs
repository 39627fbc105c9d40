//! `lynceus analyze`: capture files through decoders, profiles and detectors.

mod folder;
mod summary;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use lynceus_model::profiler::Profiler;
use lynceus_model::status::{Counter, PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;
use lynceus_sensor::flow_table::{FlowTable, FlowTableConfig};
use lynceus_sensor::source::pcap::{Depth, PcapError, PcapSource};
use lynceus_sensor::source::{Event, Source as _, Status};

use self::folder::Folder;
use super::place::Zone;
use super::settings::{Effective, Settings};
use super::{Outcome, progress, say, size};
use crate::analysis::Analysis;
use crate::local::{Keep, Local};

/// Evidence of files is said in this name, so that two runs say the same.
const FILES: SensorId = SensorId([0; 16]);
const BOOT: BootId = BootId([0; 16]);

/// Analyzes capture files: profiles, evidence and alerts
///
/// Reads pcap and pcapng, plain, gzip or zstd, and prints what was found and why. Two runs over the same files print
/// the same, except for the time they took. Exit code 1: a file was damaged (what was readable counts).
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus analyze capture.pcap
  lynceus analyze day*.pcapng.zst --out results/     then: lynceus console --from results/
  tcpdump -w - -c 100000 | lynceus analyze -
  lynceus analyze capture.pcap --json | jq 'select(.kind == \"alert\")'")]
pub struct Options {
    /// Capture files in the order of time; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// JSON Lines instead of text: evidence, alerts, then one summary
    #[arg(long)]
    json: bool,
    /// Keep everything in this folder (it must be new or empty): evidence.jsonl, alerts.jsonl, flows.jsonl,
    /// profiles.jsonl, summary.json, and the store that `--from` opens
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Most rows of profiles and of evidence in the text
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Most memory for open flows; beyond it the flows nearest to their timeout end early
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = "512M")]
    max_memory: u64,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    zone: Zone,
}

/// Runs the command.
///
/// # Errors
/// The result folder or standard output cannot be written, or the settings are wrong.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let settings = options.settings.effective()?;
    let folder = options.out.as_deref().map(Folder::create).transpose()?;
    let mut source = PcapSource::new(options.files.clone(), table(options), Depth::Deep);
    let mut reading = Reading { settings, folder, stage: None, read: Read::default() };
    let outcome = reading.read_all(&mut source, options)?;
    let mut stage = match reading.stage {
        Some(stage) => stage,
        None => Stage::open(&reading.settings, reading.folder.as_ref(), Timestamp(0))?,
    };
    stage.analysis.finish();
    stage.local.take(stage.analysis.ready())?;
    stage.local.flush()?;
    let status = status(&source, &reading.read);
    stage.local.status(status.clone())?;
    let result = summary::Result {
        query: stage.local.query(false, Vec::new())?,
        status,
        flows: stage.analysis.flows(),
        profiler: stage.analysis.profiler().counters(),
        table: source.table(),
        first: source.first_packet(),
        last: reading.read.last,
        begin,
    };
    summary::tell(&result, options, reading.folder)?;
    Ok(outcome)
}

fn table(options: &Options) -> FlowTableConfig {
    FlowTableConfig {
        max_flows: FlowTable::flows_in(options.max_memory).min(FlowTableConfig::DEFAULT_MAX_FLOWS),
        ..FlowTableConfig::default()
    }
}

/// The way from events to evidence, which begins with the first packet: its time is the origin of the windows.
struct Stage {
    analysis: Analysis,
    local: Local,
}

impl Stage {
    fn open(settings: &Effective, folder: Option<&Folder>, origin: Timestamp) -> anyhow::Result<Self> {
        let plan = settings.plan(origin);
        let store = folder.map(Folder::store);
        let keep = store.as_deref().map_or(Keep::Nothing, Keep::In);
        Ok(Self {
            analysis: Analysis::new(Profiler::new(settings.profiler(FILES, plan))),
            local: Local::open(keep, FILES, BOOT, plan, settings.policy())?,
        })
    }
}

/// What was counted on the way, apart from the source's own counters.
#[derive(Default)]
struct Read {
    /// Packets in the flow reports.
    packets_in_flows: u64,
    last: Option<Timestamp>,
}

struct Reading {
    settings: Effective,
    folder: Option<Folder>,
    stage: Option<Stage>,
    read: Read,
}

impl Reading {
    fn read_all(&mut self, source: &mut PcapSource, options: &Options) -> anyhow::Result<Outcome> {
        let progress = progress::bar(&options.files, options.quiet);
        let mut outcome = Outcome::Done;
        let mut events = Vec::new();
        loop {
            let status = source.next(&mut events);
            self.take(source, &mut events)?;
            progress.set_position(source.bytes_read());
            match status {
                Ok(Status::Ended) => break,
                Ok(Status::More | Status::Idle) => {}
                Err(error) => match error.downcast_ref::<PcapError>() {
                    Some(PcapError::Capture(fault)) => {
                        outcome = Outcome::Damaged;
                        progress.suspend(|| say(&fault.to_string()));
                    }
                    _ => return Err(error),
                },
            }
        }
        progress.finish_and_clear();
        Ok(outcome)
    }

    fn take(&mut self, source: &PcapSource, events: &mut Vec<Event>) -> anyhow::Result<()> {
        if self.stage.is_none() {
            let Some(first) = source.first_packet() else { return Ok(()) };
            self.stage = Some(Stage::open(&self.settings, self.folder.as_ref(), first)?);
        }
        let (Some(stage), read, folder) = (&mut self.stage, &mut self.read, &mut self.folder) else { return Ok(()) };
        stage.analysis.feed(events.drain(..), |update| {
            read.packets_in_flows += update.new_out.packets + update.new_back.packets;
            read.last = read.last.max(Some(update.flow.last));
            folder.as_mut().map_or(Ok(()), |folder| folder.flow(update))
        })?;
        stage.local.take(stage.analysis.ready())
    }
}

/// The accounting law of the files: what was seen stands in flows or was refused.
fn status(source: &PcapSource, read: &Read) -> SensorStatus {
    let counts = source.counts();
    let counters = |named: &mut dyn Iterator<Item = (&'static str, u64)>| {
        named.map(|(reason, count)| Counter { reason: reason.into(), count }).collect()
    };
    SensorStatus {
        name: "files".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        points: vec![PointStatus {
            interface: "files".to_owned(),
            hook: "file".to_owned(),
            seen: counts.seen.packets,
            recorded: read.packets_in_flows,
            refused: counters(&mut counts.refused_by_reason().map(|(reason, tally)| (reason, tally.packets))),
            degraded: counters(&mut counts.degraded_by_reason().map(|(reason, tally)| (reason, tally.packets))),
            ..PointStatus::default()
        }],
        ..SensorStatus::default()
    }
}
