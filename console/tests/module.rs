//! `lynceus module new`: what it makes works as it stands, by its own test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]

#[path = "../../collector/tests/support/python.rs"]
mod python;

use std::path::Path;
use std::process::{Command, Output};

fn new(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["module", "new"])
        .args(arguments)
        .arg("--out")
        .arg(folder)
        .output()
        .unwrap()
}

fn assert_done(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_python_module_passes_its_own_test() {
    let folder = tempfile::tempdir().unwrap();
    let said = assert_done(&new(folder.path(), &["night_owl"]));
    assert!(said.contains("unittest"), "{said}");
    let made = folder.path().join("night_owl");
    let program = std::fs::read_to_string(made.join("module.py")).unwrap();
    assert!(program.contains("NAME = \"night_owl\""));
    let Some(python) = python::interpreter() else {
        return;
    };
    assert_done(
        &Command::new("./stubs.sh")
            .arg("stubs")
            .current_dir(&made)
            .output()
            .unwrap(),
    );
    let tested = Command::new(python)
        .args(["-m", "unittest"])
        .current_dir(&made)
        .output()
        .unwrap();
    let said = assert_done(&tested);
    assert!(said.contains("Ran 4 tests"), "{said}");

    // Nothing that is there is written over.
    let again = new(folder.path(), &["night_owl"]);
    assert!(!again.status.success());
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .contains("is there already")
    );
}

#[test]
fn a_crate_passes_its_own_test() {
    let folder = tempfile::tempdir().unwrap();
    assert_done(&new(folder.path(), &["night_owl", "--rust"]));
    let made = folder.path().join("night_owl");
    // With the versions that this workspace has, so that nothing is fetched.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::copy(workspace.join("Cargo.lock"), made.join("Cargo.lock")).unwrap();
    // And with what is built of them already.
    let target = Path::new(env!("CARGO_BIN_EXE_lynceus"))
        .ancestors()
        .nth(2)
        .unwrap();
    let tested = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--offline"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(&made)
        .output()
        .unwrap();
    let said = assert_done(&tested);
    assert!(said.contains("2 passed"), "{said}");
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Night", "../up", "1st", ""] {
        let refused = new(folder.path(), &[name]);
        assert!(!refused.status.success(), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
