//! Flows on the wire.

use std::time::Duration;

use lynceus_model::flow::{
    ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Reported, SeenAt, Service, Totals, Tunnel,
    TunnelKind,
};
use lynceus_model::time::Timestamp;

use crate::field::{
    Checked, Invalid, Problem, address, address_bytes, community_id, cut_name, cut_text, known, limits, list,
    mac, name, nanos, narrow, nested, nested_optional, nested_required, optional_text, unknown_number,
};
use crate::v1;

impl TryFrom<v1::FlowUpdate> for FlowUpdate {
    type Error = Invalid;

    fn try_from(wire: v1::FlowUpdate) -> Checked<Self> {
        Ok(Self {
            flow: nested_required("flow", wire.flow)?,
            new_out: nested("new_out", wire.new_out.unwrap_or_default())?,
            new_back: nested("new_back", wire.new_back.unwrap_or_default())?,
            part: wire.part,
            end: flow_end(wire.end)?,
        })
    }
}

impl From<FlowUpdate> for v1::FlowUpdate {
    fn from(update: FlowUpdate) -> Self {
        Self {
            flow: Some(update.flow.into()),
            new_out: totals(update.new_out),
            new_back: totals(update.new_back),
            part: update.part,
            end: match update.end {
                FlowEnd::Active => v1::FlowEnd::Active,
                FlowEnd::Idle => v1::FlowEnd::Idle,
                FlowEnd::Closed => v1::FlowEnd::Closed,
                FlowEnd::SourceEnded => v1::FlowEnd::SourceEnded,
                FlowEnd::Evicted => v1::FlowEnd::Evicted,
            }
            .into(),
        }
    }
}

fn flow_end(wire: i32) -> Checked<FlowEnd> {
    Ok(match v1::FlowEnd::try_from(wire) {
        Ok(v1::FlowEnd::Active) => FlowEnd::Active,
        Ok(v1::FlowEnd::Idle) => FlowEnd::Idle,
        Ok(v1::FlowEnd::Closed) => FlowEnd::Closed,
        Ok(v1::FlowEnd::SourceEnded) => FlowEnd::SourceEnded,
        Ok(v1::FlowEnd::Evicted) => FlowEnd::Evicted,
        Ok(v1::FlowEnd::Unspecified) | Err(_) => return Err(unknown_number("end", wire)),
    })
}

impl TryFrom<v1::Flow> for Flow {
    type Error = Invalid;

