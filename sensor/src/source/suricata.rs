//! Suricata's `eve.json`: one JSON object a line. `docs/inputs.md` lists the event types and their fields.

mod dns;
mod messages;

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::app::{AppEvent, AppRecord, Notice};
use lynceus_model::flow::{ConnState, Flow, FlowEnd, FlowUpdate, Reported, Service, Totals};
use lynceus_model::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::log::facts::{self, Ends, TCP};
use super::log::{Parser, Reason, Refusal, Row, bad, time};
use crate::flow_table::state_of_flags;

/// Reads `eve.json`.
pub(super) struct Suricata;

/// What most events have. The member named as the event's type is read on demand: a fault in another one does no harm.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    flow_id: Option<u64>,
    src_ip: Option<IpAddr>,
    #[serde(default)]
    src_port: u16,
    dest_ip: Option<IpAddr>,
    #[serde(default)]
    dest_port: u16,
    #[serde(borrow)]
    proto: Option<Cow<'a, str>>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    #[serde(borrow)]
    app_proto: Option<Cow<'a, str>>,
    #[serde(default)]
    vlan: Vec<u16>,
    #[serde(borrow)]
    flow: Option<&'a RawValue>,
    #[serde(borrow)]
    tcp: Option<&'a RawValue>,
    #[serde(borrow)]
    alert: Option<&'a RawValue>,
    #[serde(borrow)]
    dns: Option<&'a RawValue>,
    #[serde(borrow)]
    http: Option<&'a RawValue>,
    #[serde(borrow)]
    tls: Option<&'a RawValue>,
    #[serde(borrow)]
    quic: Option<&'a RawValue>,
    #[serde(borrow)]
    fileinfo: Option<&'a RawValue>,
    #[serde(borrow)]
    ssh: Option<&'a RawValue>,
    #[serde(borrow)]
    dhcp: Option<&'a RawValue>,
    #[serde(borrow)]
    smtp: Option<&'a RawValue>,
    #[serde(borrow)]
    ftp: Option<&'a RawValue>,
}

/// Reads a member of an event.
fn member<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>, name: &str) -> Result<T, Refusal> {
    let value = value.ok_or_else(|| bad(format!("`{name}` is missing")))?;
    serde_json::from_str(value.get()).map_err(|error| bad(format!("`{name}`: {error}")))
}

impl Event<'_> {
    fn time(&self) -> Result<Timestamp, Refusal> {
        time::time(&self.timestamp).ok_or_else(|| bad("`timestamp` is no time"))
    }

    fn ends(&self) -> Result<Ends, Refusal> {
        let (Some(source), Some(destination)) = (self.src_ip, self.dest_ip) else {
            return Err(Reason::NoAddress.into());
        };
        let name = self.proto.as_deref().ok_or_else(|| bad("`proto` is missing"))?;
        let protocol = facts::protocol(name).unwrap_or(facts::UNKNOWN_PROTOCOL);
        let (from, to) = match (protocol, self.icmp_type) {
            (facts::ICMP | facts::ICMPV6, kind) => (
                u16::from(kind.unwrap_or(0)),
                u16::from(self.icmp_code.unwrap_or(0)),
            ),
            _ => (self.src_port, self.dest_port),
        };
        Ok(Ends::new((source, from), (destination, to), protocol))
    }

    /// Both ends turned round, for events that Suricata writes in the direction of the packet.
    fn turned(&self) -> Result<Ends, Refusal> {
        let ends = self.ends()?;
        let (from, to) = (ends.tuple.responder, ends.tuple.originator);
        Ok(Ends::new(
            (from.ip, from.port),
            (to.ip, to.port),
            ends.tuple.protocol,
        ))
    }
}

/// A message in a flow.
fn message(time: Timestamp, ends: &Ends, from_responder: bool, event: AppEvent) -> Row {
    Row::app(AppRecord {
        time,
        tuple: ends.tuple,
        community_id: Some(ends.community_id),
        from_responder,
        event,
    })
}

impl Parser for Suricata {
    fn begin(&mut self) {}

    fn line(&mut self, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal> {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(false);
        }
        let event: Event<'_> = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        match &*event.event_type {
            "flow" => flow(&event, rows)?,
            "alert" => alert(&event, rows)?,
            "dns" => dns::read(&event, rows)?,
            "http" => messages::http(&event, rows)?,
            "tls" => messages::tls(&event, rows)?,
            "quic" => messages::quic(&event, rows)?,
            "fileinfo" => messages::file(&event, rows)?,
            "ssh" => messages::ssh(&event, rows)?,
            "dhcp" => messages::dhcp(&event, rows)?,
            "smtp" => messages::smtp(&event, rows)?,
            "ftp" => messages::ftp(&event, rows)?,
            _ => return Err(Reason::NotUsed.into()),
        }
        Ok(true)
    }
}

