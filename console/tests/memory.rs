//! Law 4 under a limit of the kernel's: lengths that lie and files that swell a hundredfold end in an error that names
//! file and place, never in a process that the limit killed. What was readable before the fault is in the results.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::Write;
use std::process::{Command, Output};

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
