//! `cargo xtask bench outliers`: sketches and scores, planted causes next to other methods, memory; dives into a store of a
//! million windows.

use crate::bench::report;
use crate::shell::{command, execute};

/// Runs `model/benches/outlier.rs`, `detect/benches/outliers.rs` and `console/benches/dive.rs`. `LYNCEUS_ADBENCH` names a
/// folder with files of ADBench, where somebody has them.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    for (package, bench) in [
        ("lynceus-model", "outlier"),
        ("lynceus-detect", "outliers"),
        ("lynceus-console", "dive"),
    ] {
        execute(command("cargo").args(["bench", "--quiet", "-p", package, "--bench", bench]))?;
    }
    Ok(())
}