#[derive(Deserialize)]
struct FlowPart<'a> {
    #[serde(default)]
    pkts_toserver: u64,
    #[serde(default)]
    pkts_toclient: u64,
    #[serde(default)]
    bytes_toserver: u64,
    #[serde(default)]
    bytes_toclient: u64,
    #[serde(borrow)]
    start: Cow<'a, str>,
    #[serde(borrow)]
    end: Option<Cow<'a, str>>,
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
}

/// Flags in hexadecimal digits.
#[derive(Deserialize, Default)]
struct TcpPart<'a> {
    #[serde(borrow, default)]
    tcp_flags_ts: Cow<'a, str>,
    #[serde(borrow, default)]
    tcp_flags_tc: Cow<'a, str>,
}

fn flow(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let part: FlowPart<'_> = member(event.flow, "flow")?;
    let ends = event.ends()?;
    let first = time::time(&part.start).ok_or_else(|| bad("`flow.start` is no time"))?;
    let last = part
        .end
        .as_deref()
        .and_then(time::time)
        .unwrap_or(first)
        .max(first);
    let tcp: TcpPart<'_> = event
        .tcp
        .map_or_else(|| Ok(TcpPart::default()), |tcp| member(Some(tcp), "tcp"))?;
    let flags = |text: &str| u8::from_str_radix(text, 16).unwrap_or(0);
    let totals = |packets, bytes, tcp_flags| Totals {
        packets,
        // Suricata counts whole frames.
        bytes,
        wire_bytes: bytes,
        tcp_flags,
        ..Totals::default()
    };
    let out = totals(part.pkts_toserver, part.bytes_toserver, flags(&tcp.tcp_flags_ts));
    let back = totals(part.pkts_toclient, part.bytes_toclient, flags(&tcp.tcp_flags_tc));
    let protocol = ends.tuple.protocol;
    let state = if protocol == TCP && out.tcp_flags | back.tcp_flags == 0 {
        state_of_word(part.state.as_deref().unwrap_or_default(), &out, &back)
    } else {
        state_of_flags(protocol, &out, &back)
    };
    let service = match event.app_proto.as_deref() {
        None => Service::Unseen,
        Some("failed" | "unknown") => Service::Unrecognized,
        Some(name) => facts::service(name),
    };
    let flow = Flow {
        tuple: ends.tuple,
        community_id: ends.community_id,
        first,
        last,
        out,
        back,
        state,
        icmp: ends.icmp,
        vlan: event.vlan.iter().copied().take(2).collect(),
        tunnel: None,
        rtt: None,
        seen_at: Vec::new(),
        service,
        reported: Some(Box::new(Reported {
            uid: event.flow_id.map(|id| id.to_string()),
            ..Reported::default()
        })),
    };
    let closed = part.state.as_deref() == Some("closed");
    rows.push(Row::flow(FlowUpdate {
        new_out: out,
        new_back: back,
        part: 0,
        end: if closed { FlowEnd::Closed } else { FlowEnd::Idle },
        flow,
    }));
    Ok(())
}

/// Without TCP flags only Suricata's own word is left. `new`: one side was seen; `closed`: whether a connection had
/// come about before shows in the number of packets (an operating system tries three times).
fn state_of_word(word: &str, out: &Totals, back: &Totals) -> ConnState {
    let answered = back.packets > 0;
    match word {
        "established" => ConnState::S1,
        "closed" if answered && out.packets + back.packets > 3 => ConnState::Sf,
        "closed" if answered => ConnState::Rej,
        _ if answered => ConnState::Oth,
        _ => ConnState::S0,
    }
}

#[derive(Deserialize)]
struct AlertPart {
    signature_id: Option<u64>,
    #[serde(default)]
    signature: String,
    category: Option<String>,
    severity: Option<u8>,
    action: Option<String>,
}

fn alert(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let part: AlertPart = member(event.alert, "alert")?;
    let notice = Notice {
        analyzer: "suricata".to_owned(),
        message: part.category.clone().unwrap_or_default(),
        name: part.signature,
        detail: part.action,
        signature: part.signature_id,
        severity: part.severity,
        category: part.category.filter(|category| !category.is_empty()),
    };
    rows.push(message(
        event.time()?,
        &event.ends()?,
        false,
        AppEvent::Notice(notice),
    ));
    Ok(())
}

#[cfg(test)]
mod tests;
