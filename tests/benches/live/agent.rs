//! CPU of the whole agent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::Running;
use lynceus_tests::traffic::{FrameSocket, Mix, pin_to_cpu};

use super::daemons::Daemons;
use super::usage::{children_cpu, thread_cpu, threads_cpu};
use super::{PATIENCE, lynceus, packets_of};

const RATE: u32 = 100_000;

/// CPU seconds of a process that watches mixed packets at 100 k packets/s; the sender's own CPU shows what the hooks cost,
/// because a veth receives on the CPU of its sender. `lynceus flows` is kernel table and flow assembly; the daemons do all
/// that an agent does, with the collector's process apart.
pub(super) fn measure(packets: u64) -> Result<()> {
    println!(
        "| agent, {packets} mixed packets at {RATE}/s | CPU s | before the first packet | sender's CPU s | seen | lost |"
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
        let sender = send(&pair, packets)?;
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
        let lost = packets.saturating_sub(seen);
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {seen} | {lost} |",
            cpu.as_secs_f64(),
            started.as_secs_f64(),
            sender.as_secs_f64()
        );
    }
    for hook in ["tcx", "xdp"] {
        let pair = Pair::new(VethOptions::default())?;
        let daemons = Daemons::start(&pair, hook)?;
        let started = threads_cpu(daemons.sensor_pid())?;
        let sender = send(&pair, packets)?;
        let ended = daemons.end()?;
        let name = hook.to_uppercase();
        println!(
            "| lynceus-sensor ({name}), shipping to a collector | {:.2} | {:.2} | {:.2} | {} | {} |",
            ended.sensor.as_secs_f64(),
            started.as_secs_f64(),
            sender.as_secs_f64(),
            ended.stored.counted,
            packets.saturating_sub(ended.stored.counted)
        );
        println!(
            "| lynceus-collector beside it | {:.2} | – | – | – | – |",
            ended.collector.as_secs_f64()
        );
        let unlisted = ended.stored.counted - ended.stored.listed.min(ended.stored.counted);
        if unlisted > 0 {
            println!("| – of flows that are in the numbers only | – | – | – | {unlisted} | – |");
        }
    }
    Ok(())
}

/// Sends the mixed traffic; returns the sender's CPU.
fn send(pair: &Pair, packets: u64) -> Result<Duration> {
    let mut mix = Mix::new(packets);
    let (sent, sender) = pair.sender.run(|| -> Result<_> {
        pin_to_cpu(0)?;
        let start = thread_cpu()?;
        let sent = FrameSocket::open(Pair::TX)?.send_made(Some(RATE), |buffer| mix.next_into(buffer))?;
        Ok((sent, thread_cpu()? - start))
    })?;
    ensure!(sent.frames == packets, "sent {}", sent.frames);
    std::thread::sleep(Duration::from_millis(200));
    Ok(sender)
}

fn number_before(text: &str, words: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_suffix(words))
        .context("tcpdump says what it captured")?;
    line.trim().parse().context("a number")
}
