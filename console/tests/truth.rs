//! Every data set of `../shared/captures` through the built `lynceus analyze`: what is expected (`truth.toml`), found,
//! missed, and extra. The table of `docs/detections.md` is what this prints:
//! `cargo test -p lynceus-console --test truth -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    #[serde(default)]
    expected: Vec<String>,
    #[serde(default)]
    missed: Vec<String>,
    because: Option<String>,
}

struct Set {
    id: String,
    kinds: Vec<String>,
    inputs: Vec<PathBuf>,
}

/// Data sets that hold something that we read; `None` without `../shared`.
fn sets() -> Option<Vec<Set>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let Ok(index) = fs::read_to_string(folder.join("index.jsonl")) else {
        println!("skipped: no ../shared");
        return None;
    };
    let lines = index
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let set = |line: Value| {
        let kinds = line["kinds"].as_array().into_iter().flatten();
        let kinds = kinds.map(|kind| kind.as_str().unwrap().to_owned()).collect();
        let inputs = match line["file"].as_str() {
            Some(file) => vec![folder.join("files").join(Path::new(file).file_name().unwrap())],
            None => logs(&folder.join(line["folder"].as_str().unwrap())),
        };
        let id = line["id"].as_str().unwrap().to_owned();
        (!inputs.is_empty()).then_some(Set { id, kinds, inputs })
    };
    Some(lines.filter_map(set).collect())
}

/// A folder of Zeek's logs as it is, other logs by their names; lists of names are no traffic.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries: BTreeSet<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let named = |path: &Path, end: &str| path.to_string_lossy().ends_with(end);
    if let Some(inner) = entries.iter().find(|path| path.is_dir()) {
        return vec![inner.clone()];
    }
    if entries.iter().any(|path| named(path, ".log")) {
        return vec![folder.to_owned()];
    }
    let read = [".binetflow", ".nfdump", ".json"];
    entries
        .into_iter()
        .filter(|path| read.iter().any(|end| named(path, end)))
        .collect()
}

struct Found {
    /// Type, profile, other side, port, level; `-` where there is none.
    words: [String; 5],
    notable: bool,
}

fn analyze(set: &Set) -> Vec<Found> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command
        .args(["analyze", "--json", "-q", "--direction", "all"])
        .args(&set.inputs);
    // Exit code 1 means damage, which some sets have on purpose; what was readable counts.
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let found = lines.filter(|line| line["kind"] == "evidence").map(|line| Found {
        notable: ["medium", "high", "critical"].contains(&line["threat_level"].as_str().unwrap()),
        words: ["type", "profile", "victim", "dst_port", "threat_level"].map(|key| word(&line[key])),
    });
    found.collect()
}

fn is(wanted: &str, found: &Found) -> bool {
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    assert_eq!(
        wanted.len(),
        5,
        "{wanted:?}: type, profile, other side, port, level"
    );
    wanted
        .iter()
        .zip(&found.words)
        .all(|(wanted, word)| *wanted == "*" || wanted == word)
}

/// What each set gives, in their order; as many at a time as there are cores.
fn analyze_all(sets: &[Set]) -> Vec<Vec<Found>> {
    let next = AtomicUsize::new(0);
    let given: Vec<OnceLock<Vec<Found>>> = sets.iter().map(|_| OnceLock::new()).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(set) = sets.get(index) else { break };
                    given[index].get_or_init(|| analyze(set));
                }
            });
        }
    });
    given
        .into_iter()
        .map(|given| given.into_inner().unwrap())
        .collect()
}

#[test]
fn every_data_set_gives_what_is_expected() {
    let Some(mut sets) = sets() else { return };
    if Command::new("nfdump").arg("-V").output().is_err() {
        println!("skipped: no nfdump");
        sets.retain(|set| !set.id.ends_with("nfdump"));
    }
    let mut truth: BTreeMap<String, Truth> = toml::from_str(include_str!("truth.toml")).unwrap();
    let mut faults = Vec::new();
    let (mut expected, mut found, mut missed, mut extra) = (0, 0, 0, 0);
    println!("| data set | expected | found | missed | extra, from medium on |");
    println!("|---|---:|---:|---|---|");
    for (set, evidence) in sets.iter().zip(analyze_all(&sets)) {
        let Truth {
            expected: wanted,
            missed: absent,
            because,
        } = truth.remove(&set.id).unwrap_or_default();
        assert_eq!(
            absent.is_empty(),
            because.is_none(),
            "{}: why is it missed?",
            set.id
        );
        let there = |wanted: &&String| evidence.iter().any(|found| is(wanted, found));
        for lost in wanted.iter().filter(|wanted| !there(wanted)) {
            faults.push(format!("{}: {lost} was not found", set.id));
        }
        for known in absent.iter().filter(there) {
            faults.push(format!(
                "{}: {known} is found now; it is expected from now on",
                set.id
            ));
        }
        let mut more: BTreeMap<&str, usize> = BTreeMap::new();
        for found in evidence.iter().filter(|found| found.notable) {
            if !wanted.iter().any(|wanted| is(wanted, found)) {
                *more.entry(found.words[0].as_str()).or_default() += 1;
            }
        }
        if set.kinds.iter().any(|kind| kind == "normal") && !more.is_empty() {
            faults.push(format!("{}: a normal host raised {more:?}", set.id));
        }
        let came = wanted.iter().filter(there).count();
        expected += wanted.len() + absent.len();
        found += came;
        missed += absent.len();
        extra += more.values().sum::<usize>();
        let normal = set.kinds.iter().any(|kind| kind == "normal");
        if wanted.is_empty() && absent.is_empty() && more.is_empty() && !normal {
            continue;
        }
        let more: Vec<String> = more
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let absent: Vec<&str> = absent
            .iter()
            .map(|text| text.split(' ').next().unwrap())
            .collect();
        let because = because.map(|because| format!(": {because}")).unwrap_or_default();
        println!(
            "| {}{} | {} | {came} | {}{because} | {} |",
            set.id,
            if normal { " (normal)" } else { "" },
            wanted.len() + absent.len(),
            absent.join(", "),
            more.join(", ")
        );
    }
    println!(
        "| all {} | {expected} | {found} | {missed} | {extra} |",
        sets.len()
    );
    faults.extend(truth.keys().map(|id| format!("{id}: there is no such data set")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
