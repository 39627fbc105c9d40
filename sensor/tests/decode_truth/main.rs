//! Every message that tshark reads in the captures of `../shared` is read by the decoders, with the same values, save
//! those that `exceptions.toml` names with a reason.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod capture;
mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lynceus_model::app::{AppEvent, AppRecord};
use serde::Deserialize;
use serde_json::Value;

use self::message::{Seen, same, seen};

/// tshark tells a message when it has all of it (a response with its body); we tell it when its head is whole.
const LATEST: f64 = 120.0;
/// Truth files have microseconds.
const TICK: f64 = 2e-6;

/// Messages of a kind that are not found in a capture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    capture: String,
    kind: String,
    missing: usize,
    #[allow(dead_code, reason = "for readers; the file must have it")]
    reason: String,
}

#[derive(Deserialize)]
struct Exceptions {
    exception: Vec<Exception>,
}

#[test]
fn every_message_of_tshark_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !root.exists() {
        println!("skipped: no ../shared");
        return;
    }
    let exceptions: Exceptions = toml::from_str(include_str!("exceptions.toml")).unwrap();
    let mut excused: BTreeMap<(String, String), usize> = exceptions
        .exception
        .into_iter()
        .map(|exception| ((exception.capture, exception.kind), exception.missing))
        .collect();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for (id, file) in captures(&root) {
        let truth: Vec<Value> = lines(&root.join(format!("truth/{id}.jsonl")));
        let records = capture::messages(&file);
        let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut ours: Vec<Seen> = records.iter().filter_map(seen).collect();
        let tunnels = truth.iter().any(|line| line["tunnels"] == true);
        let arp = arp_senders(&records);
        for line in &truth {
            let kind = line["kind"].as_str().unwrap();
            let outcome = match kind {
                "arp" => same_sender(&arp, line),
                "dns" | "tls" | "http" | "ssh" => find(&mut ours, kind, line, tunnels),
                _ => continue,
            };
            match outcome {
                Ok(()) => *found.entry(kind.into()).or_default() += 1,
                Err(why) => missing
                    .entry(kind.into())
                    .or_default()
                    .push(format!("{why}: {line}")),
            }
        }
        for (kind, missing) in missing {
            let expected = excused.remove(&(id.clone(), kind.clone())).unwrap_or_default();
            if missing.len() != expected {
                faults.push(format!(
                    "{id}: {} of kind {kind} missing, {expected} excused\n  {}",
                    missing.len(),
                    missing.join("\n  ")
                ));
            }
        }
    }
    println!("found {found:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(excused.is_empty(), "excused for nothing: {excused:?}");
}

fn captures(root: &Path) -> Vec<(String, PathBuf)> {
    lines(&root.join("index.jsonl"))
        .iter()
        .filter(|entry| entry["type"] == "capture")
        .map(|entry| {
            let file = entry["file"].as_str().unwrap().replace("captures/", "files/");
            (entry["id"].as_str().unwrap().to_owned(), root.join(file))
        })
        .collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Takes the first message that fits. In a tunnel tshark names the outer addresses, we the inner ones.
fn find(ours: &mut [Seen], kind: &str, truth: &Value, tunnels: bool) -> Result<(), String> {
    let time = truth["time"].as_f64().unwrap();
    let end = |ip: &str, port: &str| {
        let port = u16::try_from(truth[port].as_u64().unwrap()).unwrap();
        (truth[ip].as_str().unwrap().to_owned(), port)
    };
    let (source, target) = (end("source", "sport"), end("target", "dport"));
    let mut why = "not found".to_owned();
    for candidate in ours {
        if candidate.used
            || candidate.kind != kind
            || candidate.time > time + TICK
            || candidate.time < time - LATEST
            || (candidate.source.1, candidate.target.1) != (source.1, target.1)
            || !tunnels && (&candidate.source.0, &candidate.target.0) != (&source.0, &target.0)
        {
            continue;
        }
        match same(candidate, truth) {
            Ok(()) => {
                candidate.used = true;
                return Ok(());
            }
            Err(difference) => why = difference,
        }
    }
    Err(why)
}

/// What one pair of addresses said with ARP.
#[derive(Default)]
struct ArpSender {
    requests: u64,
    targets: BTreeSet<String>,
    replies: u64,
    gratuitous: u64,
}

fn arp_senders(records: &[AppRecord]) -> BTreeMap<(String, String), ArpSender> {
    let mut senders: BTreeMap<(String, String), ArpSender> = BTreeMap::new();
    for record in records {
        let AppEvent::Arp(packet) = &record.event else {
            continue;
        };
        let mac = packet.sender_mac.map(|byte| format!("{byte:02x}")).join(":");
        let sender = senders.entry((mac, packet.sender.to_string())).or_default();
        let gratuitous = packet.target == packet.sender;
        sender.gratuitous += u64::from(gratuitous);
        match packet.operation {
            1 => {
                sender.requests += 1;
                if !gratuitous {
                    sender.targets.insert(packet.target.to_string());
                }
            }
            _ => sender.replies += 1,
        }
    }
    senders
}

fn same_sender(senders: &BTreeMap<(String, String), ArpSender>, truth: &Value) -> Result<(), String> {
    let word = |name: &str| truth[name].as_str().unwrap().to_owned();
    let Some(sender) = senders.get(&(word("mac"), word("address"))) else {
        return Err("not found".into());
    };
    let ours = [
        sender.requests,
        sender.targets.len() as u64,
        sender.replies,
        sender.gratuitous,
    ];
    let theirs = ["requests", "targets", "replies", "gratuitous"].map(|name| truth[name].as_u64().unwrap());
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{ours:?}"))
    }
}
