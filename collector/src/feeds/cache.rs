//! Last good copies of fetched feeds, so that a start without network knows what was known.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What came with a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) url: String,
    /// Seconds since the Unix epoch; a `304 Not Modified` counts as fetched.
    pub(super) fetched: i64,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// A folder of copies.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(super) fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The copy and its stamp; `None` if there is none of this URL.
    pub(super) fn get(&self, name: &str, url: &str) -> Option<(File, Stamp)> {
        let stamp = fs::read(self.path(name, "json")).ok()?;
        let stamp: Stamp = serde_json::from_slice(&stamp).ok()?;
        if stamp.url != url {
            return None;
        }
        Some((File::open(self.path(name, "feed")).ok()?, stamp))
    }

    /// Replaces the copy as a whole; at most `limit` bytes.
    pub(super) fn put(&self, name: &str, mut body: impl Read, limit: u64, stamp: &Stamp) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let unfinished = self.path(name, "new");
        let mut file = File::create(&unfinished)?;
        let copied = io::copy(&mut (&mut body).take(limit + 1), &mut file);
        let copied = match copied {
            Ok(bytes) if bytes > limit => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the answer is longer than the feed's max_mib",
            )),
            other => other,
        };
        if let Err(error) = copied.and_then(|_| file.sync_all()) {
            // What remains is overwritten by the next try.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        fs::rename(&unfinished, self.path(name, "feed"))?;
        self.touch(name, stamp)
    }

    /// Writes the stamp alone.
    pub(super) fn touch(&self, name: &str, stamp: &Stamp) -> io::Result<()> {
        let unfinished = self.path(name, "json.new");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(stamp)?)?;
        fs::rename(unfinished, self.path(name, "json"))
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        Path::join(&self.directory, format!("{name}.{ending}"))
    }
}
