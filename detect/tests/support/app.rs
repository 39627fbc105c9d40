//! Application records of a case: `[[app]]` with `event = { dns = { … } }`.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{
    AppEvent, AppRecord, Certificate, Dhcp, Dns, DnsAnswer, DnsData, File, Ftp, HttpRequest, HttpResponse,
    Login, LoginOutcome, Notice, Smtp, Software, SshBanner, SshKeyExchange, SshLogin, TlsClient, TlsServer,
    TunnelNote, Weird,
};
use lynceus_model::flow::{Endpoint, FiveTuple};
use lynceus_model::time::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};

use super::{Event, Protocol, id, one, seconds, source_port, step};

/// One message, or `repeat` messages that differ by the steps. `{n}` in any text of the event is the number of the
/// repetition, from 0.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppSpec {
    from: IpAddr,
    to: IpAddr,
    #[serde(default = "tcp")]
    protocol: Protocol,
    #[serde(default)]
    port: u16,
    #[serde(default = "source_port")]
    source_port: u16,
    /// Seconds.
    #[serde(default)]
    first: f64,
    #[serde(default)]
    from_responder: bool,
    event: toml::Table,
    #[serde(default = "one")]
    repeat: u64,
    #[serde(default)]
    step_to: u64,
    #[serde(default)]
    step_source: u16,
    #[serde(default)]
    step_first: f64,
}

impl AppSpec {
    pub(super) fn records(&self, events: &mut Vec<(Timestamp, Event)>) {
        for n in 0..self.repeat {
            let mut event = toml::Value::Table(self.event.clone());
            number(&mut event, n);
            let event: EventSpec = event.try_into().expect("the event is one of the model's");
            let tuple = FiveTuple {
                originator: Endpoint {
                    ip: self.from,
                    port: self.source_port + self.step_source * n as u16,
                },
                responder: Endpoint {
                    ip: step(self.to, self.step_to * n),
                    port: self.port,
                },
                protocol: self.protocol.number(),
            };
            let record = AppRecord {
                time: seconds(self.first + self.step_first * n as f64),
                tuple,
                community_id: Some(id(&tuple)),
                from_responder: self.from_responder,
                event: event.into(),
            };
            events.push((record.time, Event::App(Box::new(record))));
        }
    }
}

