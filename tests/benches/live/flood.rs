//! Packets a second under a flood.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::Host;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{Blast, pin_to_cpu};

use super::{PATIENCE, lynceus, packets_of};

const TARGET: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));
/// Packets of a round.
const FLOOD: u32 = 2_000_000;
const ROUNDS: usize = 5;

/// SYNs made by an XDP program, received and sensed on the CPU that makes them.
pub(super) fn measure() -> Result<()> {
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
