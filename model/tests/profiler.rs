//! The profiler as a whole: what goes in is counted once, whatever the cuts, the order of draining and the number of
//! sensors.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Arp};
use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals};
use lynceus_model::profile::{LetterBook, LetterKey, PortKey, ProfileDelta, TupleKey};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{Direction, SensorId, Stage, WindowId, WindowUpdate};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Spec {
    client: u8,
    server: u16,
    source: u16,
    port: u16,
    start_ms: i64,
    nanos: u64,
    bytes: u64,
    established: bool,
}

fn spec() -> impl Strategy<Value = Spec> {
    let ends = (0_u8..6, 0_u16..2_000, 1_024_u16..1_400, 0_u16..40);
    (
        ends,
        0_i64..8_000_000,
        0_u64..20_000_000_000,
        40_u64..1 << 32,
        any::<bool>(),
    )
        .prop_map(
            |((client, server, source, port), start_ms, nanos, bytes, established)| Spec {
                client,
                server,
                source,
                port,
                start_ms,
                nanos,
                bytes,
                established,
            },
        )
}

fn client(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number + 1])
}

fn server(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([93, 184, high, low])
}

fn update(spec: &Spec) -> FlowUpdate {
    let first = Timestamp(spec.start_ms * 1_000_000);
    let out = Totals {
        packets: 3,
        bytes: spec.bytes,
        wire_bytes: spec.bytes + 42,
        ..Totals::default()
    };
    let back = if spec.established {
        Totals {
            packets: 2,
            bytes: 100,
            ..out
        }
    } else {
        Totals::default()
    };
    let mut id = [0; 20];
    id[..2].copy_from_slice(&spec.server.to_be_bytes());
    id[2..4].copy_from_slice(&spec.source.to_be_bytes());
    id[4] = spec.client;
    id[5..7].copy_from_slice(&spec.port.to_be_bytes());
    FlowUpdate {
        flow: Flow {
            tuple: FiveTuple {
                originator: Endpoint {
                    ip: client(spec.client),
                    port: spec.source,
                },
                responder: Endpoint {
                    ip: server(spec.server),
                    port: spec.port,
                },
                protocol: 6,
            },
            community_id: CommunityId(id),
            first,
            last: first.saturating_add(Duration::from_nanos(spec.nanos)),
            out,
            back,
            state: if spec.established {
                ConnState::Sf
            } else {
                ConnState::S0
            },
            icmp: None,
            vlan: Vec::new(),
            tunnel: None,
            rtt: None,
            seen_at: Vec::new(),
            service: lynceus_model::flow::Service::Unseen,
            reported: None,
        },
        new_out: out,
        new_back: back,
        part: 0,
        end: FlowEnd::Idle,
    }
}

fn config() -> ProfilerConfig {
    ProfilerConfig {
        direction: Direction::All,
        ..ProfilerConfig::default()
    }
}

/// Runs everything through one profiler, draining after every `step` events.
fn run(config: ProfilerConfig, updates: &[FlowUpdate], step: usize) -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(config);
    let mut out = Vec::new();
    for (number, update) in updates.iter().enumerate() {
        profiler.observe(update.clone());
        if number % step == 0 {
            profiler.drain(&mut out);
        }
    }
    profiler.finish();
    profiler.drain(&mut out);
    assert_eq!(profiler.windows(), 0);
    out
}

