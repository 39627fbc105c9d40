//! `cargo xtask bench live`: the whole agent on a veth pair, beside tcpdump and an empty program.

use super::report;
use crate::shell::{command, execute};
use crate::test::install_packages;

pub(crate) fn run() -> anyhow::Result<()> {
    install_packages(&[("iproute2", "ip"), ("tcpdump", "tcpdump")])?;
    println!("{}\n", report::machine());
    execute(command("cargo").args([
        "build",
        "--release",
        "--locked",
        "--bin",
        "lynceus",
        "--bin",
        "lynceus-sensor",
        "--bin",
        "lynceus-collector",
    ]))?;
    execute(command("cargo").args([
        "bench",
        "--locked",
        "--package",
        "lynceus-tests",
        "--bench",
        "live",
    ]))
}
