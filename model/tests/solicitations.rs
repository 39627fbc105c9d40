//! Neighbour solicitations in profiles: those that nobody answers.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Arp, Discovery};
use lynceus_model::flow::{Endpoint, FiveTuple};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};

const REQUEST: u16 = 1;
const REPLY: u16 = 2;

const fn ip(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

const fn group(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, last)
}

/// `from` tells `to` about `sender`, or asks for `target`.
fn message(
    time: Timestamp,
    operation: u16,
    (from, to): (Ipv6Addr, Ipv6Addr),
    sender: Ipv6Addr,
    target: Ipv6Addr,
) -> AppRecord {
    let [originator, responder] = [from, target].map(|ip| Endpoint {
        ip: IpAddr::V6(ip),
        port: 0,
    });
    AppRecord {
        time,
        tuple: FiveTuple {
            originator,
            responder,
            protocol: 58,
        },
        community_id: None,
        from_responder: false,
        event: AppEvent::Arp(Arp {
            operation,
            sender_mac: [2; 6],
            sender: sender.into(),
            target_mac: [0; 6],
            target: target.into(),
            frame_destination: None,
            discovery: Some(Discovery {
                from,
                to,
                router: false,
                solicited: operation == REPLY,
                overrides: true,
                link: 0,
            }),
        }),
    }
}

#[test]
fn neighbours_that_answer_are_no_targets() {
    let at = Timestamp::from_secs;
    let asks = |seconds, target, to| message(at(seconds), REQUEST, (ip(1), to), ip(1), ip(target));
    let answers = |seconds, own| message(at(seconds), REPLY, (ip(own), ip(1)), ip(own), ip(1));
    let nobody = Ipv6Addr::UNSPECIFIED;
    let mut profiler = Profiler::new(ProfilerConfig {
        plan: WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_secs(3_600),
        },
        ..ProfilerConfig::default()
    });
    for record in [
        asks(1, 2, group(2)),
        answers(2, 2),
        // Nobody has 3: asked three times, as hosts do.
        asks(8, 3, group(3)),
        asks(9, 3, group(3)),
        asks(10, 3, group(3)),
        // Whether an address is free, and whether a known neighbour is there.
        message(at(11), REQUEST, (nobody, group(4)), nobody, ip(4)),
        asks(11, 5, ip(5)),
        // The answer that comes when the question has counted changes nothing.
        answers(14, 3),
        asks(15, 6, group(6)),
    ] {
        profiler.observe_app(record);
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    let mut rows: Vec<(IpAddr, i64, u64)> = updates
        .iter()
        .flat_map(|update| update.delta.arp_targets.rows())
        .map(|(key, attempt)| (key.target, key.slot, attempt.packets))
        .collect();
    rows.sort_unstable();
    // In the slot in which the answer was overdue.
    assert_eq!(rows, [(ip(3).into(), 1, 3), (ip(6).into(), 1, 1)]);
    assert_eq!(profiler.counters().solicitations_hurried, 0);
}

#[test]
fn those_that_wait_are_bounded() {
    let mut profiler = Profiler::new(ProfilerConfig::default());
    for n in 0..20_000 {
        let time = Timestamp(i64::from(n));
        profiler.observe_app(message(time, REQUEST, (ip(0xffff), group(n)), ip(0xffff), ip(n)));
    }
    assert_eq!(profiler.counters().solicitations_hurried, 20_000 - 16_384);
}
