//! The built `lynceus console` in a real terminal: tmux, on what `lynceus analyze` found in a capture.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
#[path = "terminal/remote.rs"]
mod remote;
#[path = "terminal/ssh.rs"]
mod ssh;
#[path = "terminal/tmux.rs"]
mod tmux;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tmux::{PATIENCE, Tmux};

/// Packets with a correct header and nothing else: a client that tries port 23 of many hosts, and one that answers.
fn capture() -> Vec<u8> {
    let mut file: Vec<u8> = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut packet = |micros: u32, from: [u8; 4], to: [u8; 4], ports: [u16; 2], flags: u8| {
        let mut frame = vec![2, 0, 0, 0, 0, to[3], 2, 0, 0, 0, 0, from[3], 8, 0];
        frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(from);
        frame.extend(to);
        frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let length = u32::try_from(frame.len()).unwrap();
        // 2017-05-02 10:00:00 UTC
        for word in [1_493_719_200, micros, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    };
    let (me, server) = ([192, 168, 1, 7], [8, 8, 8, 8]);
    for (at, from, to, ports, flags) in [
        (0, me, server, [40_000, 443], 0x02),
        (1_000, server, me, [443, 40_000], 0x12),
        (2_000, me, server, [40_000, 443], 0x10),
    ] {
        packet(at, from, to, ports, flags);
    }
    for host in 1..60 {
        packet(
            10_000 * u32::from(host),
            me,
            [192, 168, 2, host],
            [41_000, 23],
            0x02,
        );
    }
    file
}

fn analyzed(folder: &Path, capture: &Path) -> PathBuf {
    let results = folder.join("results");
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["analyze", "--quiet"])
        .arg(capture)
        .arg("--out")
        .arg(&results)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    results
}

fn console(results: &Path) -> String {
    format!(
        "{} console --from {}",
        env!("CARGO_BIN_EXE_lynceus"),
        results.display()
    )
}

#[test]
fn every_screen_opens_in_tmux_and_the_terminal_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, capture()).unwrap();
    let results = analyzed(folder.path(), &file);
    let Some(tmux) = Tmux::start(80, 24, &[], &console(&results)) else {
        return;
    };

    // The first picture says who, what and how the packets add up, and how to go on.
    tmux.wait_for(&[
        "192.168.1.7",
        "Horizontal port scan",
        "balanced",
        "? help",
        "q quit",
    ]);
    let colored = tmux.run(&["capture-pane", "-p", "-e", "-t", "t"]);
    assert!(has_color(&colored), "{colored}");
    for (key, texts) in [
        ("e", ["source ports, profile as client", "Not established"]),
        ("b", ["destination ports, profile as server", "Not established"]),
        ("c", ["destination IPs, profile as client", "8.8.8.8"]),
        ("p", ["destination ports, profile as client", "23/tcp"]),
        ("n", ["destination ports with their IPs", "192.168.2.1"]),
        ("h", ["out tuples", "8.8.8.8 443/tcp"]),
        ("i", ["in tuples", "letters"]),
        ("m", ["World", "private"]),
        ("z", ["All evidence of 192.168.1.7", "Horizontal port scan"]),
        ("a", ["where every packet went", "balanced"]),
    ] {
        tmux.press(key);
        tmux.wait_for(&texts);
    }
    tmux.press("z");
    tmux.wait_for(&["All evidence of"]);
    tmux.run(&["send-keys", "-t", "t", "-l", "/type:horizontal"]);
    tmux.press("Enter");
    tmux.wait_for(&["· /type:horizontal", "Horizontal"]);
    tmux.press("w");
    tmux.wait_for(&["HORIZONTAL_PORT_SCAN", "threshold", "without it"]);
    tmux.press("F");
    tmux.wait_for(&["Flows of 192.168.1.7", "23/tcp", "no answer"]);
    tmux.press("D");
    tmux.wait_for(&["what is known of the address", "192.168.2."]);
    tmux.press("B");
    tmux.wait_for(&["block an address", "no sensor is there that could block"]);
    for back in [
        "what is known",
        "Flows of",
        "HORIZONTAL_PORT_SCAN",
        "All evidence of",
    ] {
        tmux.press("Escape");
        tmux.wait_for(&[back]);
    }
    tmux.press("?");
    tmux.wait_for(&["Keys:", "this help"]);
    tmux.press("Escape");
    // A key that comes at once after Escape is read as Alt and that key.
    tmux.wait_until("the screen behind the help", |picture| {
        !picture.contains("this help")
    });

    // A filter, the clipboard, a file.
    tmux.press("c");
    tmux.wait_for(&["destination IPs"]);
    tmux.run(&["send-keys", "-t", "t", "-l", "/ip:8.8.8.0/24"]);
    tmux.press("Enter");
    tmux.wait_for(&["/ip:8.8.8.0/24", "0 of 59"]);
    tmux.press("C");
    tmux.wait_for(&["copied: 8.8.8.8"]);
    let begin = Instant::now();
    while tmux.command(&["show-buffer"]).output().unwrap().stdout != b"8.8.8.8" {
        assert!(begin.elapsed() < PATIENCE, "not in tmux's buffer");
        std::thread::sleep(Duration::from_millis(50));
    }
    tmux.press("x");
    tmux.wait_for(&["written: lynceus-destination-ips-192.168.1.7.csv"]);
    let written = tmux.folder.path().join("lynceus-destination-ips-192.168.1.7.csv");
    let written = std::fs::read_to_string(written).unwrap();
    assert!(
        written.contains("8.8.8.8,tcp") && !written.contains("192.168.2."),
        "{written}"
    );

    // A larger window is used at once.
    tmux.run(&["resize-window", "-t", "t", "-x", "200", "-y", "50"]);
    let wide = tmux.wait_for(&["logarithmic scale"]);
    assert!(wide.lines().any(|line| line.chars().count() > 190), "{wide}");

    tmux.press("q");
    tmux.wait_for_the_end();
}

