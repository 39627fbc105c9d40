//! What an analysis tells at its end: JSON Lines, files of the result folder, or text for people.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use lynceus_collector::output::encode::Item;
use lynceus_collector::output::logs::Labels;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::profiler::ProfilerCounters;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_sensor::flow_table::TableStats;

use super::export::Exports;
use super::folder::{Folder, Lines};
use super::{Options, Watcher};
use crate::cli::{output, say};
use crate::human::{self, Clock};
use crate::json::finding::{self, Summary};
use crate::query::{Query, Wanted};
use crate::text::{Line, Tone};
use crate::view::ProfileView;
use crate::{accounting, report};

/// Profiles that are kept for the table while all are counted.
const KEPT_PROFILES: usize = 4096;
/// Evidence that is kept for the text; JSON has all.
const KEPT_EVIDENCE: usize = 20_000;

/// Everything that is known at the end.
pub(super) struct Result {
    pub(super) query: Query,
    pub(super) status: SensorStatus,
    pub(super) flows: u64,
    pub(super) profiler: ProfilerCounters,
    /// Flows that the whitelist left out.
    pub(super) whitelisted: u64,
    pub(super) table: TableStats,
    /// Seen in captures, and stated by logs.
    pub(super) packets: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) begin: Instant,
}

/// Found things, streamed to standard output and files, and what the text needs of them.
struct Told {
    summary: Summary,
    profiles: Vec<ProfileView>,
    evidence: Vec<Evidence>,
    alerts: Vec<Alert>,
    /// What the findings say of flows.
    labels: Labels,
}

/// Prints the result and writes the files.
///
/// # Errors
/// Something cannot be written.
pub(super) fn tell(result: &Result, options: &Options, watcher: Watcher) -> anyhow::Result<()> {
    let Watcher { folder, logs } = watcher;
    let mut told = collect(result, options, folder.as_ref())?;
    let early = logs.finish(&std::mem::take(&mut told.labels))?;
    if early > 0 {
        say(&format!(
            "{early} flows were open too many at once: their messages stand in several rows of the exported logs"
        ));
    }
    let mut line = Vec::new();
    finding::write_summary(&mut line, &told.summary);
    if options.json {
        output::raw(&line)?;
    }
    let path = match folder {
        None => None,
        Some(folder) => {
            let mut file = folder.file("summary.json")?;
            file.write(&line)?;
            file.finish()?;
            Some(folder.finish()?)
        }
    };
    if !options.json {
        let mut lines = text(result, &told, options);
        if let Some(path) = path {
            let path = path.display();
            lines.push(Line::from(format!(
                "Results are in {path}; look at them with: lynceus console --from {path}"
            )));
        }
        output::lines(&lines)?;
    }
    Ok(())
}

/// Goes through evidence, alerts and profiles once: writes what is to be written, counts, keeps what the text needs.
fn collect(result: &Result, options: &Options, folder: Option<&Folder>) -> anyhow::Result<Told> {
    let mut told = Told {
        summary: Summary::default(),
        profiles: Vec::new(),
        evidence: Vec::new(),
        alerts: Vec::new(),
        labels: Labels::default(),
    };
    let mut out = Out {
        json: options.json.then(|| io::BufWriter::new(io::stdout().lock())),
        file: None,
    };
    let all = Wanted::default();
    let mut exports = Exports::open(&options.export)?;

    out.open(folder, "evidence.jsonl")?;
    let mut written = Ok(());
    result.query.each_evidence(&all, |found| {
        written = out
            .line(|line| finding::write_evidence(line, &found))
            .and_then(|()| exports.write(Item::Evidence(&found)));
        told.summary.evidence += 1;
        if told.evidence.len() < KEPT_EVIDENCE {
            told.evidence.push(found);
        }
        flow_of(&written)
    })?;
    written?;

    out.open(folder, "alerts.jsonl")?;
    let mut written = Ok(());
    result.query.each_alert(&all, |alert| {
        written = out
            .line(|line| finding::write_alert(line, &alert))
            .and_then(|()| exports.write(Item::Alert(&alert)));
        told.summary.alerts += 1;
        told.alerts.push(alert);
        flow_of(&written)
    })?;
    written?;
    told.labels = exports.finish()?;

    out.flush()?;
    out.json = None;
    out.open(folder, "profiles.jsonl")?;
    let mut written = Ok(());
    result.query.each_profile(|profile| {
        for window in &profile.windows {
            written = out.line(|line| finding::write_window(line, profile.ip, window));
            if written.is_err() {
                return ControlFlow::Break(());
            }
        }
        told.summary.profiles += 1;
        told.summary.windows += profile.windows.len() as u64 + profile.earlier_windows;
        keep(&mut told.profiles, profile);
        ControlFlow::Continue(())
    })?;
    written?;
    out.flush()?;

    told.summary.packets = result.packets;
    told.summary.flows = result.flows;
    let refused = result.status.points.iter().flat_map(|point| &point.refused);
    told.summary.refused = refused
        .map(|counter| (counter.reason.to_string(), counter.count))
        .collect();
    told.summary.took = result.begin.elapsed();
    Ok(told)
}

