//! What a reader of an embedded store sees first, kept in a file of its own while the store is closed: the table engine
//! reads its whole journal before it answers anything (decision 0230), this file is read in milliseconds.
//!
//! It is a kept answer, not a second truth: it is written when the store closes in order, and taken away, for good,
//! before the next change.
//!
//! ```text
//! magic "LYG1" | crc32c of the body u32 (little endian) | body
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::StoreError;

const MAGIC: [u8; 4] = *b"LYG1";
/// A list of some 100 thousand profiles with a window or two each. Whoever has more waits for the engine.
pub(crate) const MAX_BYTES: usize = 16 << 20;

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
        if *kept && path.is_file() {
            return Ok(());
        }
        let Some(body) = make().filter(|body| body.len() <= MAX_BYTES) else {
            return Ok(());
        };
        let new = path.with_extension("new");
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&MAGIC)?;
            file.write_all(&crc32c::crc32c(&body).to_le_bytes())?;
            file.write_all(&body)?;
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| StoreError::io(&path, source))?;
        *kept = true;
        Ok(())
    }
}

/// What was kept beside the tables of the store in `directory`; `None` where there is nothing, or nothing whole. Needs no
/// lock: whoever changes the store takes the file away first.
#[must_use]
pub(crate) fn read(directory: &Path) -> Option<Vec<u8>> {
    let file = File::open(path(directory)).ok()?;
    let mut bytes = Vec::new();
    let most = MAX_BYTES + MAGIC.len() + 4;
    file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, body) = rest.split_first_chunk::<4>()?;
    let whole = *magic == MAGIC && bytes.len() <= most && u32::from_le_bytes(*crc) == crc32c::crc32c(body);
    whole.then(|| body.to_vec())
}

fn path(directory: &Path) -> PathBuf {
    directory.join("glance")
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(file: &GlanceFile, body: &[u8]) {
        file.keep(&mut || Some(body.to_vec())).unwrap();
    }

    #[test]
    fn it_lives_from_closing_to_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = GlanceFile::new(folder.path());
        assert_eq!(read(folder.path()), None);
        keep(&file, b"one");
        assert_eq!(read(folder.path()).unwrap(), b"one");
        // Nothing changed: what was kept holds.
        keep(&GlanceFile::new(folder.path()), b"two");
        assert_eq!(read(folder.path()).unwrap(), b"one");
        let later = GlanceFile::new(folder.path());
        later.forget().unwrap();
        assert_eq!(read(folder.path()), None);
        later.forget().unwrap();
        keep(&later, b"three");
        assert_eq!(read(folder.path()).unwrap(), b"three");
    }

    #[test]
    fn too_much_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        keep(&GlanceFile::new(folder.path()), &vec![0; MAX_BYTES + 1]);
        assert_eq!(read(folder.path()), None);
    }

    proptest! {
        #[test]
        fn damage_is_seen(body in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u32..8) {
            let folder = tempfile::tempdir().unwrap();
            keep(&GlanceFile::new(folder.path()), &body);
            let mut bytes = fs::read(path(folder.path())).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            fs::write(path(folder.path()), &bytes).unwrap();
            prop_assert_eq!(read(folder.path()), None);
            bytes.truncate(at);
            fs::write(path(folder.path()), &bytes).unwrap();
            prop_assert_eq!(read(folder.path()), None);
        }
    }
}
