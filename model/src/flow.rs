//! A bidirectional flow: what the assembler emits and everything else consumes.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use crate::time::Timestamp;

/// One end of a flow. For protocols without ports the port is 0; for ICMP it is the type or counter-type of
/// Community ID v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub port: u16,
}

/// 5-tuple from originator (who sent the first packet seen) to responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    pub originator: Endpoint,
    pub responder: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
}

/// What one side of a flow sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets: u64,
    /// IP total length: header and payload as the IP header states it.
    pub bytes: u64,
    /// Ethernet header to end of frame, without FCS.
    pub wire_bytes: u64,
    /// OR of the TCP flags.
    pub tcp_flags: u8,
    /// Packets that carried FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    pub flag_counts: [u32; 8],
}

/// Zeek's connection states. UDP and ICMP: [`ConnState::Sf`] when both directions were seen, else [`ConnState::S0`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnState {
    S0,
    S1,
    Sf,
    Rej,
    S2,
    S3,
    Rsto,
    Rstr,
    Rstos0,
    Rstrh,
    Sh,
    Shr,
    Oth,
}

impl ConnState {
    /// Name as Zeek writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }

    /// Reads a name as Zeek writes it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::S0,
            Self::S1,
            Self::Sf,
            Self::Rej,
            Self::S2,
            Self::S3,
            Self::Rsto,
            Self::Rstr,
            Self::Rstos0,
            Self::Rstrh,
            Self::Sh,
            Self::Shr,
            Self::Oth,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }

    /// Slips' rule for Zeek states; `packets` of both sides decides for a connection that the responder reset (an
    /// operating system retries three times).
    #[must_use]
    pub const fn is_established(self, packets: u64) -> bool {
        match self {
            Self::S0 | Self::Rej | Self::Rstos0 | Self::Rstrh | Self::Sh | Self::Shr => false,
            Self::S1 | Self::Sf | Self::S2 | Self::S3 | Self::Rsto | Self::Oth => true,
            Self::Rstr => packets > 3,
        }
    }
}

/// The tunnel in which a flow travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    pub kind: TunnelKind,
    /// VXLAN/GENEVE network identifier or GRE key, where the kind has one.
    pub vni: Option<u32>,
    pub source: IpAddr,
    pub destination: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    Vxlan,
    Geneve,
    Gre,
    IpIp,
    SixInFour,
    GtpU,
    Erspan,
    IpInIpv6,
    /// MPLS labels directly in IP or UDP.
    MplsInIp,
}

impl TunnelKind {
    /// Name in JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::IpIp => "ipip",
            Self::SixInFour => "6in4",
            Self::GtpU => "gtp-u",
            Self::Erspan => "erspan",
            Self::IpInIpv6 => "ip-in-ipv6",
            Self::MplsInIp => "mpls-in-ip",
        }
    }
}

/// SHA-1 of Community ID v1 (seed 0); written `1:` and base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommunityId(pub [u8; 20]);

/// Eight bytes of a SHA-1 tell flows apart well enough, and maps of ids are hot.
impl std::hash::Hash for CommunityId {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Why a flow was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowEnd {
    /// Still open: the active timeout passed, or somebody asked for what is open.
    Active,
    Idle,
    /// FIN from both sides or RST, and the wait for stragglers is over.
    Closed,
    /// The source ended (end of file, sensor stops).
    SourceEnded,
    /// Table full: the oldest had to go.
    Evicted,
}

/// A bidirectional flow. `out` is what the originator sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub tuple: FiveTuple,
    pub community_id: CommunityId,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Totals since `first`.
    pub out: Totals,
    pub back: Totals,
    pub state: ConnState,
    /// Type and code of the first ICMP packet.
    pub icmp: Option<(u8, u8)>,
    /// VLAN ids from outer to inner.
    pub vlan: Vec<u16>,
    pub tunnel: Option<Tunnel>,
    /// From SYN to SYN-ACK, where both were seen.
    pub rtt: Option<Duration>,
    /// Interface and direction that counted it first, then the others with their packets.
    pub seen_at: Vec<SeenAt>,
    /// Application protocol.
    pub service: Service,
    /// What the log said of the flow beyond these fields. `None` for packets.
    pub reported: Option<Box<Reported>>,
}

/// Application protocol of a flow, by content and never by port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Nobody looked at the payload, or there was none.
    #[default]
    Unseen,
    /// The first payload of a side was looked at; no decoder knew it.
    Unrecognized,
    /// Recognized by the analyzer that wrote the log, as something that has no name here.
    Other,
    Dns,
    Mdns,
    Tls,
    Quic,
    Http,
    Ssh,
    Smtp,
    Ftp,
    FtpData,
    Telnet,
    Dhcp,
    Ntp,
    Smb,
    Rdp,
    Kerberos,
    Ldap,
    Snmp,
    Sip,
    Rtp,
    Stun,
    Irc,
    Imap,
    Pop3,
    BitTorrent,
    Socks,
    Mysql,
    Mqtt,
    Vnc,
    Syslog,
    Radius,
}

impl Service {
    pub const ALL: [Self; 33] = [
        Self::Unseen,
        Self::Unrecognized,
        Self::Other,
        Self::Dns,
        Self::Mdns,
        Self::Tls,
        Self::Quic,
        Self::Http,
        Self::Ssh,
        Self::Smtp,
        Self::Ftp,
        Self::FtpData,
        Self::Telnet,
        Self::Dhcp,
        Self::Ntp,
        Self::Smb,
        Self::Rdp,
        Self::Kerberos,
        Self::Ldap,
        Self::Snmp,
        Self::Sip,
        Self::Rtp,
        Self::Stun,
        Self::Irc,
        Self::Imap,
        Self::Pop3,
        Self::BitTorrent,
        Self::Socks,
        Self::Mysql,
        Self::Mqtt,
        Self::Vnc,
        Self::Syslog,
        Self::Radius,
    ];

