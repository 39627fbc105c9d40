//! What providers said and when: append-only files of checksummed JSON lines, spread over folders by address so that one
//! look-up reads one small file.
//!
//! A line is `CRC32C-in-hex JSON`. A line that a crash cut, or that was damaged, is passed over and counted; an append
//! begins a new line behind it. Files have a bound; beyond it the older half goes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::provider::{Answer, Columns, Range, Status, info};

/// One answer as it was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The address that was asked about; `range` says for which others it holds.
    pub ip: IpAddr,
    pub provider: String,
    /// Settings that change answers, hashed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub settings: String,
    /// Seconds since the Unix epoch.
    pub observed: i64,
    /// Found or not found; nothing else is kept.
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    pub columns: Columns,
}

impl Observation {
    /// As an answer about `ip`; `None`: of a provider that we do not know any more.
    #[must_use]
    pub fn answer(&self, ip: IpAddr) -> Option<Answer> {
        Some(Answer {
            provider: name_of(&self.provider)?,
            ip,
            status: self.status,
            error: None,
            columns: self.columns.clone(),
            range: self.range,
            observed: self.observed,
            from_cache: true,
        })
    }
}

/// Imports are kept under names of their own.
fn name_of(name: &str) -> Option<&'static str> {
    let imports = IMPORTS.into_iter().find(|known| *known == name);
    imports.or_else(|| info(name).map(|info| info.name))
}

/// What reading passed over or writing gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Lines that are not what was written.
    pub damaged: u64,
    /// Observations that went because their file was full.
    pub dropped: u64,
    /// Observations too long to be kept.
    pub too_long: u64,
}

/// A folder of observations. Several processes may use it at a time.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    /// Bytes of one file.
    max_bytes: u64,
    damaged: AtomicU64,
    dropped: AtomicU64,
    too_long: AtomicU64,
}

/// Results of other people's scanners; each import stands beside the others instead of in their place.
pub(super) const IMPORTS: [&str; 2] = ["zmap", "zgrab2"];
/// Files of addresses.
const SHARDS: u32 = 256;
/// With 256 files at most 1 GiB: some million observations of 1 KiB.
const MAX_BYTES: u64 = 4 << 20;
/// Seconds: two years before the newest answer. Files grow in the order of time, so the first line tells whether any is
/// older.
const MAX_AGE: i64 = 2 * 365 * 86_400;
/// One observation.
const MAX_LINE: usize = 256 << 10;

impl History {
    /// Nothing is created before the first append.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_bytes: MAX_BYTES,
            damaged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            too_long: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub fn damage(&self) -> Damage {
        Damage {
            damaged: self.damaged.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            too_long: self.too_long.load(Ordering::Relaxed),
        }
    }

    fn shard(&self, ip: IpAddr) -> PathBuf {
        let hash = match ip {
            IpAddr::V4(ip) => crc32c::crc32c(&ip.octets()),
            IpAddr::V6(ip) => crc32c::crc32c(&ip.octets()),
        };
        self.folder.join(format!("{:02x}.jsonl", hash % SHARDS))
    }

    /// Answers that hold for a network stand together: any address may need them.
    fn ranges(&self) -> PathBuf {
        self.folder.join("ranges.jsonl")
    }

