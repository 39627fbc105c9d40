//! `lynceus module new`: a folder with a detector that works, to be changed into another one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use lynceus_proto::SOURCES;

use super::{Outcome, output};
use crate::text::Line;

/// Begins a detector of your own, in a program that attaches to the collector
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus module new smb_writes           # a Python program with its test
  lynceus module new smb_writes --rust    # a crate")]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a folder with a module that finds Telnet logins, and its test; what it finds is yours to change
    New {
        /// Of the module and the folder: a letter, then a-z, 0-9, - and _
        name: String,
        /// A crate instead of a Python program
        #[arg(long)]
        rust: bool,
        /// Where the folder is made
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

/// A file of a template: place, text, whether it is a program.
type File = (&'static str, &'static str, bool);

const PYTHON: [File; 4] = [
    (
        "module.py",
        include_str!("../../../examples/module-python/module.py"),
        true,
    ),
    (
        "test_module.py",
        include_str!("../../../examples/module-python/test_module.py"),
        true,
    ),
    (
        "stubs.sh",
        include_str!("../../../examples/module-python/stubs.sh"),
        true,
    ),
    (".gitignore", "stubs/\n__pycache__/\n", false),
];

const RUST: [File; 5] = [
    (
        "Cargo.toml",
        include_str!("../../../examples/module-rust/Cargo.toml"),
        false,
    ),
    (
        "build.rs",
        include_str!("../../../examples/module-rust/build.rs"),
        false,
    ),
    (
        "src/main.rs",
        include_str!("../../../examples/module-rust/src/main.rs"),
        false,
    ),
    (
        "README.md",
        include_str!("../../../examples/module-rust/README.md"),
        false,
    ),
    (".gitignore", "target/\n", false),
];

const PYTHON_STEPS: &str = "  cd FOLDER
  ./stubs.sh stubs                                # the messages as Python classes; needs protoc
  python3 -m unittest                             # its test; needs python3-grpcio and python3-protobuf
  python3 module.py --stubs stubs                 # attaches to 127.0.0.1:7443";

const RUST_STEPS: &str = "  cd FOLDER
  cargo test
  cargo run -- http://127.0.0.1:7443              # attaches";

/// Runs the command.
///
/// # Errors
/// The name cannot be one, the folder is there already, or a file cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let Command::New { name, rust, out } = &options.command;
    check(name)?;
    let folder = out.join(name);
    ensure!(!folder.exists(), "{} is there already", folder.display());
    let (files, steps) = if *rust {
        (RUST.as_slice(), RUST_STEPS)
    } else {
        (PYTHON.as_slice(), PYTHON_STEPS)
    };
    let write = |place: &str, text: &str, is_program: bool| {
        let path = folder.join(place);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .and_then(|()| if is_program { make_program(&path) } else { Ok(()) })
            .with_context(|| format!("cannot write {}", path.display()))
    };
    for (place, text, is_program) in files {
        write(place, &named(text, name), *is_program)?;
    }
    for (place, text) in SOURCES {
        write(&format!("proto/{place}"), text, false)?;
    }
    let steps = steps.replace("FOLDER", &folder.display().to_string());
    let mut lines = vec![Line::from(format!(
        "{} is a module that works:",
        folder.display()
    ))];
    lines.extend(steps.lines().map(Line::from));
    lines.push(Line::from("Then make inspect() yours: docs/modules.md"));
    output::lines(&lines)?;
    Ok(Outcome::Done)
}

/// As the collector takes it, and as a crate may be called.
fn check(name: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    ensure!(
        begins && name.len() <= 64 && name.bytes().all(plain),
        "{name:?} cannot be the name of a module: a letter, then a-z, 0-9, - and _, at most 64"
    );
    Ok(())
}

/// The template says its own name in these places only.
fn named(text: &str, name: &str) -> String {
    text.replace("NAME = \"telnet\"", &format!("NAME = \"{name}\""))
        .replace("NAME: &str = \"telnet\"", &format!("NAME: &str = \"{name}\""))
        .replace("name = \"telnet\"", &format!("name = \"{name}\""))
        .replace("# telnet: attached", &format!("# {name}: attached"))
}

#[cfg(unix)]
fn make_program(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_program(_path: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