    /// Lower-case name, as Zeek's where it has one. Empty for [`Service::Unseen`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unseen => "",
            Self::Unrecognized => "unrecognized",
            Self::Other => "other",
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Tls => "ssl",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
            Self::FtpData => "ftp-data",
            Self::Telnet => "telnet",
            Self::Dhcp => "dhcp",
            Self::Ntp => "ntp",
            Self::Smb => "smb",
            Self::Rdp => "rdp",
            Self::Kerberos => "krb",
            Self::Ldap => "ldap",
            Self::Snmp => "snmp",
            Self::Sip => "sip",
            Self::Rtp => "rtp",
            Self::Stun => "stun",
            Self::Irc => "irc",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::BitTorrent => "bittorrent",
            Self::Socks => "socks",
            Self::Mysql => "mysql",
            Self::Mqtt => "mqtt",
            Self::Vnc => "vnc",
            Self::Syslog => "syslog",
            Self::Radius => "radius",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Some decoder or analyzer knew it.
    #[must_use]
    pub const fn is_recognized(self) -> bool {
        !matches!(self, Self::Unseen | Self::Unrecognized)
    }
}

/// What a flow log says beyond what packets show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Identifier of the flow in that log, as Zeek's `uid`.
    pub uid: Option<String>,
    /// The log's own word on whether the connection came about, where its states are not Zeek's.
    pub established: Option<bool>,
    /// The analyzer turned originator and responder round (Zeek's history has `^`).
    pub flipped: bool,
    /// Link-layer addresses.
    pub originator_mac: Option<[u8; 6]>,
    pub responder_mac: Option<[u8; 6]>,
    /// Ground truth in labelled logs.
    pub label: Option<String>,
    pub detailed_label: Option<String>,
}

/// Packets of a flow at an observation point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAt {
    pub interface: String,
    pub egress: bool,
    pub packets: u64,
}

/// A flow as reported at one moment. Long flows are reported several times.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowUpdate {
    /// Totals since the beginning of the flow.
    pub flow: Flow,
    /// What is new since the last report: add these and nothing counts twice.
    pub new_out: Totals,
    pub new_back: Totals,
    /// 0 for the first report of this flow.
    pub part: u32,
    pub end: FlowEnd,
}

impl Flow {
    #[must_use]
    pub fn established(&self) -> bool {
        if let Some(established) = self.reported.as_ref().and_then(|log| log.established) {
            return established;
        }
        self.state.is_established(self.out.packets + self.back.packets)
    }

    /// Nobody took it: no answer, or a refusal. Not every flow that is not [established](Self::established) is such a
    /// one: where the handshake was lost on the way to the observer, whoever sent more than a reset was there, and a
    /// client that acknowledges after its SYN got an answer, seen or not.
    #[must_use]
    pub fn found_nobody(&self) -> bool {
        const TCP: u8 = 6;
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const PSH: u8 = 8;
        const ACK: u8 = 16;
        if self.established() {
            return false;
        }
        let (sent, heard) = if self.roles_turned() {
            (&self.back, &self.out)
        } else {
            (&self.out, &self.back)
        };
        if self.tuple.protocol != TCP || matches!(self.state, ConnState::Rej | ConnState::Rstr) {
            return true;
        }
        let flags = sent.tcp_flags;
        // An ACK beside a RST may belong to it.
        let [resets, acknowledgements] = [sent.flag_counts[2], sent.flag_counts[4]];
        let alone = acknowledgements > resets || flags & RST == 0 || flags & (PSH | FIN) != 0;
        let acknowledges = sent.packets > 1 && flags & SYN != 0 && flags & ACK != 0 && alone;
        heard.packets == 0 && !acknowledges
    }

    /// The first packet seen came from the server, so `tuple.responder` is the client: a TCP flow that was seen from its
    /// SYN-ACK on.
    #[must_use]
    pub const fn roles_turned(&self) -> bool {
        const TCP: u8 = 6;
        const SYN: usize = 1;
        const ACK: usize = 4;
        let [out, back] = [&self.out.flag_counts, &self.back.flag_counts];
        // The originator's every SYN came with an ACK, and it sent nothing without one; no SYN from the other side.
        self.tuple.protocol == TCP && out[SYN] > 0 && back[SYN] == 0 && self.out.packets == out[ACK] as u64
    }

    /// What the originator sent is the answer to something that was not seen: nothing but resets (RFC 9293 §3.5.2), or
    /// datagrams with content from a port below 1024 to one above, and nothing back. Probes of UDP ports are empty, or
    /// come from high ports, or ask for low ones.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        let (from, to) = (self.tuple.originator.port, self.tuple.responder.port);
        let headers: u64 = if self.tuple.originator.ip.is_ipv4() {
            28
        } else {
            48
        };
        match self.tuple.protocol {
            _ if self.back.packets > 0 => false,
            TCP => self.out.tcp_flags & RST != 0 && self.out.tcp_flags & SYN == 0,
            UDP => {
                let content = self.out.bytes > self.out.packets.saturating_mul(headers);
                from != 0 && from < 1024 && to >= 1024 && content
            }
            _ => false,
        }
    }

    /// Client and server: originator and responder, or the other way round if the [roles turned](Self::roles_turned).
    #[must_use]
    pub const fn client_server(&self) -> (Endpoint, Endpoint) {
        if self.roles_turned() {
            (self.tuple.responder, self.tuple.originator)
        } else {
            (self.tuple.originator, self.tuple.responder)
        }
    }

    #[must_use]
    pub fn duration(&self) -> Duration {
        self.last.since(self.first)
    }
}