    /// Keeps an observation; it is on disk when this returns.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn append(&self, observation: &Observation) -> io::Result<()> {
        self.append_all(std::slice::from_ref(observation))
    }

    /// Keeps observations; they are on disk when this returns.
    ///
    /// # Errors
    /// The folder cannot be written; some may be kept already.
    pub fn append_all(&self, observations: &[Observation]) -> io::Result<()> {
        let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for observation in observations {
            let json = serde_json::to_vec(observation)?;
            if json.len() > MAX_LINE {
                self.too_long.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let path = match observation.range {
                Some(_) => self.ranges(),
                None => self.shard(observation.ip),
            };
            let lines = files.entry(path).or_default();
            lines.extend_from_slice(format!("{:08x} ", crc32c::crc32c(&json)).as_bytes());
            lines.extend_from_slice(&json);
            lines.push(b'\n');
        }
        if files.is_empty() {
            return Ok(());
        }
        let newest = observations.iter().map(|seen| seen.observed).max();
        let newest = newest.unwrap_or(i64::MIN);
        fs::create_dir_all(&self.folder)?;
        let lock = File::create(self.folder.join("history.lock"))?;
        lock.lock()?;
        for (path, mut lines) in files {
            let open = || {
                OpenOptions::new()
                    .read(true)
                    .append(true)
                    .create(true)
                    .open(&path)
            };
            let mut file = open()?;
            if file.metadata()?.len() > self.max_bytes {
                drop(file);
                self.halve(&path)?;
                file = open()?;
            }
            let horizon = newest.saturating_sub(MAX_AGE);
            if first_observed(&mut file)?.is_some_and(|observed| observed < horizon) {
                drop(file);
                self.forget(&path, horizon)?;
                file = open()?;
            }
            if is_cut(&mut file)? {
                lines.insert(0, b'\n');
            }
            file.write_all(&lines)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Drops what is older than `horizon`, and lines that nobody can read. The caller holds the lock.
    fn forget(&self, path: &Path, horizon: i64) -> io::Result<()> {
        let lines = lines_of(path)?;
        let young = |line: &&Vec<u8>| read(line).is_some_and(|seen| seen.observed >= horizon);
        let kept: Vec<&[u8]> = lines.iter().filter(young).map(Vec::as_slice).collect();
        self.replace(path, &kept, lines.len())
    }

    /// Keeps the newer half of a full file. The caller holds the lock.
    fn halve(&self, path: &Path) -> io::Result<()> {
        let lines = lines_of(path)?;
        let mut left = self.max_bytes / 2;
        let kept = lines
            .iter()
            .rev()
            .take_while(|line| {
                let length = line.len() as u64 + 1;
                let fits = length <= left;
                left = left.saturating_sub(length);
                fits
            })
            .count();
        let kept: Vec<&[u8]> = lines[lines.len() - kept..].iter().map(Vec::as_slice).collect();
        self.replace(path, &kept, lines.len())
    }

    fn replace(&self, path: &Path, kept: &[&[u8]], before: usize) -> io::Result<()> {
        let mut text = kept.join(&b'\n');
        if !text.is_empty() {
            text.push(b'\n');
        }
        let unfinished = path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(unfinished, path)?;
        self.dropped
            .fetch_add((before - kept.len()) as u64, Ordering::Relaxed);
        Ok(())
    }

    /// All that is kept about an address, also as part of a network, oldest first.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(&self, ip: IpAddr) -> io::Result<Vec<Observation>> {
        let mut found = Vec::new();
        self.visit(&self.shard(ip), |seen| {
            if seen.ip == ip {
                found.push(seen);
            }
        })?;
        self.visit(&self.ranges(), |seen| {
            if seen.range.is_some_and(|range| range.contains(ip)) {
                found.push(seen);
            }
        })?;
        found.sort_by_key(|seen| seen.observed);
        Ok(found)
    }

    /// The latest answer of each provider until `as_of` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn recall(&self, ip: IpAddr, as_of: i64) -> io::Result<Vec<Answer>> {
        let mut latest: BTreeMap<(String, String), Observation> = BTreeMap::new();
        for observation in self.of(ip)? {
            if observation.observed <= as_of {
                let is_import = IMPORTS.contains(&observation.provider.as_str());
                let apart = if is_import {
                    format!("{:?}", observation.columns)
                } else {
                    String::new()
                };
                latest.insert((observation.provider.clone(), apart), observation);
            }
        }
        Ok(latest
            .values()
            .filter_map(|observation| observation.answer(ip))
            .collect())
    }

    fn visit(&self, path: &Path, mut visit: impl FnMut(Observation)) -> io::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader
                .by_ref()
                .take(MAX_LINE as u64 + 16)
                .read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(());
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if text.is_empty() {
                continue;
            }
            match read(text) {
                Some(observation) => visit(observation),
                None => {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn lines_of(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    BufReader::new(File::open(path)?).split(b'\n').collect()
}

/// When the first line was observed; `None`: there is none, or nobody can read it.
fn first_observed(file: &mut File) -> io::Result<Option<i64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    BufReader::new(&mut *file)
        .take(MAX_LINE as u64 + 16)
        .read_until(b'\n', &mut line)?;
    Ok(read(line.strip_suffix(b"\n").unwrap_or(&line)).map(|seen| seen.observed))
}

/// `None`: not what was written.
fn read(line: &[u8]) -> Option<Observation> {
    let (checksum, json) = (line.get(..8)?, line.get(9..)?);
    let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    if crc32c::crc32c(json) != checksum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Whether the last line has no end.
fn is_cut(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn seen(ip: &str, provider: &str, observed: i64) -> Observation {
        Observation {
            ip: ip.parse().unwrap(),
            provider: provider.to_owned(),
            settings: String::new(),
            observed,
            status: Status::Found,
            range: None,
            columns: vec![(format!("{provider}.asn"), json!(64500))],
        }
    }

    #[test]
    fn what_was_kept_is_found_by_address_and_by_network() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path());
        history.append(&seen("192.0.2.1", "virustotal", 20)).unwrap();
        history.append(&seen("192.0.2.2", "virustotal", 21)).unwrap();
        let network = Observation {
            range: Some(Range {
                first: "192.0.2.0".parse().unwrap(),
                last: "192.0.2.255".parse().unwrap(),
            }),
            ..seen("192.0.2.9", "rdap", 10)
        };
        history.append(&network).unwrap();
        let again = History::at(folder.path());
        let found = again.of("192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(found, [network, seen("192.0.2.1", "virustotal", 20)]);
        assert_eq!(again.of("198.51.100.1".parse().unwrap()).unwrap(), []);
        assert_eq!(again.damage(), Damage::default());
    }

    #[test]
    fn what_is_older_than_two_years_goes_with_the_next_append() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for observed in [0, 10, MAX_AGE] {
            history
                .append(&seen("192.0.2.1", "virustotal", observed))
                .unwrap();
        }
        assert_eq!(history.of(ip).unwrap().len(), 3, "none is older yet");
        history
            .append(&seen("192.0.2.1", "virustotal", MAX_AGE + 5))
            .unwrap();
        let times: Vec<i64> = history.of(ip).unwrap().iter().map(|seen| seen.observed).collect();
        assert_eq!(times, [10, MAX_AGE, MAX_AGE + 5]);
        assert_eq!(history.damage().dropped, 1);
    }

    #[test]
    fn a_cut_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path());
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for observed in 0..3 {
            history
                .append(&seen("192.0.2.1", "virustotal", observed))
                .unwrap();
        }
        let path = history.shard(ip);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            history.append(&seen("192.0.2.1", "virustotal", 9)).unwrap();
            let found = history.of(ip).unwrap();
            let ends = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            // A last line that lacks only its end is whole.
            let expected = ends + usize::from(whole.get(cut) == Some(&b'\n')) + 1;
            assert_eq!(found.len(), expected, "cut at {cut}");
            assert_eq!(found.last().unwrap().observed, 9);
        }
    }

    #[test]
    fn a_full_file_loses_its_older_half_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let history = History {
            max_bytes: 4000,
            ..History::at(folder.path())
        };
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for observed in 0..200 {
            history
                .append(&seen("192.0.2.1", "virustotal", observed))
                .unwrap();
        }
        let found = history.of(ip).unwrap();
        assert_eq!(found.last().unwrap().observed, 199);
        assert_eq!(found.len() as u64 + history.damage().dropped, 200);
        assert!(fs::metadata(history.shard(ip)).unwrap().len() < 4200);
    }

    proptest! {
        #[test]
        fn damage_is_counted_and_never_believed(at in 0_usize..400, value: u8) {
            let folder = tempfile::tempdir().unwrap();
            let history = History::at(folder.path());
            let ip: IpAddr = "192.0.2.1".parse().unwrap();
            history.append(&seen("192.0.2.1", "virustotal", 1)).unwrap();
            let path = history.shard(ip);
            let mut bytes = fs::read(&path).unwrap();
            let at = at % (bytes.len() - 1);
            let same = bytes[at].eq_ignore_ascii_case(&value) || (at == 8);
            bytes[at] = value;
            fs::write(&path, bytes).unwrap();
            let found = history.of(ip).unwrap();
            prop_assert!(same || found.is_empty());
        }
    }
}
