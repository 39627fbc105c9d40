//! `evidence.jsonl` and `alerts.jsonl`: one JSON object a line, each id once.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

use crate::json;
use crate::sink::Sink;

/// Appends to two files of a directory.
///
/// After a crash the collector says again what it is not sure to have said; lines whose id stands among the last
/// [`JsonLines::REMEMBERED`] are left out, and a torn last line is cut.
#[derive(Debug)]
pub struct JsonLines {
    evidence: Lines,
    alerts: Lines,
}

impl JsonLines {
    /// Ids remembered for each file: far more than one batch brings.
    pub const REMEMBERED: usize = 16_384;

    /// # Errors
    /// When a file cannot be opened, read or repaired.
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self {
            evidence: Lines::open(&directory.join("evidence.jsonl"))?,
            alerts: Lines::open(&directory.join("alerts.jsonl"))?,
        })
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &str {
        "jsonl"
    }

    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()> {
        self.evidence
            .write(evidence.id.0, |out| json::write_evidence(out, evidence))
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.alerts.write(alert.id.0, |out| json::write_alert(out, alert))
    }
}

#[derive(Debug)]
struct Lines {
    file: File,
    known: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

/// Bytes at the end of a file that are read for ids.
const TAIL: u64 = 16 << 20;

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < tail.len() {
            tracing::warn!(file = %path.display(), bytes = tail.len() - whole, "torn last line cut");
            file.set_len(from + whole as u64)?;
        }
        let mut lines = Self {
            file,
            known: HashSet::new(),
            order: VecDeque::new(),
        };
        for line in tail[..whole].split(|byte| *byte == b'\n') {
            if let Some(id) = json::id_of_line(line) {
                lines.remember(id);
            }
        }
        Ok(lines)
    }

    fn write(&mut self, id: [u8; 16], line: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.known.contains(&id) {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(1024);
        line(&mut bytes);
        self.file.write_all(&bytes)?;
        self.remember(id);
        Ok(())
    }

    fn remember(&mut self, id: [u8; 16]) {
        if self.known.insert(id) {
            self.order.push_back(id);
            if self.order.len() > JsonLines::REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::{alert, evidence};

    #[test]
    fn each_id_once_also_after_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evidence.jsonl");
        let mut sink = JsonLines::open(directory.path()).unwrap();
        sink.evidence(&evidence(1)).unwrap();
        sink.evidence(&evidence(1)).unwrap();
        sink.alert(&alert()).unwrap();
        drop(sink);
        let whole = std::fs::read(&path).unwrap();
        let torn = [whole.as_slice(), &whole[..20]].concat();
        std::fs::write(&path, torn).unwrap();

        let mut sink = JsonLines::open(directory.path()).unwrap();
        sink.evidence(&evidence(1)).unwrap();
        sink.evidence(&evidence(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
        let alerts = std::fs::read_to_string(directory.path().join("alerts.jsonl")).unwrap();
        assert_eq!(alerts.lines().count(), 1);
    }
}
