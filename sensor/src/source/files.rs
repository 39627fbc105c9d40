//! Files of any format that is known, one after the other, as one source.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lynceus_model::status::{Counter, Loss, PointStatus};
use lynceus_model::time::Timestamp;
use sensor_ebpf::heads::HeadLimits;

use super::argus::Argus;
use super::input::{self, Input, Place};
use super::log::{Log, LogFault, LogSource, Parser};
use super::nfdump::{Binary, Nfdump};
use super::pcap::{Depth, PcapError, PcapSource};
use super::recognize::{Format, recognize};
use super::suricata::Suricata;
use super::zeek::{self, Chains};
use super::{Event, Source, Status};
use crate::flow_table::{FlowTableConfig, TableStats};

/// Neighbors that are read together: captures into one flow table, logs in one order of time.
enum Part {
    Captures(Box<PcapSource>),
    Logs(Box<LogSource>),
    /// What could not be opened.
    Fault(LogFault),
}

/// Captures and logs in the order of their naming.
pub struct FileSource {
    parts: Vec<Part>,
    /// The part that is being read.
    at: usize,
    origin: Option<Timestamp>,
    newest: Timestamp,
    total_bytes: u64,
}

/// Formats of logs, for what is not to be recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Zeek,
    Suricata,
    Argus,
    NfdumpCsv,
}

/// Neighbors of the same format while they are collected.
enum Group {
    Captures(VecDeque<Place>),
    Zeek(Chains),
    /// Files of one other log, as they follow each other.
    Log(Format, VecDeque<Place>),
}

impl FileSource {
    /// Recognizes the files; `-` is standard input, a directory one of Zeek. What cannot be opened is told by
    /// [`Source::next`] in its turn. `patience`: see [`PcapSource::with_patience`], for what is no regular file.
    #[must_use]
    pub fn open(paths: &[PathBuf], table: FlowTableConfig, patience: Option<Duration>) -> Self {
        let mut collected = Collected {
            parts: Vec::new(),
            group: None,
            table,
            patience: patience.filter(|_| paths.iter().any(|path| !path.is_file())),
        };
        for path in paths {
            if let Err(error) = collected.add(path) {
                collected.end_group();
                let fault = LogFault::new(format!("{}: {error}", input::name(path)));
                collected.parts.push(Part::Fault(fault));
            }
        }
        collected.end_group();
        Self {
            parts: collected.parts,
            at: 0,
            origin: None,
            newest: Timestamp::MIN,
            total_bytes: paths.iter().map(|path| size(path)).sum(),
        }
    }

    /// A log of this format from anything; `name` is for errors.
    ///
    /// # Errors
    /// Its first bytes cannot be read.
    pub fn log(format: LogFormat, name: &str, read: impl io::Read + Send + 'static) -> io::Result<Self> {
        let place = Place::Open(name.to_owned(), Box::new(Input::new(read)?));
        let part = match format {
            LogFormat::Zeek => LogSource::new(zeek::logs_of(
                [(zeek::Kind::of_name(Path::new(name)), [place].into())].into(),
            )),
            LogFormat::Suricata => one_log(Box::new(Suricata), [place].into()),
            LogFormat::Argus => one_log(Box::new(Argus::default()), [place].into()),
            LogFormat::NfdumpCsv => one_log(Box::new(Nfdump::default()), [place].into()),
        };
        Ok(Self {
            parts: vec![Part::Logs(Box::new(part))],
            at: 0,
            origin: None,
            newest: Timestamp::MIN,
            total_bytes: 0,
        })
    }

    /// Whether an error of [`Source::next`] says that a file is damaged: what is readable was read, and the next call
    /// goes on.
    #[must_use]
    pub fn is_damage(error: &anyhow::Error) -> bool {
        error.is::<LogFault>() || matches!(error.downcast_ref(), Some(PcapError::Capture(_)))
    }

