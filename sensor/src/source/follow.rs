//! A directory of Zeek that grows: reads what is appended to its logs, through rotation, truncation and logs that come
//! late.
//!
//! Only the logs that Zeek writes now are followed (`conn.log`, not `conn.2026-01-31.log`), from their beginning. A log
//! that was renamed or deleted is read on for some seconds, because Zeek may still write to it.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lynceus_model::time::Timestamp;

use super::log::{LONGEST_LINE, LogCounts, Merge, Parser as _, Reason, Row, What, parse};
use super::zeek::{Kind, Zeek};
use super::{Event, Source, Status};

/// Between two looks at the names in the directory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a log without its name is read on.
const READ_ON: Duration = Duration::from_secs(5);
/// A row is held back until a row so much younger was read: logs are written independently of each other.
const HOLD_BACK: Duration = Duration::from_secs(5);
/// … or until so long nothing was written.
const QUIET: Duration = Duration::from_secs(1);
/// Read of one log at once.
const CHUNK: usize = 64 * 1024;
/// Rows that one call hands out.
const ROWS_PER_CALL: usize = 4096;
/// Renamed logs that are read on at once: one of each, of several rotations in quick succession.
const MOST_TAILS: usize = 128;

/// The logs of a directory while they grow.
pub struct FollowSource {
    directory: PathBuf,
    tails: Vec<Tail>,
    merge: Merge,
    counts: LogCounts,
    rows: Vec<Row>,
    next_look: Instant,
    last_row: Instant,
    /// Newest flow or message that was read.
    newest_read: Timestamp,
    stopping: bool,
    ended: bool,
}

impl FollowSource {
    /// Begins with what the logs hold already.
    ///
    /// # Errors
    /// It is no directory that can be read.
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        let read = std::fs::read_dir(directory);
        read.with_context(|| format!("cannot watch {}", directory.display()))?;
        let now = Instant::now();
        Ok(Self {
            directory: directory.to_owned(),
            tails: Vec::new(),
            merge: Merge::new(Kind::COUNT),
            counts: LogCounts::default(),
            rows: Vec::new(),
            next_look: now,
            last_row: now,
            newest_read: Timestamp::MIN,
            stopping: false,
            ended: false,
        })
    }

    /// Reads what is there, hands it out, and ends.
    pub const fn stop(&mut self) {
        self.stopping = true;
    }

    #[must_use]
    pub fn counts(&self) -> LogCounts {
        LogCounts {
            late: self.merge.late(),
            packets: self.merge.packets(),
            ..self.counts
        }
    }

    /// Looks which files have the logs' names now.
    fn look(&mut self) {
        let now = Instant::now();
        for (name, kind) in Kind::names() {
            let path = self.directory.join(format!("{name}.log"));
            let named = std::fs::metadata(&path).ok().filter(Metadata::is_file);
            let id = named.as_ref().map(id);
            let current = self
                .tails
                .iter_mut()
                .find(|tail| tail.kind == kind && tail.over.is_none());
            match current {
                Some(tail) if Some(tail.id) == id => continue,
                Some(tail) => tail.over = Some(now),
                None => {}
            }
            if named.is_none() || self.tails.len() >= MOST_TAILS {
                continue;
            }
            match Tail::open(&path, kind) {
                Ok(tail) => self.tails.push(tail),
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot read the log"),
            }
        }
    }

    /// Reads a piece of every log that has room; returns whether there was any.
    fn read(&mut self) -> bool {
        let mut any = false;
        for tail in &mut self.tails {
            if !self.merge.has_room(tail.kind as usize) {
                continue;
            }
            match tail.read(&mut self.rows, &mut self.counts) {
                Ok(count) => {
                    tail.idle = count == 0;
                    any |= count > 0;
                }
                Err(error) => {
                    tracing::warn!(path = %tail.path.display(), %error, "the log cannot be read further");
                    tail.over = Some(Instant::now() - READ_ON);
                    tail.idle = true;
                }
            }
            for row in self.rows.drain(..) {
                if !matches!(row.what, What::Detached(_)) {
                    self.newest_read = self.newest_read.max(row.at);
                }
                // The bytes of a piece are bounded already.
                self.merge.push(tail.kind as usize, row, 0);
            }
        }
        self.tails.retain(|tail| {
            let over = tail.over.is_some_and(|since| since.elapsed() >= READ_ON);
            !(over && tail.idle)
        });
        any
    }

    /// Up to which time rows may go.
    fn until(&self) -> Timestamp {
        if self.stopping || self.last_row.elapsed() >= QUIET {
            return Timestamp::MAX;
        }
        let hold_back = i64::try_from(HOLD_BACK.as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.newest_read.0.saturating_sub(hold_back))
    }
}

