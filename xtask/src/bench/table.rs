//! `cargo xtask bench table`: the flow table alone, at three sizes.

use super::report;
use crate::shell::{command, execute};

/// Runs `sensor/benches/flow_table.rs`.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}\n", report::machine());
    execute(command("cargo").args([
        "bench",
        "--locked",
        "--package",
        "lynceus-sensor",
        "--bench",
        "flow_table",
    ]))
}
