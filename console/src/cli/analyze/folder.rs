//! The result folder of an analysis.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use lynceus_model::flow::FlowUpdate;

use crate::json;
use crate::local::Local;

/// Files under construction.
pub(super) struct Folder {
    path: PathBuf,
    flows: BufWriter<File>,
    line: Vec<u8>,
}

impl Folder {
    /// Makes the folder; it must be new or empty, so that no two analyses mix.
    ///
    /// # Errors
    /// It holds something, or cannot be written.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut entries =
            std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(
            entries.next().is_none(),
            "--out {}: the folder is not empty; name a new one or remove it",
            path.display()
        );
        let file = path.join("flows.jsonl");
        let flows = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self {
            path: path.to_owned(),
            flows: BufWriter::with_capacity(1 << 18, flows),
            line: Vec::new(),
        })
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(Local::STORE)
    }

    pub(super) fn flow(&mut self, update: &FlowUpdate) -> anyhow::Result<()> {
        self.line.clear();
        json::flow::write_line(&mut self.line, update);
        self.flows
            .write_all(&self.line)
            .with_context(|| format!("cannot write {}/flows.jsonl", self.path.display()))
    }

    /// Writes a file of lines that `write` appends piece by piece.
    pub(super) fn file(&self, name: &str) -> anyhow::Result<Lines> {
        let path = self.path.join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Lines {
            path,
            file: BufWriter::new(file),
        })
    }

    pub(super) fn finish(mut self) -> anyhow::Result<PathBuf> {
        self.flows
            .flush()
            .with_context(|| format!("cannot write {}/flows.jsonl", self.path.display()))?;
        Ok(self.path)
    }
}

/// A file of JSON Lines.
pub(super) struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    pub(super) fn write(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.file
            .write_all(line)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.file
            .flush()
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
