//! The built `lynceus analyze` on real captures: what it finds, that it says the same twice, and its result folder.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A capture of the shared collection; `None` (and a word about it) where that is absent.
fn capture(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/captures/files")
        .join(name);
    if !path.exists() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(path)
}

fn lynceus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_scan_is_found_and_two_runs_differ_only_in_seconds() {
    let Some(capture) = capture("scan-mirai-horizontal.pcap") else {
        return;
    };
    let run = || {
        let mut lines = json_lines(&lynceus(&["analyze", "--json", capture.to_str().unwrap()]));
        let seconds = lines
            .last_mut()
            .and_then(|line| line.as_object_mut()?.remove("seconds"));
        assert!(seconds.is_some_and(|seconds| seconds.is_f64()));
        lines
    };
    let lines = run();
    assert_eq!(lines, run());
    let scan = lines
        .iter()
        .find(|line| line["type"] == "HORIZONTAL_PORT_SCAN" && line["dst_port"] == 23);
    let scan = scan.unwrap_or_else(|| panic!("no scan of port 23 in {lines:#?}"));
    assert_eq!(scan["attacker"], "192.168.2.16");
    let summary = lines.last().unwrap();
    assert_eq!(summary["kind"], "summary");
    assert_eq!(summary["packets"], 2000);
    assert_eq!(
        summary["evidence"],
        lines.iter().filter(|line| line["kind"] == "evidence").count()
    );
}

#[test]
fn an_ordinary_host_raises_nothing() {
    let Some(capture) = capture("web-browsing.pcap") else {
        return;
    };
    let lines = json_lines(&lynceus(&["analyze", "--json", capture.to_str().unwrap()]));
    // Info and low are said of ordinary hosts, too: unencrypted HTTP, and what else is odd but usual.
    let usual = |line: &Value| line["threat_level"] == "info" || line["threat_level"] == "low";
    let unusual: Vec<_> = lines
        .iter()
        .filter(|line| line["kind"] != "summary" && !usual(line))
        .collect();
    assert!(unusual.is_empty(), "{unusual:#?}");
    assert_eq!(lines.last().unwrap()["alerts"], 0);
}

#[test]
fn one_window_for_all_time_alerts_as_an_hour_does() {
    let Some(capture) = capture("scan-vertical.pcap") else {
        return;
    };
    let path = capture.to_str().unwrap();
    let lines = json_lines(&lynceus(&["analyze", "--json", "--window", "only-one", path]));
    assert!(
        lines.iter().any(|line| line["type"] == "VERTICAL_PORT_SCAN"),
        "{lines:#?}"
    );
    assert_eq!(lines.last().unwrap()["windows"], 1);
    // Short windows have a low threshold: the same evidence becomes an alert.
    let lines = json_lines(&lynceus(&["analyze", "--json", "--window", "1m", path]));
    let alert = lines
        .iter()
        .find(|line| line["kind"] == "alert")
        .unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(alert["threshold"], 0.25);
    assert!(alert["sum"].as_f64() >= alert["threshold"].as_f64());
}

#[test]
fn a_result_folder_is_opened_by_the_other_commands() {
    let Some(capture) = capture("scan-mirai-horizontal.pcap") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let results = results.to_str().unwrap();
    let text = lynceus(&["analyze", capture.to_str().unwrap(), "--out", results]);
    assert!(
        stdout(&text).contains("lynceus console --from"),
        "{}",
        stdout(&text)
    );
    for (file, command) in [
        ("evidence.jsonl", "evidence"),
        ("alerts.jsonl", "alerts"),
        ("profiles.jsonl", "profiles"),
    ] {
        let printed = lynceus(&[command, "--from", results, "--json"]);
        let kept = std::fs::read_to_string(format!("{results}/{file}")).unwrap();
        assert_eq!(stdout(&printed), kept, "{command}");
    }
    let flows = std::fs::read_to_string(format!("{results}/flows.jsonl")).unwrap();
    let summary: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{results}/summary.json")).unwrap()).unwrap();
    let packets: u64 = flows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|flow| flow["packets_out"].as_u64().unwrap() + flow["packets_in"].as_u64().unwrap())
        .sum();
    let refused: u64 = summary["refused"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(packets + refused, summary["packets"].as_u64().unwrap());
    // Two analyses never mix.
    let again = lynceus(&["analyze", capture.to_str().unwrap(), "--out", results]);
    assert!(
        !again.status.success()
            && String::from_utf8_lossy(&again.stderr).contains("not empty; name a new one")
    );
}

#[test]
fn without_any_input_there_is_no_result_folder() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let missing = folder.path().join("missing.pcap");
    let output = lynceus(&[
        "analyze",
        missing.to_str().unwrap(),
        "--out",
        results.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.pcap: No such file"));
    assert!(!results.exists());
}

#[test]
fn a_damaged_file_is_named_with_its_offset_and_what_was_readable_counts() {
    let Some(capture) = capture("truncated-file.pcap") else {
        return;
    };
    let output = lynceus(&["analyze", capture.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("truncated-file.pcap: byte 3695"), "{error}");
    let summary: Value = serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    assert_eq!(summary["packets"], 18);
}

#[test]
fn lines_of_windows_follow_their_schema() {
    let Some(capture) = capture("web-browsing.pcap") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    lynceus(&[
        "analyze",
        capture.to_str().unwrap(),
        "--out",
        results.to_str().unwrap(),
    ]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/window.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let lines = std::fs::read_to_string(results.join("profiles.jsonl")).unwrap();
    assert!(lines.lines().count() > 0);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
    }
}

#[test]
fn wrong_arguments_end_with_two_and_help_has_examples() {
    assert_eq!(lynceus(&["analyze"]).status.code(), Some(2));
    assert_eq!(
        lynceus(&["analyze", "--window", "0s", "x.pcap"]).status.code(),
        Some(2)
    );
    for command in ["analyze", "profiles", "evidence", "alerts", "status", "console"] {
        let help = stdout(&lynceus(&[command, "--help"]));
        assert!(help.contains("Examples:"), "{command}: {help}");
    }
}

#[test]
fn output_that_is_no_terminal_has_no_colors() {
    let Some(capture) = capture("scan-vertical.pcap") else {
        return;
    };
    let text = stdout(&lynceus(&["analyze", capture.to_str().unwrap()]));
    assert!(text.contains("Vertical port scan"));
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
