//! Flows out of the kernel's records: what was seen twice counts once, and the order of records does not matter.

use std::time::Duration;

use lynceus_model::flow::{ConnState, Flow, FlowEnd, FlowUpdate, SeenAt};
use lynceus_sensor::clock::WallClock;
use lynceus_sensor::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use proptest::prelude::*;
use sensor_ebpf::flow::{
    FlowKey, FlowRecord, Handshake, HookDirection, Point, Side, SideCounters, v4_mapped,
};

const SECOND: u64 = 1_000_000_000;
const SYN: u8 = 2;
const ACK: u8 = 16;
const IN0: Point = Point {
    ifindex: 3,
    direction: HookDirection::Ingress,
};
const OUT0: Point = Point {
    ifindex: 3,
    direction: HookDirection::Egress,
};
const OUT1: Point = Point {
    ifindex: 4,
    direction: HookDirection::Egress,
};

/// 10.0.0.1:`low_port` and 10.0.0.2:`high_port`.
fn key(protocol: u8, low_port: u16, high_port: u16) -> FlowKey {
    let mut key = FlowKey {
        protocol,
        ..FlowKey::default()
    };
    key.set_ends(
        (v4_mapped([10, 0, 0, 1]), low_port),
        (v4_mapped([10, 0, 0, 2]), high_port),
    );
    key
}

/// Packets of 100 bytes, each with `flags`.
fn packets(count: u64, first: u64, last: u64, flags: u8) -> SideCounters {
    let mut flag_counts = [0; 8];
    for (bit, flag) in flag_counts.iter_mut().enumerate() {
        *flag = u32::from(flags >> bit & 1) * count as u32;
    }
    SideCounters {
        packets: count,
        ip_bytes: count * 100,
        wire_bytes: count * 114,
        first,
        last,
        tcp_flags: flags,
        flag_counts,
        ..SideCounters::default()
    }
}

fn record(key: FlowKey, point: Point, cpu: u16, origin: Side, sides: [SideCounters; 2]) -> FlowRecord {
    FlowRecord {
        key,
        point,
        cpu,
        incarnation: 1,
        origin,
        sides,
        handshake: Handshake::default(),
        outer: None,
    }
}

const NONE: SideCounters = SideCounters {
    packets: 0,
    ip_bytes: 0,
    wire_bytes: 0,
    first: 0,
    last: 0,
    tcp_flags: 0,
    ttl_min: 0,
    ttl_max: 0,
    flag_counts: [0; 8],
    fragments: 0,
};

fn table(expiry: Expiry) -> FlowTable {
    let mut table = FlowTable::new(FlowTableConfig {
        expiry,
        max_flows: 1000,
        when_full: WhenFull::Evict,
    });
    table.name_interface(3, "eth0");
    table.name_interface(4, "eth1");
    table
}

fn flows(records: &[FlowRecord]) -> Vec<Flow> {
    let mut table = table(Expiry::Never);
    let mut ended = Vec::new();
    for record in records {
        table
            .record(record, WallClock::default(), &mut ended)
            .expect("a table that evicts is never full");
    }
    while table.finish(100, &mut ended) {}
    ended.into_iter().map(|update| update.flow).collect()
}

fn one_flow(records: &[FlowRecord]) -> Flow {
    let mut flows = flows(records);
    assert_eq!(flows.len(), 1);
    flows.remove(0)
}

fn seen(interface: &str, egress: bool, packets: u64) -> SeenAt {
    SeenAt {
        interface: interface.to_owned(),
        egress,
        packets,
    }
}

