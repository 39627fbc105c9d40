//! `cargo xtask ci`: what CI checks, in the order in which a mistake is cheapest to find.

use clap::Args;

use crate::shell::{command, execute};
use crate::test;

#[derive(Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
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
    test::run(&test::Options::default())
}
