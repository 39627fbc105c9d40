//! The worst case of a profile's memory: every table overflows, every text is full.

use std::net::{IpAddr, Ipv6Addr};

use lynceus_model::flow::CommunityId;
use lynceus_model::profile::{
    ArpKey, Attempt, Cell, Counts, Draws, Earliest, IcmpKey, LetterKey, Letters, PeerKey, PortKey,
    ProfileDelta, TupleKey,
};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};

fn fill(delta: &mut ProfileDelta, n: u64) {
    let ip = IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64 | 1));
    let (port, protocol, established) = (n as u16, 6, n.is_multiple_of(2));
    let counts = Counts {
        flows: 1,
        packets_sent: n,
        bytes_sent: n * 1_000,
        ..Counts::default()
    };
    let earliest = Earliest {
        first: Timestamp(n as i64),
        community_id: CommunityId([n as u8; 20]),
        packets: 1,
    };
    let seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let cell = Cell {
        counts,
        draws: Draws::new(seed, &counts),
        earliest,
        last: Timestamp(n as i64),
    };
    let attempt = Attempt {
        flows: 1,
        packets: 1,
        earliest,
        last: Timestamp(n as i64),
    };
    let tuple = TupleKey {
        established,
        protocol,
        port,
        ip,
    };
    delta.client_source_ports.add(
        PortKey {
            established,
            protocol,
            port,
        },
        &cell,
    );
    delta.client_ports.add(
        PortKey {
            established,
            protocol,
            port,
        },
        &cell,
    );
    delta.server_ports.add(
        PortKey {
            established,
            protocol,
            port,
        },
        &cell,
    );
    delta.client_peers.add(
        PeerKey {
            established,
            protocol,
            ip,
        },
        &cell,
    );
    delta.server_peers.add(
        PeerKey {
            established,
            protocol,
            ip,
        },
        &cell,
    );
    delta.out_tuples.add(tuple, &cell);
    delta.in_tuples.add(tuple, &cell);
    delta.attempts.add(tuple, &attempt);
    delta.icmp_targets.add(
        IcmpKey {
            protocol: 58,
            kind: 128,
            ip,
        },
        &attempt,
    );
    delta.arp_targets.add(
        ArpKey {
            slot: n as i64,
            target: ip,
        },
        &attempt,
    );
    let letters = Letters {
        version: n,
        text: "a".repeat(Letters::MAX_TEXT),
    };
    delta.letters.put(
        SensorId([(n % 3) as u8; 16]),
        LetterKey {
            incoming: established,
            protocol,
            port,
            ip,
        },
        letters,
    );
}

#[test]
fn a_full_profile_stays_below_its_bound() {
    let window = WindowId {
        profile: IpAddr::from([10, 0, 0, 1]),
        start: Timestamp(0),
    };
    let mut delta = ProfileDelta::new(window);
    (0..20_000).for_each(|n| fill(&mut delta, n));
    let once = delta.bytes();
    assert!(delta.truncated());
    assert!(once <= ProfileDelta::MAX_BYTES, "{once}");
    (20_000..40_000).for_each(|n| fill(&mut delta, n));
    let mut merged = delta.clone();
    assert!(merged.merge(&delta));
    assert!(
        merged.bytes().max(delta.bytes()) <= once + once / 20,
        "more input must not take more memory"
    );
}

#[test]
fn a_profile_of_one_flow_is_small() {
    let window = WindowId {
        profile: IpAddr::from([10, 0, 0, 1]),
        start: Timestamp(0),
    };
    let mut delta = ProfileDelta::new(window);
    fill(&mut delta, 1);
    assert!(delta.bytes() <= 5_000, "{}", delta.bytes());
    assert!(!delta.truncated());
}
