//! The log in files: segments of blocks, a new one every hour and every 256 MiB, whole segments age out.
//!
//! One append is one `write` and one `fdatasync`. If either fails, the segment is cut back to its last good length
//! and closed (after a failed sync nobody knows what the disk holds); the next append begins a new segment. When the
//! log is opened, the last segment is read to its first damaged block and cut there, so a torn tail costs nothing that
//! was acknowledged. An entry that reached the disk although its append failed is recognized by its sequence number.

mod open;

use std::fs::{File, OpenOptions};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use self::open::{SUFFIX, Segment, read_header, segment_paths};
use super::marks::{self, Mark, Marks};
use super::segment::{self, BlockWriter, PRELUDE};
use super::{
    Admitted, Entry, Expired, LogRange, LogRecord, LogRetention, Position, Span, StoreError, StreamId,
};

/// Settings of a log in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLogOptions {
    /// A segment is closed when it is larger. Bounds what one step of retention deletes and what opening verifies.
    pub segment_bytes: u64,
    /// A segment is closed when it is older.
    pub segment_age: Duration,
    /// Payload bytes after which an append is cut into another block; small blocks are cheap to query.
    pub block_bytes: usize,
}

impl Default for FileLogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(3600),
            block_bytes: 512 << 10,
        }
    }
}

/// A durable log in a directory. One process at a time (the embedded store holds the lock).
pub struct FileLog {
    directory: PathBuf,
    options: FileLogOptions,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Ascending by position; the last one may be open for writing.
    segments: Vec<Segment>,
    writer: BlockWriter,
    buffer: Vec<u8>,
    open: bool,
    marks: Marks,
    last: u64,
    recovered_bytes: u64,
    damaged: u64,
    degraded: Option<String>,
}

