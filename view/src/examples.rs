//! Made-up flows, for the tests of this crate and of those that show them.

use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, Service, Totals};
use lynceus_model::time::Timestamp;

/// A flow from a client at `seconds`, answered where the state says so.
///
/// # Panics
/// `from` or `to` is no address.
#[must_use]
pub fn flow(seconds: i64, from: &str, to: &str, port: u16, protocol: u8, state: ConnState) -> Flow {
    let tuple = FiveTuple {
        originator: Endpoint {
            ip: from.parse().expect("an address"),
            port: 40_000,
        },
        responder: Endpoint {
            ip: to.parse().expect("an address"),
            port,
        },
        protocol,
    };
    let answered = matches!(state, ConnState::Sf | ConnState::S1);
    let mut id = [0; 20];
    id[..8].copy_from_slice(&seconds.to_be_bytes());
    Flow {
        tuple,
        community_id: CommunityId(id),
        first: Timestamp::from_secs(seconds),
        last: Timestamp::from_secs(seconds + 2),
        out: Totals {
            packets: 4,
            bytes: 480,
            ..Totals::default()
        },
        back: if answered {
            Totals {
                packets: 4,
                bytes: 6400,
                ..Totals::default()
            }
        } else {
            Totals::default()
        },
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

/// A message of that flow.
#[must_use]
pub fn message(flow: &Flow, from_responder: bool, event: AppEvent) -> AppRecord {
    AppRecord {
        time: flow.first,
        tuple: flow.tuple,
        community_id: Some(flow.community_id),
        from_responder,
        event,
    }
}
