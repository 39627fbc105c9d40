//! conn.log: flows.

use lynceus_model::flow::{ConnState, Flow, FlowEnd, FlowUpdate, Reported, Service, Totals};

use super::columns::Column;
use super::record::Record;
use crate::source::log::facts::{self, Ends, UNKNOWN_PROTOCOL};
use crate::source::log::{Reason, Refusal, Row};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Both sides of a row: the columns that most logs share.
pub(super) fn ends(record: &Record<'_>, protocol: u8) -> Result<Ends, Refusal> {
    let side = |host, port| {
        let address = record.address(host);
        match address {
            Some(address) => Ok((address, record.number::<u16>(port).unwrap_or(0))),
            None if record.raw(host).is_none() => Err(Reason::NoAddress.into()),
            None => Err(record.wrong(host, "an address")),
        }
    };
    let originator = side(Column::OrigH, Column::OrigP)?;
    let responder = side(Column::RespH, Column::RespP)?;
    Ok(Ends::new(originator, responder, protocol))
}

pub(super) fn read(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let first = record.ts()?;
    let ends = ends(record, protocol(record)?)?;
    let last = first.saturating_add(record.duration(Column::Duration).unwrap_or_default());
    let history = record.text(Column::History).unwrap_or_default();
    let [out_flags, back_flags] = flags(&history, ends.tuple.protocol);
    let out = totals(
        record,
        [Column::OrigPkts, Column::OrigIpBytes, Column::OrigBytes],
        out_flags,
    );
    let back = totals(
        record,
        [Column::RespPkts, Column::RespIpBytes, Column::RespBytes],
        back_flags,
    );
    let state = state(record, &out, &back)?;
    let vlan = [Column::Vlan, Column::InnerVlan].into_iter();
    let flow = Flow {
        tuple: ends.tuple,
        community_id: ends.community_id,
        first,
        last,
        state,
        icmp: ends.icmp,
        vlan: vlan.filter_map(|column| record.number(column)).collect(),
        tunnel: None,
        rtt: None,
        seen_at: Vec::new(),
        service: service(record, ends.tuple.responder.port),
        reported: Some(Box::new(Reported {
            uid: record.owned(Column::Uid),
            established: None,
            flipped: history.contains('^'),
            originator_mac: record.mac(Column::OrigL2),
            responder_mac: record.mac(Column::RespL2),
            label: label(record, Column::Label),
            detailed_label: label(record, Column::DetailedLabel),
        })),
        out,
        back,
    };
    rows.push(Row::flow(FlowUpdate {
        new_out: out,
        new_back: back,
        part: 0,
        end: if is_closed(state) {
            FlowEnd::Closed
        } else {
            FlowEnd::Idle
        },
        flow,
    }));
    Ok(())
}

/// The log's protocol. Of what is neither TCP, UDP nor ICMP, new versions give the number.
pub(super) fn protocol(record: &Record<'_>) -> Result<u8, Refusal> {
    let Some(name) = record.text(Column::Proto) else {
        return Ok(record.number(Column::IpProto).unwrap_or(UNKNOWN_PROTOCOL));
    };
    match facts::protocol(&name) {
        Some(UNKNOWN_PROTOCOL) => Ok(record.number(Column::IpProto).unwrap_or(UNKNOWN_PROTOCOL)),
        Some(protocol) => Ok(protocol),
        None => Err(record.wrong(Column::Proto, "a protocol")),
    }
}

fn totals(record: &Record<'_>, columns: [Column; 3], tcp_flags: u8) -> Totals {
    let [packets, ip_bytes, payload] = columns;
    let bytes = record.number(ip_bytes).or_else(|| record.number(payload));
    Totals {
        packets: record.number(packets).unwrap_or(0),
        bytes: bytes.unwrap_or(0),
        tcp_flags,
        ..Totals::default()
    }
}

/// Where the log has no state, as of UDP it is told from who sent something.
fn state(record: &Record<'_>, out: &Totals, back: &Totals) -> Result<ConnState, Refusal> {
    let Some(name) = record.text(Column::ConnState) else {
        let answered = out.packets > 0 && back.packets > 0;
        return Ok(if answered { ConnState::Sf } else { ConnState::S0 });
    };
    // Slips' own data calls an originator's reset so.
    let name = if name == "RSTP" { "RSTO" } else { &name };
    ConnState::from_name(name).ok_or_else(|| record.wrong(Column::ConnState, "a state of Zeek"))
}

const fn is_closed(state: ConnState) -> bool {
    use ConnState::{Rej, Rsto, Rstos0, Rstr, Rstrh, Sf};
    matches!(state, Sf | Rej | Rsto | Rstos0 | Rstr | Rstrh)
}

/// TCP flags of both sides as far as the history's letters tell (capital: originator).
fn flags(history: &str, protocol: u8) -> [u8; 2] {
    let mut flags = [0; 2];
    if protocol != facts::TCP {
        return flags;
    }
    for letter in history.chars() {
        flags[usize::from(letter.is_ascii_lowercase())] |= match letter.to_ascii_uppercase() {
            'S' => SYN,
            'H' => SYN | ACK,
            'A' | 'D' => ACK,
            'F' => FIN | ACK,
            'R' => RST,
            _ => 0,
        };
    }
    flags
}

/// What Zeek's analyzers recognized. It looks at the payload of every connection that has one.
fn service(record: &Record<'_>, port: u16) -> Service {
    const MDNS: u16 = 5353;
    let Some(names) = record.text(Column::Service) else {
        let payload: [Option<u64>; 2] =
            [Column::OrigBytes, Column::RespBytes].map(|column| record.number(column));
        let has_payload = payload.into_iter().flatten().any(|bytes| bytes > 0);
        return if has_payload && !has_gaps(record, payload) {
            Service::Unrecognized
        } else {
            Service::Unseen
        };
    };
    // Several analyzers may have agreed, as `quic,ssl`, or `-` before a name that a protocol lost.
    let known = names.split(',').map(facts::service);
    match known.min_by_key(|service| *service == Service::Other) {
        Some(Service::Dns) if port == MDNS => Service::Mdns,
        found => found.unwrap_or(Service::Other),
    }
}

/// Zeek did not see all of the payload: it says so, or less came by than sequence numbers tell (where its history speaks
/// of data at all, so that both numbers are its own). Its analyzers give up
/// then, so that none recognized it says nothing.
fn has_gaps(record: &Record<'_>, payload: [Option<u64>; 2]) -> bool {
    let missed = record.number::<u64>(Column::MissedBytes).unwrap_or(0);
    let history = record.text(Column::History).unwrap_or_default();
    let seen = [Column::OrigIpBytes, Column::RespIpBytes].map(|column| record.number::<u64>(column));
    let short = |(payload, seen): (Option<u64>, Option<u64>)| {
        payload.zip(seen).is_some_and(|(payload, seen)| seen < payload)
    };
    missed > 0
        || history.contains(['g', 'G'])
        || history.contains(['d', 'D']) && payload.into_iter().zip(seen).any(short)
}

fn label(record: &Record<'_>, column: Column) -> Option<String> {
    record
        .owned(column)
        .filter(|label| label != "(empty)" && label != "-")
}
