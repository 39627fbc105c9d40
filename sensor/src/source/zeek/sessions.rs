//! ssh, dhcp, ftp, smtp, login, tunnel, notice, weird, software and arp: what hosts did, and what Zeek thinks of it.

use std::net::IpAddr;

use lynceus_model::app::{
    AppEvent, AppRecord, Arp, Dhcp, Ftp, Login, LoginOutcome, Notice, Smtp, Software, SshBanner,
    SshKeyExchange, SshLogin, TunnelNote, Weird,
};
use lynceus_model::flow::{Endpoint, FiveTuple};

use super::columns::Column;
use super::conn::{ends, protocol};
use super::messages::message;
use super::record::Record;
use crate::source::log::facts::{self, Ends, TCP, UDP};
use crate::source::log::{Reason, Refusal, Row};

/// Both banners, the fingerprints where a package writes them, and how the login went.
pub(super) fn ssh(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    let (client, server) = (record.owned(Column::Client), record.owned(Column::Server));
    for (from_responder, banner, hassh) in [
        (false, &client, Column::Hassh),
        (true, &server, Column::HasshServer),
    ] {
        if let Some(banner) = banner.clone() {
            let event = AppEvent::Ssh(SshBanner { banner });
            rows.push(message(time, &ends, from_responder, event));
        }
        if let Some(hassh) = record.owned(hassh) {
            let event = AppEvent::SshKeyExchange(SshKeyExchange { hassh });
            rows.push(message(time, &ends, from_responder, event));
        }
    }
    let login = SshLogin {
        success: record.flag(Column::AuthSuccess),
        attempts: record.number(Column::AuthAttempts),
        client,
        server,
    };
    rows.push(message(time, &ends, false, AppEvent::SshLogin(login)));
    Ok(())
}

/// A conversation as its messages: each has the facts that it can have carried.
pub(super) fn dhcp(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    const CLIENT: u16 = 68;
    const SERVER: u16 = 67;
    let time = record.ts()?;
    let (client, server) = match ends(record, UDP) {
        // Of before Zeek 2.6.
        Ok(ends) => (ends.tuple.originator.ip, Some(ends.tuple.responder.ip)),
        Err(_) => (
            record
                .address(Column::ClientAddr)
                .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            record.address(Column::ServerAddr),
        ),
    };
    let responder = server.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::BROADCAST));
    let ends = Ends::new((client, CLIENT), (responder, SERVER), UDP);
    let mac = record.mac(Column::Mac);
    let (requested, assigned) = (
        record.address(Column::RequestedAddr),
        record.address(Column::AssignedAddr),
    );
    let mut types = record.list(Column::MsgTypes);
    if types.is_empty() {
        types.push("ACK".into());
    }
    // The row is the conversation's: what the client said of itself stands with its own messages where there are any.
    let only_server = types
        .iter()
        .all(|name| matches!(name.as_ref(), "OFFER" | "ACK" | "NAK"));
    for name in types {
        let Some(place) = MESSAGE_TYPES.iter().position(|known| *known == name) else {
            continue;
        };
        let message_type = place as u8 + 1;
        let from_server = matches!(message_type, OFFER | ACK | NAK);
        let event = AppEvent::Dhcp(Dhcp {
            message_type,
            client_mac: mac.unwrap_or_default(),
            requested: requested.filter(|_| matches!(message_type, DISCOVER | REQUEST)),
            assigned: assigned.filter(|_| matches!(message_type, OFFER | ACK)),
            server,
            host_name: record
                .owned(Column::HostName)
                .filter(|_| !from_server || only_server),
            vendor_class: record
                .owned(Column::ClientSoftware)
                .filter(|_| !from_server || only_server),
        });
        rows.push(message(time, &ends, from_server, event));
    }
    Ok(())
}

const MESSAGE_TYPES: [&str; 8] = [
    "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM",
];
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

pub(super) fn ftp(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    let data = match (
        record.address(Column::DataRespH),
        record.number(Column::DataRespP),
    ) {
        (Some(ip), Some(port)) => Some(Endpoint { ip, port }),
        _ => None,
    };
    let event = AppEvent::Ftp(Ftp {
        user: record.owned(Column::User).filter(|user| user != "<unknown>"),
        command: record.owned(Column::Command).unwrap_or_default(),
        argument: record.owned(Column::Arg),
        reply_code: record.number(Column::ReplyCode),
        reply: record.owned(Column::ReplyMsg),
        data,
    });
    rows.push(message(time, &ends, false, event));
    Ok(())
}

pub(super) fn smtp(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    /// Authentication credentials invalid (RFC 4954).
    const REFUSED: u16 = 535;
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    let reply = record.owned(Column::LastReply);
    let reply_code = reply.as_ref().and_then(|reply| reply.get(..3)?.parse().ok());
    let event = AppEvent::Smtp(Smtp {
        helo: record.owned(Column::Helo),
        mail_from: record.owned(Column::MailFrom),
        recipients: record.list(Column::RcptTo).into_iter().map(Into::into).collect(),
        login: (reply_code == Some(REFUSED)).then_some(false),
        reply_code,
        reply,
        tls: record.flag(Column::Tls).unwrap_or(false),
    });
    rows.push(message(time, &ends, false, event));
    Ok(())
}

