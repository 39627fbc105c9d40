//! One message a line. The file is opened again when it was moved away, so `logrotate` needs no signal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(in crate::output) struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            file: append(path)?,
            path: path.to_owned(),
        })
    }

    pub(super) fn write(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        let moved = match fs::metadata(&self.path) {
            Ok(now) => now.ino() != self.file.metadata()?.ino(),
            Err(_) => true,
        };
        if moved {
            self.file = append(&self.path)?;
        }
        let mut lines = Vec::with_capacity(messages.iter().map(|message| message.len() + 1).sum());
        for message in messages {
            lines.extend_from_slice(message);
            lines.push(b'\n');
        }
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&lines) {
            // Half a batch would come twice, and half a line is none.
            self.file.set_len(before)?;
            return Err(error);
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
