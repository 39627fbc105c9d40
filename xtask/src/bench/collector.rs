//! `cargo xtask bench collector`: what one collector takes, into each store.

use crate::bench::report;
use crate::shell::{command, execute};

/// Runs `collector/benches/ingest.rs`; set `LYNCEUS_BENCH_DIR` to put the embedded store on another disk.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args(["bench", "--quiet", "-p", "lynceus-collector", "--bench", "ingest"]))
}
