//! The country lists of Debian's `tor-geoipdb` (IPFire, CC BY-SA 4.0: read where installed, never shipped).
//!
//! Sorted lines `first,last,CC`: IPv4 addresses as numbers, IPv6 addresses as text. A look-up halves the file where it
//! lies; nothing but some lines is read.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lynceus_model::time::Timestamp;

use crate::fact::{Fact, Field, Matched, Reason, Source};
use crate::offline::country::Code;

const SOURCE: Source = Source::new("ipfire");
/// Longest line: two IPv6 addresses and a code have 82 bytes.
const MAX_LINE: usize = 128;

/// One list.
#[derive(Debug)]
pub struct GeoIp {
    pub path: PathBuf,
    file: File,
    length: u64,
    wide: bool,
    /// When the list was made, by its own header.
    pub date: Option<Timestamp>,
}

/// A line of the list.
struct Line {
    first: u128,
    last: u128,
    country: Option<Code>,
}

impl GeoIp {
    /// Opens a list; its first entry tells the family.
    ///
    /// # Errors
    /// It cannot be read, or has no line that is understood.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut list = Self {
            path: path.to_owned(),
            file,
            length,
            wide: false,
            date: None,
        };
        let mut at = 0;
        // The header has some 20 lines.
        for _ in 0..200 {
            let Some((line, next)) = list.line(at)? else { break };
            if let Some(date) = line.strip_prefix("# Generated: ") {
                let parsed = jiff::fmt::rfc2822::parse(&date.replace("GMT", "+0000"));
                list.date = parsed
                    .ok()
                    .map(|time| Timestamp::from_secs(time.timestamp().as_second()));
            }
            if !line.starts_with('#') && !line.is_empty() {
                list.wide = line.contains(':');
                if parse(&line, list.wide).is_some() {
                    return Ok(list);
                }
            }
            at = next;
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no line of it is understood",
        ))
    }

    /// Country of an address of the list's family; `None`: the other family.
    #[must_use]
    pub fn fact(&self, ip: IpAddr) -> Option<Fact> {
        if ip.is_ipv6() != self.wide {
            return None;
        }
        let key = match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let fact = match self.find(key) {
            Ok(Some((code, matched))) => {
                Fact::new(Field::CountryCode, code.text().to_owned(), SOURCE).matched(Some(matched))
            }
            Ok(None) => Fact::unknown(Field::CountryCode, Reason::NoEntry, SOURCE),
            Err(error) => {
                let reason = Reason::Failed(format!("{}: {error}", self.path.display()));
                Fact::unknown(Field::CountryCode, reason, SOURCE)
            }
        };
        Some(fact.as_of(self.date))
    }

    fn find(&self, key: u128) -> io::Result<Option<(Code, Matched)>> {
        // The last line that does not begin behind the key begins in [low, high).
        let (mut low, mut high) = (0, self.length);
        let mut best: Option<Line> = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let start = self.line_start(middle)?;
            let Some((text, next)) = self.line(start.max(low))? else {
                break;
            };
            match parse(&text, self.wide) {
                Some(line) if line.first > key => high = start.max(low),
                Some(line) => {
                    best = Some(line);
                    low = next;
                }
                // A comment: entries come behind.
                None => low = next,
            }
        }
        let address = |value: u128| {
            if self.wide {
                Some(IpAddr::V6(value.into()))
            } else {
                u32::try_from(value).ok().map(|value| IpAddr::V4(value.into()))
            }
        };
        let found = best.filter(|line| line.last >= key);
        Ok(found.and_then(|line| {
            let (first, last) = (address(line.first)?, address(line.last)?);
            Some((line.country?, Matched { first, last }))
        }))
    }

    /// Beginning of the line that holds the byte at `at`.
    fn line_start(&self, at: u64) -> io::Result<u64> {
        let begin = at.saturating_sub(MAX_LINE as u64);
        let mut bytes = [0; MAX_LINE];
        let length = (at - begin) as usize;
        let bytes = &mut bytes[..length];
        self.file.read_exact_at(bytes, begin)?;
        Ok(match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(position) => begin + position as u64 + 1,
            // Only in a comment that is longer than a line may be.
            None => begin,
        })
    }

    /// The line at `at` and where the next one begins; `None` at the end.
    fn line(&self, at: u64) -> io::Result<Option<(String, u64)>> {
        if at >= self.length {
            return Ok(None);
        }
        let mut bytes = [0; MAX_LINE];
        let room = usize::try_from(self.length - at)
            .unwrap_or(usize::MAX)
            .min(MAX_LINE);
        let bytes = &mut bytes[..room];
        self.file.read_exact_at(bytes, at)?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let line = String::from_utf8_lossy(&bytes[..end.unwrap_or(room)])
            .trim()
            .to_owned();
        // A line that is too long is read in parts; the parts are no entries.
        Ok(Some((line, at + end.map_or(room, |end| end + 1) as u64)))
    }
}

