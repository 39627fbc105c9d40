//! `cargo xtask test`: installs what the tests need, runs all of them, and ends with the sum over all test programs.

use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use clap::Args;

use crate::page;
use crate::shell::{command, execute, has, is_root};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Also the long forms: more kill points, original pace
    #[arg(long)]
    soak: bool,
    /// Do not install packages
    #[arg(long)]
    no_setup: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Distribution package and a program, or the path of a file, of it that tells that it is there.
const PACKAGES: [(&str, &str); 9] = [
    ("iproute2", "ip"),
    ("nfdump", "nfdump"),
    ("openssh-client", "ssh"),
    ("protobuf-compiler", "protoc"),
    (
        "python3-grpcio",
        "/usr/lib/python3/dist-packages/grpc/__init__.py",
    ),
    (
        "python3-protobuf",
        "/usr/lib/python3/dist-packages/google/protobuf/__init__.py",
    ),
    ("redis-server", "redis-server"),
    ("softflowd", "softflowd"),
    ("tmux", "tmux"),
];

/// A test starts it by itself and for itself.
const SSH_SERVER: (&str, &str) = ("openssh-server", "/usr/sbin/sshd");

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if !options.no_setup {
        install_packages(&PACKAGES)?;
        install_ssh_server()?;
        install_packages(&page::PACKAGES)?;
        page::install()?;
    }
    let mut tests = command("cargo");
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    tests.args(options.filter.as_deref());
    // `--show-output`: a skipped test says so in its output, which must reach the reader and the count below.
    tests.args(["--", "--show-output"]);
    // The system tests run the programs as a user does; the whole workspace's tests build them as their own.
    tests.env("LYNCEUS_PROGRAMS_BUILT", "1");
    if options.soak {
        tests.env("LYNCEUS_SOAK", "1");
    }
    let mut sum = Sum::default();
    let success = sum.follow(tests)?;
    for reason in &sum.skipped {
        println!("{reason}");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        sum.passed,
        sum.failed,
        sum.skipped.len() + sum.ignored
    );
    ensure!(success && sum.failed == 0, "tests failed");
    let unexcused = sum.ignored > 0 || sum.skipped.iter().any(|reason| !reason.contains("../shared"));
    ensure!(
        !(unexcused && std::env::var_os("CI").is_some()),
        "CI accepts no skipped test, except those for an absent ../shared"
    );
    Ok(())
}

/// On a machine that starts what is installed, as systemd does, this package opens port 22 to everybody: that is for its
/// owner to decide.
fn install_ssh_server() -> anyhow::Result<()> {
    let (package, program) = SSH_SERVER;
    if has(program) || !Path::new("/run/systemd/system").exists() {
        return install_packages(&[SSH_SERVER]);
    }
    eprintln!(
        "not installed: {package}, which would begin to serve the network (what needs it will say that it was skipped)"
    );
    Ok(())
}

/// Installs distribution packages whose program is missing, where this process may.
pub(crate) fn install_packages(packages: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|(_, program)| !has(program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !has("apt-get") || !is_root() {
        eprintln!(
            "not installed: {} (what needs them will say that it was skipped)",
            missing.join(" ")
        );
        return Ok(());
    }
    execute(command("apt-get").args(["update", "-qq"]))?;
    execute(
        command("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(missing),
    )
}

/// What the test programs reported so far.
#[derive(Default)]
struct Sum {
    passed: usize,
    failed: usize,
    ignored: usize,
    skipped: Vec<String>,
}

impl Sum {
    /// Runs `tests`, passes on what they print and counts their results. `false`: they failed.
    fn follow(&mut self, mut tests: std::process::Command) -> anyhow::Result<bool> {
        let mut child = tests
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start `cargo test`")?;
        let output = child
            .stdout
            .take()
            .context("`cargo test` has no standard output")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("failed to read what `cargo test` prints")?;
            writeln!(stdout(), "{line}").context("failed to pass on what `cargo test` prints")?;
            self.take(&line);
        }
        let status = child.wait().context("failed to wait for `cargo test`")?;
        Ok(status.success())
    }

    fn take(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("skipped: ") {
            self.skipped.push(line.to_owned());
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
        }
    }
}

/// The number that stands before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> usize {
    let words: Vec<_> = counts.split([' ', ';']).filter(|part| !part.is_empty()).collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_results_of_several_programs() {
        let mut sum = Sum::default();
        for line in [
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "skipped: needs root",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            sum.take(line);
        }
        assert_eq!((sum.passed, sum.failed, sum.ignored), (5, 4, 1));
        assert_eq!(sum.skipped, ["skipped: needs root"]);
    }
}
