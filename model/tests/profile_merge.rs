//! Merging of profiles: order, cuts and repetition of parts must not show in the result.

use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::flow::CommunityId;
use lynceus_model::profile::{
    Attempt, Cell, Counts, Draws, Earliest, Key, LetterKey, Letters, PortKey, ProfileDelta, TupleKey,
};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use proptest::prelude::*;

/// One contribution to a profile.
#[derive(Clone, Debug)]
struct Piece {
    port: u16,
    ip: u32,
    bytes: u64,
    seed: u64,
    time: i64,
}

fn piece() -> impl Strategy<Value = Piece> {
    // Few enough values that rows meet, enough that tables overflow.
    (
        0_u16..700,
        0_u32..1_500,
        0_u64..1 << 40,
        any::<u64>(),
        0_i64..3_600,
    )
        .prop_map(|(port, ip, bytes, seed, time)| Piece {
            port,
            ip,
            bytes,
            seed,
            time,
        })
}

fn window() -> WindowId {
    WindowId {
        profile: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        start: Timestamp(0),
    }
}

fn add(delta: &mut ProfileDelta, piece: &Piece) {
    let time = Timestamp::from_secs(piece.time);
    let counts = Counts {
        flows: 1,
        packets_sent: 1,
        packets_received: 2,
        bytes_sent: piece.bytes,
        bytes_received: 3,
    };
    let mut id = [0; 20];
    id[..8].copy_from_slice(&piece.seed.to_be_bytes());
    let earliest = Earliest {
        first: time,
        community_id: CommunityId(id),
        packets: 1,
    };
    let cell = Cell {
        counts,
        draws: Draws::new(piece.seed, &counts),
        earliest,
        last: time,
    };
    let ip = IpAddr::V4(Ipv4Addr::from(piece.ip));
    let tuple = TupleKey {
        established: false,
        protocol: 6,
        port: piece.port,
        ip,
    };
    delta.saw(time, time);
    delta.flow_bytes.add(piece.bytes);
    delta.client_ports.add(
        PortKey {
            established: false,
            protocol: 6,
            port: piece.port,
        },
        &cell,
    );
    delta.out_tuples.add(tuple, &cell);
    delta.attempts.add(
        tuple,
        &Attempt {
            flows: 1,
            packets: 1,
            earliest,
            last: time,
        },
    );
    let key = LetterKey {
        incoming: false,
        protocol: 6,
        port: piece.port,
        ip,
    };
    let letters = Letters {
        version: piece.seed % 7 + 1,
        text: "1".repeat((piece.seed % 7 + 1) as usize),
    };
    delta.letters.put(SensorId([1; 16]), key, letters);
}

fn whole(pieces: &[Piece]) -> ProfileDelta {
    let mut delta = ProfileDelta::new(window());
    pieces.iter().for_each(|piece| add(&mut delta, piece));
    delta
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn cuts_and_order_do_not_show(
        pieces in prop::collection::vec(piece(), 0..2_500),
        cuts in prop::collection::vec(1_usize..600, 1..12),
        order in any::<u64>(),
    ) {
        let expected = whole(&pieces);
        let mut shuffled = pieces;
        shuffled.sort_by_key(|piece| piece.seed.rotate_left((order % 64) as u32) ^ order);
        let mut parts = Vec::new();
        let mut rest = shuffled.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, tail) = rest.split_at((*cut).min(rest.len()));
            parts.push(whole(part));
            rest = tail;
        }
        // As a tree: neighbours first, so that associativity is needed and not only order.
        while parts.len() > 1 {
            parts = parts
                .chunks(2)
                .map(|pair| {
                    let mut left = pair[0].clone();
                    assert!(pair.get(1).is_none_or(|right| left.merge(right)));
                    left
                })
                .collect();
        }
        let merged = parts.pop().unwrap_or_else(|| ProfileDelta::new(window()));
        prop_assert!(merged == expected);
        prop_assert!(merged.bytes() <= ProfileDelta::MAX_BYTES);
    }

    #[test]
    fn kept_rows_are_exact(pieces in prop::collection::vec(piece(), 0..2_500)) {
        let delta = whole(&pieces);
        for (key, cell) in delta.out_tuples.rows() {
            let mine: Vec<&Piece> = pieces
                .iter()
                .filter(|piece| piece.port == key.port && IpAddr::V4(Ipv4Addr::from(piece.ip)) == key.ip)
                .collect();
            prop_assert_eq!(cell.counts.flows, mine.len() as u64);
            prop_assert_eq!(cell.counts.bytes_sent, mine.iter().map(|piece| piece.bytes).sum::<u64>());
        }
        let distinct: std::collections::BTreeSet<_> = pieces.iter().map(|piece| piece.port).collect();
        let error = (delta.client_ports.distinct() - distinct.len() as f64).abs();
        prop_assert!(error <= 0.15 * distinct.len() as f64, "{} of {}", error, distinct.len());
        for (key, estimate) in delta.client_ports.heavy() {
            let sum: u64 = pieces.iter().filter(|piece| piece.port == key.port).map(|piece| piece.bytes + 3).sum();
            prop_assert!(estimate.bytes() >= sum);
            prop_assert!(key.fixed_hash() != 0);
        }
    }
}

#[test]
fn another_window_is_refused() {
    let mut delta = ProfileDelta::new(window());
    let other = ProfileDelta::new(WindowId {
        start: Timestamp(1),
        ..window()
    });
    assert!(!delta.merge(&other));
}

/// One port carries a third of the bytes in small flows while thousands of others fill the table.
#[test]
fn a_heavy_row_survives_a_full_table() {
    for heavy in 0..8_u16 {
        let mut pieces = Vec::new();
        for n in 0..20_000_u64 {
            let seed = lynceus_seed(n + u64::from(heavy) * 1_000_000);
            let port = if n % 3 == 0 {
                heavy
            } else {
                1_000 + (n % 30_000) as u16
            };
            pieces.push(Piece {
                port,
                ip: 1,
                bytes: 1_000,
                seed,
                time: 1,
            });
        }
        let delta = whole(&pieces);
        let key = PortKey {
            established: false,
            protocol: 6,
            port: heavy,
        };
        let top = delta.client_ports.top();
        assert!(delta.client_ports.truncated());
        assert_eq!(top[0].key(), &key);
        let exact = pieces.iter().filter(|piece| piece.port == heavy).count() as u64 * 1_003;
        assert!(
            (exact..exact * 21 / 20).contains(&top[0].bytes()),
            "{} of {exact}",
            top[0].bytes()
        );
    }
}

/// Any well mixed number will do.
fn lynceus_seed(n: u64) -> u64 {
    (n + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
