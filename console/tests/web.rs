//! The page as a person uses it, in the distribution's Chromium, over a directory of Zeek that grows; the API against its
//! description with schemathesis; the report as one file.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

const HEAD: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\t\
                    id.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\t\
                    orig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\t\
                    string\tinterval\tcount\tcount\tstring\tcount\tcount\tcount\tcount\n";

/// Rows of a scanner over 20 hosts and 30 ports beside people who read the web.
fn rows(scanner: &str, begin: u32) -> String {
    let mut rows = String::new();
    for host in 0..20_u32 {
        for port in 0..30_u32 {
            let number = host * 30 + port;
            let at = f64::from(begin) + f64::from(number) * 0.4;
            let probe = format!(
                "192.168.7.{}\t{}\ttcp\t-\t-\t-\t-\tS0\t2\t120\t0\t0",
                host + 1,
                port + 20
            );
            writeln!(
                rows,
                "{at:.6}\tC{begin}p{number}\t{scanner}\t{}\t{probe}",
                40_000 + number
            )
            .unwrap();
            let reader = format!("10.0.0.{}", 1 + number % 9);
            let server = ["93.184.216.34", "1.1.1.1", "94.31.29.154", "204.2.197.211"][(number % 4) as usize];
            let answer = format!("443\ttcp\tssl\t1.{number}\t900\t52000\tSF\t12\t1500\t40\t54000");
            writeln!(
                rows,
                "{:.6}\tC{begin}w{number}\t{reader}\t{}\t{server}\t{answer}",
                at + 0.2,
                50_000 + number
            )
            .unwrap();
        }
    }
    rows
}

struct Watching {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Watching {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("conn.log"),
            format!("{HEAD}{}", rows("10.0.0.66", 1_700_000_000)),
        )
        .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lynceus"))
            .arg("watch")
            .arg(folder.path())
            .args(["--no-console", "--web", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .find_map(|line| {
                line.unwrap()
                    .split_once("page at ")
                    .map(|(_, url)| url.trim().to_owned())
            })
            .unwrap();
        // The program must not wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let watching = Self { child, url, folder };
        let begin = Instant::now();
        while !watching.get("/api/v1/alerts").contains("10.0.0.66") {
            assert!(begin.elapsed() < PATIENCE, "no alert");
            std::thread::sleep(Duration::from_millis(100));
        }
        watching
    }

    fn get(&self, path: &str) -> String {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn a_person_finds_the_infected_host_in_chromium() {
    let browser = repository().join("tests/browser");
    if !Path::new("/usr/bin/chromium").exists() || !browser.join("node_modules/playwright-core").is_dir() {
        println!(
            "skipped: needs chromium, node and tests/browser/node_modules (cargo xtask test installs them)"
        );
        return;
    }
    let watching = Watching::start();
    let shots = repository().join("target/screenshots");
    fs::create_dir_all(&shots).unwrap();
    let mut journey = Command::new("node")
        .arg(browser.join("journey.mjs"))
        .args([&watching.url, shots.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = String::new();
    for line in BufReader::new(journey.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        if last == "live" {
            let log = watching.folder.path().join("conn.log");
            let mut log = OpenOptions::new().append(true).open(log).unwrap();
            log.write_all(rows("10.0.0.77", 1_700_000_400).as_bytes())
                .unwrap();
        }
    }
    assert!(
        journey.wait().unwrap().success(),
        "the journey ended after {last:?}"
    );
    assert_eq!(last, "done");
}

#[test]
fn schemathesis_finds_nothing() {
    let own = repository().join("target/schemathesis/bin/schemathesis");
    if !own.is_file() {
        println!("skipped: needs schemathesis (cargo xtask test installs it)");
        return;
    }
    let watching = Watching::start();
    let output = Command::new(own)
        .args(["run", &format!("{}api/v1/openapi.json", watching.url)])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "15",
            "--seed",
            "7",
        ])
        // Nobody logs in on loopback, the answer to an unknown method is the server's own, and no schema can say which
        // searches and page tokens are understood.
        .args([
            "--exclude-checks",
            "ignored_auth,unsupported_method,positive_data_acceptance",
        ])
        .args(["--rate-limit", "40/s", "--request-timeout", "60", "--no-color"])
        .current_dir(watching.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        said.chars()
            .rev()
            .take(6000)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<String>()
    );
}

#[test]
fn the_report_is_one_file_that_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    fs::write(&log, format!("{HEAD}{}", rows("10.0.0.66", 1_700_000_000))).unwrap();
    let out = folder.path().join("report.html");
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
            .args(["report", "--out"])
            .arg(&out)
            .arg(&log)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stdout.is_empty());
        fs::read_to_string(&out).unwrap()
    };
    let html = run();
    for part in [
        "10.0.0.66 looks infected",
        "id=\"p-10.0.0.66\"",
        "accumulated threat",
        "<h3>Related alerts</h3>",
        "What the heaviest was compared with",
        "class=\"timeline\"",
        "class=\"map\"",
        "seen = recorded",
        "default-src &#39;none&#39;; style-src &#39;sha256-",
    ] {
        assert!(html.contains(part), "the report has no {part}");
    }
    for foreign in ["<script", "<link", "src=\"", "href=\"/", "href=\"http", "url("] {
        assert!(!html.contains(foreign), "the report has {foreign}");
    }
    assert_eq!(html, run(), "two runs give the same report");
}
