//! Any profile delta: every table gets rows, and now and then one gets more than it can hold.

use std::net::IpAddr;

use lynceus_model::profile::{
    AppCounts, ArpKey, Attempt, Cell, Counts, Draws, Earliest, Histogram, IcmpKey, Key, LetterBook,
    LetterKey, Letters, NotCarried, PeerKey, PortKey, ProfileDelta, Sample, Table, Totals, TupleKey,
};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{community_id, time};

pub(crate) fn delta() -> impl Strategy<Value = ProfileDelta> {
    let window = (any::<IpAddr>(), time()).prop_map(|(profile, start)| WindowId { profile, start });
    let ports = || {
        table(
            ProfileDelta::PORT_ROWS,
            any::<(bool, u8, u16)>().prop_map(|(established, protocol, port)| PortKey {
                established,
                protocol,
                port,
            }),
        )
    };
    let peers = || {
        table(
            ProfileDelta::PEER_ROWS,
            any::<(bool, u8, IpAddr)>().prop_map(|(established, protocol, ip)| PeerKey {
                established,
                protocol,
                ip,
            }),
        )
    };
    let tuples = || table(ProfileDelta::PEER_ROWS, tuple_key());
    let samples = (
        sample(ProfileDelta::ATTEMPT_ROWS, tuple_key()),
        sample(
            ProfileDelta::TARGET_ROWS,
            any::<(u8, u8, IpAddr)>().prop_map(|(protocol, kind, ip)| IcmpKey { protocol, kind, ip }),
        ),
        sample(
            ProfileDelta::TARGET_ROWS,
            any::<(i64, IpAddr)>().prop_map(|(slot, target)| ArpKey { slot, target }),
        ),
    );
    let tables = (ports(), ports(), peers(), ports(), peers(), tuples(), tuples());
    let rest = (
        option::of((time(), time())),
        totals(),
        letters(),
        vec(any::<u64>(), 0..20),
        any::<[u64; 9]>(),
        any::<[u64; 3]>(),
    );
    (window, tables, samples, rest).prop_map(
        |(window, tables, samples, (span, totals, letters, values, apps, missing))| {
            let mut histogram = Histogram::default();
            values.into_iter().for_each(|value| histogram.add(value));
            ProfileDelta {
                span: span.map(|(a, b)| (a.min(b), a.max(b))),
                totals,
                client_source_ports: tables.0,
                client_ports: tables.1,
                client_peers: tables.2,
                server_ports: tables.3,
                server_peers: tables.4,
                out_tuples: tables.5,
                in_tuples: tables.6,
                attempts: samples.0,
                icmp_targets: samples.1,
                arp_targets: samples.2,
                letters,
                flow_bytes: histogram,
                apps: AppCounts {
                    dns: apps[0],
                    dns_nxdomain: apps[1],
                    tls_client: apps[2],
                    tls_server: apps[3],
                    http_request: apps[4],
                    http_response: apps[5],
                    ssh: apps[6],
                    dhcp: apps[7],
                    arp: apps[8],
                },
                not_carried: NotCarried {
                    flows: missing[0],
                    apps: missing[1],
                    letters: missing[2],
                },
                ..ProfileDelta::new(window)
            }
        },
    )
}

fn tuple_key() -> impl Strategy<Value = TupleKey> {
    any::<(bool, u8, u16, IpAddr)>().prop_map(|(established, protocol, port, ip)| TupleKey {
        established,
        protocol,
        port,
        ip,
    })
}

fn table<K: Key>(limit: u16, keys: impl Strategy<Value = K>) -> impl Strategy<Value = Table<K>> {
    vec((keys, cell()), 0..4).prop_map(move |rows| {
        let mut table = Table::new(limit);
        rows.iter().for_each(|(key, cell)| table.add(*key, cell));
        table
    })
}

fn sample<K: Key>(limit: u16, keys: impl Strategy<Value = K>) -> impl Strategy<Value = Sample<K, Attempt>> {
    vec((keys, attempt()), 0..4).prop_map(move |rows| {
        let mut sample = Sample::new(limit);
        rows.iter().for_each(|(key, attempt)| sample.add(*key, attempt));
        sample
    })
}

