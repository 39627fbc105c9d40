//! `cargo xtask demo`: the README's first command.

use clap::Args;

use crate::shell::{command, execute};
use crate::test::install_packages;

#[derive(Args)]
pub(crate) struct Options {
    /// Build with optimizations (slower to build, the speed of docs/benchmarks.md)
    #[arg(long)]
    release: bool,
}

/// Builds lynceus, sends made-up traffic through a real veth pair into the real kernel program, and shows profiles,
/// evidence and alerts. Without root the same frames go through a file.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    install_packages(&[("iproute2", "ip")])?;
    let mut demo = command("cargo");
    demo.args([
        "run",
        "--locked",
        "--package",
        "lynceus-tests",
        "--bin",
        "lynceus-demo",
    ]);
    if options.release {
        demo.arg("--release");
    }
    execute(&mut demo)
}
