//! `cargo xtask test`: installs what the tests need, runs all of them, and ends with the runner's summary.

use clap::Args;

use crate::shell::{command, execute, has, is_root};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Also the long forms: more kill points, original pace
    #[arg(long)]
    pub(crate) soak: bool,
    /// Skip the installation of packages
    #[arg(long)]
    pub(crate) no_setup: bool,
}

/// Distribution package and a program of it that tells that it is there.
const PACKAGES: [(&str, &str); 3] = [
    ("iproute2", "ip"),
    ("redis-server", "redis-server"),
    ("tmux", "tmux"),
];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if !options.no_setup {
        install_packages()?;
    }
    let mut tests = command("cargo");
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if options.soak {
        tests.env("LYNCEUS_SOAK", "1");
    }
    execute(&mut tests)
}

fn install_packages() -> anyhow::Result<()> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(_, program)| !has(program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !has("apt-get") || !is_root() {
        eprintln!(
            "not installed: {} (tests that need them will say that they were skipped)",
            missing.join(" ")
        );
        return Ok(());
    }
    execute(command("apt-get").arg("update").arg("-qq"))?;
    execute(
        command("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(missing),
    )
}
