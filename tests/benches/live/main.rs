//! Live capture: CPU of the whole agent beside tcpdump, and packets a second under a flood beside an empty program.
//!
//! `cargo xtask bench live`; needs root. Prints the tables of `docs/benchmarks.md`. `--packets N` sends N mixed packets in
//! place of a million.
#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

mod agent;
mod daemons;
mod flood;
mod usage;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lynceus_tests::need_root;
use lynceus_tests::netns::Pair;
use lynceus_tests::program::{Running, built};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of the mixed traffic.
const PACKETS: u64 = 1_000_000;

fn main() -> Result<()> {
    let Some(_root) = need_root() else { return Ok(()) };
    let mut packets = PACKETS;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--packets" => packets = arguments.next().context("--packets how many?")?.parse()?,
            _ => bail!("unknown argument `{argument}`; --packets is known"),
        }
    }
    // Before anything is measured: the first call runs cargo.
    for program in ["lynceus", "lynceus-sensor", "lynceus-collector"] {
        built(program)?;
    }
    agent::measure(packets)?;
    flood::measure()
}

fn lynceus(pair: &Pair, hook: &str) -> Result<Running> {
    let program = built("lynceus")?;
    let mut command: Command = pair.receiver.command("taskset");
    command
        .args(["-c", "1"])
        .arg(Path::new(&program))
        .args(["flows", "-i", Pair::RX, "--hook", hook])
        .stdin(Stdio::null());
    Running::start(command, "observing", PATIENCE)
}

/// Packets of all flows that were printed.
fn packets_of(lines: &[u8]) -> Result<u64> {
    let mut packets = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let flow: serde_json::Value = serde_json::from_slice(line).context("a line of lynceus flows")?;
        packets += flow["packets_out"].as_u64().unwrap_or(0) + flow["packets_in"].as_u64().unwrap_or(0);
    }
    Ok(packets)
}
