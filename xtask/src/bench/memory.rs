//! `cargo xtask bench memory`: the most memory that `flows` and `analyze` take, with a million flows open at once and
//! with the same traffic for a day and for four.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use clap::Args;

use super::file::{contender, lynceus, measure};
use super::report;
use crate::shell;

/// Flows that are open at once, of so many clients.
const FLOWS: u32 = 1_000_000;
const CLIENTS: u32 = 20_000;
/// 30 seconds of event time for the whole file: no flow is silent long enough to end.
const NANOS_PER_PACKET: u64 = 10_000;
/// Of the days: so many clients, each with so many short flows an hour.
const DAY_CLIENTS: u32 = 2_000;
const FLOWS_AN_HOUR: u32 = 20;
const START_SECONDS: u64 = 1_700_000_000;

#[derive(Args)]
pub(crate) struct Options {
    /// Do not build lynceus first
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let program = lynceus(options.no_build)?;
    let folder = shell::root().join("target/bench");
    fs::create_dir_all(&folder)?;
    let open = folder.join("open-flows.pcap");
    if !open.is_file() {
        write_open_flows(&open).with_context(|| open.display().to_string())?;
    }
    let mut files = vec![(format!("{FLOWS} flows open at once"), open)];
    for days in [1, 4] {
        let file = folder.join(format!("days-{days}.pcap"));
        if !file.is_file() {
            write_days(&file, days).with_context(|| file.display().to_string())?;
        }
        let flows = days * 24 * FLOWS_AN_HOUR * DAY_CLIENTS;
        files.push((
            format!("{days} × 24 h of {DAY_CLIENTS} clients, {flows} flows"),
            file,
        ));
    }
    println!("{}\n", report::machine());
    println!("| capture | flows, MiB | flows --no-timeouts, MiB | analyze, MiB |\n|---|---:|---:|---:|");
    for (name, file) in files {
        let file = file.to_string_lossy();
        let mut cells = Vec::new();
        for arguments in [
            &["flows", &file][..],
            &["flows", "--no-timeouts", &file],
            &["analyze", "--json", &file],
        ] {
            let mut run = contender("lynceus", &program, arguments);
            measure(&mut run, false)?;
            cells.push(run.memory.to_string());
        }
        println!("| {name} | {} |", cells.join(" | "));
    }
    Ok(())
}

/// Three packets of each flow, in three rounds over all flows: SYN, SYN-ACK, ACK.
fn write_open_flows(path: &Path) -> anyhow::Result<()> {
    let mut file = begin(path)?;
    let mut nanos = 0;
    for (from_client, flags) in [(true, 0x02), (false, 0x12), (true, 0x10)] {
        for flow in 0..FLOWS {
            let frame = frame(flow % CLIENTS, flow / CLIENTS, from_client, flags);
            packet(&mut file, nanos, &frame)?;
            nanos += NANOS_PER_PACKET;
        }
    }
    Ok(file.flush()?)
}

/// Flows of three packets, SYN, SYN-ACK, RST, evenly over the time, each client's to another server than its last one.
fn write_days(path: &Path, days: u32) -> anyhow::Result<()> {
    let mut file = begin(path)?;
    let pause = 3_600_000_000_000 / u64::from(FLOWS_AN_HOUR * DAY_CLIENTS);
    let mut nanos = 0;
    for round in 0..days * 24 * FLOWS_AN_HOUR {
        for client in 0..DAY_CLIENTS {
            for (place, (from_client, flags)) in [(true, 0x02), (false, 0x12), (true, 0x04)]
                .into_iter()
                .enumerate()
            {
                let frame = frame(client, round, from_client, flags);
                packet(&mut file, nanos + place as u64 * 1_000_000, &frame)?;
            }
            nanos += pause;
        }
    }
    Ok(file.flush()?)
}

/// A pcap file of Ethernet frames with nanoseconds.
fn begin(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    Ok(file)
}

fn packet(file: &mut impl Write, nanos: u64, frame: &[u8]) -> anyhow::Result<()> {
    let head = [
        (START_SECONDS + nanos / 1_000_000_000) as u32,
        (nanos % 1_000_000_000) as u32,
        frame.len() as u32,
        frame.len() as u32,
    ];
    for word in head {
        file.write_all(&word.to_le_bytes())?;
    }
    Ok(file.write_all(frame)?)
}

/// TCP without options over IPv4 over Ethernet. Checksums are 0: nobody here looks at them.
fn frame(client: u32, round: u32, from_client: bool, flags: u8) -> [u8; 54] {
    let client = (0x0a00_0000 | client).to_be_bytes();
    let server = (0x5db8_0000 | round).to_be_bytes();
    let port = (10_000 + round as u16).to_be_bytes();
    let mut frame = [0; 54];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    let https = 443_u16.to_be_bytes();
    let (ends, ports) = if from_client {
        ([client, server], [port, https])
    } else {
        ([server, client], [https, port])
    };
    frame[26..34].copy_from_slice(ends.as_flattened());
    frame[34..38].copy_from_slice(ports.as_flattened());
    frame[46..48].copy_from_slice(&[0x50, flags]);
    frame
}
