//! `lynceus outliers`, `why`, `patterns`, `dive` and `label` as a person runs them, on a log that the test makes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Two hosts of the office scan; the others call some of forty servers.
const SCANNERS: [&str; 2] = ["10.0.0.1", "10.0.0.2"];

/// A conn.log of Zeek: `hosts` of them, half an hour.
fn log(hosts: u32) -> String {
    let mut log = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\t\
                   uid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\t\
                   conn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n#types\ttime\tstring\taddr\tport\t\
                   addr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tcount\tcount\tcount\tcount\n"
        .to_owned();
    let mut lines = Vec::new();
    for host in 1..=hosts {
        let scans = host <= 2;
        let calls = if scans { 400 } else { 20 + host * 7 % 30 };
        for call in 0..calls {
            let second = call * 4 % 1_800;
            let (to, port, state, back) = if scans {
                (format!("172.16.{}.{}", host, 1 + call % 250), 23, "S0", 0)
            } else {
                (format!("93.184.216.{}", 1 + (call * host) % 40), 443, "SF", 9)
            };
            lines.push((
                second,
                format!(
                    "{}.{:06}\tC{host}x{call}\t10.0.0.{host}\t{}\t{to}\t{port}\ttcp\t-\t0.5\t100\t{}\t{state}\t4\t{}\t{back}\t{}",
                    1_700_000_400 + second,
                    host * 1_000 + call,
                    40_000 + call,
                    back * 50,
                    200 + host,
                    back * 60
                ),
            ));
        }
    }
    lines.sort();
    lines
        .iter()
        .for_each(|(_, line)| writeln!(log, "{line}").unwrap());
    log.push_str("#close\t2023-11-14-22-50-00\n");
    log
}

struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    /// What `lynceus analyze --out` leaves.
    fn new() -> Self {
        let office = Self::with(30);
        let results = office.path("results");
        let analyzed = lynceus(&["analyze", "--out", &results, &office.path("conn.log")]);
        assert!(analyzed.status.success(), "{}", errors(&analyzed));
        office
    }

    fn with(hosts: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("conn.log"), log(hosts)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// A command over the results.
    fn run(&self, arguments: &[&str]) -> String {
        let results = self.path("results");
        let output = lynceus(&[arguments, &["--from", &results]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str], schema: &str) -> Vec<Value> {
        let text = self.run(&[arguments, &["--json"]].concat());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schema/{schema}.json"));
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &lines {
            let errors: Vec<String> = schema
                .iter_errors(line)
                .map(|error| format!("{} {error}", error.instance_path))
                .collect();
            assert!(errors.is_empty(), "{arguments:?}: {errors:#?}");
        }
        lines
    }
}

fn lynceus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_odd_ones_come_first_and_the_account_is_exact() {
    let office = Office::new();
    let listed = office.json(&["outliers"], "outlier");
    assert_eq!(listed.len(), 20, "the default limit");
    let first: Vec<&str> = listed[..2]
        .iter()
        .map(|account| account["profile"].as_str().unwrap())
        .collect();
    assert!(
        SCANNERS.iter().all(|scanner| first.contains(scanner)),
        "{first:?}"
    );
    for account in &listed {
        let terms = account["terms"].as_array().unwrap().iter().take(3);
        let sum: f64 = terms.map(|term| term["nats"].as_f64().unwrap()).sum();
        // The output is exact; this reader of JSON may be off by the last bit.
        assert!(
            (sum - account["score"].as_f64().unwrap()).abs() < 1e-12,
            "{account}"
        );
        assert!(
            account["warming"].is_object() && account["flagged"] == false,
            "{account}"
        );
    }
    let text = office.run(&["outliers", "--limit", "3"]);
    assert!(
        text.contains("0 of 3 shown are flagged; 30 windows looked at"),
        "{text}"
    );
    assert!(text.contains("The baseline is not warm"), "{text}");
    let why = office.run(&["why", SCANNERS[0]]);
    for part in [
        "not judged yet",
        "of the score is",
        "packets_out",
        "of role client",
        "score ",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let same = office.json(&["why", SCANNERS[0]], "outlier");
    assert!(listed.contains(&same[0]), "{same:?}");
    // Without an address: the strongest of all.
    assert_eq!(office.json(&["why"], "outlier")[0], listed[0]);
    assert_eq!(
        office
            .json(
                &["outliers", "--limit", "1000", "--profile", SCANNERS[1]],
                "outlier"
            )
            .len(),
        1
    );
}

#[test]
fn what_is_usual_is_said_to_be_and_among_few_hosts_nothing_is_said() {
    let office = Office::with(3);
    let log = office.path("conn.log");
    let output = lynceus(&["why", SCANNERS[0], "--read", &log]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("too few peers to say: 2 windows of role client, 8 are wanted"),
        "{text}"
    );
    assert!(!text.contains("% of the score"), "{text}");
    let output = lynceus(&["outliers", "--read", &log]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("too few peers to say").count(), 3, "{text}");
}

#[test]
fn labels_are_recalled_by_similar_cases() {
    let office = Office::new();
    let dive = office.json(&["dive", SCANNERS[1]], "dive");
    assert_eq!(dive[0]["account"]["profile"], SCANNERS[1]);
    assert!(
        dive[0]["alike"].as_array().unwrap().is_empty(),
        "nothing was said yet"
    );
    assert!(dive[0]["neighbors"].as_array().unwrap().len() >= 10);
    let labelled = office.json(&["label", SCANNERS[0], "lab scanner, ours"], "outlier");
    assert_eq!(labelled[0]["label"], "lab scanner, ours");
    let dive = office.json(&["dive", SCANNERS[1]], "dive");
    let alike = &dive[0]["alike"][0];
    assert_eq!(alike["account"]["profile"], SCANNERS[0]);
    assert_eq!(alike["account"]["label"], "lab scanner, ours");
    assert!(alike["likeness"].as_f64().unwrap() > 0.9, "{alike}");
    let text = office.run(&["dive", SCANNERS[1]]);
    assert!(text.contains("\"lab scanner, ours\""), "{text}");
    for part in [
        "known of it",
        "evidence in this window",
        "neighbors",
        "own history",
        "patterns it belongs to",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(office.run(&["why", SCANNERS[0]]).contains("lab scanner, ours"));
    // By the id of an evidence.
    let evidence = dive[0]["evidence"][0]["id"].as_str().unwrap();
    assert_eq!(
        office.json(&["dive", evidence], "dive")[0]["account"],
        dive[0]["account"]
    );
    office.run(&["label", SCANNERS[0], ""]);
    assert_eq!(
        office.json(&["why", SCANNERS[0]], "outlier")[0]["label"],
        Value::Null
    );
}

#[test]
fn patterns_leave_others_to_compare_with() {
    let office = Office::new();
    let shared = office.json(&["patterns", "--top", "1000"], "patterns");
    // A quarter of thirty windows at most.
    assert_eq!(
        (&shared[0]["outliers"], &shared[0]["others"]),
        (&8.into(), &22.into())
    );
    assert_eq!(shared[0]["by_score"], true);
    let shared = office.json(&["patterns", "--top", "2"], "patterns");
    let group = &shared[0]["groups"][0];
    assert_eq!(group["profiles"], 2, "{group}");
    let text = office.run(&["patterns", "--top", "2"]);
    assert!(text.contains("2 outliers and 28 other windows"), "{text}");
    assert!(text.contains("2 addresses, 2 windows, same reason"), "{text}");
    assert!(text.contains("port 23/tcp"), "{text}");
    let output = lynceus(&["why", "10.9.9.9", "--from", &office.path("results")]);
    assert!(
        !output.status.success() && errors(&output).contains("no window of 10.9.9.9"),
        "{}",
        errors(&output)
    );
}
