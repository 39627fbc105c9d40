//! The program for people.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program for people, built beside ours.
pub(crate) fn lynceus() -> PathBuf {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--quiet",
            "--package",
            "lynceus-console",
            "--bin",
            "lynceus",
        ])
        .status();
    assert!(built.unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_lynceus-collector")).with_file_name("lynceus")
}
