//! Evidence of live packets: the scenes whose files `console/tests/packets.rs` analyzes are sent into an interface that
//! `lynceus live` watches, and the same types must come. Time is the kernel's there, so what needs hours cannot be shown.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../console/tests/packets/feeds.rs"]
mod feeds;
#[path = "../../../console/tests/packets/messages.rs"]
mod messages;
#[path = "../../../console/tests/packets/scenes.rs"]
#[allow(dead_code, unused_imports, reason = "some scenes take hours")]
mod scenes;
#[path = "../../../console/tests/packets/stage.rs"]
mod stage;
#[path = "../../../console/tests/packets/wire.rs"]
#[allow(dead_code, reason = "nothing is written into files")]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::FrameSocket;
use serde_json::Value;

use self::scenes::Certificates;
use self::stage::{Family, Stage};

/// What takes longer than a test may, with the reason.
const TAKES_LONG: [(&str, &str); 4] = [
    ("LONG_CONNECTION", "open for 25 minutes"),
    ("MALICIOUS_FLOW", "hours of the usual before what is not usual"),
    (
        "BEACONING",
        "minutes of a rhythm, which a busy machine does not keep",
    ),
    (
        "COMMAND_AND_CONTROL_CHANNEL",
        "minutes of a rhythm, which a busy machine does not keep",
    ),
];
/// What lies further in a scene is not sent.
const LENGTH: u64 = 200_000_000;
/// Scenes are played so many times faster.
const FASTER: u64 = 40;
/// For starting and ending, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

type Findings = BTreeSet<(String, IpAddr)>;

#[test]
fn types_of_evidence_fire_on_live_packets() {
    let Some(_root) = need_root() else { return };
    let certificates = Certificates::new();
    let mut expected = BTreeSet::new();
    let mut air = wire::Air::default();
    for family in [Family::Four, Family::Six] {
        let mut stage = Stage::new(family);
        scenes::play(&mut stage, &certificates);
        expected.extend(stage.expected);
        air.join(stage.air);
    }
    let found = watch(air, &certificates.listed).unwrap();
    let of = |findings: &Findings| {
        let mut of: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for (kind, profile) in findings {
            of.entry(kind.clone()).or_default().insert(*profile);
        }
        of
    };
    let (by_type, found) = (of(&expected), of(&found));
    let mut missing = Vec::new();
    println!("| type | expected | found | |\n|---|---:|---:|---|");
    for (kind, profiles) in &by_type {
        let shown = found
            .get(kind)
            .map_or(0, |found| found.intersection(profiles).count());
        let excuse = TAKES_LONG.iter().find(|(excused, _)| excused == kind);
        let why = excuse.map_or("", |(_, why)| *why);
        println!("| {kind} | {} | {shown} | {why} |", profiles.len());
        if excuse.is_none() && shown < profiles.len() {
            missing.push(kind);
        }
    }
    assert!(missing.is_empty(), "{missing:?} did not come");
    assert!(by_type.len() > 55, "{} types were played", by_type.len());
}

/// Sends the frames into an interface that the program watches; what it finds.
fn watch(air: wire::Air, certificate: &[u8]) -> Result<Findings> {
    let pair = Pair::new(VethOptions {
        mtu: super::replay::MTU,
        ..VethOptions::default()
    })?;
    let folder = tempfile::tempdir()?;
    feeds::configure(folder.path(), certificate, "");
    let mut command = pair.receiver.command(built("lynceus")?);
    command
        .args(["live", "--json", "--direction", "all", "-i", Pair::RX, "--config"])
        .arg(folder.path().join("lynceus.toml"))
        .env("HOME", folder.path());
    let running = Running::start(command, "capturing on", PATIENCE)?;
    let frames = air.frames();
    pair.sender.run(|| {
        let socket = FrameSocket::open(Pair::TX)?;
        let begin = Instant::now();
        for (micros, frame) in frames.iter().take_while(|(micros, _)| *micros < LENGTH) {
            let due = begin + Duration::from_micros(micros / FASTER);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            socket.send_all([frame.as_slice()])?;
        }
        anyhow::Ok(())
    })?;
    let output = running.terminate(PATIENCE)?;
    let mut findings = BTreeSet::new();
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let line: Value = serde_json::from_slice(line)?;
        if line["kind"] == "evidence" {
            let text = |field: &str| line[field].as_str().context("a text");
            findings.insert((text("type")?.to_owned(), text("profile")?.parse()?));
        }
    }
    Ok(findings)
}
