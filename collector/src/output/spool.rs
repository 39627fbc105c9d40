//! Messages that wait for a receiver, on disk and in order.
//!
//! Segments of records `length (u32) | CRC-32C (u32) | message`, little-endian; a `cursor` file says up to where the
//! receiver has everything. A torn end is cut at the start; what is delivered may be delivered again after a crash.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const HEADER: usize = 8;
/// A segment ends here; small enough that delivered ones free their room soon.
const SEGMENT: u64 = 4 << 20;
/// Longest message: an alert with 4,096 terms in the widest format is below it.
pub(super) const MAX_MESSAGE: usize = 1 << 20;

/// What the end of a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    segment: u64,
    offset: u64,
}

#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    /// Segments that are there, the last one is written to.
    segments: VecDeque<(u64, u64)>,
    writer: File,
    cursor: Cursor,
    limit: u64,
}

impl Spool {
    /// Opens or makes a spool of at most `limit` bytes.
    pub(super) fn open(directory: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut numbers: Vec<u64> = fs::read_dir(directory)?
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".seg")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        let mut segments = VecDeque::new();
        for number in numbers {
            let path = segment_path(directory, number);
            let whole = whole_records(&path)?;
            OpenOptions::new().write(true).open(&path)?.set_len(whole)?;
            segments.push_back((number, whole));
        }
        let first = segments.front().map_or(1, |(number, _)| *number);
        let cursor = read_cursor(directory)
            .filter(|cursor| cursor.segment >= first)
            .unwrap_or(Cursor {
                segment: first,
                offset: 0,
            });
        let last = segments
            .back()
            .map_or(cursor.segment, |(number, _)| *number)
            .max(cursor.segment);
        if segments.back().is_none_or(|(number, _)| *number != last) {
            segments.push_back((last, 0));
        }
        let writer = open_segment(directory, last)?;
        let mut spool = Self {
            directory: directory.to_owned(),
            segments,
            writer,
            cursor,
            limit,
        };
        spool.forget()?;
        Ok(spool)
    }

    /// Appends a message. `false`: there is no room.
    pub(super) fn push(&mut self, message: &[u8]) -> io::Result<bool> {
        let length = (HEADER + message.len()) as u64;
        if message.len() > MAX_MESSAGE || self.bytes() + length > self.limit {
            return Ok(false);
        }
        if self.segments.back().is_some_and(|(_, bytes)| *bytes >= SEGMENT) {
            let next = self.segments.back().map_or(1, |(number, _)| number + 1);
            self.writer = open_segment(&self.directory, next)?;
            self.segments.push_back((next, 0));
        }
        let mut record = Vec::with_capacity(HEADER + message.len());
        record.extend_from_slice(&(message.len() as u32).to_le_bytes());
        record.extend_from_slice(&crc32c::crc32c(message).to_le_bytes());
        record.extend_from_slice(message);
        if let Err(error) = self.writer.write_all(&record) {
            // A torn record would hide those after it.
            let whole = self.segments.back().map_or(0, |(_, bytes)| *bytes);
            self.writer.set_len(whole)?;
            return Err(error);
        }
        if let Some((_, bytes)) = self.segments.back_mut() {
            *bytes += length;
        }
        Ok(true)
    }

    /// The next messages after the cursor, at most `count` and about `bytes`, and the cursor behind them.
    pub(super) fn peek(&self, count: usize, bytes: usize) -> io::Result<(Vec<Vec<u8>>, Cursor)> {
        let mut messages = Vec::new();
        let mut cursor = self.cursor;
        let mut taken = 0;
        for (number, length) in &self.segments {
            if *number < cursor.segment {
                continue;
            }
            if *number > cursor.segment {
                cursor = Cursor {
                    segment: *number,
                    offset: 0,
                };
            }
            if cursor.offset >= *length {
                continue;
            }
            let mut file = File::open(segment_path(&self.directory, *number))?;
            file.seek(SeekFrom::Start(cursor.offset))?;
            let mut reader = io::BufReader::new(file);
            while cursor.offset < *length {
                if messages.len() >= count || taken >= bytes {
                    return Ok((messages, cursor));
                }
                let Some(message) = read_record(&mut reader)? else {
                    // Damaged in place: the rest of the segment cannot be found.
                    cursor.offset = *length;
                    break;
                };
                cursor.offset += (HEADER + message.len()) as u64;
                taken += message.len();
                messages.push(message);
            }
        }
        Ok((messages, cursor))
    }

    /// The receiver has everything before `cursor`.
    pub(super) fn done(&mut self, cursor: Cursor) -> io::Result<()> {
        self.cursor = cursor;
        let path = self.directory.join("cursor");
        let unfinished = self.directory.join("cursor.new");
        fs::write(&unfinished, format!("{} {}\n", cursor.segment, cursor.offset))?;
        fs::rename(unfinished, path)?;
        self.forget()
    }

    /// Bytes that wait, about.
    pub(super) fn bytes(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|(_, bytes)| bytes).sum();
        all.saturating_sub(self.cursor.offset)
    }

    fn forget(&mut self) -> io::Result<()> {
        while self.segments.len() > 1
            && self
                .segments
                .front()
                .is_some_and(|(number, _)| *number < self.cursor.segment)
        {
            if let Some((number, _)) = self.segments.pop_front() {
                fs::remove_file(segment_path(&self.directory, number))?;
            }
        }
        Ok(())
    }
}

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.seg"))
}

