//! `conn.log`: a row for each flow.

use lynceus_model::flow::{Flow, Service, Totals};

use super::columns::{CONN, LABELLED, Log};
use super::table::Row;
use super::uid;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

pub(super) fn row(flow: &Flow) -> Row {
    of(&CONN, flow)
}

/// With the columns of labels; the labels themselves come later.
pub(super) fn labelled(flow: &Flow) -> Row {
    of(&LABELLED, flow)
}

fn of(log: &'static Log, flow: &Flow) -> Row {
    // As Zeek, which turns a connection round when it learns who is the client.
    let turned = flow.roles_turned();
    let (client, server) = flow.client_server();
    let (out, back) = if turned {
        (&flow.back, &flow.out)
    } else {
        (&flow.out, &flow.back)
    };
    let protocol = flow.tuple.protocol;
    let ports = match flow.icmp {
        Some((kind, code)) => (u16::from(kind), u16::from(code)),
        None => (client.port, server.port),
    };
    let vlan = |place: usize| flow.vlan.get(place).copied();
    let reported = flow.reported.as_deref();
    let flipped = turned || reported.is_some_and(|log| log.flipped);
    let mut row = Row::new(log);
    row.put("ts", Some(flow.first))
        .put("uid", Some(uid(&flow.community_id)))
        .put("id.orig_h", Some(client.ip))
        .put("id.orig_p", Some(ports.0))
        .put("id.resp_h", Some(server.ip))
        .put("id.resp_p", Some(ports.1))
        .put("proto", Some(name_of(protocol)))
        .put("ip_proto", Some(protocol))
        .put("service", service(flow.service))
        .put("duration", Some(flow.duration()))
        .put("conn_state", Some(flow.state.name()))
        .put("orig_pkts", Some(out.packets))
        .put("orig_ip_bytes", Some(out.bytes))
        .put("resp_pkts", Some(back.packets))
        .put("resp_ip_bytes", Some(back.bytes))
        .put("vlan", vlan(0))
        .put("inner_vlan", vlan(1))
        .put("community_id", Some(flow.community_id.to_string()));
    if protocol == TCP {
        let history = history(out, back, flipped);
        row.put("history", (!history.is_empty()).then_some(history));
    }
    if let Some(log) = reported {
        row.put("orig_l2_addr", log.originator_mac.map(mac))
            .put("resp_l2_addr", log.responder_mac.map(mac))
            .put("truth", log.label.clone())
            .put("detailed_truth", log.detailed_label.clone());
    }
    row
}

/// As Zeek names transports.
pub(super) const fn name_of(protocol: u8) -> &'static str {
    match protocol {
        TCP => "tcp",
        UDP => "udp",
        ICMP | ICMPV6 => "icmp",
        _ => "unknown_transport",
    }
}

/// Zeek knows mDNS as DNS; where nobody looked or nothing was recognized it writes nothing.
fn service(service: Service) -> Option<&'static str> {
    match service {
        Service::Mdns => Some("dns"),
        Service::Other => None,
        service => service.is_recognized().then(|| service.name()),
    }
}

/// The letters that the flags show: Zeek writes each the first time that it happens, so their order within a side is that
/// of a usual connection.
fn history(out: &Totals, back: &Totals, flipped: bool) -> String {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    let mut history = String::new();
    if flipped {
        history.push('^');
    }
    let has = |side: &Totals, flag: u8| side.tcp_flags & flag != 0;
    // A side whose every SYN had an ACK answers.
    let synack = |side: &Totals| {
        let [_, syn, _, _, ack, ..] = side.flag_counts;
        has(side, SYN | ACK) && (syn > 0 && u64::from(ack) == side.packets || syn == 0 && has(side, ACK))
    };
    if has(out, SYN) {
        history.push('S');
    }
    if has(back, SYN) {
        history.push(if synack(back) { 'h' } else { 's' });
    }
    for (flag, letters) in [(ACK, ['A', 'a']), (FIN, ['F', 'f']), (RST, ['R', 'r'])] {
        for (side, letter) in [out, back].into_iter().zip(letters) {
            if has(side, flag) {
                history.push(letter);
            }
        }
    }
    history
}

pub(super) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
