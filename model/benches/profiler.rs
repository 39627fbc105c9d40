//! Time per flow report through the profiler: usual traffic, one scanner, and a flood of sources.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Direction;

const FLOWS: u64 = 100_000;

/// SplitMix64.
fn mixed(n: u64) -> u64 {
    let mut word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 27)
}

fn update(n: u64, client: u32, server: u32, port: u16, state: ConnState) -> FlowUpdate {
    let first = Timestamp(n as i64 * 1_000_000);
    let out = Totals {
        packets: 10,
        bytes: 1_500 + mixed(n) % 1_000,
        ..Totals::default()
    };
    let mut id = [0; 20];
    id[..8].copy_from_slice(&mixed(n).to_be_bytes());
    FlowUpdate {
        flow: Flow {
            tuple: FiveTuple {
                originator: Endpoint {
                    ip: IpAddr::from(client.to_be_bytes()),
                    port: mixed(n) as u16,
                },
                responder: Endpoint {
                    ip: IpAddr::from(server.to_be_bytes()),
                    port,
                },
                protocol: 6,
            },
            community_id: CommunityId(id),
            first,
            last: first.saturating_add(Duration::from_millis(mixed(n) % 5_000)),
            out,
            back: out,
            state,
            icmp: None,
            vlan: Vec::new(),
            tunnel: None,
            rtt: None,
            seen_at: Vec::new(),
            service: lynceus_model::flow::Service::Unseen,
            reported: None,
        },
        new_out: out,
        new_back: out,
        part: 0,
        end: FlowEnd::Closed,
    }
}

/// 200 hosts, each with its own 50 servers on the usual ports.
fn usual() -> Vec<FlowUpdate> {
    let ports = [443, 443, 443, 80, 53, 22, 993, 8080];
    (0..FLOWS)
        .map(|n| {
            let draw = mixed(n);
            let client = (draw % 200) as u32;
            let server = 0x5db8_0000 | (client << 6) | ((draw >> 16) as u32 % 50);
            update(
                n,
                0x0a00_0001 + client,
                server,
                ports[(draw >> 40) as usize % 8],
                ConnState::Sf,
            )
        })
        .collect()
}

/// One host tries hosts and ports at random, all tables overflow.
fn scanner() -> Vec<FlowUpdate> {
    (0..FLOWS)
        .map(|n| {
            update(
                n,
                0x0a00_0001,
                mixed(n) as u32 | 0x4000_0000,
                (mixed(n) >> 40) as u16,
                ConnState::S0,
            )
        })
        .collect()
}

/// Every flow from another address to one victim.
fn flood() -> Vec<FlowUpdate> {
    (0..FLOWS)
        .map(|n| update(n, mixed(n) as u32, 0x0a00_0001, 443, ConnState::S0))
        .collect()
}

fn run(updates: Vec<FlowUpdate>) -> usize {
    let mut profiler = Profiler::new(ProfilerConfig {
        direction: Direction::All,
        ..ProfilerConfig::default()
    });
    let mut out = Vec::new();
    let mut count = 0;
    for (number, update) in updates.into_iter().enumerate() {
        profiler.observe(update);
        if number % 4_096 == 0 {
            profiler.drain(&mut out);
            count += out.drain(..).count();
        }
    }
    profiler.finish();
    profiler.drain(&mut out);
    count + out.len()
}

fn profiler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("profiler");
    group.throughput(Throughput::Elements(FLOWS));
    group.sample_size(10);
    for (name, updates) in [("usual", usual()), ("scanner", scanner()), ("flood", flood())] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || updates.clone(),
                |updates| black_box(run(updates)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, profiler);
criterion_main!(benches);
