//! `cargo xtask bench console`: how long a reader of the terminal UI waits.

use crate::bench::report;
use crate::shell::{command, execute};

/// Runs `console/benches/console.rs`.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args(["bench", "--quiet", "-p", "lynceus-console", "--bench", "console"]))
}
