//! Bytes of a capture or a log: from a file or standard input, plain, gzip or zstd, through one bounded buffer.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::nfdump::Binary;

/// Large enough that system calls do not count, small enough to stay in the second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// Longest piece that may be asked for at once. Bounds memory against lengths that lie; four times the longest frame
/// that Linux hands out (a big TCP packet of 512 KiB) and far above libpcap's limit of 256 KiB.
pub(crate) const LONGEST_PIECE: usize = 2 * 1024 * 1024;

/// Bytes read from disk or pipe so far (before decompression), for a progress display.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where bytes come from.
pub(crate) enum Place {
    File(PathBuf),
    /// Opened already, as a pipe is when it was recognized.
    Open(String, Box<Input>),
    /// A binary file of nfdump; its name for people.
    Nfdump(String, Binary),
}

impl Place {
    /// Name for people, and the bytes.
    pub(crate) fn open(self) -> (String, io::Result<Input>) {
        match self {
            Self::Open(name, input) => (name, Ok(*input)),
            Self::File(path) => (name(&path), Input::open(&path)),
            Self::Nfdump(name, binary) => (name, binary.open()),
        }
    }
}

/// Name of a file for people.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// What [`Input::line`] found.
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
    End,
}

/// A stream with look-ahead.
pub(crate) struct Input {
    read: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the stream (after decompression) of `start`.
    offset: u64,
    /// A fault that [`Input::look`] came upon; whoever reads that far gets it.
    failed: Option<io::Error>,
    progress: Progress,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            Self::new(io::stdin())
        } else {
            Self::new(File::open(path)?)
        }
    }

    /// Recognizes compression by the first bytes.
    pub(crate) fn new(read: impl Read + Send + 'static) -> io::Result<Self> {
        let progress = Progress::default();
        let mut plain = Self::with_reader(
            Box::new(Counted {
                inner: read,
                count: progress.clone(),
            }),
            progress,
        );
        let first = plain.peek(4)?;
        if first.starts_with(&[0x1f, 0x8b]) {
            let progress = plain.progress.clone();
            Ok(Self::with_reader(
                Box::new(flate2::read::MultiGzDecoder::new(plain)),
                progress,
            ))
        } else if first == [0x28, 0xb5, 0x2f, 0xfd] {
            let progress = plain.progress.clone();
            Ok(Self::with_reader(Box::new(zstd::Decoder::new(plain)?), progress))
        } else {
            Ok(plain)
        }
    }

    fn with_reader(read: Box<dyn Read + Send>, progress: Progress) -> Self {
        Self {
            read,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            failed: None,
            progress,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Offset of the next byte in the stream.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `wanted` bytes without consuming them; fewer only at the end of the stream. `wanted` is at most
    /// [`LONGEST_PIECE`].
    #[inline]
    pub(crate) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        debug_assert!(wanted <= LONGEST_PIECE);
        if self.end - self.start < wanted {
            self.fill(wanted)?;
        }
        let present = (self.end - self.start).min(wanted);
        Ok(&self.buffer[self.start..self.start + present])
    }

    /// As [`Input::peek`], but what is readable before a fault is shown without it.
    pub(crate) fn look(&mut self, wanted: usize) -> &[u8] {
        if let Err(error) = self.fill(wanted) {
            self.failed = Some(error);
        }
        let present = (self.end - self.start).min(wanted);
        &self.buffer[self.start..self.start + present]
    }

    /// What an earlier [`Input::peek`] of at least `length` bytes returned, consumed.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> &[u8] {
        let from = self.start;
        let length = length.min(self.end - from);
        self.start += length;
        self.offset += length as u64;
        &self.buffer[from..from + length]
    }

    /// The next line without its line feed; the last one needs none. A longer one than `longest` is skipped as a whole.
    pub(crate) fn line(&mut self, longest: usize) -> io::Result<Line<'_>> {
        let mut looked_at = 0;
        loop {
            let present = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &present[looked_at..]) {
                let length = looked_at + at;
                let bytes = &self.take(length + 1)[..length];
                return Ok(Line::Whole(bytes.strip_suffix(b"\r").unwrap_or(bytes)));
            }
            looked_at = present.len();
            if looked_at > longest {
                return self.skip_line();
            }
            self.fill(looked_at + 1)?;
            if self.end - self.start == looked_at {
                return Ok(match looked_at {
                    0 => Line::End,
                    length => Line::Whole(self.take(length)),
                });
            }
        }
    }

    #[cold]
    fn skip_line(&mut self) -> io::Result<Line<'_>> {
        loop {
            let present = &self.buffer[self.start..self.end];
            let found = memchr::memchr(b'\n', present);
            let length = found.map_or(present.len(), |at| at + 1);
            self.take(length);
            if found.is_some() || self.peek(1)?.is_empty() {
                return Ok(Line::TooLong);
            }
        }
    }

    /// Skips bytes without keeping them; returns how many there were.
    pub(crate) fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            let present = self.peek(piece)?.len();
            if present == 0 {
                break;
            }
            self.take(present);
            left -= present as u64;
        }
        Ok(length - left)
    }

    #[cold]
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < wanted {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.read.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            self.fill(1)?;
        }
        let length = into.len().min(self.end - self.start);
        into[..length].copy_from_slice(self.take(length));
        Ok(length)
    }
}

struct Counted<R> {
    inner: R,
    count: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.count.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
