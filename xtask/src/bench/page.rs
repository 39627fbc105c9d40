//! `cargo xtask bench page`: how long the page takes with a million pieces of evidence.

use crate::bench::report;
use crate::shell::{command, execute};

/// Runs `collector/benches/pages.rs`.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args(["bench", "--quiet", "-p", "lynceus-collector", "--bench", "pages"]))
}
