//! From an entry of the table to the flow that everything else consumes.

use std::time::Duration;

use lynceus_model::flow::{Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals, Tunnel, TunnelKind};
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowKey, Side, TunnelKind as KernelTunnel, VLAN_PRESENT};

use super::address::ip;
use super::community_id::community_id;
use super::entry::{Counts, Entry, Reported};
use super::state;

/// Reports a flow and remembers what was reported; `at` is the event time of the report.
pub(super) fn update(entry: &mut Entry, rtt: Option<Duration>, at: Timestamp, end: FlowEnd) -> FlowUpdate {
    let before = entry.rare.as_mut().and_then(|rare| rare.reported.take());
    let flow = flow(entry, rtt);
    let (origin, other) = (entry.origin, entry.origin.other());
    let new = |side: Side, totals: Totals| match &before {
        Some(reported) => minus(
            totals,
            &reported.counts[side as usize],
            &reported.flag_counts[side as usize],
        ),
        None => totals,
    };
    let part = before.as_ref().map_or(0, |reported| reported.parts);
    if end == FlowEnd::Active {
        entry.rare.get_or_insert_default().reported = Some(Box::new(Reported {
            at,
            parts: part.saturating_add(1),
            counts: entry.counts,
            flag_counts: entry.flag_counts,
        }));
    }
    FlowUpdate {
        new_out: new(origin, flow.out),
        new_back: new(other, flow.back),
        flow,
        part,
        end,
    }
}

fn flow(entry: &Entry, rtt: Option<Duration>) -> Flow {
    let key = &entry.key;
    let (origin, other) = (entry.origin, entry.origin.other());
    Flow {
        tuple: FiveTuple {
            originator: endpoint(key, origin),
            responder: endpoint(key, other),
            protocol: key.protocol,
        },
        community_id: community_id(key),
        first: entry.first,
        last: entry.last,
        out: totals(entry, origin),
        back: totals(entry, other),
        state: state::of(key.protocol, entry.seen(origin), entry.seen(other)),
        icmp: entry.content.icmp(),
        vlan: key
            .vlan
            .iter()
            .filter(|tag| **tag & VLAN_PRESENT != 0)
            .map(|tag| tag & !VLAN_PRESENT)
            .collect(),
        tunnel: tunnel(entry),
        rtt,
        seen_at: Vec::new(),
        service: entry.content.service(),
        reported: None,
    }
}

fn endpoint(key: &FlowKey, side: Side) -> Endpoint {
    let (address, port) = match side {
        Side::Low => (&key.low, key.low_port),
        Side::High => (&key.high, key.high_port),
    };
    Endpoint {
        ip: ip(address),
        port,
    }
}

const fn totals(entry: &Entry, side: Side) -> Totals {
    let side = side as usize;
    let counts = &entry.counts[side];
    Totals {
        packets: counts.packets,
        bytes: counts.ip_bytes,
        wire_bytes: counts.wire_bytes,
        tcp_flags: entry.flags[side],
        flag_counts: entry.flag_counts[side],
    }
}

/// The flags of a part are those whose count grew.
fn minus(totals: Totals, counts: &Counts, flag_counts: &[u32; 8]) -> Totals {
    let mut new = Totals {
        packets: totals.packets - counts.packets,
        bytes: totals.bytes - counts.ip_bytes,
        wire_bytes: totals.wire_bytes - counts.wire_bytes,
        ..Totals::default()
    };
    for (bit, (total, before)) in totals.flag_counts.iter().zip(flag_counts).enumerate() {
        new.flag_counts[bit] = total.wrapping_sub(*before);
        new.tcp_flags |= u8::from(total != before) << bit;
    }
    new
}

fn tunnel(entry: &Entry) -> Option<Tunnel> {
    let (source, destination) = entry.rare.as_ref()?.outer?;
    let (kind, has_vni) = match KernelTunnel::from_number(entry.key.tunnel)? {
        KernelTunnel::Vxlan => (TunnelKind::Vxlan, true),
        KernelTunnel::Geneve => (TunnelKind::Geneve, true),
        KernelTunnel::Gre => (TunnelKind::Gre, entry.key.vni != 0),
        KernelTunnel::Erspan => (TunnelKind::Erspan, entry.key.vni != 0),
        KernelTunnel::IpIp => (TunnelKind::IpIp, false),
        KernelTunnel::SixInFour => (TunnelKind::SixInFour, false),
        KernelTunnel::GtpU => (TunnelKind::GtpU, false),
        KernelTunnel::IpInIpv6 => (TunnelKind::IpInIpv6, false),
        KernelTunnel::MplsInIp => (TunnelKind::MplsInIp, false),
    };
    Some(Tunnel {
        kind,
        vni: has_vni.then_some(entry.key.vni),
        source: ip(&source),
        destination: ip(&destination),
    })
}
