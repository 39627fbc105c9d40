//! `cargo xtask lint` and `cargo xtask ci`: what CI checks, in the order in which a mistake is cheapest to find.

use crate::shell::{command, execute};
use crate::{ebpf, setup, test};

/// Formatting, lints (those of the kernel programs with their own compiler) and the agreement of the committed eBPF object with its source.
pub(crate) fn lint() -> anyhow::Result<()> {
    execute(command("cargo").args(["fmt", "--all", "--check"]))?;
    execute(command("cargo").args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    setup::run(&setup::Options::default())?;
    ebpf::build::lint()?;
    ebpf::run(&ebpf::Options {
        check: true,
        run: false,
    })
}

/// The lints, then all tests: the same as `.ci/run`.
pub(crate) fn run() -> anyhow::Result<()> {
    lint()?;
    test::run(&test::Options::default())
}
