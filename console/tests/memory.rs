//! Law 4 under a limit of the kernel's: lengths that lie and files that swell a hundredfold end in an error that names
//! file and place, never in a process that the limit killed. What was readable before the fault is in the results.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what they measured"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// Data segment, heap, stacks and private mappings of a process (`RLIMIT_DATA`), in KiB. Such a run takes less than 64
/// MiB; what the inputs swell to is twice the limit.
const LIMIT_KIB: u32 = 160 * 1024;
/// Bytes of zeros behind the head of a file that swells.
const SWOLLEN: usize = 320 << 20;
/// Zeros that are compressed at once; they are repeated as gzip members or zstd frames, which readers join.
const PIECE: usize = 16 << 20;
/// SYNs in front of each fault.
const READABLE: u8 = 12;

/// What `lynceus analyze` did with a file.
struct Outcome {
    stderr: String,
    summary: Value,
}

#[test]
fn the_limit_stops_a_program_that_keeps_its_input() {
    // `tail` has to keep a line that does not end.
    let hoard = limited(&["sh", "-c", "head -c 335544320 /dev/zero | tail -n 1 >/dev/null"]);
    assert!(!hoard.status.success(), "320 MiB fit below the limit");
}

#[test]
fn a_frame_of_4_gib_in_pcap() {
    let (bytes, fault) = pcap();
    assert_frame_refused("long.pcap", &bytes, fault);
}

#[test]
fn a_frame_of_4_gib_before_many_zeros_in_gzip() {
    let (bytes, fault) = pcap();
    assert_frame_refused("long.pcap.gz", &swollen(&bytes, gzip), fault);
}

#[test]
fn a_frame_of_4_gib_before_many_zeros_in_zstd() {
    let (bytes, fault) = pcap();
    assert_frame_refused("long.pcap.zst", &swollen(&bytes, zstd), fault);
}

#[test]
fn a_packet_block_of_4_gib_in_pcapng() {
    let (mut bytes, fault) = pcapng();
    block_head(&mut bytes, 6, u32::MAX - 3);
    bytes.extend([0; 64]);
    let found = analyze("long.pcapng", &bytes);
    assert_fault(&found, "long.pcapng", fault, "4294967292 bytes");
}

#[test]
fn an_unknown_block_of_4_gib_in_pcapng() {
    let (mut bytes, fault) = pcapng();
    block_head(&mut bytes, 0x0bad, u32::MAX - 3);
    bytes.extend([0; 64]);
    let found = analyze("cut.pcapng", &bytes);
    assert_fault(&found, "cut.pcapng", fault, "ends in the middle of a block");
}

#[test]
fn an_unknown_block_is_passed_over_however_far_it_swells() {
    let (mut bytes, fault) = pcapng();
    block_head(&mut bytes, 0x0bad, u32::try_from(SWOLLEN).unwrap());
    let found = analyze("swollen.pcapng.zst", &swollen(&bytes, zstd));
    // Its end, which states no length, was reached.
    assert_fault(&found, "swollen.pcapng.zst", fault, "at its head, 0 at its end");
}

#[test]
fn zeros_alone_are_no_capture() {
    for (name, bytes) in [
        ("zeros.gz", swollen(&[], gzip)),
        ("zeros.zst", swollen(&[], zstd)),
    ] {
        let found = analyze(name, &bytes);
        assert!(found.stderr.contains(name), "{}", found.stderr);
        assert!(found.stderr.contains("neither a capture"), "{}", found.stderr);
        assert_eq!(found.summary["packets"], 0);
    }
}

#[test]
fn a_line_without_end_in_a_log() {
    let bytes = swollen(b"{\"event_type\":\"flow\",\"src_ip\":\"", gzip);
    let found = analyze("eve.json.gz", &bytes);
    assert!(
        found.stderr.contains("eve.json.gz: line 1: the line is longer"),
        "{}",
        found.stderr
    );
    assert_eq!(found.summary["refused"]["bad_line"], 1);
}

#[test]
fn memory_does_not_grow_with_a_log_of_zeek() {
    assert_flat(zeek_line);
}

#[test]
fn memory_does_not_grow_with_a_log_of_suricata() {
    assert_flat(suricata_line);
}

/// A log is fed through standard input, so that the most memory until then can be read in its midst: what comes after the
/// first part may not add half of its bytes: lines that are kept would add more than all.
fn assert_flat(line: fn(u32, &mut String)) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["analyze", "--json", "-q", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut feed = |from: u32, to: u32| {
        let mut text = String::new();
        for number in from..to {
            line(number, &mut text);
        }
        input.write_all(text.as_bytes()).unwrap();
        text.len() as u64
    };
    feed(0, FIRST);
    let before = most_memory(child.id());
    let fed = feed(FIRST, ALL);
    let grown = most_memory(child.id()) - before;
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(summary["flows"], ALL, "{summary}");
    println!("{fed} bytes more took {grown} bytes of memory more, after {before}");
    assert!(
        grown < fed / 2,
        "{fed} bytes more took {grown} bytes of memory more, after {before}"
    );
}

/// Lines of a log after which memory is looked at, and all of them. By then queues have been as full as they get.
const FIRST: u32 = 75_000;
const ALL: u32 = 150_000;

