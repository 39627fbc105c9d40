//! `lynceus ip --file` as users of Know Your IP know it, with the real program. No test needs a network.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn lynceus(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command
        .arg("ip")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    lynceus(folder, arguments).output().unwrap()
}

fn files(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read(path).unwrap();
    cells(&text)
}

fn cells(text: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    reader
        .records()
        .map(|row| {
            row.expect("a row of as many cells as the header")
                .iter()
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

const LIST: &str = "# scanners\n94.31.29.154\nnobody\n204.2.197.211 # New York\n\n8.8.8.8\n94.31.29.154\n";

#[test]
fn the_command_of_the_documentation_works() {
    let folder = files(&[
        ("input.csv", LIST),
        (
            "know_your_ip.cfg",
            "[maxmind]\nenable = 1\ndbpath = ./db\n[ipvoid]\nenable = 1\n[tzwhere]\nenable = 1\n[output]\ncolumns = columns.txt\n",
        ),
        (
            "columns.txt",
            "ip\ntzwhere.timezone\n#shodan.ports\nipvoid.alerts\ndbip.country_code\n",
        ),
    ]);
    let arguments = [
        "--file",
        "input.csv",
        "--config",
        "know_your_ip.cfg",
        "--output",
        "output.csv",
        "--maxconn",
        "5",
        "--from",
        "1",
        "--to",
        "2",
        "--verbose",
        "verbose",
    ];
    let output = run(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let rows = rows(&folder.path().join("output.csv"));
    assert_eq!(
        rows[0],
        ["ip", "tzwhere.timezone", "ipvoid.alerts", "dbip.country_code"]
    );
    assert_eq!(
        rows.len(),
        2,
        "--to is exclusive, and counted without invalid lines"
    );
    assert_eq!(rows[1], ["204.2.197.211", "America/New_York", "", "US"]);
    // What cannot be as it was is said before it starts.
    assert!(said.contains("ipvoid.alerts stays empty"), "{said}");
    assert!(said.contains("line 3: `nobody` is no address"), "{said}");
    assert!(said.contains("nothing is sent without --active"), "{said}");
    assert!(
        !folder.path().join(".local/state/lynceus/probes.jsonl").exists(),
        "nothing was sent"
    );
}

#[test]
fn rows_keep_their_order_and_a_second_time_costs_nothing() {
    let folder = files(&[("input.csv", LIST)]);
    let output = run(
        folder.path(),
        &["--file", "input.csv", "--shape", "raw", "--quiet"],
    );
    assert!(output.status.success());
    let rows = rows(&folder.path().join("output.csv"));
    assert_eq!(rows[0].len(), 61, "the default columns of 0.6.x");
    let ips: Vec<&str> = rows[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(ips, ["94.31.29.154", "204.2.197.211", "8.8.8.8", "94.31.29.154"]);
    assert_eq!(rows[1], rows[4]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 of them asked about before"));
    let place = rows[0]
        .iter()
        .position(|name| name == "network.category")
        .unwrap();
    assert!(rows[1..].iter().all(|row| row[place] == "public"), "{rows:?}");
}

#[test]
fn shapes_and_formats_say_the_same() {
    let folder = files(&[]);
    let canonical = run(
        folder.path(),
        &["8.8.8.8", "--shape", "canonical", "--format", "csv"],
    );
    let table = cells(&canonical.stdout);
    let of = |name: &str| table[1][table[0].iter().position(|known| known == name).unwrap()].clone();
    assert_eq!(
        (of("asn"), of("country_code")),
        ("15169".to_owned(), "US".to_owned())
    );
    assert_eq!(of("is_tor"), "", "what nobody knows is not False");
    let lines = run(
        folder.path(),
        &["8.8.8.8", "--shape", "canonical", "--format", "jsonl"],
    );
    let object: serde_json::Value = serde_json::from_slice(&lines.stdout).unwrap();
    assert_eq!(
        (&object["asn"], &object["country_code"]),
        (&15169.into(), &"US".into())
    );
    assert!(object.get("is_tor").is_none());
    let tidy = run(
        folder.path(),
        &["8.8.8.8", "--shape", "tidy", "--no-header", "--format", "csv"],
    );
    let tidy = cells(&tidy.stdout);
    assert!(
        tidy.iter().any(|row| row[1..] == ["asn", "asn", "15169"]),
        "{tidy:?}"
    );
    let people = run(folder.path(), &["8.8.8.8", "--format", "table"]);
    let people = String::from_utf8(people.stdout).unwrap();
    assert!(
        people.lines().count() == 2 && people.contains("15169"),
        "{people}"
    );
}

#[test]
fn standard_input_takes_any_text_and_rows_stream() {
    let folder = files(&[]);
    let mut child = lynceus(folder.path(), &["--file", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    writeln!(
        input,
        "Failed password for root from 94.31.29.154 port 22, see hxxp://8[.]8[.]8[.]8/"
    )
    .unwrap();
    input.flush().unwrap();
    // Both rows come while the input is open.
    for ip in ["94.31.29.154", "8.8.8.8"] {
        let object: serde_json::Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
        assert_eq!(object["ip"], ip);
    }
    writeln!(input, "2001[:]4860:4860::8888 at 12:34:56").unwrap();
    drop(input);
    let object: serde_json::Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(object["ip"], "2001:4860:4860::8888");
    assert!(output.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn exit_codes_are_those_of_know_your_ip() {
    let folder = files(&[
        ("none.csv", "# nothing\nnobody\n"),
        ("one.csv", "8.8.8.8\n"),
        ("bad.toml", "[colors]\n"),
    ]);
    let code = |arguments: &[&str]| run(folder.path(), arguments).status.code();
    assert_eq!(code(&["--file", "none.csv", "--output", "-"]), Some(1));
    assert_eq!(code(&["--file", "one.csv", "--output", "-"]), Some(0));
    assert_eq!(code(&["--file", "one.csv", "--providers", "nobody"]), Some(2));
    assert_eq!(code(&["--file", "one.csv", "--from", "3", "--to", "2"]), Some(2));
    assert_eq!(code(&["--file", "one.csv", "--shape", "round"]), Some(2));
    assert_eq!(code(&["--file", "one.csv", "--config", "bad.toml"]), Some(1));
    let header = run(
        folder.path(),
        &["--file", "none.csv", "--output", "-", "--format", "csv"],
    );
    assert_eq!(
        cells(&header.stdout).len(),
        1,
        "the header stands there all the same"
    );
}

/// A Censys that knows nobody, and counts who asks.
fn censys(delay: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.unwrap(), Arc::clone(&counter));
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    counter.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(delay);
                    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}";
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, asked)
}

#[test]
fn without_leave_nobody_is_asked_and_ctrl_c_leaves_whole_rows() {
    let (url, asked) = censys(Duration::from_millis(10));
    let list: String = (1..=200).map(|last| format!("8.8.4.{last}\n")).collect();
    let config = format!(
        "[censys]\nenabled = true\napi_key = \"x\"\napi_url = \"{url}\"\n[ranges]\nenabled = false\n[rdap]\nenabled = false\n[network]\nreverse_dns = false\n[output]\ncolumns = [\"ip\", \"network.category\", \"censys.status\"]\n"
    );
    let folder = files(&[("input.csv", &list), ("kyi.toml", &config)]);
    let base = [
        "--file",
        "input.csv",
        "--config",
        "kyi.toml",
        "--shape",
        "raw",
        "--quiet",
    ];
    let output = run(folder.path(), &base);
    assert!(output.status.success());
    let table = rows(&folder.path().join("output.csv"));
    assert_eq!(table.len(), 201);
    assert!(
        table[1..].iter().all(|row| row[2] == "not_allowed"),
        "{:?}",
        table[1]
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // With leave it is asked, a few at a time and paced; two hundred take minutes.
    let mut child = lynceus(
        folder.path(),
        &[&base[..], &["--active", "-o", "partial.csv"]].concat(),
    )
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let partial = folder.path().join("partial.csv");
    let deadline = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&partial).is_ok_and(|text| text.lines().count() >= 2) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let text = std::fs::read_to_string(&partial).unwrap();
    assert!(text.ends_with('\n'), "whole rows");
    let table = rows(&partial);
    assert_eq!(table[0], ["ip", "network.category", "censys.status"]);
    assert!((2..201).contains(&table.len()), "{}", table.len());
    assert_eq!(table[1][..2], ["8.8.4.1", "public"]);
    assert!(asked.load(Ordering::SeqCst) >= 1);
    let log = std::fs::read_to_string(folder.path().join(".local/state/lynceus/probes.jsonl")).unwrap();
    assert!(log.lines().count() >= 1 && log.contains("censys"), "{log}");
}

#[test]
fn a_table_has_a_manifest_too() {
    let folder = files(&[("input.csv", LIST)]);
    let done = run(
        folder.path(),
        &[
            "--file",
            "input.csv",
            "--output",
            "out.csv",
            "--manifest",
            "run.json",
        ],
    );
    assert!(done.status.success(), "{done:?}");
    let manifest = std::fs::read(folder.path().join("run.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    // One address comes twice and is asked about once.
    assert_eq!(
        (&manifest["requested"], &manifest["unique"]),
        (&4.into(), &3.into())
    );
    assert_eq!(manifest["probes"], 0);
    assert!(
        manifest["finished"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
}
