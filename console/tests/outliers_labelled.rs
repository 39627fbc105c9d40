//! Where the labelled hosts and flows of the shared logs stand among all windows, and what their accounts say. The table
//! that it prints is the one that `docs/outliers.md` judges:
//! `cargo test -p lynceus-console --test outliers_labelled -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

struct Log {
    name: &'static str,
    /// Where its flows are labelled, if they are.
    labels: Option<&'static str>,
    more: &'static [&'static str],
    /// Who is labelled, or named by the publisher.
    hosts: &'static [&'static str],
    /// Rank, among all windows, that the best window of such a host has at least; `None`: too few peers to say.
    best: Option<usize>,
}

const fn log(name: &'static str, hosts: &'static [&'static str], best: Option<usize>) -> Log {
    Log {
        name,
        labels: None,
        more: &[],
        hosts,
        best,
    }
}

/// Address of the attacked machine, which is public: without this its peers are the scanners of the Internet.
const OWN: &str = "[detect.network]\nclients = [\"147.32.83.234/32\"]\n";

const LOGS: [Log; 15] = [
    Log {
        labels: Some("ctu-njrat/labeled-conn.log"),
        ..log("ctu-njrat/conn.log", &["192.168.1.115"], Some(1))
    },
    log("ctu-android-rat", &["10.8.0.61"], None),
    log(
        "ctu-simda-dga",
        &["192.168.1.116", "fd77:48a1:c0bb:0:b96c:506d:6c7f:e8be"],
        Some(2),
    ),
    log("ctu-ssh-honeypot", &["2001:718:2:1663::1ce"], None),
    Log {
        labels: Some("ctu-normal-attacked/data/conn.log.labeled"),
        ..log(
            "ctu-normal-attacked/data",
            &["51.89.192.233", "102.22.193.101", "79.124.62.34"],
            Some(20),
        )
    },
    Log {
        labels: Some("ctu-normal-attacked/data/conn.log.labeled"),
        more: &["--config", OWN],
        ..log(
            "ctu-normal-attacked/data",
            &["51.89.192.233", "102.22.193.101", "79.124.62.34"],
            Some(20),
        )
    },
    log("slips-scan-horizontal/conn.log", &["10.0.2.112"], None),
    log(
        "slips-test1-nfdump/test1-malicious.nfdump",
        &["147.32.80.119"],
        None,
    ),
    log("slips-test9-zeek", &["10.0.2.15"], None),
    // Not labelled: a notice of Zeek's in it says that this one scans.
    log("slips-test10-zeek", &["147.32.83.156"], Some(6)),
    log("slips-test14-zeek", &["10.0.2.15", "10.1.11.101"], None),
    Log {
        labels: Some("slips-test18-labelled/zeek-labeled/conn.log.labeled"),
        ..log("slips-test18-labelled/zeek-labeled", &["192.168.1.107"], None)
    },
    log(
        "slips-test2-argus/test2-malicious.binetflow",
        &["10.8.0.69"],
        Some(2),
    ),
    log(
        "slips-test3-argus/test3-mixed.binetflow",
        &["46.166.151.160"],
        Some(1),
    ),
    log(
        "slips-test6-suricata/test6-malicious.suricata.json",
        &["193.46.255.92"],
        Some(2),
    ),
];

fn logs() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/logs");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no ../shared");
    None
}

/// Accounts of all windows, the oddest first.
fn accounts(path: &Path, more: &[&str], folder: &Path) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command
        .args(["outliers", "--json", "--limit", "1000", "--read"])
        .arg(path);
    if let [flag, text] = more {
        let settings = folder.join("settings.toml");
        std::fs::write(&settings, text).unwrap();
        command.arg(flag).arg(settings);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Community IDs of flows labelled malicious, with who began them.
fn labelled(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields.len() > 20 && fields[fields.len() - 2] == "Malicious" {
            let end = |at: usize| (fields[at].parse().unwrap(), fields[at + 1].parse().unwrap());
            let protocol = match fields[6] {
                "tcp" => 6,
                "udp" => 17,
                _ => continue,
            };
            found.insert(community_id(end(2), end(4), protocol), fields[2].to_owned());
        }
    }
    assert!(!found.is_empty(), "{}", path.display());
    found
}

