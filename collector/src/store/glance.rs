//! What a reader of an embedded store sees first, kept in a file of its own while the store is closed: the table engine
//! reads its whole journal before it answers anything (decision 0230), this file is read in milliseconds.
//!
//! It is a kept answer, not a second truth: it is written when the store closes in order, and taken away, for good,
//! before the next change. What stands in it: [`lynceus_proto::glance`].

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lynceus_proto::glance::{Glance, MAX_BYTES};

use super::StoreError;

/// The file, and whether it may be there.
pub(super) struct GlanceFile {
    directory: PathBuf,
    kept: Mutex<bool>,
}

impl GlanceFile {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            kept: Mutex::new(true),
        }
    }

    /// Before a change. Durable: a machine that loses power behind the change does not find the old file.
    pub(super) fn forget(&self) -> Result<(), StoreError> {
        let mut kept = self
            .kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *kept {
            let path = path(&self.directory);
            match fs::remove_file(&path) {
                Ok(()) => sync(&self.directory).map_err(|source| StoreError::io(&path, source))?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::io(&path, source)),
            }
            *kept = false;
        }
        Ok(())
    }

    /// Writes what `make` gives, unless nothing changed since it was written last.
    pub(super) fn keep(&self, make: &mut dyn FnMut() -> Option<Vec<u8>>) -> Result<(), StoreError> {
        let mut kept = self
            .kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = path(&self.directory);
        if *kept && matches!(read(&self.directory), Ok(Some(_))) {
            return Ok(());
        }
        let Some(bytes) = make() else {
            return Ok(());
        };
        let new = path.with_extension("new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| StoreError::io(&path, source))?;
        *kept = true;
        Ok(())
    }
}

/// What was kept beside the tables of the store in `directory`; `None` where there is nothing. Needs no lock: whoever
/// changes the store takes the file away first.
///
/// # Errors
/// What is wrong with the file, which is named; its store opens without it.
pub fn read(directory: &Path) -> Result<Option<Glance>, StoreError> {
    let path = path(directory);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::io(&path, source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| StoreError::io(&path, source))?;
    let damaged = |error: lynceus_proto::glance::Refused| StoreError::Damaged {
        place: path.display().to_string(),
        what: error.to_string(),
    };
    Glance::read(&bytes).map(Some).map_err(damaged)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("glance")
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use lynceus_proto::glance::MAX_BODY_BYTES;
    use lynceus_proto::v1;

    use super::*;

    fn glance(page: &[u8]) -> Glance {
        Glance {
            profiles: v1::ListProfilesResponse {
                next_page: page.to_vec(),
                ..v1::ListProfilesResponse::default()
            },
            ..Glance::default()
        }
    }

    fn keep(file: &GlanceFile, page: &[u8]) {
        file.keep(&mut || glance(page).to_bytes()).unwrap();
    }

    #[test]
    fn it_lives_from_closing_to_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = GlanceFile::new(folder.path());
        assert_eq!(read(folder.path()).unwrap(), None);
        keep(&file, b"one");
        assert_eq!(read(folder.path()).unwrap(), Some(glance(b"one")));
        // Nothing changed: what was kept holds.
        keep(&GlanceFile::new(folder.path()), b"two");
        assert_eq!(read(folder.path()).unwrap(), Some(glance(b"one")));
        let later = GlanceFile::new(folder.path());
        later.forget().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        later.forget().unwrap();
        keep(&later, b"three");
        assert_eq!(read(folder.path()).unwrap(), Some(glance(b"three")));
    }

    #[test]
    fn what_is_not_whole_is_refused_by_name_and_what_is_too_long_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![0; MAX_BODY_BYTES];
        keep(&GlanceFile::new(folder.path()), &long);
        assert_eq!(read(folder.path()).unwrap(), None);
        fs::write(path(folder.path()), vec![0; MAX_BYTES + 2]).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("glance: it has more than"), "{error}");
        // What is damaged is written anew, though nothing changed.
        keep(&GlanceFile::new(folder.path()), b"page");
        assert_eq!(read(folder.path()).unwrap(), Some(glance(b"page")));
        let mut bytes = fs::read(path(folder.path())).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path(folder.path()), &bytes).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("glance: byte 4: the checksum"), "{error}");
    }
}
