//! Whether somebody was there.

use super::*;

fn flow(state: ConnState, [sent, resets, acknowledgements]: [u32; 3], heard: u64) -> Flow {
    let endpoint = |last, port| Endpoint {
        ip: [10, 0, 0, last].into(),
        port,
    };
    let side = |packets, tcp_flags| Totals {
        packets,
        tcp_flags,
        ..Totals::default()
    };
    let mut out = side(4, sent as u8);
    out.flag_counts[2] = resets;
    out.flag_counts[4] = acknowledgements;
    Flow {
        tuple: FiveTuple {
            originator: endpoint(1, 40_000),
            responder: endpoint(2, 443),
            protocol: 6,
        },
        community_id: CommunityId([0; 20]),
        first: Timestamp(0),
        last: Timestamp(0),
        out,
        back: side(heard, 0),
        state,
        icmp: None,
        vlan: Vec::new(),
        tunnel: None,
        rtt: None,
        seen_at: Vec::new(),
        service: Service::Unseen,
        reported: None,
    }
}

#[test]
fn somebody_was_there() {
    const S: u32 = 2;
    const R: u32 = 4;
    const P: u32 = 8;
    const A: u32 = 16;
    for (state, sent, heard, nobody) in [
        (ConnState::S0, [S, 0, 0], 0, true),
        (ConnState::Rej, [S, 0, 0], 1, true),
        // A scanner's own system resets what it did not ask for, with an ACK or without.
        (ConnState::Rstos0, [S | R, 1, 0], 0, true),
        (ConnState::Rstos0, [S | R | A, 1, 1], 0, true),
        (ConnState::Rstos0, [S | R | A, 1, 3], 0, false),
        (ConnState::Rstos0, [S | R | A | P, 0, 0], 0, false),
        (ConnState::S0, [S | A, 0, 0], 0, false),
        (ConnState::Rstos0, [A, 0, 0], 4, false),
        (ConnState::Shr, [A, 0, 0], 4, false),
        (ConnState::Sf, [S | A, 0, 0], 4, false),
    ] {
        assert_eq!(
            flow(state, sent, heard).found_nobody(),
            nobody,
            "{state:?} {sent:?} {heard}"
        );
    }
}
