//! The nightly compiler that builds the kernel programs.

use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::shell::command;

/// Names another toolchain than `nightly`, as `rustup toolchain list` has it.
const VARIABLE: &str = "LYNCEUS_NIGHTLY";

/// The argument that chooses the toolchain: `+nightly`.
pub(crate) fn argument() -> String {
    format!("+{}", name())
}

/// The toolchain's name.
pub(crate) fn name() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| String::from("nightly"))
}

/// What the toolchain's compiler prints.
pub(crate) fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let toolchain = argument();
    let mut all = vec![toolchain.as_str()];
    all.extend(arguments);
    output("rustc", &all)
}

/// Folder of the toolchain.
pub(crate) fn sysroot() -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(rustc(&["--print", "sysroot"])?.trim()))
}

/// What a program prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = command(program)
        .args(arguments)
        // The variables of the stable cargo that runs this program would choose its compiler.
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .with_context(|| format!("failed to start `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}