fn number(value: &mut toml::Value, n: u64) {
    match value {
        toml::Value::String(text) => *text = text.replace("{n}", &n.to_string()),
        toml::Value::Array(values) => values.iter_mut().for_each(|value| number(value, n)),
        toml::Value::Table(values) => values.iter_mut().for_each(|(_, value)| number(value, n)),
        _ => {}
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventSpec {
    Dns(DnsSpec),
    TlsClient(TlsClientSpec),
    TlsServer(TlsServerSpec),
    HttpRequest(HttpRequestSpec),
    HttpResponse(HttpResponseSpec),
    Ssh(SshBannerSpec),
    SshKeyExchange(SshKeyExchangeSpec),
    Dhcp(DhcpSpec),
    Certificate(CertificateSpec),
    SshLogin(SshLoginSpec),
    Smtp(SmtpSpec),
    Ftp(FtpSpec),
    Login(LoginSpec),
    File(FileSpec),
    Tunnel(TunnelSpec),
    Notice(NoticeSpec),
    Weird(WeirdSpec),
    Software(SoftwareSpec),
}

impl From<EventSpec> for AppEvent {
    fn from(spec: EventSpec) -> Self {
        match spec {
            EventSpec::Dns(event) => Self::Dns(event.into()),
            EventSpec::TlsClient(event) => Self::TlsClient(event.into()),
            EventSpec::TlsServer(event) => Self::TlsServer(event.into()),
            EventSpec::HttpRequest(event) => Self::HttpRequest(event.into()),
            EventSpec::HttpResponse(event) => Self::HttpResponse(event.into()),
            EventSpec::Ssh(event) => Self::Ssh(event.into()),
            EventSpec::SshKeyExchange(event) => Self::SshKeyExchange(event.into()),
            EventSpec::Dhcp(event) => Self::Dhcp(event.into()),
            EventSpec::Certificate(event) => Self::Certificate(Box::new(event.into())),
            EventSpec::SshLogin(event) => Self::SshLogin(event.into()),
            EventSpec::Smtp(event) => Self::Smtp(event.into()),
            EventSpec::Ftp(event) => Self::Ftp(event.into()),
            EventSpec::Login(event) => Self::Login(event.into()),
            EventSpec::File(event) => Self::File(Box::new(event.into())),
            EventSpec::Tunnel(event) => Self::Tunnel(event.into()),
            EventSpec::Notice(event) => Self::Notice(event.into()),
            EventSpec::Weird(event) => Self::Weird(event.into()),
            EventSpec::Software(event) => Self::Software(event.into()),
        }
    }
}

/// The model has no serde, so each of its types is described once more here.
macro_rules! described {
    ($($spec:ident = $of:ident { $($(#[$meta:meta])* $field:ident: $kind:ty,)* })*) => {
        $(#[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct $spec { $($(#[$meta])* $field: $kind,)* }

        impl From<$spec> for $of {
            fn from(spec: $spec) -> Self {
                Self { $($field: spec.$field,)* }
            }
        })*
    };
}

described! {
    DnsSpec = Dns {
        id: u16,
        response: bool,
        multicast: bool,
        name: String,
        query_type: u16,
        rcode: u8,
        #[serde(deserialize_with = "answers")]
        answers: Vec<DnsAnswer>,
        truncated: bool,
        latency: Option<Duration>,
    }
    TlsClientSpec = TlsClient {
        quic: bool,
        server_name: Option<String>,
        alpn: Vec<String>,
        version: u16,
        ja3: String,
        ja4: String,
    }
    TlsServerSpec = TlsServer { quic: bool, version: u16, cipher: u16, alpn: Option<String>, ja3s: String, }
    HttpRequestSpec = HttpRequest {
        method: String,
        host: Option<String>,
        uri: String,
        user_agent: Option<String>,
        content_length: Option<u64>,
    }
    HttpResponseSpec = HttpResponse {
        status: u16,
        mime: Option<String>,
        content_length: Option<u64>,
        server: Option<String>,
    }
    SshBannerSpec = SshBanner { banner: String, }
    SshKeyExchangeSpec = SshKeyExchange { hassh: String, }
    DhcpSpec = Dhcp {
        message_type: u8,
        #[serde(deserialize_with = "super::mac")]
        client_mac: [u8; 6],
        requested: Option<IpAddr>,
        assigned: Option<IpAddr>,
        server: Option<IpAddr>,
        host_name: Option<String>,
        vendor_class: Option<String>,
    }
    CertificateSpec = Certificate {
        server_name: Option<String>,
        subject: String,
        issuer: String,
        common_name: Option<String>,
        names: Vec<String>,
        #[serde(deserialize_with = "time")]
        not_before: Option<Timestamp>,
        #[serde(deserialize_with = "time")]
        not_after: Option<Timestamp>,
        sha1: Option<String>,
        sha256: Option<String>,
        self_signed: Option<bool>,
        validation: Option<String>,
    }
    SshLoginSpec = SshLogin {
        success: Option<bool>,
        attempts: Option<u32>,
        client: Option<String>,
        server: Option<String>,
    }
    SmtpSpec = Smtp {
        helo: Option<String>,
        mail_from: Option<String>,
        recipients: Vec<String>,
        login: Option<bool>,
        reply_code: Option<u16>,
        reply: Option<String>,
        tls: bool,
    }
    FtpSpec = Ftp {
        user: Option<String>,
        command: String,
        argument: Option<String>,
        reply_code: Option<u16>,
        reply: Option<String>,
        #[serde(deserialize_with = "endpoint")]
        data: Option<Endpoint>,
    }
    LoginSpec = Login {
        service: String,
        user: Option<String>,
        #[serde(deserialize_with = "outcome")]
        outcome: LoginOutcome,
    }
    FileSpec = File {
        source: String,
        name: Option<String>,
        mime: Option<String>,
        bytes: Option<u64>,
        md5: Option<String>,
        sha1: Option<String>,
        sha256: Option<String>,
        is_certificate: bool,
    }
    TunnelSpec = TunnelNote { kind: String, action: String, }
    NoticeSpec = Notice {
        analyzer: String,
        name: String,
        message: String,
        detail: Option<String>,
        signature: Option<u64>,
        severity: Option<u8>,
        category: Option<String>,
    }
    WeirdSpec = Weird { name: String, detail: Option<String>, }
    SoftwareSpec = Software { kind: String, name: String, version: Option<String>, }
}

/// `{ address = "…" }`, `{ name = "…", type = 5 }`, `{ text = "…" }`; `ttl` in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerSpec {
    address: Option<IpAddr>,
    name: Option<String>,
    text: Option<String>,
    #[serde(rename = "type")]
    record_type: Option<u16>,
    #[serde(default)]
    ttl: u32,
}

fn answers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DnsAnswer>, D::Error> {
    let specs = Vec::<AnswerSpec>::deserialize(deserializer)?;
    let answers = specs.into_iter().map(|spec| {
        let (usual, data) = match (spec.address, spec.name, spec.text) {
            (Some(ip), None, None) => (if ip.is_ipv4() { 1 } else { 28 }, DnsData::Address(ip)),
            (None, Some(name), None) => (5, DnsData::Name(name)),
            (None, None, Some(text)) => (16, DnsData::Text(text)),
            _ => (0, DnsData::Other),
        };
        DnsAnswer {
            record_type: spec.record_type.unwrap_or(usual),
            ttl: spec.ttl,
            data,
        }
    });
    Ok(answers.collect())
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.map(seconds))
}

/// `10.0.0.1:20`, `[fd00::1]:20`.
fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoint>, D::Error> {
    let address = Option::<std::net::SocketAddr>::deserialize(deserializer)?;
    Ok(address.map(|address| Endpoint {
        ip: address.ip(),
        port: address.port(),
    }))
}

fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LoginOutcome, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "success" => Ok(LoginOutcome::Success),
        "failed" => Ok(LoginOutcome::Failed),
        "confused" => Ok(LoginOutcome::Confused),
        other => Err(D::Error::custom(format!("no outcome of a login: {other}"))),
    }
}

const fn tcp() -> Protocol {
    Protocol::Tcp
}
