//! Application events: what the decoders read out of payload heads.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

pub use crate::app_report::{
    Certificate, File, Ftp, Login, LoginOutcome, Notice, Smtp, Software, SshLogin, TunnelNote, Weird,
};
use crate::flow::{CommunityId, FiveTuple};
use crate::time::Timestamp;

/// One decoded message and the flow it travelled in.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRecord {
    pub time: Timestamp,
    /// From the originator of the flow to its responder. ARP: sender and target address, ports and protocol 0; neighbour
    /// discovery: source of the packet and [`Arp::target`], ports 0, protocol 58.
    pub tuple: FiveTuple,
    pub community_id: Option<CommunityId>,
    /// Sent by the responder of the flow.
    pub from_responder: bool,
    pub event: AppEvent,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AppEvent {
    Dns(Dns),
    TlsClient(TlsClient),
    TlsServer(TlsServer),
    HttpRequest(HttpRequest),
    HttpResponse(HttpResponse),
    Ssh(SshBanner),
    SshKeyExchange(SshKeyExchange),
    Dhcp(Dhcp),
    Arp(Arp),
    Certificate(Box<Certificate>),
    SshLogin(SshLogin),
    Smtp(Smtp),
    Ftp(Ftp),
    Login(Login),
    File(Box<File>),
    Tunnel(TunnelNote),
    Notice(Notice),
    Weird(Weird),
    Software(Software),
}

/// A DNS or mDNS message.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dns {
    pub id: u16,
    pub response: bool,
    pub multicast: bool,
    /// First question, lower case, without the final dot (the root is empty). Bytes that are no printable ASCII, and
    /// dots and backslashes inside a label, stand as `\DDD` (RFC 1035 §5.1).
    pub name: String,
    /// Number of the query type.
    pub query_type: u16,
    pub rcode: u8,
    pub answers: Vec<DnsAnswer>,
    /// More answers than were kept.
    pub truncated: bool,
    /// From the query to this response.
    pub latency: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DnsAnswer {
    pub record_type: u16,
    /// Seconds.
    pub ttl: u32,
    pub data: DnsData,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DnsData {
    Address(IpAddr),
    /// Target of CNAME, PTR, NS, DNAME, MX and SRV; written like [`Dns::name`].
    Name(String),
    /// The strings of a TXT record, one after another; bytes that are not UTF-8 become U+FFFD.
    Text(String),
    Other,
}

/// A TLS ClientHello, over TCP or in a QUIC Initial.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsClient {
    pub quic: bool,
    pub server_name: Option<String>,
    pub alpn: Vec<String>,
    /// Highest version offered (0x0304 = TLS 1.3), GREASE left out.
    pub version: u16,
    /// MD5 in hexadecimal digits.
    pub ja3: String,
    pub ja4: String,
}

/// A TLS ServerHello.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsServer {
    pub quic: bool,
    /// Version chosen.
    pub version: u16,
    pub cipher: u16,
    pub alpn: Option<String>,
    pub ja3s: String,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct HttpRequest {
    pub method: String,
    pub host: Option<String>,
    pub uri: String,
    pub user_agent: Option<String>,
    pub content_length: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct HttpResponse {
    pub status: u16,
    pub mime: Option<String>,
    pub content_length: Option<u64>,
    pub server: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct SshBanner {
    /// The identification line without CR LF.
    pub banner: String,
}

/// What an SSH side offers for the key exchange (`SSH_MSG_KEXINIT`, RFC 4253 §7.1).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SshKeyExchange {
    /// HASSH if the client sent it, HASSHServer if the server did: MD5 in hexadecimal digits.
    pub hassh: String,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dhcp {
    /// 1 DISCOVER, 2 OFFER, 3 REQUEST, 5 ACK …
    pub message_type: u8,
    pub client_mac: [u8; 6],
    pub requested: Option<IpAddr>,
    pub assigned: Option<IpAddr>,
    pub server: Option<IpAddr>,
    pub host_name: Option<String>,
    pub vendor_class: Option<String>,
}

/// Who has an address: ARP, or what IPv6 has instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Arp {
    /// 1 request (neighbour solicitation), 2 reply (neighbour advertisement).
    pub operation: u16,
    /// Card that `sender` is said to have; all 0: none is named, as neighbour discovery may do.
    pub sender_mac: [u8; 6],
    /// Of a neighbour advertisement the address that it is about, whoever sent it.
    pub sender: IpAddr,
    /// All 0 in neighbour discovery, which does not name it.
    pub target_mac: [u8; 6],
    /// Who is asked for; of a neighbour advertisement who is told.
    pub target: IpAddr,
    /// Destination of the Ethernet frame, where the link has one (Linux cooked captures have none). Not told of neighbour
    /// discovery.
    pub frame_destination: Option<[u8; 6]>,
    /// It is neighbour discovery (RFC 4861), not ARP.
    pub discovery: Option<Discovery>,
}

/// What a message of neighbour discovery says that ARP does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Source of the packet; `::` of one that asks whether an address is free.
    pub from: Ipv6Addr,
    /// Destination of the packet: a group, or a host.
    pub to: Ipv6Addr,
    /// Flags of an advertisement (RFC 4861 §4.4): its sender is a router; it was asked; it is to replace what is known.
    pub router: bool,
    pub solicited: bool,
    pub overrides: bool,
    /// A number for the link it was seen on: link-local addresses of two links have nothing to do with each other.
    pub link: u64,
}

impl Arp {
    /// IPv6: everybody is told (`ff02::1`), unasked.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let told = self
            .discovery
            .filter(|said| said.to == ALL_NODES && !said.solicited);
        self.operation == 2 && told.is_some()
    }

    /// Name of the protocol.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self.discovery {
            Some(_) => "neighbour discovery",
            None => "ARP",
        }
    }
}