/// Three hosts call two servers, fifty times a second: what profiles keep has its bounds (decision 0280) and is small here,
/// so that lines which are kept would show.
fn of_line(number: u32) -> (u32, u32, u32, u32) {
    (
        1_714_557_600 + number / 50,
        1 + number % 3,
        1 + number % 2,
        1_024 + number % 10_000,
    )
}

fn zeek_line(number: u32, text: &mut String) {
    let (time, host, server, port) = of_line(number);
    let fields = format!(
        r#""uid":"C{number}","id.orig_h":"10.0.0.{host}","id.orig_p":{port},"id.resp_h":"198.51.100.{server}","id.resp_p":443,"proto":"tcp","duration":0.2,"orig_bytes":600,"resp_bytes":4000,"conn_state":"SF","history":"ShADadFf","orig_pkts":6,"orig_ip_bytes":900,"resp_pkts":8,"resp_ip_bytes":4400"#
    );
    writeln!(text, r#"{{"ts":{time}.25,{fields}}}"#).unwrap();
}

fn suricata_line(number: u32, text: &mut String) {
    let (time, host, server, port) = of_line(number);
    let clock = |time: u32| {
        let (day, second) = (time / 86_400 - 19_844, time % 86_400);
        format!(
            "2024-05-{:02}T{:02}:{:02}:{:02}.250000+0000",
            1 + day,
            second / 3_600,
            second / 60 % 60,
            second % 60
        )
    };
    let (start, end) = (clock(time), clock(time + 1));
    let counts = r#""pkts_toserver":6,"pkts_toclient":8,"bytes_toserver":900,"bytes_toclient":4400"#;
    writeln!(
        text,
        r#"{{"timestamp":"{end}","event_type":"flow","flow_id":{number},"src_ip":"10.0.0.{host}","src_port":{port},"dest_ip":"198.51.100.{server}","dest_port":443,"proto":"TCP","flow":{{{counts},"start":"{start}","end":"{end}","state":"closed"}},"tcp":{{"tcp_flags_ts":"1b","tcp_flags_tc":"1b"}}}}"#
    )
    .unwrap();
}

/// Resident set of a process at its largest, in bytes.
fn most_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    1_024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap()
}

fn assert_frame_refused(name: &str, bytes: &[u8], fault: usize) {
    assert_fault(&analyze(name, bytes), name, fault, "a frame of 4294967295 bytes");
}

/// The fault is named with file, offset and reason, and the packets before it were analyzed.
fn assert_fault(found: &Outcome, name: &str, offset: usize, reason: &str) {
    let Outcome { stderr, summary } = found;
    assert!(stderr.contains(&format!("{name}: byte {offset}: ")), "{stderr}");
    assert!(stderr.contains(reason), "{stderr}");
    assert_eq!(summary["packets"], READABLE, "{summary}");
}

fn analyze(name: &str, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let output = limited(&[
        env!("CARGO_BIN_EXE_lynceus"),
        "analyze",
        "--json",
        "-q",
        path.to_str().unwrap(),
    ]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    // No code where a signal ended it, as it does when an allocation fails.
    assert_eq!(output.status.code(), Some(1), "{}: {stderr}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(summary["kind"], "summary", "{stdout}");
    Outcome { stderr, summary }
}

/// Runs a command under [`LIMIT_KIB`].
fn limited(command: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -d \"$0\" && exec \"$@\"", &LIMIT_KIB.to_string()])
        .args(command)
        .output()
        .unwrap()
}

/// A capture of raw IP whose next frame says that it is as long as a length can be; the offset of that frame.
fn pcap() -> (Vec<u8>, usize) {
    let mut file = 0xa1b2_c3d4_u32.to_be_bytes().to_vec();
    file.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 101]);
    for host in 1..=READABLE {
        for word in [1_714_557_600 + u32::from(host), 0, 40, 40] {
            file.extend(word.to_be_bytes());
        }
        file.extend(syn(host));
    }
    let fault = file.len();
    for word in [1_714_557_700, 0, u32::MAX, u32::MAX] {
        file.extend(word.to_be_bytes());
    }
    (file, fault)
}

/// The same packets as pcapng, and where the next block begins.
fn pcapng() -> (Vec<u8>, usize) {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 12).unwrap();
        block_head(&mut file, kind, length);
        file.extend(body);
        file.extend(length.to_be_bytes());
    };
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    block(
        0x0a0d_0d0a,
        &words(&[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX]),
    );
    block(1, &words(&[101 << 16, 0]));
    for host in 1..=READABLE {
        let micros = 1_714_557_600_000_000 + 1_000_000 * u64::from(host);
        let (high, low) = ((micros >> 32) as u32, micros as u32);
        let body = [words(&[0, high, low, 40, 40]), syn(host).to_vec()].concat();
        block(6, &body);
    }
    let end = file.len();
    (file, end)
}

fn block_head(file: &mut Vec<u8>, kind: u32, length: u32) {
    file.extend(kind.to_be_bytes());
    file.extend(length.to_be_bytes());
}

fn syn(host: u8) -> [u8; 40] {
    [
        0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 5, 198, 51, 100, host, // IPv4
        156, 64, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0, // TCP
    ]
}

/// `head` and then [`SWOLLEN`] zeros, compressed.
fn swollen(head: &[u8], compress: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let zeros = compress(&vec![0; PIECE]).repeat(SWOLLEN / PIECE);
    if head.is_empty() {
        return zeros;
    }
    [compress(head), zeros].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
