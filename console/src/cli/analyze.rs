//! `lynceus analyze`: capture files and flow logs through decoders, profiles and detectors.

mod asked;
mod export;
mod folder;
mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use lynceus_collector::lookups::Lookups;
use lynceus_collector::query::QueryService;
use lynceus_collector::web::{Web, WebOptions};
use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowUpdate};
use lynceus_proto::batch::BootId;
use lynceus_sensor::flow_table::{FlowTable, FlowTableConfig};
use lynceus_sensor::profiler::Pipeline;
use lynceus_sensor::source::files::FileSource;
use lynceus_sensor::source::{Source as _, Status};
use lynceus_sensor::units::Span;

use self::export::{Export, Logs};
use self::folder::Folder;
use super::place::Zone;
use super::settings::{Effective, Settings};
use super::{Outcome, progress, say, size};
use crate::analysis::{Tap, Witness};
use crate::human;
use crate::local::{Keep, Local};
use crate::serve::WebArgs;

/// Evidence of files is said in this name, so that two runs say the same.
const FILES: SensorId = SensorId([0; 16]);
const BOOT: BootId = BootId([0; 16]);

/// Analyzes captures and flow logs: profiles, evidence and alerts
///
/// Reads pcap and pcapng, logs of Zeek (files or whole directories, TSV or JSON), Suricata's eve.json, Argus (ra), nfdump
/// files and its CSV, plain, gzip or zstd, recognizes which is which, and prints what was found and why. Two runs over the same files print the same, except for the time
/// they took. Exit code 1: a file was damaged (what was readable counts).
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus analyze capture.pcap
  lynceus analyze day*.pcapng.zst --out results/     then: lynceus console --from results/
  lynceus analyze /opt/zeek/logs/2026-01-31/          a directory of Zeek
  lynceus analyze conn.log dns.log.gz
  lynceus analyze eve.json flows.binetflow nfcapd.202601311200
  lynceus analyze capture.pcap --web                  then: the page, on this machine, until Ctrl-C
  tcpdump -w - -c 100000 | lynceus analyze -
  lynceus analyze capture.pcap --json | jq 'select(.kind == \"alert\")'")]
pub struct Options {
    /// Captures, logs, or directories of Zeek, in the order of time; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// JSON Lines instead of text: evidence, alerts, then one summary
    #[arg(long)]
    json: bool,
    /// Keep everything in this folder (it must be new or empty): evidence.jsonl, alerts.jsonl, flows.jsonl,
    /// profiles.jsonl, summary.json, and the store that `--from` opens
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// In another format: evidence and alerts, one a line, as eve, idmef, ecs, ocsf, stix, cef, slack, alerts-log, json;
    /// flows and messages as Zeek's logs in a new folder, zeek or zeek-json; flows with labels, labelled or labelled-json;
    /// behavioral letters, letters. May be given several times
    #[arg(long, value_name = "FORMAT:PATH", value_parser = export::parse)]
    export: Vec<Export>,
    /// Most rows of profiles and of evidence in the text
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Most memory for open flows; beyond it the flows nearest to their timeout end early
    #[arg(long, value_name = "SIZE", value_parser = size::memory, default_value = "512M")]
    max_memory: u64,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
    /// How long to wait for the outside services of [knowledge], where some are on; the files are read again then
    #[arg(long, value_name = "TIME", default_value = "10m")]
    wait: Span,
    #[command(flatten)]
    web: WebArgs,
    /// Also write one HTML file that shows the run without a server
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// No summary on standard output.
    #[arg(skip)]
    silent: bool,
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
    let door = options.web.open()?;
    let source = FileSource::open(&options.files, table(options), None);
    // Without any input there is nothing to keep, and the corrected run wants the same folder.
    let out = options.out.as_deref().filter(|_| !source.is_hopeless());
    let folder = out.map(Folder::create).transpose()?;
    // The page shows flows, which only a store on disk keeps.
    let temporary = match (&folder, door.is_some() || options.report.is_some()) {
        (None, true) => Some(tempfile::Builder::new().prefix("lynceus-analyze-").tempdir()?),
        _ => None,
    };
    let store = folder.as_ref().map(Folder::store);
    let store = store.or_else(|| Some(temporary.as_ref()?.path().join(Local::STORE)));
    let watcher = Watcher {
        folder,
        logs: Logs::open(&options.export)?,
    };
    let mut pipeline = Pipeline::new(Tap::new(source, watcher), settings.profiles(FILES))?;
    let lookups = settings.lookups(None)?;
    if let Some(lookups) = &lookups {
        asked::rehearse(options, &settings, lookups)?;
    }
    let open = |plan| open(store.as_deref(), &settings, plan, lookups.as_ref());
    let mut local = None;
    let outcome = read(&mut pipeline, options.quiet, |updates, plan| {
        let local = match &mut local {
            Some(local) => local,
            // The plan is known with the first packet: its time is the origin of the windows.
            empty => empty.insert(open(plan)?),
        };
        local.take(updates.drain(..))
    })?;
    let mut local = match local {
        Some(local) => local,
        None => open(WindowPlan {
            origin: Timestamp(0),
            width: WindowPlan::DEFAULT_WIDTH,
        })?,
    };
    local.flush()?;
    let tap = pipeline.source();
    let status = status(tap);
    local.status(status.clone())?;
    let result = summary::Result {
        query: local.query(false, Vec::new())?,
        status,
        flows: tap.flows,
        profiler: pipeline.counters(),
        whitelisted: pipeline.whitelisted(),
        table: tap.source.table(),
        packets: tap.source.capture_packets() + tap.source.log_packets(),
        first: tap.source.origin(),
        last: tap.last,
        begin,
    };
    let watcher = std::mem::take(&mut pipeline.source_mut().witness);
    if !options.silent {
        summary::tell(&result, options, watcher)?;
    }
    if let Some(path) = &options.report {
        write_report(path, local.collector().query(), page(options))?;
    }
    if let Some(door) = door {
        let serving = door.serve(local.collector().query(), page(options))?;
        say(&format!("page at {} until Ctrl-C", serving.url()));
        let stop = super::signal::stop_flag()?;
        serving.wait(&stop)?;
    }
    Ok(outcome)
}