impl FileLog {
    /// Opens or makes the log. `marks` and `after` are what an earlier checkpoint knew: marks of entries up to `after`.
    ///
    /// # Errors
    /// When the directory or a segment cannot be read or written.
    pub fn open(
        directory: &Path,
        options: FileLogOptions,
        marks: Marks,
        after: Position,
    ) -> Result<Self, StoreError> {
        let io = |source| StoreError::io(directory, source);
        std::fs::create_dir_all(directory).map_err(io)?;
        let mut inner = Inner {
            segments: Vec::new(),
            writer: BlockWriter::new().map_err(io)?,
            buffer: Vec::new(),
            open: false,
            marks,
            last: after.0,
            recovered_bytes: 0,
            damaged: 0,
            degraded: None,
        };
        let paths = segment_paths(directory)?;
        let next: Vec<Option<u64>> = paths
            .iter()
            .skip(1)
            .map(|(first, _)| Some(*first))
            .chain([None])
            .collect();
        for ((first, path), next) in paths.into_iter().zip(next) {
            inner.take_segment(first, path, next, after)?;
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            options,
            inner: Mutex::new(inner),
        })
    }

    /// See [`super::Store::append`].
    ///
    /// # Errors
    /// When the disk is full or refuses; nothing counts as stored then.
    pub fn append(&self, mut entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        if let Some(entry) = entries
            .iter()
            .find(|entry| entry.payload.len() > segment::MAX_RAW)
        {
            return Err(StoreError::TooLarge {
                what: "an entry",
                bytes: entry.payload.len(),
                limit: segment::MAX_RAW,
            });
        }
        let mut inner = self.lock();
        let mut last = inner.last;
        let (pending, admitted) = marks::admit_all(&inner.marks, &mut entries, &mut last);
        if entries.is_empty() {
            return Ok(admitted);
        }
        if let Err(error) = self.write_blocks(&mut inner, &mut entries) {
            inner.degraded = Some(error.to_string());
            return Err(error);
        }
        inner.degraded = None;
        inner.last = last;
        pending.settle(&mut inner.marks);
        Ok(admitted)
    }

    /// See [`super::Store::read_log`].
    ///
    /// # Errors
    /// When a segment cannot be read. Damaged blocks are passed over and counted.
    pub fn read(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let segments: Vec<Segment> = self
            .lock()
            .segments
            .iter()
            .filter(|segment| {
                segment.entries > 0
                    && segment.first + segment.entries > range.after.0
                    && overlaps(range.span, segment.span)
            })
            .cloned()
            .collect();
        for segment in segments {
            if self.read_segment(&segment, range, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// See [`super::Store::expire_log`].
    ///
    /// # Errors
    /// When a segment cannot be deleted.
    pub fn expire(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        let mut inner = self.lock();
        let mut expired = Expired::default();
        let now = SystemTime::now();
        loop {
            let total: u64 = inner.segments.iter().map(|segment| segment.len).sum();
            // The newest segment stays: it says which position comes next.
            let [oldest, next, ..] = inner.segments.as_slice() else {
                break;
            };
            let ends = next.created;
            let old = now.duration_since(ends).is_ok_and(|age| age > retention.max_age);
            let large = total > retention.max_bytes;
            let needed = next.first > keep_from.0;
            if !large && (!old || needed) {
                break;
            }
            if needed {
                expired.forced += oldest.entries;
            }
            expired.entries += oldest.entries;
            expired.bytes += oldest.len;
            let path = oldest.path.clone();
            inner.segments.remove(0);
            std::fs::remove_file(&path).map_err(|source| StoreError::io(path, source))?;
        }
        Ok(expired)
    }

    /// Marks of all streams.
    #[must_use]
    pub fn marks(&self) -> Vec<(StreamId, Mark)> {
        let inner = self.lock();
        inner
            .marks
            .iter()
            .map(|(stream, mark)| (*stream, mark.clone()))
            .collect()
    }

    /// Marks together with the position up to which they hold, for a checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> (Marks, Position) {
        let inner = self.lock();
        (inner.marks.clone(), Position(inner.last))
    }

    #[must_use]
    pub fn last_position(&self) -> Position {
        Position(self.lock().last)
    }

    /// Figures for [`super::StoreStatus`]: first position, bytes, damaged blocks, bytes cut at open, why it refuses.
    #[must_use]
    pub fn figures(&self) -> FileLogFigures {
        let inner = self.lock();
        FileLogFigures {
            first_position: inner
                .segments
                .iter()
                .find(|segment| segment.entries > 0)
                .map(|segment| Position(segment.first)),
            bytes: inner.segments.iter().map(|segment| segment.len).sum(),
            damaged: inner.damaged,
            recovered_bytes: inner.recovered_bytes,
            degraded: inner.degraded.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The state is changed only after the file operations succeeded, so it is whole even after a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_blocks(&self, inner: &mut Inner, entries: &mut [Entry]) -> Result<(), StoreError> {
        let Inner { writer, buffer, .. } = inner;
        buffer.clear();
        let mut position = inner.last + 1;
        let mut rest = entries;
        let mut span: Option<Span> = None;
        let total = rest.len() as u64;
        while !rest.is_empty() {
            let mut bytes = 0;
            let mut fits = |entry: &Entry| {
                bytes += entry.payload.len();
                bytes <= self.options.block_bytes
            };
            let count = rest
                .iter()
                .map_while(|entry| fits(entry).then_some(()))
                .count()
                .max(1);
            let (block, after) = rest.split_at_mut(count);
            span = block
                .iter()
                .filter_map(|entry| entry.span)
                .chain(span)
                .reduce(Span::join);
            writer
                .write(Position(position), block, buffer)
                .map_err(|source| StoreError::io(&self.directory, source))?;
            position += count as u64;
            rest = after;
        }
        self.ensure_segment(inner)?;
        let Inner { buffer, segments, .. } = &mut *inner;
        let segment = segments.last_mut().expect("ensure_segment left one");
        let written = segment
            .file
            .write_all_at(buffer, segment.len)
            .and_then(|()| segment.file.sync_data());
        if let Err(source) = written {
            // Best effort: a rest that stays is recognized by its sequence numbers.
            let _ = segment.file.set_len(segment.len);
            inner.open = false;
            let segment = inner.segments.last().expect("as above");
            return Err(StoreError::io(&segment.path, source));
        }
        segment.len += buffer.len() as u64;
        segment.entries += total;
        segment.span = segment.span.into_iter().chain(span).reduce(Span::join);
        Ok(())
    }

    /// Makes sure that the last segment may be written to.
    fn ensure_segment(&self, inner: &mut Inner) -> Result<(), StoreError> {
        if let Some(last) = inner.segments.last() {
            let old = last
                .created
                .elapsed()
                .is_ok_and(|age| age >= self.options.segment_age);
            if inner.open && last.len < self.options.segment_bytes && !old {
                return Ok(());
            }
            if last.entries == 0 {
                // A failed append left it: its name is the one that the next segment needs.
                let empty = inner.segments.pop().expect("seen above");
                let _ = std::fs::remove_file(&empty.path);
            }
        }
        let first = inner.last + 1;
        let path = self.directory.join(format!("{first:020}.{SUFFIX}"));
        let io = |source| StoreError::io(&path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(io)?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io)?;
        inner.segments.push(Segment {
            path,
            file: Arc::new(file),
            len: 0,
            created: SystemTime::now(),
            first,
            entries: 0,
            span: None,
        });
        inner.open = true;
        Ok(())
    }

    fn read_segment(
        &self,
        segment: &Segment,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut at = 0;
        while at < segment.len {
            let (prelude, header) = match read_header(segment, at)? {
                Ok(block) => block,
                Err(what) => {
                    self.note_damage(segment, at, what);
                    break;
                }
            };
            let body_at = at + (PRELUDE + prelude.header_len) as u64;
            at = body_at + prelude.body_len as u64;
            if header.last_position() <= range.after.0
                || !overlaps(range.span, header.span())
                || !header.may_hold(&range.keys)
            {
                continue;
            }
            let mut body = vec![0; prelude.body_len];
            segment
                .file
                .read_exact_at(&mut body, body_at)
                .map_err(|source| StoreError::io(&segment.path, source))?;
            match segment::open_body(prelude, &header, &body) {
                Ok(records) => {
                    for record in records {
                        let wanted = record.position > range.after && overlaps(range.span, record.span);
                        if wanted && visit(record).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
                Err(what) => self.note_damage(segment, body_at, what),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn note_damage(&self, segment: &Segment, offset: u64, what: &str) {
        tracing::error!(file = %segment.path.display(), offset, what, "block of the log is damaged");
        self.lock().damaged += 1;
    }
}

/// See [`FileLog::figures`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLogFigures {
    pub first_position: Option<Position>,
    pub bytes: u64,
    pub damaged: u64,
    pub recovered_bytes: u64,
    pub degraded: Option<String>,
}

fn overlaps(wanted: Option<Span>, span: Option<Span>) -> bool {
    wanted.is_none_or(|wanted| span.is_some_and(|span| span.overlaps(&wanted)))
}

#[cfg(test)]
mod tests;
