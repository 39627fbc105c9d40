//! The shared captures beside the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// A capture of `../shared/captures`.
#[derive(Clone, Debug)]
pub struct Capture {
    pub id: String,
    pub path: PathBuf,
    /// `None` where the truth could not be made (the file is damaged).
    pub packets: Option<u64>,
}

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `../shared` beside the repository; prints why the test is skipped where there is none.
#[must_use]
#[expect(
    clippy::print_stdout,
    reason = "the skip line is what the runner and CI look for"
)]
pub fn shared() -> Option<PathBuf> {
    let shared = repository().join("../shared");
    if !shared.join("captures/index.jsonl").is_file() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(shared)
}

/// Every capture of the index, in its order.
///
/// # Errors
/// The index cannot be read; the error names the line.
pub fn captures(shared: &Path) -> Result<Vec<Capture>> {
    #[derive(Deserialize)]
    struct Line {
        r#type: String,
        #[serde(default)]
        id: String,
        #[serde(default)]
        file: String,
        #[serde(default)]
        packets: String,
    }

    let folder = shared.join("captures");
    let index = folder.join("index.jsonl");
    let text = fs::read_to_string(&index).with_context(|| format!("read {}", index.display()))?;
    let mut captures = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("{}:{}", index.display(), number + 1))?;
        if line.r#type != "capture" {
            continue;
        }
        let name = Path::new(&line.file)
            .file_name()
            .with_context(|| format!("{}: no file name", line.id))?;
        captures.push(Capture {
            path: folder.join("files").join(name),
            packets: line.packets.parse().ok(),
            id: line.id,
        });
    }
    Ok(captures)
}