/// The log of Slips' script for Telnet, rlogin and rsh.
pub(super) fn login(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    let outcome = match record.raw(Column::Success).map(|text| text.trim_matches('"')) {
        Some("T" | "true" | "success" | "successful") => LoginOutcome::Success,
        Some("F" | "false" | "failed" | "failure") => LoginOutcome::Failed,
        _ => LoginOutcome::Confused,
    };
    let service = record
        .owned(Column::Service)
        .or_else(|| record.owned(Column::Proto));
    let event = AppEvent::Login(Login {
        service: service.unwrap_or_default(),
        user: record.owned(Column::User),
        outcome,
    });
    rows.push(message(time, &ends, false, event));
    Ok(())
}

pub(super) fn tunnel(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let last = |column| {
        let text = record.text(column).unwrap_or_default();
        text.rsplit("::").next().unwrap_or_default().to_ascii_lowercase()
    };
    let event = TunnelNote {
        kind: last(Column::TunnelType),
        action: last(Column::Action),
    };
    const GRE: u8 = 47;
    let protocol = if event.kind == "gre" { GRE } else { UDP };
    let ends = ends(record, protocol)?;
    rows.push(message(time, &ends, false, AppEvent::Tunnel(event)));
    Ok(())
}

/// A notice names its flow, or a source and maybe a destination and a port.
pub(super) fn notice(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let event = AppEvent::Notice(Notice {
        analyzer: "zeek".to_owned(),
        name: record
            .owned(Column::Note)
            .ok_or_else(|| record.wrong(Column::Note, "a name"))?,
        message: record.owned(Column::Msg).unwrap_or_default(),
        detail: record.owned(Column::Sub),
        ..Notice::default()
    });
    let row = match (record.raw(Column::OrigH), record.address(Column::Src)) {
        (Some(_), _) => message(time, &ends(record, protocol(record)?)?, false, event),
        (None, Some(source)) => {
            let responder = record
                .address(Column::Dst)
                .unwrap_or_else(|| facts::nobody(source));
            let tuple = FiveTuple {
                originator: Endpoint { ip: source, port: 0 },
                responder: Endpoint {
                    ip: responder,
                    port: record.number(Column::Port).unwrap_or(0),
                },
                protocol: protocol(record)?,
            };
            alone(time, tuple, event)
        }
        (None, None) => return Err(Reason::NoAddress.into()),
    };
    rows.push(row);
    Ok(())
}

/// Something that is known without a flow.
pub(super) const fn without_flow(ip: IpAddr, port: u16) -> FiveTuple {
    FiveTuple {
        originator: Endpoint { ip, port },
        responder: Endpoint {
            ip: facts::nobody(ip),
            port: 0,
        },
        protocol: 0,
    }
}

pub(super) fn alone(time: lynceus_model::time::Timestamp, tuple: FiveTuple, event: AppEvent) -> Row {
    Row::app(AppRecord {
        time,
        tuple,
        community_id: None,
        from_responder: false,
        event,
    })
}

pub(super) fn weird(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    let event = AppEvent::Weird(Weird {
        name: record
            .owned(Column::Name)
            .ok_or_else(|| record.wrong(Column::Name, "a name"))?,
        detail: record.owned(Column::Addl),
    });
    rows.push(message(time, &ends, false, event));
    Ok(())
}

pub(super) fn software(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let host = record
        .address(Column::Host)
        .ok_or_else(|| record.wrong(Column::Host, "an address"))?;
    let parts = [Column::VersionMajor, Column::VersionMinor, Column::VersionMinor2];
    let parts: Vec<String> = parts
        .into_iter()
        .map_while(|column| record.owned(column))
        .collect();
    let version = if parts.is_empty() {
        record.owned(Column::UnparsedVersion)
    } else {
        Some(parts.join("."))
    };
    let event = AppEvent::Software(Software {
        kind: record.owned(Column::SoftwareType).unwrap_or_default(),
        name: record.owned(Column::Name).unwrap_or_default(),
        version,
    });
    let tuple = without_flow(host, record.number(Column::HostPort).unwrap_or(0));
    rows.push(alone(time, tuple, event));
    Ok(())
}

/// The log of Slips' script: `orig` and `resp` are sender and target of the ARP message, `src` and `dst` the frame's.
pub(super) fn arp(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let operation = match record.text(Column::Operation).as_deref() {
        Some("request") => 1,
        Some("reply") => 2,
        _ => return Err(record.wrong(Column::Operation, "an ARP operation")),
    };
    let ends = ends(record, 0)?;
    let event = AppEvent::Arp(Arp {
        operation,
        sender_mac: record
            .mac(Column::OrigHw)
            .or_else(|| record.mac(Column::SrcMac))
            .unwrap_or_default(),
        sender: ends.tuple.originator.ip,
        target_mac: record.mac(Column::RespHw).unwrap_or_default(),
        target: ends.tuple.responder.ip,
        frame_destination: record.mac(Column::DstMac),
        discovery: None,
    });
    rows.push(alone(time, ends.tuple, event));
    Ok(())
}