#[test]
fn a_router_counts_once() {
    let key = key(6, 40_000, 443);
    let there = packets(5, 1_000, 9_000, ACK);
    let back = packets(7, 2_000, 9_500, ACK);
    let records = [
        record(key, IN0, 0, Side::Low, [there, NONE]),
        record(key, OUT1, 0, Side::Low, [there, NONE]),
        record(
            key,
            Point {
                ifindex: 4,
                direction: HookDirection::Ingress,
            },
            1,
            Side::High,
            [NONE, back],
        ),
        record(key, OUT0, 1, Side::High, [NONE, back]),
    ];
    let flow = one_flow(&records);
    assert_eq!(
        (flow.out.packets, flow.out.bytes, flow.out.flag_counts[4]),
        (5, 500, 5)
    );
    assert_eq!((flow.back.packets, flow.back.wire_bytes), (7, 798));
    assert_eq!(flow.tuple.originator.port, 40_000);
    let mut points = flow.seen_at.clone();
    assert_eq!(points[0], seen("eth0", false, 5));
    assert_eq!(points[1], seen("eth1", false, 7));
    points[2..].sort_by_key(|point| point.interface.clone());
    assert_eq!(points[2..], [seen("eth0", true, 7), seen("eth1", true, 5)]);
}

#[test]
fn a_host_joins_its_ingress_and_egress() {
    let key = key(17, 53, 50_000);
    let query = record(key, OUT0, 0, Side::High, [NONE, packets(1, 1_000, 1_000, 0)]);
    let answer = record(key, IN0, 1, Side::Low, [packets(1, 1_000, 1_000, 0), NONE]);
    // Within one tick of the clock: the ports tell who asked.
    for records in [[query, answer], [answer, query]] {
        let flow = one_flow(&records);
        assert_eq!(
            (flow.tuple.originator.port, flow.tuple.responder.port),
            (50_000, 53)
        );
        assert_eq!((flow.out.packets, flow.back.packets), (1, 1));
        assert_eq!(flow.seen_at, [seen("eth0", true, 1), seen("eth0", false, 1)]);
        assert_eq!(flow.state, ConnState::Sf);
    }
}

#[test]
fn flags_tell_who_began_within_a_tick() {
    // Ports alone would say the opposite.
    let key = key(6, 80, 22);
    let syn = record(key, OUT0, 0, Side::High, [NONE, packets(1, 1_000, 1_000, SYN)]);
    let syn_ack = record(
        key,
        IN0,
        0,
        Side::Low,
        [packets(1, 1_000, 1_000, SYN | ACK), NONE],
    );
    for records in [[syn, syn_ack], [syn_ack, syn]] {
        let flow = one_flow(&records);
        assert_eq!(flow.tuple.originator.port, 22);
        assert_eq!(flow.state, ConnState::S1);
    }
}

#[test]
fn time_beats_ports() {
    let key = key(17, 53, 50_000);
    let late = record(key, OUT0, 0, Side::High, [NONE, packets(1, 2_000, 2_000, 0)]);
    let early = record(key, IN0, 1, Side::Low, [packets(1, 1_000, 1_000, 0), NONE]);
    for records in [[late, early], [early, late]] {
        assert_eq!(one_flow(&records).tuple.originator.port, 53);
    }
}

#[test]
fn icmp_types_tell_who_asked() {
    let key = key(1, 0, 8);
    let request = record(key, OUT0, 0, Side::High, [NONE, packets(1, 1_000, 1_000, 0)]);
    let reply = record(key, IN0, 1, Side::Low, [packets(1, 1_000, 1_000, 0), NONE]);
    for records in [[request, reply], [reply, request]] {
        let flow = one_flow(&records);
        assert_eq!((flow.tuple.originator.port, flow.icmp), (8, Some((8, 0))));
    }
}

#[test]
fn the_handshake_is_measured_over_two_points() {
    let key = key(6, 443, 40_000);
    let mut syn = record(key, OUT0, 0, Side::High, [NONE, packets(1, 1_000, 1_000, SYN)]);
    syn.handshake.syn = Some(1_500);
    let mut syn_ack = record(
        key,
        IN0,
        1,
        Side::Low,
        [packets(1, 9_000, 9_000, SYN | ACK), NONE],
    );
    syn_ack.handshake.syn_ack = Some(9_250);
    for records in [[syn, syn_ack], [syn_ack, syn]] {
        assert_eq!(one_flow(&records).rtt, Some(Duration::from_nanos(7_750)));
    }
}

