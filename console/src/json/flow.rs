//! The line of a flow.

use std::io::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lynceus_model::flow::{CommunityId, FlowUpdate, Tunnel};

use super::{number, optional, seconds};

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// TCP, UDP, DCCP, SCTP, UDP-Lite, and ICMP with its type pair.
const WITH_PORTS: [u8; 7] = [TCP, 17, 33, 132, 136, ICMP, ICMPV6];

/// Appends the JSON object of a flow and a line feed. Counters are those since the flow's previous line, if it had
/// one; everything else is about the whole flow.
pub fn write_line(out: &mut Vec<u8>, update: &FlowUpdate) {
    let flow = &update.flow;
    let (source, destination) = (flow.tuple.originator, flow.tuple.responder);
    let protocol = flow.tuple.protocol;
    let has_ports = WITH_PORTS.contains(&protocol);
    let is_tcp = protocol == TCP;
    out.extend_from_slice(b"{\"first\":");
    seconds(out, flow.first);
    out.extend_from_slice(b",\"last\":");
    seconds(out, flow.last);
    out.extend_from_slice(b",\"src_ip\":");
    address(out, source.ip);
    out.extend_from_slice(b",\"src_port\":");
    optional(out, has_ports.then_some(source.port));
    out.extend_from_slice(b",\"dst_ip\":");
    address(out, destination.ip);
    out.extend_from_slice(b",\"dst_port\":");
    optional(out, has_ports.then_some(destination.port));
    out.extend_from_slice(b",\"proto\":");
    number(out, protocol);
    let (new, back) = (&update.new_out, &update.new_back);
    for (name, value) in [
        (&b",\"packets_out\":"[..], new.packets),
        (b",\"packets_in\":", back.packets),
        (b",\"bytes_out\":", new.bytes),
        (b",\"bytes_in\":", back.bytes),
    ] {
        out.extend_from_slice(name);
        number(out, value);
    }
    // Most logs do not know what a frame was long.
    let knows_frames = flow.reported.is_none() || flow.out.wire_bytes + flow.back.wire_bytes > 0;
    out.extend_from_slice(b",\"wire_bytes_out\":");
    optional(out, knows_frames.then_some(new.wire_bytes));
    out.extend_from_slice(b",\"wire_bytes_in\":");
    optional(out, knows_frames.then_some(back.wire_bytes));
    out.extend_from_slice(b",\"tcp_flags_out\":");
    optional(out, is_tcp.then_some(new.tcp_flags));
    out.extend_from_slice(b",\"tcp_flags_in\":");
    optional(out, is_tcp.then_some(back.tcp_flags));
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(flow.state.name().as_bytes());
    out.extend_from_slice(b"\",\"vlan\":[");
    for (place, id) in flow.vlan.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        number(out, *id);
    }
    out.extend_from_slice(b"],\"tunnel\":");
    match &flow.tunnel {
        Some(found) => tunnel(out, found),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"community_id\":\"");
    community_id(out, flow.community_id);
    out.extend_from_slice(b"\",\"icmp_type\":");
    optional(out, flow.icmp.map(|(kind, _)| kind));
    out.extend_from_slice(b",\"icmp_code\":");
    optional(out, flow.icmp.map(|(_, code)| code));
    out.extend_from_slice(b"}\n");
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    out.push(b'"');
    match ip {
        IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                number(out, octet);
            }
        }
        // The standard library writes RFC 5952; a vector takes everything.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
    out.push(b'"');
}

fn tunnel(out: &mut Vec<u8>, tunnel: &Tunnel) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(tunnel.kind.name().as_bytes());
    out.extend_from_slice(b"\",\"vni\":");
    optional(out, tunnel.vni);
    out.extend_from_slice(b",\"src\":");
    address(out, tunnel.source);
    out.extend_from_slice(b",\"dst\":");
    address(out, tunnel.destination);
    out.push(b'}');
}

/// `1:` and the base64 of the hash.
fn community_id(out: &mut Vec<u8>, id: CommunityId) {
    out.extend_from_slice(b"1:");
    let mut text = [0; 28];
    if let Ok(length) = STANDARD.encode_slice(id.0, &mut text) {
        out.extend_from_slice(&text[..length]);
    }
}
