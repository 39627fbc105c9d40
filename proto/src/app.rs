//! Application events on the wire.

use std::time::Duration;

use lynceus_model::app::{
    AppEvent, AppRecord, Arp, Dhcp, Discovery, Dns, DnsAnswer, DnsData, HttpRequest, HttpResponse, SshBanner,
    SshKeyExchange, TlsClient, TlsServer,
};
use lynceus_model::time::Timestamp;

use crate::field::{
    Checked, Invalid, address, address_bytes, address6, community_id, cut_text, limits, list, mac, nanos,
    narrow, nested, nested_required, optional_address, optional_text, required, text,
};
use crate::v1;
use crate::v1::app_record::Event;
use crate::v1::dns_answer::Data;

impl TryFrom<v1::AppRecord> for AppRecord {
    type Error = Invalid;

    fn try_from(wire: v1::AppRecord) -> Checked<Self> {
        let event = match required("event", wire.event)? {
            Event::Dns(dns) => AppEvent::Dns(nested("dns", dns)?),
            Event::TlsClient(hello) => AppEvent::TlsClient(nested("tls_client", hello)?),
            Event::TlsServer(hello) => AppEvent::TlsServer(nested("tls_server", hello)?),
            Event::HttpRequest(request) => AppEvent::HttpRequest(nested("http_request", request)?),
            Event::HttpResponse(response) => AppEvent::HttpResponse(nested("http_response", response)?),
            Event::Ssh(banner) => AppEvent::Ssh(nested("ssh", banner)?),
            Event::SshKeyExchange(offer) => AppEvent::SshKeyExchange(nested("ssh_key_exchange", offer)?),
            Event::Dhcp(message) => AppEvent::Dhcp(nested("dhcp", message)?),
            Event::Arp(packet) => AppEvent::Arp(nested("arp", packet)?),
            Event::Certificate(value) => AppEvent::Certificate(Box::new(nested("certificate", value)?)),
            Event::SshLogin(value) => AppEvent::SshLogin(nested("ssh_login", value)?),
            Event::Smtp(value) => AppEvent::Smtp(nested("smtp", value)?),
            Event::Ftp(value) => AppEvent::Ftp(nested("ftp", value)?),
            Event::Login(value) => AppEvent::Login(nested("login", value)?),
            Event::File(value) => AppEvent::File(Box::new(nested("file", value)?)),
            Event::Tunnel(value) => AppEvent::Tunnel(nested("tunnel", value)?),
            Event::Notice(value) => AppEvent::Notice(nested("notice", value)?),
            Event::Weird(value) => AppEvent::Weird(nested("weird", value)?),
            Event::Software(value) => AppEvent::Software(nested("software", value)?),
        };
        Ok(Self {
            time: Timestamp(wire.time),
            tuple: nested_required("tuple", wire.tuple)?,
            community_id: wire
                .community_id
                .map(|id| community_id("community_id", &id))
                .transpose()?,
            from_responder: wire.from_responder,
            event,
        })
    }
}

impl From<AppRecord> for v1::AppRecord {
    fn from(record: AppRecord) -> Self {
        let event = match record.event {
            AppEvent::Dns(dns) => Event::Dns(dns.into()),
            AppEvent::TlsClient(hello) => Event::TlsClient(hello.into()),
            AppEvent::TlsServer(hello) => Event::TlsServer(hello.into()),
            AppEvent::HttpRequest(request) => Event::HttpRequest(request.into()),
            AppEvent::HttpResponse(response) => Event::HttpResponse(response.into()),
            AppEvent::Ssh(banner) => Event::Ssh(banner.into()),
            AppEvent::SshKeyExchange(offer) => Event::SshKeyExchange(offer.into()),
            AppEvent::Dhcp(message) => Event::Dhcp(message.into()),
            AppEvent::Arp(packet) => Event::Arp(packet.into()),
            AppEvent::Certificate(value) => Event::Certificate((*value).into()),
            AppEvent::SshLogin(value) => Event::SshLogin(value.into()),
            AppEvent::Smtp(value) => Event::Smtp(value.into()),
            AppEvent::Ftp(value) => Event::Ftp(value.into()),
            AppEvent::Login(value) => Event::Login(value.into()),
            AppEvent::File(value) => Event::File((*value).into()),
            AppEvent::Tunnel(value) => Event::Tunnel(value.into()),
            AppEvent::Notice(value) => Event::Notice(value.into()),
            AppEvent::Weird(value) => Event::Weird(value.into()),
            AppEvent::Software(value) => Event::Software(value.into()),
        };
        Self {
            time: record.time.0,
            tuple: Some(record.tuple.into()),
            community_id: record.community_id.map(|id| id.0.to_vec()),
            from_responder: record.from_responder,
            event: Some(event),
        }
    }
}

