//! Bytes of a capture: from a file or standard input, plain, gzip or zstd, through one bounded buffer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Large enough that system calls do not count, small enough to stay in the second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// Longest piece that may be asked for at once. Bounds memory against lengths that lie; four times the longest frame
/// that Linux hands out (a big TCP packet of 512 KiB) and far above libpcap's limit of 256 KiB.
pub(super) const LONGEST_PIECE: usize = 2 * 1024 * 1024;

/// Bytes read from disk or pipe so far (before decompression), for a progress display.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream with look-ahead.
pub(super) struct Input {
    read: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the stream (after decompression) of `start`.
    offset: u64,
    progress: Progress,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            Self::new(io::stdin())
        } else {
            Self::new(File::open(path)?)
        }
    }

    /// Recognizes compression by the first bytes.
    pub(super) fn new(read: impl Read + Send + 'static) -> io::Result<Self> {
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
            progress,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Offset of the next byte in the stream.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `wanted` bytes without consuming them; fewer only at the end of the stream. `wanted` is at most
    /// [`LONGEST_PIECE`].
    #[inline]
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        debug_assert!(wanted <= LONGEST_PIECE);
        if self.end - self.start < wanted {
            self.fill(wanted)?;
        }
        let present = (self.end - self.start).min(wanted);
        Ok(&self.buffer[self.start..self.start + present])
    }

    /// What an earlier [`Input::peek`] of at least `length` bytes returned, consumed.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let from = self.start;
        let length = length.min(self.end - from);
        self.start += length;
        self.offset += length as u64;
        &self.buffer[from..from + length]
    }

    /// Skips bytes without keeping them; returns how many there were.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<u64> {
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
