//! Lists of addresses, as Know Your IP's `--file` takes them: one a line, `#` begins a comment. Of a line of CSV the first
//! field that is not empty counts.

use std::io::{self, BufRead};
use std::net::IpAddr;

/// Longest line that is looked at; the rest of a longer one is passed over.
const MAX_LINE: u64 = 4096;

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Address(IpAddr),
    /// Nothing: blank, a comment, or the header of a table.
    Empty,
    /// Not an address: what stands there, cut.
    Invalid(String),
}

/// Reads one line.
#[must_use]
pub fn line(text: &str) -> Line {
    let text = text.trim_start_matches('\u{feff}');
    let text = text.split('#').next().unwrap_or("");
    let field = text
        .split([',', ';', '\t'])
        .map(str::trim)
        .find(|field| !field.is_empty());
    let Some(field) = field else { return Line::Empty };
    let field = field.trim_matches(['"', '\'']).trim();
    match field.parse() {
        Ok(address) => Line::Address(address),
        Err(_) if field.is_empty() || field.eq_ignore_ascii_case("ip") => Line::Empty,
        Err(_) => Line::Invalid(field.chars().filter(|c| !c.is_control()).take(64).collect()),
    }
}

/// Addresses of a list, line by line.
#[derive(Debug)]
pub struct List<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> List<R> {
    pub const fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            number: 0,
        }
    }
}

impl<R: BufRead> Iterator for List<R> {
    /// The number of the line, from 1, and what it holds.
    type Item = io::Result<(u64, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.buffer.clear();
        let read = io::Read::take(&mut self.input, MAX_LINE).read_until(b'\n', &mut self.buffer);
        match read {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        self.number += 1;
        let cut = self.buffer.last() != Some(&b'\n') && self.buffer.len() as u64 == MAX_LINE;
        if cut && let Err(error) = self.input.skip_until(b'\n') {
            return Some(Err(error));
        }
        Some(Ok((self.number, line(&String::from_utf8_lossy(&self.buffer)))))
    }
}