impl TryFrom<v1::Dns> for Dns {
    type Error = Invalid;

    fn try_from(wire: v1::Dns) -> Checked<Self> {
        Ok(Self {
            id: narrow("id", wire.id)?,
            response: wire.response,
            multicast: wire.multicast,
            name: text("name", wire.name)?,
            query_type: narrow("query_type", wire.query_type)?,
            rcode: narrow("rcode", wire.rcode)?,
            answers: list("answers", wire.answers, limits::DNS_ANSWERS, DnsAnswer::try_from)?,
            truncated: wire.truncated,
            latency: wire.latency_nanos.map(Duration::from_nanos),
        })
    }
}

impl From<Dns> for v1::Dns {
    fn from(mut dns: Dns) -> Self {
        let truncated = dns.truncated || dns.answers.len() > limits::DNS_ANSWERS;
        dns.answers.truncate(limits::DNS_ANSWERS);
        Self {
            id: dns.id.into(),
            response: dns.response,
            multicast: dns.multicast,
            name: cut_text(dns.name),
            query_type: dns.query_type.into(),
            rcode: dns.rcode.into(),
            answers: dns.answers.into_iter().map(Into::into).collect(),
            truncated,
            latency_nanos: dns.latency.map(nanos),
        }
    }
}

impl TryFrom<v1::DnsAnswer> for DnsAnswer {
    type Error = Invalid;

    fn try_from(wire: v1::DnsAnswer) -> Checked<Self> {
        let data = match wire.data {
            Some(Data::Address(bytes)) => DnsData::Address(address("address", &bytes)?),
            Some(Data::Name(name)) => DnsData::Name(text("name", name)?),
            Some(Data::Text(value)) => DnsData::Text(text("text", value)?),
            None => DnsData::Other,
        };
        Ok(Self {
            record_type: narrow("record_type", wire.record_type)?,
            ttl: wire.ttl,
            data,
        })
    }
}

impl From<DnsAnswer> for v1::DnsAnswer {
    fn from(answer: DnsAnswer) -> Self {
        Self {
            record_type: answer.record_type.into(),
            ttl: answer.ttl,
            data: match answer.data {
                DnsData::Address(address) => Some(Data::Address(address_bytes(address))),
                DnsData::Name(name) => Some(Data::Name(cut_text(name))),
                DnsData::Text(value) => Some(Data::Text(cut_text(value))),
                DnsData::Other => None,
            },
        }
    }
}

impl TryFrom<v1::TlsClient> for TlsClient {
    type Error = Invalid;

    fn try_from(wire: v1::TlsClient) -> Checked<Self> {
        Ok(Self {
            quic: wire.quic,
            server_name: optional_text("server_name", wire.server_name)?,
            alpn: list("alpn", wire.alpn, limits::ALPN, |protocol| {
                text("protocol", protocol)
            })?,
            version: narrow("version", wire.version)?,
            ja3: text("ja3", wire.ja3)?,
            ja4: text("ja4", wire.ja4)?,
        })
    }
}

impl From<TlsClient> for v1::TlsClient {
    fn from(hello: TlsClient) -> Self {
        Self {
            quic: hello.quic,
            server_name: hello.server_name.map(cut_text),
            alpn: hello.alpn.into_iter().take(limits::ALPN).map(cut_text).collect(),
            version: hello.version.into(),
            ja3: cut_text(hello.ja3),
            ja4: cut_text(hello.ja4),
        }
    }
}

impl TryFrom<v1::TlsServer> for TlsServer {
    type Error = Invalid;

    fn try_from(wire: v1::TlsServer) -> Checked<Self> {
        Ok(Self {
            quic: wire.quic,
            version: narrow("version", wire.version)?,
            cipher: narrow("cipher", wire.cipher)?,
            alpn: optional_text("alpn", wire.alpn)?,
            ja3s: text("ja3s", wire.ja3s)?,
        })
    }
}

impl From<TlsServer> for v1::TlsServer {
    fn from(hello: TlsServer) -> Self {
        Self {
            quic: hello.quic,
            version: hello.version.into(),
            cipher: hello.cipher.into(),
            alpn: hello.alpn.map(cut_text),
            ja3s: cut_text(hello.ja3s),
        }
    }
}

impl TryFrom<v1::HttpRequest> for HttpRequest {
    type Error = Invalid;

    fn try_from(wire: v1::HttpRequest) -> Checked<Self> {
        Ok(Self {
            method: text("method", wire.method)?,
            host: optional_text("host", wire.host)?,
            uri: text("uri", wire.uri)?,
            user_agent: optional_text("user_agent", wire.user_agent)?,
            content_length: wire.content_length,
        })
    }
}

