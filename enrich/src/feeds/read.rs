//! Reading a feed, whatever it is written in.
//!
//! A bad line never costs the others: it is counted, and the first few are told with their numbers.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lynceus_model::evidence::ThreatLevel;

use super::index::{Builder, Meta};
use super::{csv, json, plain};
use crate::indicator::{Indicator, Kind};

/// How a feed is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// By its first bytes: JSON, else CSV if the first line has a separator, else plain.
    #[default]
    Auto,
    /// One indicator a line; `#` and `;` begin a comment. Also hosts files.
    Plain,
    /// Separated by comma, semicolon, tab or `|`, with or without a heading.
    Csv,
    /// JSON, JSON Lines, a STIX 2.1 bundle or TAXII envelope, a MISP event or feed.
    Json,
}

impl Format {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "auto" => Self::Auto,
            "plain" => Self::Plain,
            "csv" => Self::Csv,
            "json" | "stix" | "misp" | "taxii" => Self::Json,
            _ => return None,
        })
    }
}

/// What is known of a feed before it is read.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// What its indicators are; `None`: each shows by its form.
    pub kind: Option<Kind>,
    /// Level of indicators for which the feed states none.
    pub level: ThreatLevel,
    pub description: String,
    pub tags: Vec<String>,
    /// Bytes that are read, unpacked; the rest is an error, as nobody meant it.
    pub max_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            kind: None,
            level: ThreatLevel::Medium,
            description: String::new(),
            tags: Vec::new(),
            max_bytes: 1 << 30,
        }
    }
}

/// What reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub indicators: u64,
    /// Lines or objects without an indicator that is understood.
    pub bad: u64,
    /// The first of them: number (from 1) and text, cut.
    pub examples: Vec<(u64, String)>,
    /// Indicators that the feed itself calls over (`revoked`, `valid_until`).
    pub expired: u64,
}

impl Outcome {
    const MAX_EXAMPLES: usize = 5;

    pub(super) fn refuse(&mut self, number: u64, text: &str) {
        self.bad += 1;
        if self.examples.len() < Self::MAX_EXAMPLES {
            self.examples.push((number, text.chars().take(80).collect()));
        }
    }
}

/// Where the readers of the formats put what they find.
pub(super) struct Into<'a> {
    pub(super) options: &'a Options,
    pub(super) builder: &'a mut Builder,
    pub(super) outcome: Outcome,
}

impl Into<'_> {
    /// Reads a value as the feed's kind, or by its form.
    pub(super) fn parse(&self, text: &str) -> Option<Indicator> {
        match self.options.kind {
            // Lists of addresses hold networks too.
            Some(Kind::Ip) => {
                Indicator::of_kind(Kind::Ip, text).or_else(|| Indicator::of_kind(Kind::Network, text))
            }
            Some(kind) => Indicator::of_kind(kind, text),
            None => Indicator::guess(text),
        }
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            level: self.options.level,
            description: self.options.description.clone(),
            tags: self.options.tags.clone(),
        }
    }

    pub(super) fn add(&mut self, indicator: &Indicator, meta: &Meta) {
        self.builder.add(indicator, meta);
        self.outcome.indicators += 1;
    }
}

/// Reads a feed, gzip or not, into an index.
///
/// # Errors
/// It cannot be read, is longer than [`Options::max_bytes`], or is no JSON although it begins so; what came before is
/// in the builder.
pub fn read(input: impl Read, options: &Options, builder: &mut Builder) -> io::Result<Outcome> {
    let mut packed = BufReader::with_capacity(64 << 10, input);
    let gzip = packed.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let unpacked: Box<dyn Read + '_> = if gzip {
        Box::new(MultiGzDecoder::new(packed))
    } else {
        Box::new(packed)
    };
    let mut input = BufReader::with_capacity(
        64 << 10,
        Limited {
            input: unpacked,
            left: options.max_bytes,
        },
    );
    let format = match options.format {
        Format::Auto => guess(input.fill_buf()?),
        given => given,
    };
    let mut into = Into {
        options,
        builder,
        outcome: Outcome::default(),
    };
    match format {
        Format::Json => json::read(&mut input, &mut into)?,
        Format::Csv => csv::read(&mut input, &mut into)?,
        Format::Plain | Format::Auto => plain::read(&mut input, &mut into)?,
    }
    Ok(into.outcome)
}

fn guess(begin: &[u8]) -> Format {
    let text = begin
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(begin)
        .trim_ascii_start();
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return Format::Json;
    }
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.find(|line| !line.is_empty() && !matches!(line[0], b'#' | b';' | b'\r'));
    let separated = first.is_some_and(|line| line.iter().any(|byte| matches!(byte, b',' | b'|' | b';')));
    if separated { Format::Csv } else { Format::Plain }
}

/// One line without its end, at most `max` bytes of it; `false` at the end of the input.
pub(super) fn line(input: &mut dyn BufRead, line: &mut Vec<u8>, max: usize) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = max.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Fails where a feed is longer than anybody meant, instead of stopping quietly.
struct Limited<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        match self.left.checked_sub(got as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "the feed is longer than its limit",
                ));
            }
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_shows_in_the_first_bytes() {
        assert_eq!(guess(b"# list\n192.0.2.1\n"), Format::Plain);
        assert_eq!(guess(b"# list\n192.0.2.1,bad\n"), Format::Csv);
        assert_eq!(guess(b"\xef\xbb\xbf {\"type\""), Format::Json);
        assert_eq!(guess(b""), Format::Plain);
    }

    #[test]
    fn too_long_is_an_error_and_what_came_before_stays() {
        let options = Options {
            max_bytes: 20,
            ..Options::default()
        };
        let mut builder = Builder::default();
        let text = "192.0.2.1\n".repeat(9_000);
        assert!(read(text.as_bytes(), &options, &mut builder).is_err());
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let mut got = Vec::new();
        let long = vec![b'a'; 1 << 20];
        assert!(line(&mut BufReader::new(&long[..]), &mut got, 4096).unwrap());
        assert_eq!(got.len(), 4096);
    }
}
