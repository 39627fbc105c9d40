//! Flows and messages as the logs that others read: Zeek's `conn.log` and application logs, labelled flows, letters.
//!
//! Unlike the [formats](super::Format) of findings these are whole files: a log has a header, a row of it may need
//! several messages (query and answer, both hellos and the certificate), and a label is known last. Columns that nothing
//! is known of are unset, never 0. What Zeek has and we do not measure (payload bytes) is unset, too.

mod apps;
mod columns;
mod conn;
mod hosts;
mod labels;
mod letters;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lynceus_model::app::AppRecord;
use lynceus_model::flow::{FlowEnd, FlowUpdate};

pub use labels::{LabelledFlows, Labels};
pub use letters::LettersLog;
pub use table::Style;

use self::apps::Open;
use self::columns::Log;
use self::table::{LogFile, Row};

/// A folder with Zeek's logs, one file for each kind of message that there was.
#[derive(Debug)]
pub struct ZeekLogs {
    folder: PathBuf,
    style: Style,
    files: BTreeMap<&'static str, LogFile>,
    open: Open,
}

impl ZeekLogs {
    /// Makes the folder.
    ///
    /// # Errors
    /// It cannot be made, or holds something already: logs of two inputs must not mix.
    pub fn create(folder: &Path, style: Style) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        if std::fs::read_dir(folder)?.next().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the folder is not empty",
            ));
        }
        Ok(Self {
            folder: folder.to_owned(),
            style,
            files: BTreeMap::new(),
            open: Open::default(),
        })
    }

    /// A flow; written with its last report, which has the totals of all of it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn flow(&mut self, update: &FlowUpdate) -> io::Result<()> {
        if update.end == FlowEnd::Active {
            return Ok(());
        }
        for row in self.open.end(&update.flow.community_id) {
            self.write(&row)?;
        }
        self.write(&conn::row(&update.flow))
    }

    /// A message. What belongs to other messages of its flow waits for them until the flow ends.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn app(&mut self, record: &AppRecord) -> io::Result<()> {
        for row in self.open.take(record) {
            self.write(&row)?;
        }
        Ok(())
    }

    /// Writes what still waits, and all files to their ends. Gives the rows of messages that were written before
    /// everything of their flow had come, because too many flows were open.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn finish(mut self) -> io::Result<u64> {
        for row in self.open.all() {
            self.write(&row)?;
        }
        for file in std::mem::take(&mut self.files).into_values() {
            file.finish()?;
        }
        Ok(self.open.early())
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let log: &'static Log = row.log();
        let file = match self.files.entry(log.path) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let path = self.folder.join(format!("{}.log", log.path));
                entry.insert(LogFile::create(&path, log, self.style)?)
            }
        };
        file.write(row)
    }
}

/// Identifier of a flow as Zeek's look: made of the Community ID, so that the rows of all logs about a 5-tuple have the
/// same, whoever reads them.
fn uid(id: &lynceus_model::flow::CommunityId) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = id.0[..13]
        .iter()
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let mut uid = String::from("C");
    for _ in 0..17 {
        uid.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    uid
}