    fn try_from(wire: v1::Flow) -> Checked<Self> {
        Ok(Self {
            tuple: nested_required("tuple", wire.tuple)?,
            community_id: community_id("community_id", &wire.community_id)?,
            first: Timestamp(wire.first),
            last: Timestamp(wire.last),
            out: nested("out", wire.out.unwrap_or_default())?,
            back: nested("back", wire.back.unwrap_or_default())?,
            state: conn_state(wire.state)?,
            icmp: wire
                .icmp
                .map(|icmp| Ok((narrow("icmp.type", icmp.r#type)?, narrow("icmp.code", icmp.code)?)))
                .transpose()?,
            vlan: list("vlan", wire.vlan, limits::VLANS, |id| narrow("id", id))?,
            tunnel: nested_optional("tunnel", wire.tunnel)?,
            rtt: wire.rtt_nanos.map(Duration::from_nanos),
            seen_at: list("seen_at", wire.seen_at, limits::POINTS, SeenAt::try_from)?,
            service: {
                let service = Service::from_name(&wire.service);
                known("service", wire.service, service)?
            },
            reported: nested_optional("reported", wire.reported)?.map(Box::new),
        })
    }
}

impl From<Flow> for v1::Flow {
    fn from(mut flow: Flow) -> Self {
        flow.vlan.truncate(limits::VLANS);
        flow.seen_at.truncate(limits::POINTS);
        Self {
            tuple: Some(flow.tuple.into()),
            community_id: flow.community_id.0.to_vec(),
            first: flow.first.0,
            last: flow.last.0,
            out: totals(flow.out),
            back: totals(flow.back),
            state: conn_state_number(flow.state).into(),
            icmp: flow.icmp.map(|(kind, code)| v1::Icmp {
                r#type: kind.into(),
                code: code.into(),
            }),
            vlan: flow.vlan.into_iter().map(u32::from).collect(),
            tunnel: flow.tunnel.map(Into::into),
            rtt_nanos: flow.rtt.map(nanos),
            seen_at: flow.seen_at.into_iter().map(Into::into).collect(),
            service: flow.service.name().to_owned(),
            reported: flow.reported.map(|reported| (*reported).into()),
        }
    }
}

impl TryFrom<v1::Reported> for Reported {
    type Error = Invalid;

    fn try_from(wire: v1::Reported) -> Checked<Self> {
        let address = |field, bytes: Option<Vec<u8>>| bytes.map(|bytes| mac(field, &bytes)).transpose();
        Ok(Self {
            uid: optional_text("uid", wire.uid)?,
            established: wire.established,
            flipped: wire.flipped,
            originator_mac: address("originator_mac", wire.originator_mac)?,
            responder_mac: address("responder_mac", wire.responder_mac)?,
            label: optional_text("label", wire.label)?,
            detailed_label: optional_text("detailed_label", wire.detailed_label)?,
        })
    }
}

impl From<Reported> for v1::Reported {
    fn from(reported: Reported) -> Self {
        Self {
            uid: reported.uid.map(cut_text),
            established: reported.established,
            flipped: reported.flipped,
            originator_mac: reported.originator_mac.map(|mac| mac.to_vec()),
            responder_mac: reported.responder_mac.map(|mac| mac.to_vec()),
            label: reported.label.map(cut_text),
            detailed_label: reported.detailed_label.map(cut_text),
        }
    }
}

impl TryFrom<v1::FiveTuple> for FiveTuple {
    type Error = Invalid;

    fn try_from(wire: v1::FiveTuple) -> Checked<Self> {
        Ok(Self {
            originator: Endpoint {
                ip: address("originator_ip", &wire.originator_ip)?,
                port: narrow("originator_port", wire.originator_port)?,
            },
            responder: Endpoint {
                ip: address("responder_ip", &wire.responder_ip)?,
                port: narrow("responder_port", wire.responder_port)?,
            },
            protocol: narrow("protocol", wire.protocol)?,
        })
    }
}

impl From<FiveTuple> for v1::FiveTuple {
    fn from(tuple: FiveTuple) -> Self {
        Self {
            originator_ip: address_bytes(tuple.originator.ip),
            originator_port: tuple.originator.port.into(),
            responder_ip: address_bytes(tuple.responder.ip),
            responder_port: tuple.responder.port.into(),
            protocol: tuple.protocol.into(),
        }
    }
}

impl TryFrom<v1::Totals> for Totals {
    type Error = Invalid;

    fn try_from(wire: v1::Totals) -> Checked<Self> {
        let flag_counts = match wire.flag_counts.as_slice() {
            [] => [0; 8],
            counts => counts.try_into().map_err(|_| {
                Invalid::new(
                    "flag_counts",
                    Problem::TooMany {
                        length: counts.len(),
                        limit: 8,
                    },
                )
            })?,
        };
        Ok(Self {
            packets: wire.packets,
            bytes: wire.bytes,
            wire_bytes: wire.wire_bytes,
            tcp_flags: narrow("tcp_flags", wire.tcp_flags)?,
            flag_counts,
        })
    }
}

/// Nothing at all is sent for a side that sent nothing: most halves of a scan.
fn totals(totals: Totals) -> Option<v1::Totals> {
    if totals == Totals::default() {
        return None;
    }
    let flag_counts = if totals.flag_counts == [0; 8] {
        Vec::new()
    } else {
        totals.flag_counts.to_vec()
    };
    Some(v1::Totals {
        packets: totals.packets,
        bytes: totals.bytes,
        wire_bytes: totals.wire_bytes,
        tcp_flags: totals.tcp_flags.into(),
        flag_counts,
    })
}

impl TryFrom<v1::Tunnel> for Tunnel {
    type Error = Invalid;

    fn try_from(wire: v1::Tunnel) -> Checked<Self> {
        let kind = match v1::TunnelKind::try_from(wire.kind) {
            Ok(v1::TunnelKind::Vxlan) => TunnelKind::Vxlan,
            Ok(v1::TunnelKind::Geneve) => TunnelKind::Geneve,
            Ok(v1::TunnelKind::Gre) => TunnelKind::Gre,
            Ok(v1::TunnelKind::Ipip) => TunnelKind::IpIp,
            Ok(v1::TunnelKind::SixInFour) => TunnelKind::SixInFour,
            Ok(v1::TunnelKind::Gtpu) => TunnelKind::GtpU,
            Ok(v1::TunnelKind::Erspan) => TunnelKind::Erspan,
            Ok(v1::TunnelKind::IpInIpv6) => TunnelKind::IpInIpv6,
            Ok(v1::TunnelKind::MplsInIp) => TunnelKind::MplsInIp,
            Ok(v1::TunnelKind::Unspecified) | Err(_) => return Err(unknown_number("kind", wire.kind)),
        };
        Ok(Self {
            kind,
            vni: wire.vni,
            source: address("source", &wire.source)?,
            destination: address("destination", &wire.destination)?,
        })
    }
}

impl From<Tunnel> for v1::Tunnel {
    fn from(tunnel: Tunnel) -> Self {
        let kind = match tunnel.kind {
            TunnelKind::Vxlan => v1::TunnelKind::Vxlan,
            TunnelKind::Geneve => v1::TunnelKind::Geneve,
            TunnelKind::Gre => v1::TunnelKind::Gre,
            TunnelKind::IpIp => v1::TunnelKind::Ipip,
            TunnelKind::SixInFour => v1::TunnelKind::SixInFour,
            TunnelKind::GtpU => v1::TunnelKind::Gtpu,
            TunnelKind::Erspan => v1::TunnelKind::Erspan,
            TunnelKind::IpInIpv6 => v1::TunnelKind::IpInIpv6,
            TunnelKind::MplsInIp => v1::TunnelKind::MplsInIp,
        };
        Self {
            kind: kind.into(),
            vni: tunnel.vni,
            source: address_bytes(tunnel.source),
            destination: address_bytes(tunnel.destination),
        }
    }
}

impl TryFrom<v1::SeenAt> for SeenAt {
    type Error = Invalid;

    fn try_from(wire: v1::SeenAt) -> Checked<Self> {
        Ok(Self {
            interface: name("interface", wire.interface)?,
            egress: wire.egress,
            packets: wire.packets,
        })
    }
}

impl From<SeenAt> for v1::SeenAt {
    fn from(seen: SeenAt) -> Self {
        Self {
            interface: cut_name(seen.interface),
            egress: seen.egress,
            packets: seen.packets,
        }
    }
}

fn conn_state(wire: i32) -> Checked<ConnState> {
    Ok(match v1::ConnState::try_from(wire) {
        Ok(v1::ConnState::S0) => ConnState::S0,
        Ok(v1::ConnState::S1) => ConnState::S1,
        Ok(v1::ConnState::Sf) => ConnState::Sf,
        Ok(v1::ConnState::Rej) => ConnState::Rej,
        Ok(v1::ConnState::S2) => ConnState::S2,
        Ok(v1::ConnState::S3) => ConnState::S3,
        Ok(v1::ConnState::Rsto) => ConnState::Rsto,
        Ok(v1::ConnState::Rstr) => ConnState::Rstr,
        Ok(v1::ConnState::Rstos0) => ConnState::Rstos0,
        Ok(v1::ConnState::Rstrh) => ConnState::Rstrh,
        Ok(v1::ConnState::Sh) => ConnState::Sh,
        Ok(v1::ConnState::Shr) => ConnState::Shr,
        Ok(v1::ConnState::Oth) => ConnState::Oth,
        Ok(v1::ConnState::Unspecified) | Err(_) => return Err(unknown_number("state", wire)),
    })
}

const fn conn_state_number(state: ConnState) -> v1::ConnState {
    match state {
        ConnState::S0 => v1::ConnState::S0,
        ConnState::S1 => v1::ConnState::S1,
        ConnState::Sf => v1::ConnState::Sf,
        ConnState::Rej => v1::ConnState::Rej,
        ConnState::S2 => v1::ConnState::S2,
        ConnState::S3 => v1::ConnState::S3,
        ConnState::Rsto => v1::ConnState::Rsto,
        ConnState::Rstr => v1::ConnState::Rstr,
        ConnState::Rstos0 => v1::ConnState::Rstos0,
        ConnState::Rstrh => v1::ConnState::Rstrh,
        ConnState::Sh => v1::ConnState::Sh,
        ConnState::Shr => v1::ConnState::Shr,
        ConnState::Oth => v1::ConnState::Oth,
    }
}