fn parse(line: &str, wide: bool) -> Option<Line> {
    let mut parts = line.split(',');
    let mut address = || {
        let text = parts.next()?;
        if wide {
            text.parse::<std::net::Ipv6Addr>()
                .ok()
                .map(std::net::Ipv6Addr::to_bits)
        } else {
            text.parse::<u32>().ok().map(u128::from)
        }
    };
    let (first, last) = (address()?, address()?);
    // `??` stands for no country.
    let country = parts.next().and_then(Code::parse);
    (first <= last).then_some(Line { first, last, country })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn list(text: &[u8]) -> io::Result<GeoIp> {
        let path = std::env::temp_dir().join(format!("lynceus-ipfire-{:?}", std::thread::current().id()));
        File::create(&path)?.write_all(text)?;
        let list = GeoIp::open(&path);
        std::fs::remove_file(&path)?;
        list
    }

    const HEADER: &str = "# Location Database Export\n#\n# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n#\n";

    #[test]
    fn countries_by_number() {
        let text = format!("{HEADER}16777216,16777471,AU\n16777472,16778239,CN\n3232235520,3232301055,??\n");
        let list = list(text.as_bytes()).unwrap();
        assert_eq!(list.date, Some(Timestamp::from_secs(1_782_362_039)));
        let country = |ip: &str| list.fact(ip.parse().unwrap()).map(|fact| fact.value.to_string());
        assert_eq!(country("1.0.0.255").as_deref(), Some("AU"));
        assert_eq!(country("1.0.1.0").as_deref(), Some("CN"));
        for unknown in ["1.0.4.0", "0.0.0.0", "192.168.0.1", "255.255.255.255"] {
            assert_eq!(
                country(unknown).as_deref(),
                Some("unknown (no entry)"),
                "{unknown}"
            );
        }
        assert_eq!(country("::1"), None);
        let fact = list.fact("1.0.0.7".parse().unwrap()).unwrap();
        assert_eq!(fact.matched.unwrap().to_string(), "1.0.0.0/24");
    }

    #[test]
    fn countries_by_text() {
        let text =
            format!("{HEADER}2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n2a00::,2a00:ffff::,CZ");
        let list = list(text.as_bytes()).unwrap();
        let country = |ip: &str| list.fact(ip.parse().unwrap()).map(|fact| fact.value.to_string());
        assert_eq!(country("2001:200::1").as_deref(), Some("JP"));
        assert_eq!(country("2a00:1::").as_deref(), Some("CZ"));
        assert_eq!(country("1.0.0.1"), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert!(list(b"").is_err());
        assert!(list(b"# only a comment\n").is_err());
        assert!(list(&[0xff; 4096]).is_err());
    }

    proptest! {
        #[test]
        fn every_entry_is_found(starts in prop::collection::btree_set(any::<u32>(), 1..40), probe: u32) {
            let starts: Vec<u32> = starts.into_iter().collect();
            let mut text = HEADER.to_owned();
            for (at, start) in starts.iter().enumerate() {
                let last = starts.get(at + 1).map_or(u32::MAX, |next| next - 1);
                text += &format!("{start},{last},{}\n", Code::from_number(at as u32 + 1).unwrap());
            }
            let list = list(text.as_bytes()).unwrap();
            for key in starts.iter().copied().chain([probe]) {
                let at = starts.partition_point(|start| *start <= key);
                let expected = Code::from_number(at as u32);
                let found = list.find(key.into()).unwrap().map(|(code, _)| code);
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn hostile_files_do_not_panic_or_run_on(bytes in prop::collection::vec(any::<u8>(), 0..600), key: u32) {
            let mut text = format!("{HEADER}1,2,AU\n").into_bytes();
            text.extend(bytes);
            if let Ok(list) = list(&text) {
                let _ = list.find(key.into());
            }
        }
    }
}