pub(crate) fn cell() -> impl Strategy<Value = Cell> {
    (counts(), any::<(u64, u64)>(), earliest(), time()).prop_map(
        |(counts, (bytes, flows), earliest, last)| Cell {
            counts,
            draws: Draws { bytes, flows },
            earliest,
            last,
        },
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (any::<(u64, u64)>(), earliest(), time()).prop_map(|((flows, packets), earliest, last)| Attempt {
        flows,
        packets,
        earliest,
        last,
    })
}

fn earliest() -> impl Strategy<Value = Earliest> {
    (time(), community_id(), any::<u64>()).prop_map(|(first, community_id, packets)| Earliest {
        first,
        community_id,
        packets,
    })
}

fn counts() -> impl Strategy<Value = Counts> {
    prop_oneof![
        Just(Counts::default()),
        any::<[u64; 5]>().prop_map(
            |[flows, packets_sent, packets_received, bytes_sent, bytes_received]| Counts {
                flows,
                packets_sent,
                packets_received,
                bytes_sent,
                bytes_received,
            }
        ),
    ]
}

fn totals() -> impl Strategy<Value = Totals> {
    (counts(), counts(), counts(), counts(), any::<[u64; 4]>()).prop_map(|(a, b, c, d, flows)| Totals {
        client_established: a,
        client_not_established: b,
        server_established: c,
        server_not_established: d,
        tcp_flows: flows[0],
        udp_flows: flows[1],
        icmp_flows: flows[2],
        other_flows: flows[3],
    })
}

fn letters() -> impl Strategy<Value = LetterBook> {
    let key = any::<(bool, u8, u16, IpAddr)>().prop_map(|(incoming, protocol, port, ip)| LetterKey {
        incoming,
        protocol,
        port,
        ip,
    });
    let entry = (any::<[u8; 16]>(), key, any::<u64>(), "[a-zA-Z0-9.,*+]{0,60}");
    (vec(entry, 0..4), any::<bool>()).prop_map(|(entries, truncated)| {
        let mut book = LetterBook::default();
        for (sensor, key, version, text) in entries {
            book.put(SensorId(sensor), key, Letters { version, text });
        }
        if truncated {
            book.mark_truncated();
        }
        book
    })
}

/// A profile that saw more than its tables hold.
pub(crate) fn scanner(targets: u32) -> ProfileDelta {
    let window = WindowId {
        profile: [10, 0, 0, 1].into(),
        start: Timestamp(0),
    };
    let mut delta = ProfileDelta::new(window);
    for target in 0..targets {
        let ip = IpAddr::from(target.to_be_bytes());
        let counts = Counts {
            flows: 1,
            packets_sent: 1,
            packets_received: 0,
            bytes_sent: u64::from(target),
            bytes_received: 0,
        };
        let mut id = [0; 20];
        id[..4].copy_from_slice(&target.to_be_bytes());
        let earliest = Earliest {
            first: Timestamp(i64::from(target)),
            community_id: lynceus_model::flow::CommunityId(id),
            packets: 1,
        };
        let seed = u64::from(target).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let cell = Cell {
            counts,
            draws: Draws::new(seed, &counts),
            earliest,
            last: Timestamp(0),
        };
        let attempt = Attempt {
            flows: 1,
            packets: 1,
            earliest,
            last: Timestamp(0),
        };
        let port = (target % 65_536) as u16;
        let tuple = TupleKey {
            established: false,
            protocol: 6,
            port,
            ip,
        };
        delta.client_peers.add(
            PeerKey {
                established: false,
                protocol: 6,
                ip,
            },
            &cell,
        );
        delta.client_ports.add(
            PortKey {
                established: false,
                protocol: 6,
                port,
            },
            &cell,
        );
        delta.out_tuples.add(tuple, &cell);
        delta.attempts.add(tuple, &attempt);
        delta.arp_targets.add(
            ArpKey {
                slot: i64::from(target),
                target: ip,
            },
            &attempt,
        );
    }
    delta
}
