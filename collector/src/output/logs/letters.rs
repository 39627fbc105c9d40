//! Behavioral letters of all tuples, as TSV.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use lynceus_model::profile::{LetterKey, Letters};
use lynceus_model::window::{SensorId, Stage, WindowId, WindowUpdate};

use super::conn::name_of;
use super::table::cell_of_time;

/// A row for each tuple of a window, written when the window closes: profile, begin of the window, direction, the other
/// side, port, protocol, flows, letters. A window that goes on after its end is written again, with more flows.
#[derive(Debug)]
pub struct LettersLog {
    file: BufWriter<File>,
    open: BTreeMap<WindowId, BTreeMap<(SensorId, LetterKey), Letters>>,
}

impl LettersLog {
    /// Windows that are waited for: as many as a profiler keeps in memory. Beyond, the first by address is written as it
    /// is.
    const MAX_OPEN: usize = 32_768;

    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(
            b"#fields\tprofile\twindow_start\tdirection\tpeer\tport\tproto\tip_proto\tflows\tletters\n",
        )?;
        Ok(Self {
            file,
            open: BTreeMap::new(),
        })
    }

    /// # Errors
    /// As [`Self::create`].
    pub fn update(&mut self, update: &WindowUpdate) -> io::Result<()> {
        let window = update.delta.window;
        for (sensor, key, letters) in update.delta.letters.entries() {
            if self.open.len() >= Self::MAX_OPEN
                && !self.open.contains_key(&window)
                && let Some((window, tuples)) = self.open.pop_first()
            {
                self.write(window, &tuples)?;
            }
            let known = self
                .open
                .entry(window)
                .or_default()
                .entry((sensor, *key))
                .or_default();
            if letters > known {
                known.clone_from(letters);
            }
        }
        match self.open.remove(&window) {
            Some(tuples) if update.stage == Stage::Closed => self.write(window, &tuples),
            Some(tuples) => {
                self.open.insert(window, tuples);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// # Errors
    /// As [`Self::create`].
    pub fn finish(mut self) -> io::Result<()> {
        for (window, tuples) in std::mem::take(&mut self.open) {
            self.write(window, &tuples)?;
        }
        self.file.flush()
    }

    fn write(
        &mut self,
        window: WindowId,
        tuples: &BTreeMap<(SensorId, LetterKey), Letters>,
    ) -> io::Result<()> {
        for ((_, key), letters) in tuples {
            let direction = if key.incoming { "in" } else { "out" };
            writeln!(
                self.file,
                "{}\t{}\t{direction}\t{}\t{}\t{}\t{}\t{}\t{}",
                window.profile,
                cell_of_time(window.start),
                key.ip,
                key.port,
                name_of(key.protocol),
                key.protocol,
                letters.version,
                letters.text,
            )?;
        }
        Ok(())
    }
}