/// Writes the report of a store.
///
/// # Errors
/// The store cannot be read, or the file cannot be written.
pub(super) fn write_report(path: &Path, query: QueryService, page: WebOptions) -> anyhow::Result<()> {
    let html = Web::new(query, page)?.report()?;
    std::fs::write(path, &html).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!(
        "{}: {}",
        path.display(),
        human::bytes(html.len() as u64)
    ));
    Ok(())
}

impl Options {
    /// Analyzes `files` for a report and says nothing else.
    pub(super) fn for_report(files: Vec<PathBuf>, report: PathBuf, settings: Settings) -> Self {
        Self {
            files,
            json: false,
            out: None,
            export: Vec::new(),
            limit: 0,
            max_memory: 512 << 20,
            quiet: false,
            wait: Span(asked::WAIT),
            web: WebArgs::default(),
            report: Some(report),
            silent: true,
            settings,
            // Times of a report are UTC.
            zone: Zone::default(),
        }
    }
}

/// What the page of these files says of itself.
fn page(options: &Options) -> WebOptions {
    let names: Vec<String> = options
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    WebOptions {
        title: human::printable(&names.join(", "), 200),
        live: false,
        ..WebOptions::default()
    }
}

/// Analyzes files and keeps all that was found in a folder that goes with the process, for another command to ask.
///
/// # Errors
/// The files or the settings are wrong, or there is no room.
pub(super) fn in_process(files: &[PathBuf], settings: &Settings) -> anyhow::Result<crate::query::Query> {
    let settings = settings.effective()?;
    let folder = tempfile::tempdir().context("no room for the analysis")?;
    let table = FlowTableConfig::default();
    let source = FileSource::open(files, table, None);
    let nobody = Watcher {
        folder: None,
        logs: Logs::open(&[])?,
    };
    let mut pipeline = Pipeline::new(Tap::new(source, nobody), settings.profiles(FILES))?;
    let mut local = None;
    read(&mut pipeline, true, |updates, plan| {
        let local = match &mut local {
            Some(local) => local,
            empty => empty.insert(open(Some(folder.path()), &settings, plan, None)?),
        };
        local.take(updates.drain(..))
    })?;
    let mut local = local.context("there is nothing in these files")?;
    local.flush()?;
    local.into_query_within(folder)
}

fn open(
    store: Option<&Path>,
    settings: &Effective,
    plan: WindowPlan,
    lookups: Option<&Arc<Lookups>>,
) -> anyhow::Result<Local> {
    Local::open(
        store.map_or(Keep::Nothing, Keep::In),
        FILES,
        BOOT,
        plan,
        WINDOW_BYTES,
        settings.judging(None, lookups)?,
        Vec::new(),
    )
}

/// Memory for windows. They share a gigabyte with a million open flows and what the detectors remember of them.
const WINDOW_BYTES: usize = 128 << 20;

/// Reads all files; hands out window updates as they come.
fn read(
    pipeline: &mut Pipeline<Tap<FileSource, Watcher>>,
    quiet: bool,
    mut each: impl FnMut(&mut Vec<WindowUpdate>, WindowPlan) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let progress = progress::bar(pipeline.source().source.total_bytes(), quiet);
    let mut outcome = Outcome::Done;
    let mut updates = Vec::new();
    loop {
        let status = pipeline.next(&mut updates);
        for update in &updates {
            pipeline.source_mut().witness.logs.window(update)?;
        }
        if let Some(plan) = pipeline.plan() {
            each(&mut updates, plan)?;
        }
        progress.set_position(pipeline.source().source.bytes_read());
        match status {
            Ok(Status::Ended) => break,
            Ok(Status::More | Status::Idle) => {}
            Err(error) if FileSource::is_damage(&error) => {
                outcome = Outcome::Damaged;
                progress.suspend(|| say(&error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    progress.finish_and_clear();
    Ok(outcome)
}

fn table(options: &Options) -> FlowTableConfig {
    FlowTableConfig {
        max_flows: FlowTable::flows_in(options.max_memory).min(FlowTableConfig::DEFAULT_MAX_FLOWS),
        ..FlowTableConfig::default()
    }
}

/// What is written while the input is read.
#[derive(Default)]
struct Watcher {
    folder: Option<Folder>,
    logs: Logs,
}

impl Witness for Watcher {
    fn flow(&mut self, update: &FlowUpdate) -> anyhow::Result<()> {
        self.logs.flow(update)?;
        self.folder.as_mut().map_or(Ok(()), |folder| folder.flow(update))
    }

    fn app(&mut self, record: &AppRecord) -> anyhow::Result<()> {
        self.logs.app(record)
    }
}

/// The accounting law of the files: what was seen stands in flows or was refused.
fn status(tap: &Tap<FileSource, Watcher>) -> SensorStatus {
    SensorStatus {
        name: "files".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        points: tap.source.points(tap.packets),
        losses: tap.source.losses(),
        ..SensorStatus::default()
    }
}
