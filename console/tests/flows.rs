//! The built `lynceus flows`: standard input, several files, damaged ones, exit codes, the memory limit.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A capture of UDP packets from 10.0.0.`n`:1000 to 10.0.1.1:53, one a second.
fn capture(sources: &[u8]) -> Vec<u8> {
    let mut file = 0xa1b2_c3d4_u32.to_be_bytes().to_vec();
    file.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 101]);
    for (second, source) in sources.iter().enumerate() {
        let mut packet = vec![
            0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, *source, 10, 0, 1, 1,
        ];
        packet.extend([3, 232, 0, 53, 0, 8, 0, 0]);
        for word in [100 + second as u32, 250_000, 28, 28] {
            file.extend(word.to_be_bytes());
        }
        file.extend(packet);
    }
    file
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .arg("flows")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails early reads no input.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn standard_input_and_exact_times() {
    let output = run(&["-"], &capture(&[1, 1, 2]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let flows = lines(&output);
    assert_eq!(flows.len(), 2);
    assert_eq!(
        (&flows[0]["src_ip"], &flows[0]["packets_out"]),
        (&"10.0.0.1".into(), &2.into())
    );
    assert_eq!(
        (&flows[0]["first"], &flows[0]["last"]),
        (&100.25.into(), &101.25.into())
    );
    assert!(flows[0]["tcp_flags_out"].is_null() && flows[0]["icmp_type"].is_null());
}

#[test]
fn a_damaged_file_gives_what_was_before_and_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let (torn, whole) = (folder.path().join("torn.pcap"), folder.path().join("whole.pcap"));
    let bytes = capture(&[1, 2]);
    std::fs::write(&torn, &bytes[..bytes.len() - 3]).unwrap();
    std::fs::write(&whole, capture(&[3])).unwrap();
    let output = run(&[torn.to_str().unwrap(), whole.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let sources: Vec<Value> = lines(&output).iter().map(|flow| flow["src_ip"].clone()).collect();
    assert_eq!(sources, ["10.0.0.1", "10.0.0.3"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("torn.pcap: byte 68: the file ends in the middle of a frame"),
        "{said}"
    );
}

#[test]
fn wrong_arguments_and_missing_files() {
    assert_eq!(run(&[], &[]).status.code(), Some(2));
    assert_eq!(run(&["--layer", "middle", "-"], &[]).status.code(), Some(2));
    assert_eq!(run(&["--max-memory", "much", "-"], &[]).status.code(), Some(2));
    let missing = run(&["/does/not/exist.pcap"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .contains("/does/not/exist.pcap")
    );
}

#[test]
fn the_memory_limit_stops_or_evicts() {
    let sources: Vec<u8> = (0..50).collect();
    let stopped = run(&["--no-timeouts", "--max-memory", "4K", "-"], &capture(&sources));
    assert_eq!(stopped.status.code(), Some(1));
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(said.contains("--max-memory"), "{said}");
    let evicted = run(&["--max-memory", "4K", "-"], &capture(&sources));
    assert_eq!(evicted.status.code(), Some(0));
    assert_eq!(lines(&evicted).len(), 50);
    assert!(
        String::from_utf8(evicted.stderr)
            .unwrap()
            .contains("table was full")
    );
}
