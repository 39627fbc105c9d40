//! Live capture: CPU of the whole agent beside tcpdump, and packets a second under a flood beside an empty program.
//!
//! `cargo xtask bench live`; needs root. Prints the tables of `docs/benchmarks.md`.
#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::Host;
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::{Blast, FrameSocket, Mix, pin_to_cpu};

const TARGET: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the mixed traffic.
const PACKETS: u64 = 1_000_000;
const RATE: u32 = 100_000;
/// Of the flood, a round.
const FLOOD: u32 = 2_000_000;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let Some(_root) = need_root() else { return Ok(()) };
    // Before anything is measured: the first call runs cargo.
    built("lynceus")?;
    agent()?;
    flood()
}

/// CPU seconds of a process that watches 1 M mixed packets at 100 k packets/s; the sender's own CPU shows what the
/// hooks cost, because a veth receives on the CPU of its sender.
fn agent() -> Result<()> {
    println!(
        "| agent, {PACKETS} mixed packets at {RATE}/s | CPU s | before the first packet | sender's CPU s | seen | lost |"
    );
    println!("|---|---|---|---|---|---|");
    for name in [
        "none",
        "tcpdump -s128 -w /dev/null",
        "lynceus flows -i (TCX)",
        "lynceus flows -i (XDP)",
    ] {
        let pair = Pair::new(VethOptions::default())?;
        let before = children_cpu()?;
        let running = match name {
            "none" => None,
            "lynceus flows -i (TCX)" => Some(lynceus(&pair, "tcx")?),
            "lynceus flows -i (XDP)" => Some(lynceus(&pair, "xdp")?),
            _ => {
                let mut command = pair.receiver.command("tcpdump");
                command.args(["-i", Pair::RX, "-n", "-s128", "-w", "/dev/null", "-Z", "root"]);
                Some(Running::start(command, "listening on", PATIENCE).context("start tcpdump")?)
            }
        };
        let started = running
            .as_ref()
            .map_or(Ok(Duration::ZERO), |running| threads_cpu(running.pid()))?;
        let mut mix = Mix::new(PACKETS);
        let (sent, sender) = pair.sender.run(|| -> Result<_> {
            pin_to_cpu(0)?;
            let start = thread_cpu()?;
            let sent = FrameSocket::open(Pair::TX)?.send_made(Some(RATE), |buffer| mix.next_into(buffer))?;
            Ok((sent, thread_cpu()? - start))
        })?;
        ensure!(sent.frames == PACKETS, "sent {}", sent.frames);
        std::thread::sleep(Duration::from_millis(200));
        let Some(running) = running else {
            println!("| {name} | – | – | {:.2} | – | – |", sender.as_secs_f64());
            continue;
        };
        let output = running.terminate(PATIENCE)?;
        let cpu = children_cpu()? - before;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let seen = if name.starts_with("tcpdump") {
            number_before(&stderr, " packets captured")?
        } else {
            packets_of(&output.stdout)?
        };
        let lost = PACKETS.saturating_sub(seen);
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {seen} | {lost} |",
            cpu.as_secs_f64(),
            started.as_secs_f64(),
            sender.as_secs_f64()
        );
    }
    Ok(())
}

/// SYNs made by an XDP program, received and sensed on the CPU that makes them.
fn flood() -> Result<()> {
    let (mut empty, mut sensed, mut unplaced) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        for ours in [false, true] {
            let pair = Pair::new(VethOptions::default())?;
            // In both variants: it counts what arrives, and a veth takes frames from XDP only where one is attached.
            let arrived = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::XdpNative)?;
            let _empty = if ours {
                None
            } else {
                Some(ForeignProgram::empty(&pair.receiver, Pair::RX, Hook::TcxIngress)?)
            };
            let running = if ours { Some(lynceus(&pair, "tcx")?) } else { None };
            let blast = Blast::new(&TARGET)?;
            let ifindex = pair.sender.ifindex(Pair::TX)?;
            let elapsed = pair.sender.run(|| -> Result<_> {
                pin_to_cpu(0)?;
                let start = Instant::now();
                blast.send(ifindex, FLOOD)?;
                Ok(start.elapsed())
            })?;
            std::thread::sleep(Duration::from_millis(100));
            let reached = arrived.packets()?.context("it counts")?;
            let rate = reached as f64 / elapsed.as_secs_f64();
            if ours { &mut sensed } else { &mut empty }.push(rate);
            if let Some(running) = running {
                let output = running.terminate(PATIENCE)?;
                let stderr = String::from_utf8_lossy(&output.stderr);
                ensure!(stderr.contains("balanced"), "{stderr}");
                unplaced += reached.saturating_sub(packets_of(&output.stdout)?);
            }
        }
    }
    let (empty, sensed) = (median(empty), median(sensed));
    println!();
    println!(
        "| TCX under a SYN flood, one CPU, median of {ROUNDS} rounds | M packets/s | share | in no flow (counted) |"
    );
    println!("|---|---|---|---|");
    println!("| empty program | {:.2} | 100 % | – |", empty / 1e6);
    println!(
        "| lynceus flows -i | {:.2} | {:.0} % | {unplaced} |",
        sensed / 1e6,
        100.0 * sensed / empty
    );
    Ok(())
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

fn number_before(text: &str, words: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_suffix(words))
        .context("tcpdump says what it captured")?;
    line.trim().parse().context("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time so far of a program's threads that live: of an agent that is ready, what loading and verifying its programs
/// took.
fn threads_cpu(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let numbers = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = numbers.split_whitespace().next().context("schedstat is empty")?;
        sum += nanoseconds.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// CPU time of all children that were waited for.
fn children_cpu() -> Result<Duration> {
    usage(libc::RUSAGE_CHILDREN)
}

fn thread_cpu() -> Result<Duration> {
    usage(libc::RUSAGE_THREAD)
}

fn usage(who: libc::c_int) -> Result<Duration> {
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is that of one rusage that lives over the call.
    let result = unsafe { libc::getrusage(who, &raw mut usage) };
    ensure!(result == 0, "getrusage: {}", std::io::Error::last_os_error());
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(value.tv_usec.unsigned_abs())
    };
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}
