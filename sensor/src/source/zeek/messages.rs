//! dns, http, ssl, quic, x509 and files: what travelled in flows.

use std::net::IpAddr;

use lynceus_model::app::{
    AppEvent, AppRecord, Certificate, Dns, DnsAnswer, DnsData, File, HttpRequest, HttpResponse, TlsClient,
    TlsServer,
};
use lynceus_model::time::Timestamp;

use super::columns::Column;
use super::conn::{ends, protocol};
use super::join::{Chain, Detached, FileRow};
use super::record::Record;
use crate::source::log::facts::{self, Ends, TCP, UDP};
use crate::source::log::{Refusal, Row, What};

/// A message of the flow that the row names.
pub(super) fn message(time: Timestamp, ends: &Ends, from_responder: bool, event: AppEvent) -> Row {
    Row::app(AppRecord {
        time,
        tuple: ends.tuple,
        community_id: Some(ends.community_id),
        from_responder,
        event,
    })
}

/// A query, and its answer where there was one: two messages, as packets would show.
pub(super) fn dns(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    const MDNS: u16 = 5353;
    let time = record.ts()?;
    let ends = ends(record, protocol(record)?)?;
    let query = Dns {
        id: record.number(Column::TransId).unwrap_or(0),
        multicast: ends.tuple.responder.port == MDNS,
        name: record
            .text(Column::Query)
            .map(|name| facts::domain(&name))
            .unwrap_or_default(),
        query_type: record.number(Column::Qtype).unwrap_or(0),
        ..Dns::default()
    };
    let rcode = record.number(Column::Rcode);
    let answers = answers(record, query.query_type);
    let latency = record.duration(Column::Rtt);
    let answered = rcode.is_some() || !answers.is_empty();
    let response = Dns {
        response: true,
        rcode: rcode.unwrap_or(0),
        answers,
        latency,
        ..query.clone()
    };
    rows.push(message(time, &ends, false, AppEvent::Dns(query)));
    if answered {
        let time = time.saturating_add(latency.unwrap_or_default());
        rows.push(message(time, &ends, true, AppEvent::Dns(response)));
    }
    Ok(())
}

/// The answers. Zeek does not write their types; a name is that of an alias, or what was asked for.
fn answers(record: &Record<'_>, query_type: u16) -> Vec<DnsAnswer> {
    const A: u16 = 1;
    const CNAME: u16 = 5;
    const PTR_MX: [u16; 5] = [2, 12, 15, 33, 39];
    const TXT: u16 = 16;
    const AAAA: u16 = 28;
    let ttls = record.list(Column::Ttls);
    let ttl = |place: usize| {
        let seconds: f64 = ttls.get(place).and_then(|ttl| ttl.parse().ok()).unwrap_or(0.0);
        seconds.clamp(0.0, f64::from(u32::MAX)) as u32
    };
    let answers = record.list(Column::Answers).into_iter().enumerate();
    answers
        .map(|(place, text)| {
            let (record_type, data) = match (text.parse::<IpAddr>(), txt(&text)) {
                (Ok(ip), _) => (if ip.is_ipv4() { A } else { AAAA }, DnsData::Address(ip)),
                (_, Some(strings)) => (TXT, DnsData::Text(strings)),
                _ if text.contains(' ') => (query_type, DnsData::Other),
                _ if PTR_MX.contains(&query_type) => (query_type, DnsData::Name(facts::domain(&text))),
                _ => (CNAME, DnsData::Name(facts::domain(&text))),
            };
            DnsAnswer {
                record_type,
                ttl: ttl(place),
                data,
            }
        })
        .collect()
}

/// `TXT 12 v=spf1 -all 4 more`: each string after its length.
fn txt(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix("TXT ")?;
    let mut strings = String::new();
    while let Some((length, after)) = rest.split_once(' ') {
        let Ok(length) = length.parse::<usize>() else {
            break;
        };
        let Some((string, next)) = after.split_at_checked(length) else {
            break;
        };
        strings.push_str(string);
        rest = next.strip_prefix(' ').unwrap_or(next);
    }
    // Written by another version, or cut: all of it.
    strings.push_str(rest);
    Some(strings)
}

pub(super) fn http(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, TCP)?;
    if let Some(method) = record.owned(Column::Method) {
        let request = HttpRequest {
            method,
            host: record.owned(Column::Host),
            uri: record.owned(Column::Uri).unwrap_or_default(),
            user_agent: record.owned(Column::UserAgent),
            content_length: record.number(Column::RequestBodyLen),
        };
        rows.push(message(time, &ends, false, AppEvent::HttpRequest(request)));
    }
    if let Some(status) = record.number(Column::StatusCode) {
        let response = HttpResponse {
            status,
            mime: record
                .list(Column::RespMimeTypes)
                .first()
                .map(|mime| mime.to_string()),
            content_length: record.number(Column::ResponseBodyLen),
            server: None,
        };
        rows.push(message(time, &ends, true, AppEvent::HttpResponse(response)));
    }
    Ok(())
}

