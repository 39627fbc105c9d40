//! Frames of a pcap or pcapng file, in file order, with time, length on the wire and link type.
//!
//! pcap: microseconds and nanoseconds, both byte orders, and the modified magic of old kernels. pcapng: sections of any
//! byte order, interfaces with their own link type, snap length, clock resolution and offset; enhanced, simple and the
//! obsolete packet block. Memory is bounded by the longest piece that is accepted; blocks that are not needed are
//! skipped without being kept.

use std::io;
use std::path::Path;

use lynceus_model::time::Timestamp;
use sensor_ebpf::parse::Link;

use super::legacy::Legacy;
use super::ng::Section;
use crate::source::input::{Input, LONGEST_PIECE, Place, Progress};

/// A frame as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// A simple packet block has none; it counts at the beginning of the epoch, as other programs do.
    pub time: Timestamp,
    /// Length on the wire without frame check sequence.
    pub wire_len: u32,
    /// What was captured.
    pub bytes: &'a [u8],
    /// `None`: a link type that is not read.
    pub link: Option<Link>,
}

/// Why a capture cannot be read further. Everything before the offset was handed out.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}{fault}", fault.place(*offset))]
pub struct CaptureError {
    pub file: String,
    /// Where the faulty header or block begins, in the file after decompression.
    pub offset: u64,
    #[source]
    pub fault: Fault,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing was read.
    #[error("{0}")]
    Open(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the file is empty")]
    Empty,
    #[error("neither pcap nor pcapng: it begins with {0:#010x}")]
    NotACapture(u32),
    #[error("the file ends in the middle of {what}: {present} of {needed} bytes")]
    Cut {
        what: &'static str,
        needed: u64,
        present: u64,
    },
    #[error("{what} of {length} bytes; at most {LONGEST_PIECE} are accepted")]
    TooLong { what: &'static str, length: u64 },
    #[error("block length {0} is impossible")]
    BlockLength(u32),
    #[error("block length {head} at its head, {tail} at its end")]
    BlockEnds { head: u32, tail: u32 },
    #[error("packet of interface {0}, which the section does not describe")]
    UnknownInterface(u32),
    #[error("captured length {captured} does not fit its block of {block} bytes")]
    CapturedLength { captured: u32, block: u32 },
    #[error("byte-order magic {0:#010x} is unknown")]
    ByteOrder(u32),
    #[error("more than {0} interfaces in one section")]
    TooManyInterfaces(usize),
}

impl Fault {
    /// Where in the file it is.
    fn place(&self, offset: u64) -> String {
        match self {
            Self::Open(_) => String::new(),
            _ => format!("byte {offset}: "),
        }
    }
}

/// Reader of one capture file.
pub struct CaptureReader {
    name: String,
    input: Input,
    format: Format,
}

enum Format {
    Legacy(Legacy),
    Ng(Section),
}

impl CaptureReader {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// The file cannot be opened, or does not begin like a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::of(Place::File(path.to_owned()))
    }

    pub(super) fn of(place: Place) -> Result<Self, CaptureError> {
        let (name, input) = place.open();
        Self::start(name, input)
    }

    /// Reads a capture from anything; `name` is for errors.
    ///
    /// # Errors
    /// It does not begin like a capture.
    pub fn new(name: impl Into<String>, read: impl io::Read + Send + 'static) -> Result<Self, CaptureError> {
        Self::start(name.into(), Input::new(read))
    }

    /// Bytes read from disk so far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.input.progress()
    }

    /// The next frame, or `None` at the end of the file.
    ///
    /// # Errors
    /// The file is damaged or cannot be read; another call returns the same or the end.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<RawFrame<'_>>, CaptureError> {
        let offset = self.input.offset();
        let frame = match &mut self.format {
            Format::Legacy(legacy) => legacy.next_frame(&mut self.input),
            Format::Ng(section) => section.next_frame(&mut self.input),
        };
        frame.map_err(|fault| error(&self.name, offset, fault))
    }

    fn start(name: String, input: io::Result<Input>) -> Result<Self, CaptureError> {
        let opened = input.map_err(Fault::Open).and_then(|mut input| {
            let format = recognize(&mut input)?;
            Ok((input, format))
        });
        match opened {
            Ok((input, format)) => Ok(Self { name, input, format }),
            Err(fault) => Err(error(&name, 0, fault)),
        }
    }
}

fn recognize(input: &mut Input) -> Result<Format, Fault> {
    let first = input.peek(24)?;
    if first.is_empty() {
        return Err(Fault::Empty);
    }
    let Some(magic) = first.first_chunk::<4>() else {
        return Err(cut("the file header", 24, first.len()));
    };
    if u32::from_be_bytes(*magic) == super::ng::SECTION_HEADER {
        return Ok(Format::Ng(Section::default()));
    }
    let Some(header) = first.first_chunk::<24>() else {
        return match Legacy::knows(*magic) {
            true => Err(cut("the file header", 24, first.len())),
            false => Err(Fault::NotACapture(u32::from_be_bytes(*magic))),
        };
    };
    let legacy = Legacy::from_header(header).ok_or_else(|| Fault::NotACapture(u32::from_be_bytes(*magic)))?;
    input.take(24);
    Ok(Format::Legacy(legacy))
}

pub(super) const fn cut(what: &'static str, needed: usize, present: usize) -> Fault {
    Fault::Cut {
        what,
        needed: needed as u64,
        present: present as u64,
    }
}

#[cold]
fn error(file: &str, offset: u64, fault: Fault) -> CaptureError {
    CaptureError {
        file: file.to_owned(),
        offset,
        fault,
    }
}

/// How the parser reads a link type (`LINKTYPE_…` of pcap and pcapng, and the `DLT_…` numbers that leaked into files).
pub(super) const fn link_of(number: u32) -> Option<Link> {
    Some(match number {
        0 | 108 => Link::Null,
        1 => Link::Ethernet,
        9 | 50 => Link::Ppp,
        12 | 14 | 101 | 228 | 229 => Link::RawIp,
        113 => Link::LinuxSll,
        276 => Link::LinuxSll2,
        _ => return None,
    })
}

/// Takes the frame check sequence off a frame that carries one.
pub(super) fn without_fcs(frame: RawFrame<'_>, fcs: u32) -> RawFrame<'_> {
    if fcs == 0 {
        return frame;
    }
    let wire_len = frame.wire_len.saturating_sub(fcs);
    let present = frame.bytes.len().min(wire_len as usize);
    RawFrame {
        wire_len,
        bytes: &frame.bytes[..present],
        ..frame
    }
}