#[test]
fn silence_ends_a_flow_and_the_next_record_begins_another() {
    let mut table = table(Expiry::Timeouts(Timeouts {
        active: None,
        ..Timeouts::default()
    }));
    let key = key(17, 53, 50_000);
    let clock = WallClock::default();
    let mut ended = Vec::new();
    let mut add = |from: u64, ended: &mut Vec<FlowUpdate>| {
        let record = record(key, IN0, 0, Side::High, [NONE, packets(2, from, from + 10, 0)]);
        table.record(&record, clock, ended).unwrap();
    };
    add(SECOND, &mut ended);
    add(30 * SECOND, &mut ended);
    assert!(ended.is_empty(), "30 s of silence are within the timeout of UDP");
    add(100 * SECOND, &mut ended);
    assert_eq!(
        (ended.len(), ended[0].end, ended[0].flow.out.packets),
        (1, FlowEnd::Idle, 4)
    );
    while table.finish(100, &mut ended) {}
    assert_eq!((ended.len(), ended[1].flow.out.packets), (2, 2));
    assert_eq!(ended[1].flow.first, clock.wall(100 * SECOND));
}

#[test]
fn points_beyond_the_list_are_told() {
    let key = key(17, 53, 50_000);
    let mut table = table(Expiry::Never);
    let mut ended = Vec::new();
    for ifindex in 10..40 {
        let point = Point {
            ifindex,
            direction: HookDirection::Ingress,
        };
        let record = record(key, point, 0, Side::Low, [packets(2, 1_000, 1_000, 0), NONE]);
        table.record(&record, WallClock::default(), &mut ended).unwrap();
    }
    assert_eq!(table.stats().unlisted_points, 15 * 2);
    while table.finish(100, &mut ended) {}
    assert_eq!((ended[0].flow.out.packets, ended[0].flow.seen_at.len()), (2, 15));
    assert_eq!(ended[0].flow.seen_at[0], seen("if10", false, 2));
}

proptest! {
    /// Whatever CPUs and points packets came through, and however their records are ordered: every packet of the first
    /// point counts once, and the same flow comes out.
    #[test]
    fn order_of_records_does_not_matter(
        parts in proptest::collection::vec((0u16..2, 1u64..5, 0u64..50), 1..8),
        seed in any::<u64>(),
    ) {
        let key = key(6, 40_000, 443);
        let mut records = Vec::new();
        for (number, (cpu, count, time)) in parts.iter().enumerate() {
            // First times differ, so that the origin is certain; the second point sees everything a little later.
            let first = time * 1_000 + number as u64;
            let sides = |at: u64| match number % 2 {
                0 => (Side::Low, [packets(*count, at, at + 10, ACK), NONE]),
                _ => (Side::High, [NONE, packets(*count, at, at + 10, ACK)]),
            };
            for (point, later) in [(IN0, 0), (OUT1, 100)] {
                let (origin, sides) = sides(first + later);
                records.push(record(key, point, *cpu, origin, sides));
            }
        }
        let straight = one_flow(&records);
        let total: u64 = parts.iter().map(|part| part.1).sum();
        prop_assert_eq!(straight.out.packets + straight.back.packets, total);
        let mut state = seed | 1;
        for place in (1..records.len()).rev() {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            records.swap(place, (state >> 33) as usize % (place + 1));
        }
        let mut shuffled = one_flow(&records);
        shuffled.seen_at.sort_by_key(|point| (point.egress, point.interface.clone()));
        let mut straight = straight;
        straight.seen_at.sort_by_key(|point| (point.egress, point.interface.clone()));
        prop_assert_eq!(shuffled, straight);
    }
}