fn open_segment(directory: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(segment_path(directory, number))
}

fn read_cursor(directory: &Path) -> Option<Cursor> {
    let text = fs::read_to_string(directory.join("cursor")).ok()?;
    let (segment, offset) = text.trim().split_once(' ')?;
    Some(Cursor {
        segment: segment.parse().ok()?,
        offset: offset.parse().ok()?,
    })
}

/// Bytes of the records at the begin of a file that are whole.
fn whole_records(path: &Path) -> io::Result<u64> {
    let mut reader = io::BufReader::new(File::open(path)?);
    let mut whole = 0;
    while let Some(message) = read_record(&mut reader)? {
        whole += (HEADER + message.len()) as u64;
    }
    Ok(whole)
}

/// The next record; `None` at the end or where it is damaged.
fn read_record(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    match reader.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (length, sum) = (word(&header[..4]) as usize, word(&header[4..]));
    if length > MAX_MESSAGE {
        return Ok(None);
    }
    let mut message = vec![0; length];
    match reader.read_exact(&mut message) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    Ok((crc32c::crc32c(&message) == sum).then_some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(spool: &Spool) -> Vec<String> {
        let (messages, _) = spool.peek(1000, 1 << 20).unwrap();
        messages
            .into_iter()
            .map(|message| String::from_utf8(message).unwrap())
            .collect()
    }

    #[test]
    fn what_waits_survives_and_what_is_done_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        for text in ["a", "b", "c"] {
            assert!(spool.push(text.as_bytes()).unwrap());
        }
        let (first, cursor) = spool.peek(1, 1 << 20).unwrap();
        assert_eq!(first, [b"a"]);
        spool.done(cursor).unwrap();
        drop(spool);
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        assert_eq!(texts(&spool), ["b", "c"]);
        spool.push(b"d").unwrap();
        assert_eq!(texts(&spool), ["b", "c", "d"]);
    }

    #[test]
    fn a_torn_or_damaged_end_costs_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
        spool.push(b"whole").unwrap();
        spool.push(b"torn").unwrap();
        drop(spool);
        let path = segment_path(directory.path(), 1);
        let bytes = fs::read(&path).unwrap();
        for cut in 1..HEADER + 4 {
            fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let mut spool = Spool::open(directory.path(), 1 << 20).unwrap();
            assert_eq!(texts(&spool), ["whole"]);
            spool.push(b"next").unwrap();
            assert_eq!(texts(&spool), ["whole", "next"]);
        }
    }

    #[test]
    fn it_is_bounded_and_frees_room() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), 9 << 20).unwrap();
        let message = vec![b'x'; 1 << 19];
        let mut pushed = 0;
        while spool.push(&message).unwrap() {
            pushed += 1;
            assert!(pushed < 100);
        }
        assert_eq!(pushed, 17);
        loop {
            let (messages, cursor) = spool.peek(3, 1 << 30).unwrap();
            if messages.is_empty() {
                break;
            }
            spool.done(cursor).unwrap();
        }
        assert!(spool.push(&message).unwrap());
        let segments = fs::read_dir(directory.path()).unwrap().filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(".seg")
        });
        assert!(segments.count() <= 2);
        assert!(!spool.push(&vec![0; MAX_MESSAGE + 1]).unwrap());
    }
}
