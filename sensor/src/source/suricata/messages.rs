//! HTTP, TLS, QUIC, files, SSH, DHCP, SMTP and FTP.

use std::net::IpAddr;

use lynceus_model::app::{
    AppEvent, Certificate, Dhcp, File, Ftp, HttpRequest, HttpResponse, Smtp, SshBanner, SshKeyExchange,
    TlsClient, TlsServer,
};
use lynceus_model::flow::Endpoint;
use serde::Deserialize;

use super::{Event, member, message};
use crate::source::log::{Refusal, Row, facts, time};
use crate::source::zeek::join::common_name;

#[derive(Deserialize)]
struct Http {
    hostname: Option<String>,
    #[serde(default)]
    url: String,
    http_user_agent: Option<String>,
    http_method: Option<String>,
    http_content_type: Option<String>,
    status: Option<u16>,
    length: Option<u64>,
}

pub(super) fn http(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let (time, ends) = (event.time()?, event.ends()?);
    let http: Http = member(event.http, "http")?;
    if let Some(method) = http.http_method {
        let request = HttpRequest {
            method,
            host: http.hostname,
            uri: http.url,
            user_agent: http.http_user_agent,
            content_length: None,
        };
        rows.push(message(time, &ends, false, AppEvent::HttpRequest(request)));
    }
    if let Some(status) = http.status {
        let response = HttpResponse {
            status,
            mime: http.http_content_type,
            content_length: http.length,
            server: None,
        };
        rows.push(message(time, &ends, true, AppEvent::HttpResponse(response)));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Hash {
    hash: Option<String>,
}

#[derive(Deserialize)]
struct Tls {
    subject: Option<String>,
    issuerdn: Option<String>,
    fingerprint: Option<String>,
    sni: Option<String>,
    version: Option<String>,
    notbefore: Option<String>,
    notafter: Option<String>,
    #[serde(default)]
    subjectaltname: Vec<String>,
    #[serde(default)]
    client_alpns: Vec<String>,
    #[serde(default)]
    server_alpns: Vec<String>,
    ja3: Option<Hash>,
    ja3s: Option<Hash>,
    ja4: Option<String>,
}

pub(super) fn tls(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let (at, ends) = (event.time()?, event.ends()?);
    let tls: Tls = member(event.tls, "tls")?;
    let hash = |hash: Option<Hash>| hash.and_then(|hash| hash.hash).unwrap_or_default();
    let client = TlsClient {
        server_name: tls.sni.clone(),
        alpn: tls.client_alpns,
        ja3: hash(tls.ja3),
        ja4: tls.ja4.unwrap_or_default(),
        ..TlsClient::default()
    };
    rows.push(message(at, &ends, false, AppEvent::TlsClient(client)));
    let version = tls.version.as_deref().map_or(0, tls_version);
    if version != 0 {
        let server = TlsServer {
            version,
            alpn: tls.server_alpns.into_iter().next(),
            ja3s: hash(tls.ja3s),
            ..TlsServer::default()
        };
        rows.push(message(at, &ends, true, AppEvent::TlsServer(server)));
    }
    if let Some(subject) = tls.subject {
        let issuer = tls.issuerdn.unwrap_or_default();
        let time_of = |text: Option<String>| text.as_deref().and_then(time::time);
        let certificate = Certificate {
            server_name: tls.sni,
            common_name: common_name(&subject),
            self_signed: Some(!subject.is_empty() && subject == issuer),
            subject,
            issuer,
            names: tls
                .subjectaltname
                .iter()
                .map(|name| facts::domain(name))
                .collect(),
            not_before: time_of(tls.notbefore),
            not_after: time_of(tls.notafter),
            sha1: tls
                .fingerprint
                .map(|digits| digits.replace(':', "").to_ascii_lowercase()),
            ..Certificate::default()
        };
        rows.push(message(
            at,
            &ends,
            true,
            AppEvent::Certificate(Box::new(certificate)),
        ));
    }
    Ok(())
}

fn tls_version(name: &str) -> u16 {
    match name {
        "SSLv2" => 0x0002,
        "SSLv3" => 0x0300,
        "TLSv1" | "TLS 1.0" => 0x0301,
        "TLS 1.1" => 0x0302,
        "TLS 1.2" => 0x0303,
        "TLS 1.3" => 0x0304,
        _ => 0,
    }
}

#[derive(Deserialize)]
struct Quic {
    sni: Option<String>,
    ja3: Option<Hash>,
    ja4: Option<String>,
}

pub(super) fn quic(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let quic: Quic = member(event.quic, "quic")?;
    let client = TlsClient {
        quic: true,
        server_name: quic.sni,
        ja3: quic.ja3.and_then(|hash| hash.hash).unwrap_or_default(),
        ja4: quic.ja4.unwrap_or_default(),
        ..TlsClient::default()
    };
    let event = message(event.time()?, &event.ends()?, false, AppEvent::TlsClient(client));
    rows.push(event);
    Ok(())
}

#[derive(Deserialize)]
struct FileInfo {
    filename: Option<String>,
    magic: Option<String>,
    mimetype: Option<String>,
    size: Option<u64>,
    md5: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
}

/// The event goes from who sent the file to who got it; the side with the lower port is the server.
pub(super) fn file(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let info: FileInfo = member(event.fileinfo, "fileinfo")?;
    let from_server = event.src_port < event.dest_port;
    let ends = if from_server {
        event.turned()?
    } else {
        event.ends()?
    };
    // What HTTP declared, where Suricata did not look into the file.
    let declared = event
        .http
        .and_then(|http| serde_json::from_str::<Http>(http.get()).ok());
    let declared = declared.and_then(|http| http.http_content_type);
    let file = File {
        source: event.app_proto.as_deref().unwrap_or_default().to_owned(),
        name: info.filename,
        mime: info.mimetype.or(info.magic).or(declared),
        bytes: info.size,
        md5: info.md5,
        sha1: info.sha1,
        sha256: info.sha256,
        is_certificate: false,
    };
    rows.push(message(
        event.time()?,
        &ends,
        from_server,
        AppEvent::File(Box::new(file)),
    ));
    Ok(())
}

#[derive(Deserialize)]
struct SshSide {
    #[serde(default)]
    proto_version: String,
    #[serde(default)]
    software_version: String,
    hassh: Option<Hash>,
}

#[derive(Deserialize)]
struct Ssh {
    client: Option<SshSide>,
    server: Option<SshSide>,
}

pub(super) fn ssh(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let (time, ends) = (event.time()?, event.ends()?);
    let ssh: Ssh = member(event.ssh, "ssh")?;
    for (from_responder, side) in [(false, ssh.client), (true, ssh.server)] {
        let Some(side) = side else { continue };
        let banner = format!("SSH-{}-{}", side.proto_version, side.software_version);
        let event = AppEvent::Ssh(SshBanner { banner });
        rows.push(message(time, &ends, from_responder, event));
        if let Some(hassh) = side.hassh.and_then(|hash| hash.hash) {
            let event = AppEvent::SshKeyExchange(SshKeyExchange { hassh });
            rows.push(message(time, &ends, from_responder, event));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct DhcpPart {
    dhcp_type: Option<String>,
    client_mac: Option<String>,
    assigned_ip: Option<IpAddr>,
    requested_ip: Option<IpAddr>,
    hostname: Option<String>,
    vendor_class_identifier: Option<String>,
}

pub(super) fn dhcp(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    const TYPES: [&str; 8] = [
        "discover", "offer", "request", "decline", "ack", "nak", "release", "inform",
    ];
    const SERVER: u16 = 67;
    let part: DhcpPart = member(event.dhcp, "dhcp")?;
    let kind = part.dhcp_type.unwrap_or_default();
    let Some(place) = TYPES.iter().position(|name| *name == kind) else {
        return Err(crate::source::log::Reason::NotUsed.into());
    };
    let from_server = event.src_port == SERVER;
    let ends = if from_server {
        event.turned()?
    } else {
        event.ends()?
    };
    let given = |ip: Option<IpAddr>| ip.filter(|ip| !ip.is_unspecified());
    let dhcp = Dhcp {
        message_type: place as u8 + 1,
        client_mac: part
            .client_mac
            .as_deref()
            .and_then(facts::mac)
            .unwrap_or_default(),
        requested: given(part.requested_ip),
        assigned: given(part.assigned_ip),
        server: from_server.then_some(ends.tuple.responder.ip),
        host_name: part.hostname,
        vendor_class: part.vendor_class_identifier,
    };
    rows.push(message(event.time()?, &ends, from_server, AppEvent::Dhcp(dhcp)));
    Ok(())
}

#[derive(Deserialize)]
struct SmtpPart {
    helo: Option<String>,
    mail_from: Option<String>,
    #[serde(default)]
    rcpt_to: Vec<String>,
}

pub(super) fn smtp(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let part: SmtpPart = member(event.smtp, "smtp")?;
    let bare = |address: String| address.trim_matches(['<', '>']).to_owned();
    let smtp = Smtp {
        helo: part.helo,
        mail_from: part.mail_from.map(bare),
        recipients: part.rcpt_to.into_iter().map(bare).collect(),
        ..Smtp::default()
    };
    rows.push(message(
        event.time()?,
        &event.ends()?,
        false,
        AppEvent::Smtp(smtp),
    ));
    Ok(())
}

#[derive(Deserialize)]
struct FtpPart {
    #[serde(default)]
    command: String,
    command_data: Option<String>,
    #[serde(default)]
    reply: Vec<String>,
    #[serde(default)]
    completion_code: Vec<String>,
    dynamic_port: Option<u16>,
    mode: Option<String>,
}

pub(super) fn ftp(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let part: FtpPart = member(event.ftp, "ftp")?;
    let ends = event.ends()?;
    // Active: the server connects to the client.
    let active = part.mode.as_deref() == Some("active");
    let host = if active {
        ends.tuple.originator.ip
    } else {
        ends.tuple.responder.ip
    };
    let ftp = Ftp {
        user: (part.command == "USER")
            .then(|| part.command_data.clone())
            .flatten(),
        command: part.command,
        argument: part.command_data,
        reply_code: part.completion_code.last().and_then(|code| code.parse().ok()),
        reply: (!part.reply.is_empty()).then(|| part.reply.join("\n")),
        data: part
            .dynamic_port
            .filter(|port| *port != 0)
            .map(|port| Endpoint { ip: host, port }),
    };
    rows.push(message(event.time()?, &ends, false, AppEvent::Ftp(ftp)));
    Ok(())
}