impl From<HttpRequest> for v1::HttpRequest {
    fn from(request: HttpRequest) -> Self {
        Self {
            method: cut_text(request.method),
            host: request.host.map(cut_text),
            uri: cut_text(request.uri),
            user_agent: request.user_agent.map(cut_text),
            content_length: request.content_length,
        }
    }
}

impl TryFrom<v1::HttpResponse> for HttpResponse {
    type Error = Invalid;

    fn try_from(wire: v1::HttpResponse) -> Checked<Self> {
        Ok(Self {
            status: narrow("status", wire.status)?,
            mime: optional_text("mime", wire.mime)?,
            content_length: wire.content_length,
            server: optional_text("server", wire.server)?,
        })
    }
}

impl From<HttpResponse> for v1::HttpResponse {
    fn from(response: HttpResponse) -> Self {
        Self {
            status: response.status.into(),
            mime: response.mime.map(cut_text),
            content_length: response.content_length,
            server: response.server.map(cut_text),
        }
    }
}

impl TryFrom<v1::Ssh> for SshBanner {
    type Error = Invalid;

    fn try_from(wire: v1::Ssh) -> Checked<Self> {
        Ok(Self {
            banner: text("banner", wire.banner)?,
        })
    }
}

impl From<SshBanner> for v1::Ssh {
    fn from(banner: SshBanner) -> Self {
        Self {
            banner: cut_text(banner.banner),
        }
    }
}

impl TryFrom<v1::SshKeyExchange> for SshKeyExchange {
    type Error = Invalid;

    fn try_from(wire: v1::SshKeyExchange) -> Checked<Self> {
        Ok(Self {
            hassh: text("hassh", wire.hassh)?,
        })
    }
}

impl From<SshKeyExchange> for v1::SshKeyExchange {
    fn from(offer: SshKeyExchange) -> Self {
        Self {
            hassh: cut_text(offer.hassh),
        }
    }
}

impl TryFrom<v1::Dhcp> for Dhcp {
    type Error = Invalid;

    fn try_from(wire: v1::Dhcp) -> Checked<Self> {
        Ok(Self {
            message_type: narrow("message_type", wire.message_type)?,
            client_mac: mac("client_mac", &wire.client_mac)?,
            requested: optional_address("requested", wire.requested)?,
            assigned: optional_address("assigned", wire.assigned)?,
            server: optional_address("server", wire.server)?,
            host_name: optional_text("host_name", wire.host_name)?,
            vendor_class: optional_text("vendor_class", wire.vendor_class)?,
        })
    }
}

impl From<Dhcp> for v1::Dhcp {
    fn from(message: Dhcp) -> Self {
        Self {
            message_type: message.message_type.into(),
            client_mac: message.client_mac.to_vec(),
            requested: message.requested.map(address_bytes),
            assigned: message.assigned.map(address_bytes),
            server: message.server.map(address_bytes),
            host_name: message.host_name.map(cut_text),
            vendor_class: message.vendor_class.map(cut_text),
        }
    }
}

impl TryFrom<v1::Arp> for Arp {
    type Error = Invalid;

    fn try_from(wire: v1::Arp) -> Checked<Self> {
        Ok(Self {
            operation: narrow("operation", wire.operation)?,
            sender_mac: mac("sender_mac", &wire.sender_mac)?,
            sender: address("sender", &wire.sender)?,
            target_mac: mac("target_mac", &wire.target_mac)?,
            target: address("target", &wire.target)?,
            frame_destination: wire
                .frame_destination
                .map(|bytes| mac("frame_destination", &bytes))
                .transpose()?,
            discovery: wire.discovery.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Arp> for v1::Arp {
    fn from(packet: Arp) -> Self {
        Self {
            operation: packet.operation.into(),
            sender_mac: packet.sender_mac.to_vec(),
            sender: address_bytes(packet.sender),
            target_mac: packet.target_mac.to_vec(),
            target: address_bytes(packet.target),
            frame_destination: packet.frame_destination.map(|bytes| bytes.to_vec()),
            discovery: packet.discovery.map(Into::into),
        }
    }
}

impl TryFrom<v1::Discovery> for Discovery {
    type Error = Invalid;

    fn try_from(wire: v1::Discovery) -> Checked<Self> {
        Ok(Self {
            from: address6("from", &wire.from)?,
            to: address6("to", &wire.to)?,
            router: wire.router,
            solicited: wire.solicited,
            overrides: wire.overrides,
            link: wire.link,
        })
    }
}

impl From<Discovery> for v1::Discovery {
    fn from(said: Discovery) -> Self {
        Self {
            from: said.from.octets().to_vec(),
            to: said.to.octets().to_vec(),
            router: said.router,
            solicited: said.solicited,
            overrides: said.overrides,
            link: said.link,
        }
    }
}
