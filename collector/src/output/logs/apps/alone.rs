//! Messages that wait for no other: one row each.

use lynceus_model::app::{AppEvent, AppRecord, File, LoginOutcome};

use super::super::columns::{ARP, DHCP, FILES, FTP, LOGIN, NOTICE, SMTP, TUNNEL, WEIRD};
use super::super::conn::{mac, name_of};
use super::super::table::Row;
use super::super::{hosts, uid};
use super::{Flow, begin, dns, known, unanswered};

/// Messages that stand for themselves.
pub(super) fn alone(record: &AppRecord) -> Vec<Row> {
    let row = match &record.event {
        AppEvent::Dns(dns_message) if dns_message.response => dns(record, dns_message, false),
        AppEvent::Dns(_) => return unanswered(record).into_iter().collect(),
        AppEvent::Dhcp(dhcp) => {
            const TYPES: [&str; 8] = [
                "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM",
            ];
            let name = usize::from(dhcp.message_type)
                .checked_sub(1)
                .and_then(|at| TYPES.get(at));
            let (client, server) = (record.tuple.originator.ip, record.tuple.responder.ip);
            let address = |ip: std::net::IpAddr| {
                (!ip.is_unspecified() && lynceus_model::address::is_host(ip)).then_some(ip)
            };
            let mut row = Row::new(&DHCP);
            row.put("ts", Some(record.time))
                .put("uids", record.community_id.as_ref().map(|id| vec![uid(id)]))
                .put("client_addr", address(client))
                .put("server_addr", dhcp.server.or_else(|| address(server)))
                .put("mac", Some(mac(dhcp.client_mac)))
                .put("host_name", dhcp.host_name.clone())
                .put("requested_addr", dhcp.requested)
                .put("assigned_addr", dhcp.assigned)
                .put("msg_types", name.map(|name| vec![(*name).to_owned()]))
                .put("client_software", dhcp.vendor_class.clone());
            row
        }
        // Zeek writes no log of neighbour discovery.
        AppEvent::Arp(arp) if arp.discovery.is_some() => return Vec::new(),
        AppEvent::Arp(arp) => {
            let operation = match arp.operation {
                1 => "request",
                2 => "reply",
                _ => return Vec::new(),
            };
            let mut row = Row::new(&ARP);
            row.put("ts", Some(record.time))
                .put("operation", Some(operation))
                .put("src_mac", Some(mac(arp.sender_mac)))
                .put("dst_mac", arp.frame_destination.map(mac))
                .put("orig_h", Some(arp.sender))
                .put("resp_h", Some(arp.target))
                .put("orig_hw", Some(mac(arp.sender_mac)))
                .put("resp_hw", Some(mac(arp.target_mac)));
            row
        }
        AppEvent::Ftp(ftp) => {
            let mut row = begin(&FTP, record);
            row.put("user", ftp.user.clone())
                .put("command", known(&ftp.command))
                .put("arg", ftp.argument.clone())
                .put("reply_code", ftp.reply_code)
                .put("reply_msg", ftp.reply.clone())
                .put("data_channel.resp_h", ftp.data.map(|data| data.ip))
                .put("data_channel.resp_p", ftp.data.map(|data| data.port));
            row
        }
        AppEvent::Smtp(smtp) => {
            // The code stands before the text, as servers send it.
            let reply = match (smtp.reply_code, &smtp.reply) {
                (Some(code), Some(text)) if !text.starts_with(&code.to_string()) => {
                    Some(format!("{code} {text}"))
                }
                (Some(code), None) => Some(code.to_string()),
                (_, reply) => reply.clone(),
            };
            let mut row = begin(&SMTP, record);
            row.put("helo", smtp.helo.clone())
                .put("mailfrom", smtp.mail_from.clone())
                .put(
                    "rcptto",
                    (!smtp.recipients.is_empty()).then(|| smtp.recipients.clone()),
                )
                .put("last_reply", reply)
                .put("tls", Some(smtp.tls));
            row
        }
        AppEvent::Login(login) => {
            let success = match login.outcome {
                LoginOutcome::Success => Some("T"),
                LoginOutcome::Failed => Some("F"),
                LoginOutcome::Confused => None,
            };
            let mut row = begin(&LOGIN, record);
            row.put("service", known(&login.service))
                .put("user", login.user.clone())
                .put("success", success);
            row
        }
        AppEvent::File(file) => files(record, file),
        AppEvent::Tunnel(note) => {
            let mut row = begin(&TUNNEL, record);
            row.put(
                "tunnel_type",
                Some(format!("Tunnel::{}", note.kind.to_ascii_uppercase())),
            )
            .put(
                "action",
                Some(format!("Tunnel::{}", note.action.to_ascii_uppercase())),
            );
            row
        }
        AppEvent::Notice(notice) => {
            let mut row = Row::new(&NOTICE);
            if record.community_id.is_some() {
                row = begin(&NOTICE, record);
            }
            let (source, destination) = (record.tuple.originator, record.tuple.responder);
            row.put("ts", Some(record.time))
                .put("proto", Some(name_of(record.tuple.protocol)))
                .put("note", Some(notice.name.as_str()))
                .put("msg", known(&notice.message))
                .put("sub", notice.detail.clone())
                .put("src", Some(source.ip))
                .put(
                    "dst",
                    (!destination.ip.is_unspecified()).then_some(destination.ip),
                )
                .put("p", (destination.port != 0).then_some(destination.port));
            row
        }
        AppEvent::Weird(weird) => {
            let mut row = begin(&WEIRD, record);
            row.put("name", Some(weird.name.as_str()))
                .put("addl", weird.detail.clone());
            row
        }
        AppEvent::Software(software) => hosts::row(record, software),
        // Without a Community ID nothing can be put together: each alone.
        AppEvent::HttpRequest(_)
        | AppEvent::HttpResponse(_)
        | AppEvent::TlsClient(_)
        | AppEvent::TlsServer(_)
        | AppEvent::Certificate(_)
        | AppEvent::Ssh(_)
        | AppEvent::SshKeyExchange(_)
        | AppEvent::SshLogin(_) => {
            let mut flow = Flow::new(0);
            let mut rows: Vec<Row> = flow.take(record).into_iter().collect();
            rows.extend(flow.rows());
            return rows;
        }
    };
    vec![row]
}

fn files(record: &AppRecord, file: &File) -> Row {
    let mut row = begin(&FILES, record);
    let mime = match &file.mime {
        None if file.is_certificate => Some("application/x-x509-user-cert".to_owned()),
        mime => mime.clone(),
    };
    row.put("source", known(&file.source).map(str::to_ascii_uppercase))
        .put("mime_type", mime)
        .put("filename", file.name.clone())
        .put("is_orig", Some(!record.from_responder))
        .put("total_bytes", file.bytes)
        .put("md5", file.md5.clone())
        .put("sha1", file.sha1.clone())
        .put("sha256", file.sha256.clone());
    row
}