/// The hello of both sides, and the certificate once x509.log and files.log were read as far.
pub(super) fn ssl(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let version = record.text(Column::Version).map_or(0, |name| tls_version(&name));
    let dtls = record
        .text(Column::Version)
        .is_some_and(|name| name.starts_with("DTLS"));
    let ends = ends(record, if dtls { UDP } else { TCP })?;
    let server_name = record.owned(Column::ServerName);
    let client = TlsClient {
        server_name: server_name.clone(),
        ja3: record.owned(Column::Ja3).unwrap_or_default(),
        ja4: record.owned(Column::Ja4).unwrap_or_default(),
        ..TlsClient::default()
    };
    rows.push(message(time, &ends, false, AppEvent::TlsClient(client)));
    if version != 0 {
        let server = TlsServer {
            version,
            alpn: record.owned(Column::NextProtocol),
            ja3s: record.owned(Column::Ja3s).unwrap_or_default(),
            ..TlsServer::default()
        };
        rows.push(message(time, &ends, true, AppEvent::TlsServer(server)));
    }
    let chain = record.list(Column::CertChain);
    let subject = record.owned(Column::Subject);
    if chain.is_empty() && subject.is_none() {
        return Ok(());
    }
    let at = time.saturating_add(Chain::WAIT);
    let chain = Chain {
        time,
        tuple: ends.tuple,
        community_id: ends.community_id,
        first: chain.first().map(|id| id.to_string()),
        server_name,
        subject,
        issuer: record.owned(Column::Issuer),
        validation: record.owned(Column::ValidationStatus),
    };
    rows.push(Row {
        at,
        begin: time,
        uid: None,
        what: What::Detached(Box::new(Detached::Chain(chain))),
    });
    Ok(())
}

fn tls_version(name: &str) -> u16 {
    match name {
        "SSLv2" => 0x0002,
        "SSLv3" => 0x0300,
        "TLSv10" => 0x0301,
        "TLSv11" => 0x0302,
        "TLSv12" => 0x0303,
        "TLSv13" => 0x0304,
        "DTLSv10" => 0xfeff,
        "DTLSv12" => 0xfefd,
        "DTLSv13" => 0xfefc,
        _ => 0,
    }
}

pub(super) fn quic(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let ends = ends(record, UDP)?;
    let client = TlsClient {
        quic: true,
        server_name: record.owned(Column::ServerName),
        alpn: record.owned(Column::ClientProtocol).into_iter().collect(),
        ..TlsClient::default()
    };
    rows.push(message(time, &ends, false, AppEvent::TlsClient(client)));
    Ok(())
}

pub(super) fn x509(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let id = record
        .owned(Column::Id)
        .ok_or_else(|| record.wrong(Column::Id, "a file"))?;
    let certificate = Certificate {
        subject: record.owned(Column::CertificateSubject).unwrap_or_default(),
        issuer: record.owned(Column::CertificateIssuer).unwrap_or_default(),
        names: record
            .list(Column::SanDns)
            .iter()
            .map(|name| facts::domain(name))
            .collect(),
        not_before: record.time(Column::NotBefore),
        not_after: record.time(Column::NotAfter),
        // Zeek's fingerprint is the SHA-256.
        sha256: (id.len() == 64).then(|| id.clone()),
        ..Certificate::default()
    };
    rows.push(Row {
        at: time,
        begin: time,
        uid: None,
        what: What::Detached(Box::new(Detached::Certificate(id, certificate))),
    });
    Ok(())
}

pub(super) fn files(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let source = record
        .text(Column::Source)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mime = record.owned(Column::MimeType);
    let is_certificate = mime
        .as_deref()
        .is_some_and(|mime| mime.starts_with("application/x-x509"));
    let file = File {
        source,
        name: record.owned(Column::Filename),
        mime,
        bytes: record
            .number(Column::TotalBytes)
            .or_else(|| record.number(Column::SeenBytes)),
        md5: record.owned(Column::Md5),
        sha1: record.owned(Column::Sha1),
        sha256: record.owned(Column::Sha256),
        is_certificate,
    };
    let host = |column| {
        record
            .list(column)
            .first()
            .and_then(|host| host.parse::<IpAddr>().ok())
    };
    let from_originator = record.flag(Column::IsOrig).unwrap_or(false);
    let uids = record.list(Column::ConnUids).into_iter();
    let row = FileRow {
        time,
        ends: ends(record, TCP).ok().map(|ends| (ends.tuple, ends.community_id)),
        uids: uids
            .chain(record.text(Column::Uid))
            .map(|uid| uid.into_owned())
            .collect(),
        sender: host(Column::TxHosts),
        receiver: host(Column::RxHosts),
        from_originator,
        id: record.owned(Column::Fuid),
        file,
    };
    rows.push(Row {
        at: time,
        begin: time,
        uid: None,
        what: What::Detached(Box::new(Detached::File(row))),
    });
    Ok(())
}
