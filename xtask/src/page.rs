//! What tests of the page need besides the distribution's packages, and `cargo xtask screenshots`.

use std::fs;

use anyhow::{Context, ensure};
use clap::Args;

use crate::shell::{command, execute, has, root};
use crate::test::install_packages;

/// Distribution package and a program or file of it.
pub(crate) const PACKAGES: [(&str, &str); 4] = [
    ("chromium", "chromium"),
    ("nodejs", "node"),
    ("npm", "npm"),
    // Python alone cannot make environments.
    ("python3-venv", "/var/lib/dpkg/info/python3-venv.list"),
];

/// The API's tester, pinned.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Pictures that the README shows.
const SHOWN: [&str; 4] = ["overview", "alert", "profile", "dark"];

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the terminal UI
    #[arg(long, conflicts_with = "page_only")]
    terminal_only: bool,
    /// Only the page
    #[arg(long)]
    page_only: bool,
}

/// Installs the driver of the browser (its lock file pins it) and schemathesis, where they are missing and can be had.
/// Tests that miss them say so.
pub(crate) fn install() -> anyhow::Result<()> {
    let browser = root().join("tests/browser");
    if has("npm") && !browser.join("node_modules/playwright-core").is_dir() {
        let installed = execute(command("npm").current_dir(&browser).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]));
        if let Err(error) = installed {
            eprintln!("the browser's driver is not installed: {error:#}");
        }
    }
    let place = root().join("target/schemathesis");
    if has("python3") && !place.join("bin/schemathesis").is_file() {
        let installed = execute(command("python3").args(["-m", "venv"]).arg(&place)).and_then(|()| {
            execute(command(place.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]))
        });
        if let Err(error) = installed {
            eprintln!("schemathesis is not installed: {error:#}");
        }
    }
    Ok(())
}

/// Takes the pictures of the README: screens of the terminal UI, and pages on a journey through them.
pub(crate) fn screenshots(options: &Options) -> anyhow::Result<()> {
    if !options.page_only {
        crate::terminal::pictures()?;
    }
    if options.terminal_only {
        return Ok(());
    }
    install_packages(&PACKAGES)?;
    install()?;
    let test = [
        "test",
        "-p",
        "lynceus-console",
        "--test",
        "web",
        "--",
        "--show-output",
        "chromium",
    ];
    let taken = root().join("target/screenshots");
    if taken.is_dir() {
        fs::remove_dir_all(&taken).with_context(|| format!("failed to remove {}", taken.display()))?;
    }
    execute(command("cargo").args(test))?;
    let place = root().join("docs/images");
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    for name in SHOWN {
        let file = format!("{name}.png");
        let from = taken.join(&file);
        ensure!(from.is_file(), "no {}: was the test skipped?", from.display());
        let to = place.join(format!("page-{file}"));
        fs::copy(&from, &to).with_context(|| format!("failed to write {}", to.display()))?;
        println!("{}", to.display());
    }
    Ok(())
}
