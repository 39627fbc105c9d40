//! `cargo xtask train`: makes the weights of the model on behavioral letters again, the same bytes on every machine.

use clap::Args;

use crate::shell::{command, execute};

#[derive(Args)]
pub(crate) struct Options {
    /// Only compare with the committed weights; fails if they differ
    #[arg(long)]
    check: bool,
    /// Only measure the committed weights again
    #[arg(long, conflicts_with = "check")]
    measure: bool,
}

/// Some minutes on one core: makes traces, trains, and prints how the model does on traces that it did not see.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut train = command("cargo");
    train.args([
        "run",
        "--locked",
        "--release",
        "--package",
        "lynceus-detect",
        "--example",
        "train",
    ]);
    let mode = [(options.check, "--check"), (options.measure, "--measure")];
    if let Some((_, mode)) = mode.into_iter().find(|(wanted, _)| *wanted) {
        train.args(["--", mode]);
    }
    execute(&mut train)
}