#[test]
fn without_color_nothing_is_colored_and_control_c_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, capture()).unwrap();
    let results = analyzed(folder.path(), &file);
    // The list that the store kept for its next reader is damaged: that is counted, and the store asked.
    let kept = results.join("store/glance");
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let Some(tmux) = Tmux::start(120, 40, &[("NO_COLOR", "1")], &console(&results)) else {
        return;
    };
    tmux.wait_for(&["192.168.1.7", "balanced"]);
    let colored = tmux.run(&["capture-pane", "-p", "-e", "-t", "t"]);
    assert!(!has_color(&colored), "{colored}");
    tmux.press("a");
    tmux.wait_for(&["kept lists  refused 1 time", "the checksum says"]);
    tmux.press("C-c");
    tmux.wait_for_the_end();
}

/// Whether any escape sequence asks for a color; 39 and 49 ask for none.
fn has_color(picture: &str) -> bool {
    let sequences = picture
        .split("\x1b[")
        .skip(1)
        .filter_map(|rest| rest.split_once('m'));
    sequences
        .flat_map(|(numbers, _)| numbers.split(';'))
        .filter_map(|number| number.parse::<u8>().ok())
        .any(|number| matches!(number, 30..=38 | 40..=48 | 90..=107))
}

/// The real thing: who is infected, and why, without a key that is not on the screen.
#[test]
fn a_real_infection_is_on_the_first_picture() {
    let capture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/files/scan-mirai-horizontal.pcap");
    if !capture.exists() {
        println!("skipped: no ../shared");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let results = analyzed(folder.path(), &capture);
    let Some(tmux) = Tmux::start(100, 30, &[], &console(&results)) else {
        return;
    };
    let first = tmux.wait_for(&[
        "192.168.2.16",
        "black-pearl",
        "Horizontal port scan of port",
        "w why",
    ]);
    assert!(first.contains("w why"), "{first}");
    tmux.press("w");
    tmux.wait_for(&["HORIZONTAL_PORT_SCAN", "threat level", "without it"]);
    tmux.press("Escape");
    tmux.press("n");
    tmux.wait_for(&[
        "destination ports with their IPs",
        "Not established",
        "23/tcp Telnet",
    ]);
    tmux.press("q");
    tmux.wait_for_the_end();
}
