//! What is wrong with a log: named with file and line, bounded however bad the file is.

use std::collections::VecDeque;
use std::fmt::Display;

/// Longest line that is read: an HTTP row with its longest URI has some kilobytes.
pub(crate) const LONGEST_LINE: usize = 1 << 20;
/// Bad lines of a file that are named one by one; the rest is summed up at the end of the file.
const NAMED_LINES: u64 = 5;

/// Something in a log could not be read. Everything else was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogFault(String);

impl LogFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why a row gave no flow and no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It cannot be read: reported with its line.
    BadLine,
    /// It names no address that a profile could be of, as Zeek's notices about itself.
    NoAddress,
    /// Its flow is not of IP.
    NotIp,
    /// It tells nothing that is used here.
    NotUsed,
}

impl Reason {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::BadLine, Self::NoAddress, Self::NotIp, Self::NotUsed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BadLine => "bad_line",
            Self::NoAddress => "no_address",
            Self::NotIp => "not_ip",
            Self::NotUsed => "not_used",
        }
    }
}

/// A row that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) why: String,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            why: String::new(),
        }
    }
}

/// A line that cannot be read.
pub(crate) fn bad(why: impl Into<String>) -> Refusal {
    Refusal {
        reason: Reason::BadLine,
        why: why.into(),
    }
}

/// Faults that were not handed out yet.
#[derive(Default)]
pub(super) struct Faults {
    waiting: VecDeque<LogFault>,
    /// Bad lines by open file.
    lines: Vec<(String, u64)>,
}

impl Faults {
    pub(super) fn line(&mut self, file: &str, number: u64, why: &str) {
        let count = match self.lines.iter_mut().find(|(name, _)| name == file) {
            Some((_, count)) => count,
            None => {
                self.lines.push((file.to_owned(), 0));
                &mut self.lines.last_mut().expect("pushed just now").1
            }
        };
        *count += 1;
        if *count <= NAMED_LINES {
            let fault = LogFault(format!("{file}: line {number}: {why}"));
            self.waiting.push_back(fault);
        }
    }

    /// The file cannot be read further.
    pub(super) fn file(&mut self, file: &str, number: u64, error: &impl Display) {
        let text = match number {
            0 => format!("{file}: {error}"),
            number => format!("{file}: line {number}: {error}; what stood before it counts"),
        };
        self.waiting.push_back(LogFault(text));
    }

    /// The file ended.
    pub(super) fn end(&mut self, file: &str) {
        let Some(at) = self.lines.iter().position(|(name, _)| name == file) else {
            return;
        };
        let (_, count) = self.lines.swap_remove(at);
        if count > NAMED_LINES {
            let more = count - NAMED_LINES;
            let fault = LogFault(format!("{file}: {more} more lines cannot be read"));
            self.waiting.push_back(fault);
        }
    }

    pub(super) fn take(&mut self) -> Option<LogFault> {
        self.waiting.pop_front()
    }
}