    /// Whether nothing of what was named could be opened.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Fault(_)))
    }

    /// Reads nothing more; what is open or read ahead is still handed out.
    pub fn stop(&mut self) {
        for part in &mut self.parts {
            match part {
                Part::Captures(source) => source.stop(),
                Part::Logs(source) => source.stop(),
                Part::Fault(_) => {}
            }
        }
    }

    /// Bytes of all files on disk, as far as that is known beforehand.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes read from disk so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let read = self.parts.iter().map(|part| match part {
            Part::Captures(source) => source.bytes_read(),
            Part::Logs(source) => source.bytes_read(),
            Part::Fault(_) => 0,
        });
        read.sum()
    }

    /// What the flow tables of the captures did.
    #[must_use]
    pub fn table(&self) -> TableStats {
        let mut sum = TableStats::default();
        for part in &self.parts {
            if let Part::Captures(source) = part {
                let stats = source.table();
                sum.flows += stats.flows;
                sum.evicted += stats.evicted;
                sum.orphan_fragments += stats.orphan_fragments;
                sum.unlisted_points += stats.unlisted_points;
            }
        }
        sum
    }

    /// The law of the captures' packets and that of the logs' rows. `packets`: those of all flows that were handed out.
    #[must_use]
    pub fn points(&self, packets: u64) -> Vec<PointStatus> {
        let mut points = Vec::new();
        let in_captures = packets.saturating_sub(self.log_packets());
        let mut captures = self.parts.iter().filter_map(|part| match part {
            Part::Captures(source) => Some(&**source),
            _ => None,
        });
        if let Some(first) = captures.next() {
            let mut point = capture_point(first);
            captures.for_each(|source| absorb(&mut point, capture_point(source)));
            point.recorded = in_captures;
            points.push(point);
        }
        let mut logs = self.logs().map(|source| source.counts().point("logs"));
        if let Some(mut point) = logs.next() {
            logs.for_each(|other| absorb(&mut point, other));
            points.push(point);
        }
        points
    }

    /// Packets in the flows of logs.
    #[must_use]
    pub fn log_packets(&self) -> u64 {
        self.logs().map(|source| source.counts().packets).sum()
    }

    /// What the logs had out of order.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        self.logs().flat_map(|source| source.counts().losses()).collect()
    }

    /// Packets of the captures.
    #[must_use]
    pub fn capture_packets(&self) -> u64 {
        let captures = self.parts.iter().map(|part| match part {
            Part::Captures(source) => source.counts().seen.packets,
            _ => 0,
        });
        captures.sum()
    }

    fn logs(&self) -> impl Iterator<Item = &LogSource> {
        self.parts.iter().filter_map(|part| match part {
            Part::Logs(source) => Some(&**source),
            _ => None,
        })
    }
}

impl Source for FileSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        let Some(part) = self.parts.get_mut(self.at) else {
            return Ok(Status::Ended);
        };
        let source: &mut dyn Source = match part {
            Part::Captures(source) => &mut **source,
            Part::Logs(source) => &mut **source,
            Part::Fault(fault) => {
                self.at += 1;
                return Err(fault.clone().into());
            }
        };
        let status = source.next(events);
        self.newest = self.newest.max(source.watermark());
        self.origin = self.origin.or_else(|| source.origin());
        if matches!(status, Ok(Status::Ended)) {
            self.at += 1;
            return Ok(if self.at < self.parts.len() {
                Status::More
            } else {
                Status::Ended
            });
        }
        status
    }

    fn watermark(&self) -> Timestamp {
        self.newest
    }

    fn origin(&self) -> Option<Timestamp> {
        self.origin
    }
}

/// What to do with a directory that holds captures.
fn captures_in(directory: &Path) -> String {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let ending = names.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let endings = ["pcap", "pcapng", "cap"].into_iter();
        let packed =
            endings.flat_map(|ending| ["", ".gz", ".zst"].map(|packed| format!(".{ending}{packed}")));
        packed.into_iter().find(|ending| name.ends_with(ending))
    });
    // The smallest, so that two runs say the same.
    ending.min().map_or_else(String::new, |ending| {
        format!(
            "; captures are named one by one, as {}",
            directory.join(format!("*{ending}")).display()
        )
    })
}

struct Collected {
    parts: Vec<Part>,
    group: Option<Group>,
    table: FlowTableConfig,
    patience: Option<Duration>,
}

