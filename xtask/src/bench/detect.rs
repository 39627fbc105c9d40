//! `cargo xtask bench detect`: what a flow costs in the profiler, in windows and in each detector; then with a store.

use crate::bench::report;
use crate::shell::{command, execute};

/// Runs `detect/benches/detect.rs` and `collector/benches/ingest.rs`; set `LYNCEUS_BENCH_DIR` to put the embedded store
/// on another disk.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args(["bench", "--quiet", "-p", "lynceus-detect", "--bench", "detect"]))?;
    execute(
        command("cargo")
            .args(["bench", "--quiet", "-p", "lynceus-collector", "--bench", "ingest"])
            .env("LYNCEUS_BENCH_FLOWS", "1000000"),
    )
}
