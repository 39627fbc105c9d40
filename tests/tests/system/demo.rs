//! The README's first command: the built demo, through the kernel and through a file, ends with profiles, evidence, an
//! alert, and an account in which no frame of the sender is missing.

use std::path::Path;
use std::process::Command;

use lynceus_tests::{need_root, program, scenario};

/// Seconds: the scenario takes six, a busy machine much more.
const PATIENCE: &str = "300";
const DEMO: &str = env!("CARGO_BIN_EXE_lynceus-demo");

#[test]
fn demo_goes_through_the_kernel_and_loses_nothing() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = run(&[], &folder.path().join("found"));
    assert!(text.contains("capturing on"), "{text}");
    assert_found(&text);
    let sent = number_after(&text, "The sender counted ");
    assert_eq!(sent, scenario::demo().len() as u64, "{text}");
    let law = text
        .lines()
        .find(|line| line.contains("recv0 ingress"))
        .unwrap_or_else(|| panic!("no account of the interface: {text}"));
    assert_eq!(number_after(law, "balanced"), sent, "seen by the hook: {text}");
    assert!(text.contains("none behind the hooks"), "{text}");
}

#[test]
fn demo_goes_through_a_file_where_namespaces_are_not_allowed() {
    let folder = tempfile::tempdir().unwrap();
    // SAFETY: geteuid has no preconditions and cannot fail.
    let without: &[&str] = if unsafe { libc::geteuid() } == 0 {
        // Root as in a container that may not administer the network.
        &["setpriv", "--bounding-set", "-sys_admin,-net_admin"]
    } else {
        &[]
    };
    let text = run(without, &folder.path().join("found"));
    assert!(
        text.contains("the same frames go through a file instead"),
        "{text}"
    );
    assert_found(&text);
    let packets = scenario::demo().len();
    assert!(text.contains(&format!("{packets} packets")), "{text}");
}

/// Runs the demo to its end, which nobody has to ask for; returns what it printed.
fn run(through: &[&str], out: &Path) -> String {
    // The demo would build it too, but not within its patience.
    program::built("lynceus").expect("lynceus builds");
    // Signals the whole group, so that a demo that hangs leaves no capture behind.
    let output = Command::new("timeout")
        .arg(PATIENCE)
        .args(through)
        .args([DEMO, "--out"])
        .arg(out)
        .output()
        .expect("the demo starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{stderr}", output.status);
    assert!(out.is_dir(), "nothing was kept: {text}");
    text
}

fn assert_found(text: &str) {
    assert!(text.contains("ALERT"), "{text}");
}

/// The number behind `mark`, which may have separators of thousands.
fn number_after(text: &str, mark: &str) -> u64 {
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark:?} in {text}"));
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(|sign| sign.is_ascii_digit() || *sign == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {mark:?} in {text}"))
}
