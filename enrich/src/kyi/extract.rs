//! Picks the IP addresses out of any text: logs, mails, reports with defanged addresses.

use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Text that is looked at together; an address that crosses the end of a longer line without a blank is lost.
const MAX_LINE: u64 = 64 << 10;

/// How people write addresses so that nobody clicks on them.
const DEFANGED: [(&str, &str); 12] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("[DOT]", "."),
    ("\\.", "."),
    ("[:]", ":"),
    ("(:)", ":"),
    ("{:}", ":"),
    ("[::]", "::"),
    ("[colon]", ":"),
];

/// The addresses of a text in their order, duplicates too.
#[must_use]
pub fn addresses(text: &str) -> Vec<IpAddr> {
    let refanged;
    let text = if text.contains(['[', '(', '{', '\\']) {
        let mut whole = text.to_owned();
        for (written, meant) in DEFANGED {
            if whole.contains(written) {
                whole = whole.replace(written, meant);
            }
        }
        refanged = whole;
        refanged.as_str()
    } else {
        text
    };
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !may_be_part(bytes[at]) {
            at += 1;
            continue;
        }
        let begin = at;
        while at < bytes.len() && may_be_part(bytes[at]) {
            at += 1;
        }
        let touches = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80)
        };
        let before = begin.checked_sub(1).and_then(|index| bytes.get(index));
        found.extend(address(&text[begin..at], touches(before), touches(bytes.get(at))));
    }
    found
}

const fn may_be_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'.' || byte == b':'
}

/// The address in a run of its characters. `before`, `after`: the run goes on in a word.
fn address(run: &str, before: bool, after: bool) -> Option<IpAddr> {
    if run.len() < 2 || run.len() > 64 || !run.contains(['.', ':']) {
        return None;
    }
    // Punctuation around it belongs to the sentence; two colons may belong to the address.
    let start = run.trim_start_matches('.');
    let start = if start.starts_with("::") {
        start
    } else {
        start.trim_start_matches(':')
    };
    let text = start.trim_end_matches('.');
    let text = if text.ends_with("::") {
        text
    } else {
        text.trim_end_matches(':')
    };
    // A colon ends a word (`addr:192.0.2.1`, `192.0.2.1:http`); a dot goes on in it (`1.2.0.192.in-addr.arpa`).
    if before && (run.len() == start.len() || run.starts_with('.'))
        || after && (start.len() == text.len() || run.ends_with('.'))
    {
        return None;
    }
    if let Ok(four) = text.parse::<Ipv4Addr>() {
        return Some(four.into());
    }
    // `address:port`
    if let Some((host, port)) = text.split_once(':')
        && let Ok(four) = host.parse::<Ipv4Addr>()
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some(four.into());
    }
    if let Ok(six) = text.parse::<Ipv6Addr>() {
        // `::` stands in too many texts that are about something else.
        return (!six.is_unspecified()).then_some(six.into());
    }
    // `feed:address`, where the word has only letters of an address.
    let last = text.rsplit(':').next()?;
    last.parse::<Ipv4Addr>().ok().map(IpAddr::from)
}

/// Addresses of a stream, in bounded memory.
#[derive(Debug)]
pub struct Extract<R> {
    input: R,
    buffer: Vec<u8>,
    waiting: std::vec::IntoIter<IpAddr>,
}

impl<R: BufRead> Extract<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            waiting: Vec::new().into_iter(),
        }
    }
}

impl<R: BufRead> Iterator for Extract<R> {
    type Item = io::Result<IpAddr>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(address) = self.waiting.next() {
                return Some(Ok(address));
            }
            // What a cut left over goes in front of the rest of its line.
            let kept = self.buffer.len();
            let room = MAX_LINE.saturating_sub(kept as u64);
            match io::Read::take(&mut self.input, room).read_until(b'\n', &mut self.buffer) {
                Ok(0) if kept == 0 => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            let cut = self.buffer.len() as u64 >= MAX_LINE && self.buffer.last() != Some(&b'\n');
            let end = if cut {
                let blank = self.buffer.iter().rposition(|byte| byte.is_ascii_whitespace());
                blank.map_or(self.buffer.len(), |blank| blank + 1)
            } else {
                self.buffer.len()
            };
            let rest = self.buffer.split_off(end);
            let text = String::from_utf8_lossy(&self.buffer);
            self.waiting = addresses(&text).into_iter();
            self.buffer = rest;
        }
    }
}
