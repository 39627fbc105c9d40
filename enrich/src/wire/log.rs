//! The probe log: what left this machine because somebody looked at an address. JSON Lines, one probe a line, written
//! before the packet leaves.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Sender;
use crate::provider::Leak;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339, UTC.
    pub at: String,
    pub provider: String,
    /// The address that is looked at; null where the packet says nothing of it.
    pub about: Option<IpAddr>,
    /// Who learns it: none, dns, vendor, target.
    pub leak: Leak,
    /// Host name or address that the packet goes to.
    pub to: String,
    pub what: String,
}

/// Appends to a file; or counts only, for tests and embedders that log themselves.
#[derive(Debug)]
pub struct ProbeLog {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    written: AtomicU64,
    max_bytes: u64,
}

impl ProbeLog {
    /// Bytes of one file; then it becomes `.1`, and the older ones move up.
    pub const MAX_BYTES: u64 = 16 << 20;
    /// Older files that are kept: with the newest, 64 MiB or some 400,000 probes. The oldest goes.
    const OLD: u32 = 3;

    /// Nothing is created before the first probe.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
            file: Mutex::new(None),
            written: AtomicU64::new(0),
            max_bytes: Self::MAX_BYTES,
        }
    }

    /// Counts only.
    #[must_use]
    pub const fn counting() -> Self {
        Self {
            path: None,
            file: Mutex::new(None),
            written: AtomicU64::new(0),
            max_bytes: Self::MAX_BYTES,
        }
    }

    /// Probes of this process.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn write(&self, sender: Sender, to: &str, what: &str) -> io::Result<()> {
        if let Some(path) = &self.path {
            let entry = Entry {
                at: jiff::Timestamp::now().to_string(),
                provider: sender.provider.to_owned(),
                about: sender.about,
                leak: sender.leak,
                to: to.to_owned(),
                what: what.to_owned(),
            };
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            let mut place = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            if place.as_ref().is_some_and(|file| is_full(file, self.max_bytes)) {
                *place = None;
                turn(path)?;
            }
            if place.is_none() {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                *place = Some(OpenOptions::new().append(true).create(true).open(path)?);
            }
            if let Some(file) = place.as_mut() {
                file.write_all(&line)?;
            }
        }
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn is_full(file: &File, max: u64) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.len() >= max)
}

fn turn(path: &Path) -> io::Result<()> {
    let old = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    for number in (1..ProbeLog::OLD).rev() {
        if old(number).exists() {
            std::fs::rename(old(number), old(number + 1))?;
        }
    }
    std::fs::rename(path, old(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Sender = Sender {
        provider: "ping",
        about: None,
        leak: Leak::Target,
    };

    #[test]
    fn each_probe_is_a_line_and_old_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/probes.jsonl");
        let mut log = ProbeLog::at(&path);
        log.max_bytes = 400;
        for number in 0..40 {
            log.write(SENDER, "192.0.2.1", &format!("echo {number}")).unwrap();
        }
        assert_eq!(log.written(), 40);
        let newest = std::fs::read_to_string(&path).unwrap();
        let last: Entry = serde_json::from_str(newest.lines().last().unwrap()).unwrap();
        assert_eq!((last.what.as_str(), last.leak), ("echo 39", Leak::Target));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 4);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let log = ProbeLog::at(file.join("probes.jsonl"));
        assert!(log.write(SENDER, "x", "y").is_err());
        assert_eq!(log.written(), 0);
    }
}