/// Version 1, for TCP and UDP.
fn community_id(a: (IpAddr, u16), b: (IpAddr, u16), protocol: u8) -> String {
    let bytes = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let mut text = vec![0, 0];
    text.extend(bytes(low.0));
    text.extend(bytes(high.0));
    text.extend([protocol, 0]);
    text.extend(low.1.to_be_bytes());
    text.extend(high.1.to_be_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(&text));
    format!("1:{hash}")
}

#[test]
fn labelled_hosts_and_flows_among_all_windows() {
    let Some(logs) = logs() else { return };
    let folder = tempfile::tempdir().unwrap();
    println!(
        "| log | windows | labelled host | ranks of its windows | labelled flows: in windows of ranks, shown by their accounts | account of its oddest window |"
    );
    println!("|---|---:|---|---|---|---|");
    let mut missing = 0;
    for log in &LOGS {
        let path = logs.join(log.name);
        if !path.exists() {
            println!("skipped: no {}", log.name);
            missing += 1;
            continue;
        }
        let accounts = accounts(&path, log.more, folder.path());
        let flows = log.labels.map(|labels| labelled(&logs.join(labels)));
        let mut best: Option<usize> = None;
        for host in log.hosts {
            let ranks: Vec<usize> = (0..accounts.len())
                .filter(|at| accounts[*at]["profile"] == *host)
                .collect();
            assert!(!ranks.is_empty(), "{}: no window of {host}", log.name);
            let account = &accounts[ranks[0]];
            let text = account["text"].as_str().unwrap();
            let few = account["peers"].as_u64().unwrap() < 8;
            assert_eq!(few, text.starts_with("too few peers to say"), "{text}");
            if !few {
                best = Some(best.map_or(ranks[0] + 1, |best| best.min(ranks[0] + 1)));
            }
            let shown: Vec<String> = ranks.iter().take(6).map(|rank| (rank + 1).to_string()).collect();
            let name = if log.more.is_empty() {
                log.name
            } else {
                "the same, own network named"
            };
            println!(
                "| {name} | {} | {host} | {}{} | {} | {} |",
                accounts.len(),
                shown.join(", "),
                if ranks.len() > 6 { " …" } else { "" },
                flows.as_ref().map_or_else(
                    || "not labelled".to_owned(),
                    |flows| of_flows(&accounts, flows, host)
                ),
                text.split(" (warming up").next().unwrap()
            );
        }
        match (best, log.best) {
            (Some(best), Some(wanted)) => assert!(best <= wanted, "{}: {best}", log.name),
            (best, wanted) => assert_eq!(best, wanted, "{}", log.name),
        }
    }
    assert!(missing < LOGS.len(), "no log is there");
}

/// How many flows of a host are labelled, in windows of which ranks they are shown, and how many of those that accounts
/// show are labelled.
fn of_flows(accounts: &[Value], flows: &BTreeMap<String, String>, host: &str) -> String {
    let own: BTreeSet<&String> = flows
        .iter()
        .filter(|(_, from)| *from == host)
        .map(|(id, _)| id)
        .collect();
    let (mut ranks, mut shown, mut right) = (Vec::new(), 0, 0);
    for (rank, account) in accounts.iter().enumerate() {
        if account["profile"] != host {
            continue;
        }
        let ids = account["flows"].as_array().unwrap();
        let hits = ids
            .iter()
            .filter(|id| id.as_str().is_some_and(|id| own.contains(&id.to_owned())))
            .count();
        if hits > 0 {
            ranks.push((rank + 1).to_string());
        }
        shown += ids.len();
        right += hits;
    }
    format!(
        "{} labelled; ranks {}; {right} of {shown} shown",
        own.len(),
        ranks.join(", ")
    )
}

/// The README's examples are what the program prints.
#[test]
fn the_readme_says_what_why_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let captures = root.join("../shared/captures/files");
    if !captures.exists() {
        println!("skipped: no ../shared");
        return;
    }
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let examples: Vec<(&str, String)> = readme
        .split("$ lynceus why ")
        .skip(1)
        .map(|example| {
            let (command, rest) = example.split_once(" | head -2\n").unwrap();
            (command, rest.split('\n').take(2).collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert_eq!(examples.len(), 3);
    let running: Vec<_> = examples
        .iter()
        .map(|(command, _)| {
            Command::new(env!("CARGO_BIN_EXE_lynceus"))
                .arg("why")
                .args(command.split(' '))
                .current_dir(&captures)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (program, (command, said)) in running.into_iter().zip(&examples) {
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{command}");
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().take(2).collect();
        assert_eq!(&lines.join("\n"), said, "{command}");
    }
}