fn flow_of(written: &anyhow::Result<()>) -> ControlFlow<()> {
    if written.is_err() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// The most threatening and the busiest profiles; the others are only counted.
fn keep(profiles: &mut Vec<ProfileView>, profile: ProfileView) {
    profiles.push(profile);
    if profiles.len() >= 2 * KEPT_PROFILES {
        profiles.sort_by(|a, b| b.threat().total_cmp(&a.threat()).then(b.bytes().cmp(&a.bytes())));
        profiles.truncate(KEPT_PROFILES);
    }
}

/// Where lines go: standard output, a file, both or neither.
struct Out<'a> {
    json: Option<io::BufWriter<io::StdoutLock<'a>>>,
    file: Option<Lines>,
}

impl Out<'_> {
    fn open(&mut self, folder: Option<&Folder>, name: &str) -> anyhow::Result<()> {
        if let Some(file) = self.file.take() {
            file.finish()?;
        }
        self.file = folder.map(|folder| folder.file(name)).transpose()?;
        Ok(())
    }

    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        if self.json.is_none() && self.file.is_none() {
            return Ok(());
        }
        let mut line = Vec::new();
        write(&mut line);
        if let Some(json) = &mut self.json {
            json.write_all(&line)?;
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(&line))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(json) = &mut self.json {
            json.flush()?;
        }
        match self.file.take() {
            Some(file) => file.finish(),
            None => Ok(()),
        }
    }
}

fn text(result: &Result, told: &Told, options: &Options) -> Vec<Line> {
    let clock = options.zone.clock();
    let mut lines = head(result, told, &clock);
    lines.push(Line::default());
    if told.profiles.is_empty() {
        return lines;
    }
    lines.push(Line::toned(Tone::Heading, "Profiles"));
    lines.extend(report::profiles(
        &told.profiles,
        &clock,
        options.limit,
        report::BY_LIMIT,
        output::width(),
    ));
    lines.push(Line::default());
    lines.extend(report::findings(
        &told.evidence,
        &told.alerts,
        &told.profiles,
        &clock,
        options.limit,
        output::width(),
    ));
    lines
}

/// Sizes, span, speed, and where every packet went.
fn head(result: &Result, told: &Told, clock: &Clock) -> Vec<Line> {
    let summary = &told.summary;
    let seconds = summary.took.as_secs_f64().max(1e-9);
    let mut lines = vec![Line::from(format!(
        "{} in {}; {}, {}",
        human::plural(summary.packets, "packet", "packets"),
        human::plural(summary.flows, "flow", "flows"),
        human::plural(summary.profiles, "profile", "profiles"),
        human::plural(summary.windows, "window", "windows"),
    ))];
    if let (Some(first), Some(last)) = (result.first, result.last) {
        lines.push(Line::toned(
            Tone::Quiet,
            format!(
                "{} of traffic from {} {}, read in {} ({} packets/s)",
                human::duration(last.since(first)),
                clock.date_time(first),
                clock.label(),
                human::duration(summary.took),
                human::short_count((summary.packets as f64 / seconds) as u64)
            ),
        ));
    }
    for (unit, hook) in [("", "file"), ("rows of logs: ", "log")] {
        let mut status = result.status.clone();
        status.points.retain(|point| point.hook == hook);
        if !status.points.is_empty() {
            let mut law = accounting::summary(std::slice::from_ref(&status));
            law.0.insert(0, (Tone::Plain, unit.to_owned()));
            lines.push(law);
        }
    }
    for (word, counters) in result
        .status
        .points
        .iter()
        .flat_map(|point| [("refused", &point.refused), ("degraded", &point.degraded)])
    {
        let reasons = accounting::reasons(counters);
        if !reasons.is_empty() {
            lines.push(Line::toned(Tone::Quiet, format!("  {word}: ")).and(Tone::Warning, reasons));
        }
    }
    for (count, what) in [
        (
            result.table.evicted,
            "flows ended early because the table was full",
        ),
        (
            result.table.orphan_fragments,
            "fragments without their first counted in flows with port 0",
        ),
        (
            result.status.losses.iter().map(|loss| loss.count).sum(),
            "rows came later than the logs are read ahead; they count where they are",
        ),
        (
            result.profiler.windows_evicted,
            "windows went to the store early because there were too many at once",
        ),
        (
            result.profiler.flows_not_carried,
            "flow reports are in the numbers but not in the list of flows",
        ),
        (
            result.profiler.apps_not_carried,
            "messages are in the numbers but not in the list of messages",
        ),
        (result.whitelisted, "flows are left out by the whitelist"),
        (
            result.profiler.outside_home,
            "flow reports and messages are of addresses outside the home networks",
        ),
    ] {
        if count > 0 {
            lines.push(Line::toned(
                Tone::Warning,
                format!("  {} {what}", human::count(count)),
            ));
        }
    }
    lines
}
