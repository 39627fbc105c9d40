//! Nanoseconds to merge a kernel record, and to count a packet, in tables of different sizes; every flow's memory is
//! visited in an order that is not its own. `cargo xtask bench table` runs it; it prints a markdown table.
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::Instant;

use lynceus_model::time::Timestamp;
use lynceus_sensor::clock::WallClock;
use lynceus_sensor::flow_table::{
    Expiry, FlowTable, FlowTableConfig, TableFull, TimedPacket, Timeouts, WhenFull,
};
use sensor_ebpf::flow::{
    FlowKey, FlowRecord, Handshake, HookDirection, Point, Side, SideCounters, v4_mapped,
};
use sensor_ebpf::parse::Packet;

/// Records and packets that are handed over at once, as the sensor does.
const CHUNK: usize = 2048;
/// Flows of the tables.
const SIZES: [usize; 3] = [10_000, 1 << 20, 10_000_000];

fn main() -> Result<(), TableFull> {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    println!(
        "| flows | first record | further record | one by one | first packet | further packet | one by one |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for flows in SIZES {
        let [first, further, single] = records(flows)?;
        let [first_packet, further_packet, single_packet] = packets(flows)?;
        println!(
            "| {flows} | {first:.0} | {further:.0} | {single:.0} | {first_packet:.0} | {further_packet:.0} | {single_packet:.0} |"
        );
    }
    Ok(())
}

fn table(flows: usize) -> FlowTable {
    FlowTable::new(FlowTableConfig {
        expiry: Expiry::Timeouts(Timeouts::default()),
        max_flows: flows,
        when_full: WhenFull::Fail,
    })
}

fn records(flows: usize) -> Result<[f64; 3], TableFull> {
    let (mut table, clock, order) = (table(flows), WallClock::default(), permuted(flows));
    let (mut ended, mut chunk) = (Vec::new(), Vec::with_capacity(CHUNK));
    let mut medians = [0.0; 3];
    for (pass, median) in medians.iter_mut().enumerate() {
        let mut times = Vec::new();
        for numbers in order.chunks(CHUNK) {
            chunk.clear();
            chunk.extend(numbers.iter().map(|flow| record(*flow, pass as u64)));
            let start = Instant::now();
            if pass < 2 {
                table.records(&chunk, clock, &mut ended)?;
            } else {
                for record in &chunk {
                    table.record(record, clock, &mut ended)?;
                }
            }
            times.push(start.elapsed().as_nanos() as f64 / chunk.len() as f64);
        }
        *median = middle(times);
    }
    assert!(ended.is_empty(), "no flow ended");
    Ok(medians)
}

fn packets(flows: usize) -> Result<[f64; 3], TableFull> {
    let (mut table, order) = (table(flows), permuted(flows));
    let (mut ended, mut chunk) = (Vec::new(), Vec::with_capacity(CHUNK));
    let mut medians = [0.0; 3];
    for (pass, median) in medians.iter_mut().enumerate() {
        let mut times = Vec::new();
        for numbers in order.chunks(CHUNK) {
            chunk.clear();
            chunk.extend(numbers.iter().map(|flow| packet(*flow, pass as i64)));
            let start = Instant::now();
            if pass < 2 {
                table.packets(&chunk, &mut ended)?;
            } else {
                for timed in &chunk {
                    table.packet(&timed.packet, timed.time, timed.wire_len, &mut ended)?;
                }
            }
            times.push(start.elapsed().as_nanos() as f64 / chunk.len() as f64);
        }
        *median = middle(times);
    }
    assert!(ended.is_empty(), "no flow ended");
    Ok(medians)
}

fn key(flow: u32) -> (FlowKey, Side) {
    let mut key = FlowKey {
        protocol: 6,
        ..FlowKey::default()
    };
    let origin = key.set_ends(
        (v4_mapped(flow.to_be_bytes()), flow as u16),
        (v4_mapped([198, 51, 100, 7]), 443),
    );
    (key, origin)
}

fn record(flow: u32, pass: u64) -> FlowRecord {
    let time = 1_000_000_000 + pass * 10_000_000;
    let (key, origin) = key(flow);
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
        fragments: 0,
    };
    FlowRecord {
        key,
        point: Point {
            ifindex: 1,
            direction: HookDirection::Ingress,
        },
        cpu: 0,
        incarnation: u64::from(flow) * 2 + pass + 1,
        origin,
        sides,
        handshake: Handshake::default(),
        outer: None,
    }
}

fn packet(flow: u32, pass: i64) -> TimedPacket {
    let (key, sender) = key(flow);
    TimedPacket {
        packet: Packet {
            key,
            sender,
            ip_len: 46,
            tcp_flags: 0x18,
            ..Packet::default()
        },
        time: Timestamp(1_000_000_000 + pass * 10_000_000),
        wire_len: 60,
    }
}

/// All numbers below `count`, each once, far from its neighbours (an odd step over a power of two).
fn permuted(count: usize) -> Vec<u32> {
    let mask = count.next_power_of_two() - 1;
    let mut at = 0_usize;
    let mut order = Vec::with_capacity(count);
    for _ in 0..=mask {
        at = (at.wrapping_mul(1_664_525) + 1_013_904_223) & mask;
        if at < count {
            order.push(at as u32);
        }
    }
    order
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