impl Source for FollowSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        if self.ended {
            return Ok(Status::Ended);
        }
        if Instant::now() >= self.next_look {
            self.look();
            self.next_look = Instant::now() + LOOK_EVERY;
        }
        let read = self.read();
        if read {
            self.last_row = Instant::now();
        }
        if self.stopping && !read {
            self.merge.finish(events);
            self.ended = true;
            return Ok(Status::Ended);
        }
        // A full log must go on, however far behind the others are.
        let full = self
            .tails
            .iter()
            .any(|tail| !self.merge.has_room(tail.kind as usize));
        let until = if full { Timestamp::MAX } else { self.until() };
        let mut count = 0;
        while count < ROWS_PER_CALL && self.merge.pop_until(until, events) {
            count += 1;
        }
        Ok(if read || count == ROWS_PER_CALL {
            Status::More
        } else {
            Status::Idle
        })
    }

    /// Event time goes on with the clock while nothing is written.
    fn watermark(&self) -> Timestamp {
        match self.merge.newest() {
            Timestamp::MIN => Timestamp::MIN,
            newest => newest.saturating_add(self.last_row.elapsed()),
        }
    }
}

/// A log that is followed.
struct Tail {
    path: PathBuf,
    kind: Kind,
    file: File,
    id: (u64, u64),
    parser: Zeek,
    /// Of the line that is being read.
    rows: Vec<Row>,
    at: u64,
    line: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    /// The line is too long and is left out up to its end.
    skipping: bool,
    /// Since when another file, or none, has the name.
    over: Option<Instant>,
    /// Nothing was there at the last look.
    idle: bool,
}

impl Tail {
    fn open(path: &Path, kind: Kind) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            kind,
            id: id(&file.metadata()?),
            file,
            parser: Zeek::new(Some(kind)),
            rows: Vec::new(),
            at: 0,
            line: 0,
            partial: Vec::new(),
            skipping: false,
            over: None,
            idle: false,
        })
    }

    /// Reads a piece into rows; returns its bytes.
    fn read(&mut self, rows: &mut Vec<Row>, counts: &mut LogCounts) -> io::Result<usize> {
        if self.file.metadata()?.len() < self.at {
            tracing::info!(path = %self.path.display(), "the log was truncated; it is read from its beginning");
            self.file.seek(SeekFrom::Start(0))?;
            (self.at, self.line) = (0, 0);
            self.partial.clear();
            self.skipping = false;
            self.parser.begin();
        }
        let before = self.partial.len();
        let piece = self
            .file
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut self.partial)?;
        self.at += piece as u64;
        let mut bytes = std::mem::take(&mut self.partial);
        let (mut start, mut looked_at) = (0, before);
        while let Some(end) = memchr::memchr(b'\n', &bytes[looked_at..]).map(|at| looked_at + at) {
            self.line += 1;
            if std::mem::take(&mut self.skipping) {
                self.refuse("the line is longer than 1 MiB", counts);
            } else {
                self.take(&bytes[start..end], rows, counts);
            }
            start = end + 1;
            looked_at = start;
        }
        bytes.drain(..start);
        if bytes.len() > LONGEST_LINE {
            bytes.clear();
            self.skipping = true;
        }
        self.partial = bytes;
        Ok(piece)
    }

    fn take(&mut self, line: &[u8], rows: &mut Vec<Row>, counts: &mut LogCounts) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        match parse(&mut self.parser, &line, &mut self.rows) {
            Ok(row) => {
                counts.rows += u64::from(row);
                rows.append(&mut self.rows);
            }
            Err(refusal) if refusal.reason == Reason::BadLine => self.refuse(&refusal.why, counts),
            Err(refusal) => {
                counts.rows += 1;
                counts.refused[refusal.reason as usize] += 1;
            }
        }
    }

    fn refuse(&self, why: &str, counts: &mut LogCounts) {
        let bad = Reason::BadLine as usize;
        counts.rows += 1;
        counts.refused[bad] += 1;
        // Enough to see what is wrong; the counter has the rest.
        if counts.refused[bad] <= 20 {
            tracing::warn!("{}: line {}: {why}", self.path.display(), self.line);
        }
    }
}

fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::*;

    const HEADER: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\t\
                          proto\tduration\tconn_state\torig_pkts\tresp_pkts\n";

    fn row(second: u32) -> String {
        format!("{second}.0\tC{second}\t10.0.0.1\t4000\t10.0.0.2\t80\ttcp\t0.1\tSF\t5\t5\n")
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until so many events came, for at most some seconds.
    fn read(source: &mut FollowSource, wanted: usize) -> Vec<i64> {
        let begin = Instant::now();
        let mut events = Vec::new();
        while events.len() < wanted && begin.elapsed() < Duration::from_secs(20) {
            if source.next(&mut events).unwrap() == Status::Idle {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        events
            .iter()
            .map(|event| event.time().0 / 1_000_000_000)
            .collect()
    }

    #[test]
    fn rotation_truncation_late_logs_and_half_lines() {
        let folder = tempfile::tempdir().unwrap();
        let conn = folder.path().join("conn.log");
        append(&conn, &format!("{HEADER}{}", row(1)));
        let mut source = FollowSource::start(folder.path()).unwrap();
        assert_eq!(read(&mut source, 1), [1]);
        // Half a line is no line.
        let two = row(2);
        append(&conn, &two[..20]);
        assert_eq!(source.next(&mut Vec::new()).unwrap(), Status::More);
        append(&conn, &two[20..]);
        assert_eq!(read(&mut source, 1), [2]);
        // Rotation: the old file still grows after a new one has its name.
        let rotated = folder.path().join("conn.2026-01-31-00-00-00.log");
        fs::rename(&conn, &rotated).unwrap();
        append(&conn, &format!("{HEADER}{}", row(4)));
        append(&rotated, &row(3));
        assert_eq!(read(&mut source, 2), [3, 4]);
        // A log of another kind comes late.
        append(
            &folder.path().join("dns.log"),
            "{\"ts\":5.0,\"uid\":\"C5\",\"id.orig_h\":\"10.0.0.1\",\"id.orig_p\":1,\
            \"id.resp_h\":\"10.0.0.3\",\"id.resp_p\":53,\"proto\":\"udp\",\"query\":\"a\",\"qtype\":1}\n",
        );
        assert_eq!(read(&mut source, 1), [5]);
        // Truncation: the same file from its beginning.
        let short = HEADER.replace("#separator \\x09\n", "");
        fs::write(&conn, format!("{short}{}", row(6))).unwrap();
        assert_eq!(read(&mut source, 1), [6]);
        append(&conn, "bad\n");
        append(&conn, &row(7));
        source.stop();
        let mut events = Vec::new();
        while source.next(&mut events).unwrap() != Status::Ended {}
        assert_eq!(events.len(), 1);
        let counts = source.counts();
        assert_eq!(counts.rows, 8);
        assert_eq!(counts.refused_by_reason().collect::<Vec<_>>(), [("bad_line", 1)]);
        assert_eq!(counts.packets, 60);
    }

    #[test]
    fn what_is_no_directory_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let error = FollowSource::start(&none).err().unwrap();
        let said = format!("cannot watch {}", none.display());
        assert!(error.to_string().contains(&said), "{error}");
    }
}
