//! The table's user side: the full cache read in place, records merged into flows.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use lynceus_sensor::clock::WallClock;
use lynceus_sensor::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use lynceus_tests::mutator::{Flows, Layer, Mutator};
use lynceus_tests::traffic::pin_to_cpu;
use sensor_ebpf::flow::{
    FlowKey, FlowRecord, Handshake, HookDirection, Point, Side, SideCounters, v4_mapped,
};

use super::designs::Designs;
use super::median;
use super::packets::PACKETS;
use super::traffic::{DATA, SYN, frame, permuted};

const MERGED: usize = 1 << 20;

/// Every entry of the full cache of one CPU, read in place: of a flood of data, whose entries have no cold fields, and of a
/// flood of SYNs, whose entries have them where the handshake got the precise clock.
pub(super) fn read(designs: &mut Designs) -> Result<()> {
    pin_to_cpu(0)?;
    println!(
        "| reading a full cache in place | entries | of them with cold fields | ns an entry |\n|---|---|---|---|"
    );
    for (flags, payload) in [(DATA, &b"sixsix"[..]), (SYN, &[])] {
        let frame = frame(flags, payload);
        let flood = Mutator::new(Layer::Tc, Flows::New)?;
        for design in &mut designs.ours {
            // Twice the entries of the largest cache: none is left of what was there.
            flood.run(design.program(Layer::Tc)?, &frame, 0, PACKETS)?;
            let (mut times, mut entries, mut cold) = (Vec::new(), 0, 0);
            for _ in 0..101 {
                let start = Instant::now();
                let swept = design.cache.read(0, |record| {
                    black_box(&record);
                });
                times.push(start.elapsed().as_nanos() as f64 / swept.entries as f64);
                entries = swept.entries;
            }
            // Apart from the timed readings.
            design
                .cache
                .sweep(0, false, |entry| cold += u32::from(entry.cold.is_some()));
            ensure!(entries > 0, "the cache is full after a flood");
            println!("| {} | {entries} | {cold} | {:.1} |", design.name, median(times));
        }
    }
    println!();
    Ok(())
}

/// Records into the table of flows, in an order that is not that of memory.
pub(super) fn merge() -> Result<()> {
    let mut table = FlowTable::new(FlowTableConfig {
        expiry: Expiry::Timeouts(Timeouts::default()),
        max_flows: MERGED,
        when_full: WhenFull::Fail,
    });
    let clock = WallClock::now();
    let (order, mut ended) = (permuted(MERGED), Vec::new());
    println!("| merging records into {MERGED} flows | ns a record |\n|---|---|");
    for (name, pass, cold) in [
        ("first record of a flow, without cold fields", 0, false),
        ("further record of a flow, without cold fields", 1, false),
        ("further record of a flow, with cold fields", 2, true),
    ] {
        let mut times = Vec::new();
        for flows in order.chunks(1 << 12) {
            let records: Vec<FlowRecord> = flows.iter().map(|flow| record(*flow, pass, cold)).collect();
            let start = Instant::now();
            table.records(&records, clock, &mut ended)?;
            times.push(start.elapsed().as_nanos() as f64 / records.len() as f64);
        }
        println!("| {name} | {:.1} |", median(times));
    }
    ensure!(ended.is_empty(), "no flow ended");
    Ok(())
}

/// A record of one packet; `cold`: with what comes out of the cold half of an entry.
fn record(flow: u32, pass: u64, cold: bool) -> FlowRecord {
    let time = 1_000_000_000 + pass * 10_000_000;
    let mut key = FlowKey {
        protocol: 6,
        ..FlowKey::default()
    };
    let origin = key.set_ends(
        (v4_mapped(flow.to_be_bytes()), flow as u16),
        (v4_mapped([198, 51, 100, 7]), 443),
    );
    let mut sides = [SideCounters::default(); 2];
    sides[origin as usize] = SideCounters {
        packets: 1,
        ip_bytes: 46,
        wire_bytes: 60,
        first: time,
        last: time,
        tcp_flags: 0x18,
        ttl_min: 61,
        ttl_max: 61,
        flag_counts: [0, 0, 0, 1, 1, 0, 0, 0],
        fragments: u32::from(cold),
    };
    FlowRecord {
        key,
        point: Point {
            ifindex: 1,
            direction: HookDirection::Ingress,
        },
        cpu: 0,
        incarnation: u64::from(flow) * 3 + pass + 1,
        origin: if origin as usize == 0 {
            Side::Low
        } else {
            Side::High
        },
        sides,
        handshake: match cold {
            true => Handshake {
                syn: Some(time),
                syn_ack: Some(time + 20_000_000),
                ack: Some(time + 21_000_000),
            },
            false => Handshake::default(),
        },
        outer: None,
    }
}