impl Collected {
    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            if !matches!(self.group, Some(Group::Zeek(_))) {
                self.begin(Group::Zeek(Chains::new()));
            }
            if let Some(Group::Zeek(chains)) = &mut self.group
                && !zeek::list(path, chains)?
            {
                anyhow::bail!("no log of Zeek is in it{}", captures_in(path));
            }
            return Ok(());
        }
        let mut input = Input::open(path)?;
        let format = recognize(&mut input, path);
        // A pipe cannot be opened again.
        let place = if format == Format::Nfdump {
            Place::Nfdump(input::name(path), Binary::of(path, input))
        } else if path.is_file() {
            Place::File(path.to_owned())
        } else {
            Place::Open(input::name(path), Box::new(input))
        };
        match (format, &mut self.group) {
            (Format::Capture, Some(Group::Captures(places))) => places.push_back(place),
            (Format::Zeek(kind), Some(Group::Zeek(chains))) => {
                chains.entry(kind).or_default().push_back(place)
            }
            (Format::Capture, _) => self.begin(Group::Captures([place].into())),
            (Format::Zeek(kind), _) => self.begin(Group::Zeek([(kind, [place].into())].into())),
            (format @ (Format::Suricata | Format::Argus | Format::Nfdump | Format::NfdumpCsv), group) => {
                // Both are rows of the same kind.
                let format = if format == Format::Nfdump {
                    Format::NfdumpCsv
                } else {
                    format
                };
                match group {
                    Some(Group::Log(known, places)) if *known == format => places.push_back(place),
                    _ => self.begin(Group::Log(format, [place].into())),
                }
            }
            (Format::Unknown, _) => {
                anyhow::bail!("neither a capture (pcap, pcapng) nor a log of Zeek, Suricata, Argus or nfdump")
            }
        }
        Ok(())
    }

    fn begin(&mut self, group: Group) {
        self.end_group();
        self.group = Some(group);
    }

    fn end_group(&mut self) {
        let part = match self.group.take() {
            None => return,
            Some(Group::Captures(places)) => {
                let mut source =
                    PcapSource::of(places, self.table, Depth::Deep).with_decoders(HeadLimits::DEFAULT);
                if let Some(patience) = self.patience {
                    source = source.with_patience(patience);
                }
                Part::Captures(Box::new(source))
            }
            Some(Group::Zeek(chains)) => Part::Logs(Box::new(LogSource::new(zeek::logs_of(chains)))),
            Some(Group::Log(format, places)) => {
                let parser: Box<dyn Parser> = match format {
                    Format::Suricata => Box::new(Suricata),
                    Format::Argus => Box::new(Argus::default()),
                    _ => Box::new(Nfdump::default()),
                };
                Part::Logs(Box::new(one_log(parser, places)))
            }
        };
        self.parts.push(part);
    }
}

fn one_log(parser: Box<dyn Parser>, places: VecDeque<Place>) -> LogSource {
    LogSource::new(vec![Log { places, parser }])
}

/// Size on disk of a file, or of the files in a directory.
fn size(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    if !path.is_dir() {
        return length(path);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let logs = entries
        .map(|entry| entry.path())
        .filter(|path| zeek::Kind::of_name(path).is_some());
    logs.map(|path| length(&path)).sum()
}

/// A capture's packets are refused or in a flow: the flow table cannot lose one.
fn capture_point(source: &PcapSource) -> PointStatus {
    let counts = source.counts();
    let counters = |named: &mut dyn Iterator<Item = (&'static str, u64)>| {
        let counter = |(reason, count): (&'static str, u64)| Counter {
            reason: reason.into(),
            count,
        };
        named.map(counter).collect()
    };
    let refused = counts.refused_by_reason();
    let degraded = counts.degraded_by_reason();
    PointStatus {
        interface: "files".to_owned(),
        hook: "file".to_owned(),
        seen: counts.seen.packets,
        refused: counters(&mut refused.map(|(reason, tally)| (reason, tally.packets))),
        degraded: counters(&mut degraded.map(|(reason, tally)| (reason, tally.packets))),
        blocked: 0,
        ..PointStatus::default()
    }
}

fn absorb(sum: &mut PointStatus, other: PointStatus) {
    sum.seen += other.seen;
    sum.recorded += other.recorded;
    for (counters, more) in [
        (&mut sum.refused, other.refused),
        (&mut sum.degraded, other.degraded),
    ] {
        for counter in more {
            match counters.iter_mut().find(|known| known.reason == counter.reason) {
                Some(known) => known.count += counter.count,
                None => counters.push(counter),
            }
        }
    }
}
