//! Flow logs of other programs as a source: rows of several logs, in the order of event time, in bounded memory.
//!
//! A row's place in time is when its flow was last seen, or when its message was seen: the order in which the same
//! traffic would come from packets (decision 0090). Logs are written in about this order, so each is read a bounded
//! number of rows ahead, sorted within that, and all are merged. A row that comes later than the look-ahead can bridge
//! is handed out late, and counted.

pub(crate) mod facts;
mod fault;
mod merge;
pub(crate) mod time;

use std::collections::VecDeque;

use lynceus_model::status::{Counter, Loss, PointStatus};
use lynceus_model::time::Timestamp;

use self::fault::Faults;
pub use self::fault::LogFault;
pub(crate) use self::fault::{LONGEST_LINE, Reason, Refusal, bad};
pub(crate) use self::merge::{LARGEST_COUNTER, Merge, Row, What};
use super::input::{Input, Line, Place};
use super::{Event, Source, Status};

/// Rows that one call hands out at most.
const ROWS_PER_CALL: usize = 4096;

/// Reads the lines of one kind of log.
pub(crate) trait Parser: Send {
    /// Another file begins.
    fn begin(&mut self);

    /// Reads a line into rows. `false`: it was a header or a comment, no row.
    fn line(&mut self, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal>;
}

/// Reads a line, and refuses numbers that no flow can have.
pub(crate) fn parse(parser: &mut dyn Parser, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal> {
    let taken = parser.line(line, rows)?;
    if rows.iter().all(Row::is_plausible) {
        return Ok(taken);
    }
    rows.clear();
    Err(bad(format!("a counter is larger than {LARGEST_COUNTER}")))
}

/// One log, which may be in several files that follow each other.
pub(crate) struct Log {
    pub(crate) places: VecDeque<Place>,
    pub(crate) parser: Box<dyn Parser>,
}

/// Rows of the logs: read = handed out + refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    pub rows: u64,
    /// By [`Reason`].
    pub(crate) refused: [u64; Reason::COUNT],
    /// Rows that came later than the look-ahead can bridge; they count all the same.
    pub late: u64,
    /// Packets in the flows that were handed out.
    pub packets: u64,
}

impl LogCounts {
    /// Refused rows by reason, without the zeros.
    pub fn refused_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = Reason::ALL.into_iter().map(Reason::name);
        named.zip(self.refused).filter(|(_, count)| *count > 0)
    }

    /// The law of the rows.
    #[must_use]
    pub fn point(&self, name: &str) -> PointStatus {
        let refused: u64 = self.refused.iter().sum();
        PointStatus {
            interface: name.to_owned(),
            hook: "log".to_owned(),
            seen: self.rows,
            recorded: self.rows - refused,
            refused: self
                .refused_by_reason()
                .map(|(reason, count)| Counter {
                    reason: reason.into(),
                    count,
                })
                .collect(),
            ..PointStatus::default()
        }
    }

    /// What was out of order, if anything.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        let late = (self.late > 0).then(|| Loss {
            stage: "logs".into(),
            reason: "out_of_order".into(),
            unit: "rows".into(),
            count: self.late,
        });
        late.into_iter().collect()
    }
}

/// A log that is being read.
struct Reader {
    log: Log,
    open: Option<(String, Input, u64)>,
}

/// Logs whose ends are known.
pub struct LogSource {
    readers: Vec<Reader>,
    merge: Merge,
    counts: LogCounts,
    faults: Faults,
    rows: Vec<Row>,
    /// Bytes of files that were read to their end.
    bytes_before: u64,
}

impl LogSource {
    pub(crate) fn new(logs: Vec<Log>) -> Self {
        Self {
            merge: Merge::new(logs.len()),
            readers: logs.into_iter().map(|log| Reader { log, open: None }).collect(),
            counts: LogCounts::default(),
            faults: Faults::default(),
            rows: Vec::new(),
            bytes_before: 0,
        }
    }

    #[must_use]
    pub fn counts(&self) -> LogCounts {
        LogCounts {
            late: self.merge.late(),
            packets: self.merge.packets(),
            ..self.counts
        }
    }

    /// Bytes read from disk so far, before decompression.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        let open = self.readers.iter().filter_map(|reader| reader.open.as_ref());
        self.bytes_before + open.map(|(_, input, _)| input.progress().bytes()).sum::<u64>()
    }

    /// Reads nothing more; what was read ahead is still handed out.
    pub fn stop(&mut self) {
        for reader in &mut self.readers {
            reader.log.places.clear();
            reader.open = None;
        }
    }

    /// Reads ahead in every log as far as its bound allows.
    fn fill(&mut self) {
        for index in 0..self.readers.len() {
            while self.merge.has_room(index) && self.read_line(index) {}
        }
    }

    /// Reads one line; `false` at the end of the log's last file.
    fn read_line(&mut self, index: usize) -> bool {
        let reader = &mut self.readers[index];
        let Some((name, input, number)) = &mut reader.open else {
            return self.open_next(index);
        };
        *number += 1;
        let line = match input.line(LONGEST_LINE) {
            Ok(Line::Whole(line)) => line,
            Ok(Line::TooLong) => {
                self.counts.rows += 1;
                self.counts.refused[Reason::BadLine as usize] += 1;
                self.faults.line(name, *number, "the line is longer than 1 MiB");
                return true;
            }
            Ok(Line::End) => {
                self.close(index);
                return true;
            }
            Err(error) => {
                self.faults.file(name, *number, &error);
                self.close(index);
                return true;
            }
        };
        let text = String::from_utf8_lossy(line);
        match parse(&mut *reader.log.parser, &text, &mut self.rows) {
            Ok(false) => {}
            Ok(true) => self.counts.rows += 1,
            Err(refusal) => {
                self.counts.rows += 1;
                self.counts.refused[refusal.reason as usize] += 1;
                if refusal.reason == Reason::BadLine {
                    self.faults.line(name, *number, &refusal.why);
                }
            }
        }
        for row in self.rows.drain(..) {
            self.merge.push(index, row, text.len());
        }
        true
    }

    fn open_next(&mut self, index: usize) -> bool {
        let reader = &mut self.readers[index];
        let Some(place) = reader.log.places.pop_front() else {
            return false;
        };
        let (name, input) = place.open();
        match input {
            Ok(input) => {
                reader.log.parser.begin();
                reader.open = Some((name, input, 0));
            }
            Err(error) => self.faults.file(&name, 0, &error),
        }
        true
    }

    fn close(&mut self, index: usize) {
        if let Some((name, input, _)) = self.readers[index].open.take() {
            self.bytes_before += input.progress().bytes();
            self.faults.end(&name);
        }
    }
}

impl Source for LogSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        let mut status = Status::More;
        for _ in 0..ROWS_PER_CALL {
            self.fill();
            if !self.merge.pop(events) {
                status = Status::Ended;
                break;
            }
        }
        if status == Status::Ended {
            self.merge.finish(events);
        }
        match self.faults.take() {
            Some(fault) => Err(fault.into()),
            None => Ok(status),
        }
    }

    fn watermark(&self) -> Timestamp {
        self.merge.newest()
    }

    fn origin(&self) -> Option<Timestamp> {
        self.merge.origin()
    }
}