fn merge(updates: &[WindowUpdate]) -> BTreeMap<WindowId, ProfileDelta> {
    let mut merged = BTreeMap::new();
    for update in updates {
        let window = update.delta.window;
        let profile = merged.entry(window).or_insert_with(|| ProfileDelta::new(window));
        assert!(profile.merge(&update.delta));
    }
    merged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn draining_changes_nothing(specs in prop::collection::vec(spec(), 0..600), step in 1_usize..100) {
        let updates: Vec<FlowUpdate> = specs.iter().map(update).collect();
        prop_assert!(run(config(), &updates, step) == run(config(), &updates, usize::MAX));
    }

    #[test]
    fn totals_are_those_of_the_flows(specs in prop::collection::vec(spec(), 0..600)) {
        let updates: Vec<FlowUpdate> = specs.iter().map(update).collect();
        let merged = merge(&run(config(), &updates, 7));
        for number in 0..6 {
            let mine = |delta: &&ProfileDelta| delta.window.profile == client(number);
            let flows: u64 = merged.values().filter(mine).map(|delta| delta.totals.flows()).sum();
            let bytes: u64 = merged
                .values()
                .filter(mine)
                .map(|delta| {
                    delta.totals.client_established.bytes() + delta.totals.client_not_established.bytes()
                })
                .sum();
            let own: Vec<&FlowUpdate> =
                updates.iter().filter(|update| update.flow.tuple.originator.ip == client(number)).collect();
            prop_assert_eq!(flows, own.len() as u64);
            prop_assert_eq!(bytes, own.iter().map(|u| u.flow.out.bytes + u.flow.back.bytes).sum::<u64>());
        }
        let carried: usize = run(config(), &updates, 7).iter().map(|update| update.flows.len()).sum();
        prop_assert_eq!(carried, updates.len(), "each report travels once");
    }

    #[test]
    fn several_sensors_are_as_one(specs in prop::collection::vec(spec(), 0..600), refresh in 1_u64..5_000) {
        let updates: Vec<FlowUpdate> = specs.iter().map(update).collect();
        let mut together = merge(&run(config(), &updates, 9));
        let mut parts = Vec::new();
        for sensor in 0..3 {
            let own: Vec<FlowUpdate> = updates.iter().skip(sensor).step_by(3).cloned().collect();
            let config = ProfilerConfig {
                sensor: SensorId([sensor as u8; 16]),
                refresh: Duration::from_secs(refresh),
                ..config()
            };
            parts.extend(run(config, &own, 5));
        }
        let mut apart = merge(&parts);
        // Each sensor writes letters of what it saw, so these differ by design.
        for delta in together.values_mut().chain(apart.values_mut()) {
            delta.letters = LetterBook::default();
            delta.not_carried = Default::default();
        }
        prop_assert!(together == apart);
    }

    #[test]
    fn letters_do_not_depend_on_the_order_of_reports(
        specs in prop::collection::vec(spec(), 0..200),
        seed in any::<u64>(),
    ) {
        // One client and one tuple, reports within the wait in any order.
        let mut updates: Vec<FlowUpdate> = specs
            .iter()
            .enumerate()
            .map(|(n, spec)| {
                let start_ms = spec.start_ms % 500_000;
                update(&Spec { client: 1, server: 1, port: 1, source: n as u16, start_ms, ..*spec })
            })
            .collect();
        let text = |updates: &[FlowUpdate]| {
            merge(&run(config(), updates, 11))
                .values()
                .flat_map(|delta| delta.letters.entries().map(|(_, key, letters)| (*key, letters.clone())).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        let expected = text(&updates);
        updates.sort_by_key(|update| {
            (update.flow.first.0 as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
        });
        prop_assert_eq!(text(&updates), expected);
    }
}

fn plain(start_ms: i64, source: u16) -> Spec {
    Spec {
        client: 1,
        server: 1,
        source,
        port: 443,
        start_ms,
        nanos: 50_000_000,
        bytes: 900,
        established: true,
    }
}

/// The measured example of the letters, through the profiler and cut into many deltas, in both directions.
#[test]
fn letters_of_a_beacon() {
    let updates: Vec<FlowUpdate> = (0..150).map(|n| update(&plain(n * 2_000, n as u16))).collect();
    let merged = merge(&run(config(), &updates, 3));
    let (letters, keys): (Vec<&str>, Vec<&LetterKey>) = merged
        .values()
        .flat_map(|delta| {
            delta
                .letters
                .entries()
                .map(|(_, key, letters)| (letters.text.as_str(), key))
        })
        .unzip();
    let expected = format!("44{}", "d.".repeat(148));
    assert_eq!(letters, [expected.as_str(), expected.as_str()]);
    assert_eq!(keys.iter().filter(|key| key.incoming).count(), 1);
}

#[test]
fn a_long_flow_counts_once_and_its_parts_where_they_fall() {
    let mut reports = Vec::new();
    for part in 0..4_u32 {
        let mut update = update(&plain(0, 1));
        update.part = part;
        update.flow.last = Timestamp::from_secs(1_800 * (i64::from(part) + 1) - 1);
        update.end = FlowEnd::Active;
        reports.push(update);
    }
    let merged = merge(&run(ProfilerConfig::default(), &reports, 1));
    let totals: Vec<(i64, u64, u64)> = merged
        .iter()
        .map(|(window, delta)| {
            let counts = delta.totals.client_established;
            (window.start.0 / 1_000_000_000, counts.flows, counts.packets_sent)
        })
        .collect();
    assert_eq!(totals, [(0, 1, 6), (3_600, 0, 6)]);
}

#[test]
fn a_flow_seen_from_its_syn_ack_on_belongs_to_the_client() {
    let mut update = update(&plain(0, 40_000));
    // As seen: the server's SYN-ACK came first.
    std::mem::swap(
        &mut update.flow.tuple.originator,
        &mut update.flow.tuple.responder,
    );
    update.flow.state = ConnState::Oth;
    update.flow.out.flag_counts = [0, 1, 0, 0, 3, 0, 0, 0];
    update.flow.back.flag_counts = [0, 0, 0, 0, 2, 0, 0, 0];
    let merged = merge(&run(ProfilerConfig::default(), &[update], 1));
    let (window, delta) = merged.first_key_value().unwrap();
    assert_eq!(window.profile, client(1));
    let tuple = TupleKey {
        established: true,
        protocol: 6,
        port: 443,
        ip: server(1),
    };
    assert_eq!(delta.out_tuples.get(&tuple).unwrap().counts.packets_received, 3);
    let source = PortKey {
        established: true,
        protocol: 6,
        port: 40_000,
    };
    assert!(delta.client_source_ports.get(&source).is_some());
}

#[test]
fn windows_close_in_order_and_late_reports_still_count() {
    let config = ProfilerConfig {
        reorder_wait: Duration::from_secs(60),
        ..ProfilerConfig::default()
    };
    let reports = [
        update(&plain(0, 1)),
        update(&plain(3_600_000, 2)),
        update(&plain(3_700_000, 3)),
        update(&plain(1_000, 4)),
    ];
    let stages: Vec<(i64, Stage, u64)> = run(config, &reports, 1)
        .iter()
        .map(|update| {
            (
                update.delta.window.start.0 / 1_000_000_000,
                update.stage,
                update.delta.totals.flows(),
            )
        })
        .collect();
    assert_eq!(
        stages,
        [
            (0, Stage::Refreshed, 1),
            (3_600, Stage::Refreshed, 1),
            (0, Stage::Closed, 0),
            (0, Stage::Refreshed, 1),
            (3_600, Stage::Refreshed, 1),
            (0, Stage::Closed, 0),
            (3_600, Stage::Closed, 0)
        ]
    );
}

#[test]
fn a_flood_of_sources_stays_in_bounds_and_is_counted() {
    let config = ProfilerConfig {
        max_windows: 64,
        carry_bytes: 100_000,
        ..ProfilerConfig::default()
    };
    let mut profiler = Profiler::new(config);
    let mut updates = Vec::new();
    for n in 0..5_000_u32 {
        let mut update = update(&plain(i64::from(n), 1));
        update.flow.tuple.originator.ip = IpAddr::from(n.to_be_bytes());
        profiler.observe(update);
        assert!(profiler.windows() <= 64);
        profiler.drain(&mut updates);
    }
    profiler.finish();
    profiler.drain(&mut updates);
    let flows: u64 = updates.iter().map(|update| update.delta.totals.flows()).sum();
    let carried: u64 = updates.iter().map(|update| update.flows.len() as u64).sum();
    let counters = profiler.counters();
    assert_eq!(flows, 5_000);
    assert_eq!(carried + counters.flows_not_carried, 5_000);
    assert!(counters.flows_not_carried > 0);
    assert!(counters.windows_evicted >= 4_900);
}

#[test]
fn only_home_addresses_have_profiles() {
    let home = vec!["10.0.0.0/24".parse().unwrap()];
    let merged = merge(&run(
        ProfilerConfig { home, ..config() },
        &[update(&plain(0, 1))],
        1,
    ));
    assert_eq!(
        merged.keys().map(|window| window.profile).collect::<Vec<_>>(),
        [client(1)]
    );
}

#[test]
fn arp_targets_are_those_that_were_asked_for() {
    let arp = |target: [u8; 4], target_mac| AppRecord {
        time: Timestamp::from_secs(1),
        tuple: FiveTuple {
            originator: Endpoint {
                ip: client(1),
                port: 0,
            },
            responder: Endpoint {
                ip: IpAddr::from(target),
                port: 0,
            },
            protocol: 0,
        },
        community_id: None,
        from_responder: false,
        event: AppEvent::Arp(Arp {
            operation: 1,
            sender_mac: [2; 6],
            sender: client(1),
            target_mac,
            target: IpAddr::from(target),
            frame_destination: Some([255; 6]),
            discovery: None,
        }),
    };
    let mut profiler = Profiler::new(ProfilerConfig {
        plan: WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_secs(3_600),
        },
        ..ProfilerConfig::default()
    });
    profiler.observe_app(arp([10, 0, 0, 9], [0; 6]));
    profiler.observe_app(arp([10, 0, 0, 8], [3; 6]));
    profiler.observe_app(arp([10, 0, 0, 2], [0; 6]));
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    assert_eq!(updates.len(), 2, "what is new, then the end");
    assert_eq!(updates[0].delta.apps.arp, 3);
    let targets: Vec<IpAddr> = updates[0]
        .delta
        .arp_targets
        .rows()
        .map(|(key, _)| key.target)
        .collect();
    assert_eq!(
        targets,
        [IpAddr::from([10, 0, 0, 9])],
        "no refresh, no gratuitous request"
    );
}
