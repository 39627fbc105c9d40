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
    one_code()?;
    setup::run(&setup::Options::default())?;
    ebpf::build::lint()?;
    ebpf::run(&ebpf::Options {
        check: true,
        run: false,
    })
}

/// Clippy sees the debug build. A release build has the warnings of the debug build as long as no code is in one of them
/// only; `debug_assert!` and `cfg!(…)` are compiled in both.
fn one_code() -> anyhow::Result<()> {
    let output = command("git")
        .args([
            "grep",
            "-nE",
            r"#!?\[cfg(_attr)?\(.*debug_assertions",
            "--",
            "*.rs",
        ])
        .output()?;
    // 1: nothing found; 0: found; more: no repository, as in a source archive.
    anyhow::ensure!(
        output.status.code() != Some(0),
        "code that only a debug or only a release build has would be linted in one of them:\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// The lints, then all tests: the same as `.ci/run`.
pub(crate) fn run() -> anyhow::Result<()> {
    lint()?;
    test::run(&test::Options::default())
}
