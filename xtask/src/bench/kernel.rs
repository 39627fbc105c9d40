//! `cargo xtask bench kernel`: the kernel programs packet by packet, beside a hash map; the table read and merged.

use super::report;
use crate::shell::{command, execute};

/// Runs `tests/benches/kernel/`; needs root.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args([
        "bench",
        "--locked",
        "--package",
        "lynceus-tests",
        "--bench",
        "kernel",
    ]))
}
