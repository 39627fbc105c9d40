//! Evidence: one finding about one profile in one window, with its explanation.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::flow::CommunityId;
use crate::time::Timestamp;

/// How bad it is if it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThreatLevel {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl ThreatLevel {
    /// Weight in the accumulated threat, as in Slips.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Info => 0.0,
            Self::Low => 0.2,
            Self::Medium => 0.5,
            Self::High => 0.8,
            Self::Critical => 1.0,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How sure it is that it is true: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// Clamps into 0..=1; not-a-number becomes 0.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// What was found. Names are Slips' (`HORIZONTAL_PORT_SCAN`); those after `P2P_REPORT` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceType {
    HorizontalPortScan,
    VerticalPortScan,
    IcmpAddressScan,
    IcmpTimestampScan,
    IcmpAddressMaskScan,
    DhcpScan,
    ArpScan,
    DnsArpaScan,
    GreScan,
    ArpOutsideLocalnet,
    UnsolicitedArp,
    MitmArpAttack,
    DeviceChangingIp,
    LongConnection,
    UnknownPort,
    MultipleReconnectionAttempts,
    Port0Connection,
    ConnectionToMultiplePorts,
    ConnectionToPrivateIp,
    DifferentLocalnet,
    ConnectionWithoutDns,
    DataUpload,
    NonSslPort443Connection,
    NonHttpPort80Connection,
    TorExitNode,
    GreTunnel,
    Login,
    MaliciousFlow,
    CommandAndControlChannel,
    DnsWithoutConnection,
    DgaNxdomains,
    HighEntropyDnsAnswer,
    InvalidDnsResolution,
    YoungDomain,
    SuspiciousUserAgent,
    EmptyConnections,
    IncompatibleUserAgent,
    MultipleUserAgent,
    ExecutableMimeType,
    PastebinDownload,
    WeirdHttpMethod,
    HttpTraffic,
    SelfSignedCertificate,
    IncompatibleCn,
    CnUrlMismatch,
    MaliciousJa3,
    MaliciousJa3s,
    MaliciousSslCert,
    MaliciousJarm,
    SshSuccessful,
    PasswordGuessing,
    MultipleSshVersions,
    BadSmtpLogin,
    SmtpLoginBruteforce,
    MaliciousDownloadedFile,
    NetworkGpsLocationLeaked,
    ThreatIntelligenceToBlacklistedIp,
    ThreatIntelligenceFromBlacklistedIp,
    ThreatIntelligenceBlacklistedDnsAnswer,
    ThreatIntelligenceAnswerOfBlacklistedQuery,
    ThreatIntelligenceBlacklistedDomain,
    ThreatIntelligenceBlacklistedAsn,
    ThreatIntelligenceMaliciousUrl,
    ThreatIntelligenceMaliciousIpFromP2pNetwork,
    P2pReport,
    DnsOverHttps,
    Beaconing,
    DnsTunnel,
    MaliciousJa4,
    CredentialStuffing,
    ReportedByOther,
    Outlier,
    IcmpTunnel,
}

impl EvidenceType {
    pub const ALL: [Self; 73] = [
        Self::HorizontalPortScan,
        Self::VerticalPortScan,
        Self::IcmpAddressScan,
        Self::IcmpTimestampScan,
        Self::IcmpAddressMaskScan,
        Self::DhcpScan,
        Self::ArpScan,
        Self::DnsArpaScan,
        Self::GreScan,
        Self::ArpOutsideLocalnet,
        Self::UnsolicitedArp,
        Self::MitmArpAttack,
        Self::DeviceChangingIp,
        Self::LongConnection,
        Self::UnknownPort,
        Self::MultipleReconnectionAttempts,
        Self::Port0Connection,
        Self::ConnectionToMultiplePorts,
        Self::ConnectionToPrivateIp,
        Self::DifferentLocalnet,
        Self::ConnectionWithoutDns,
        Self::DataUpload,
        Self::NonSslPort443Connection,
        Self::NonHttpPort80Connection,
        Self::TorExitNode,
        Self::GreTunnel,
        Self::Login,
        Self::MaliciousFlow,
        Self::CommandAndControlChannel,
        Self::DnsWithoutConnection,
        Self::DgaNxdomains,
        Self::HighEntropyDnsAnswer,
        Self::InvalidDnsResolution,
        Self::YoungDomain,
        Self::SuspiciousUserAgent,
        Self::EmptyConnections,
        Self::IncompatibleUserAgent,
        Self::MultipleUserAgent,
        Self::ExecutableMimeType,
        Self::PastebinDownload,
        Self::WeirdHttpMethod,
        Self::HttpTraffic,
        Self::SelfSignedCertificate,
        Self::IncompatibleCn,
        Self::CnUrlMismatch,
        Self::MaliciousJa3,
        Self::MaliciousJa3s,
        Self::MaliciousSslCert,
        Self::MaliciousJarm,
        Self::SshSuccessful,
        Self::PasswordGuessing,
        Self::MultipleSshVersions,
        Self::BadSmtpLogin,
        Self::SmtpLoginBruteforce,
        Self::MaliciousDownloadedFile,
        Self::NetworkGpsLocationLeaked,
        Self::ThreatIntelligenceToBlacklistedIp,
        Self::ThreatIntelligenceFromBlacklistedIp,
        Self::ThreatIntelligenceBlacklistedDnsAnswer,
        Self::ThreatIntelligenceAnswerOfBlacklistedQuery,
        Self::ThreatIntelligenceBlacklistedDomain,
        Self::ThreatIntelligenceBlacklistedAsn,
        Self::ThreatIntelligenceMaliciousUrl,
        Self::ThreatIntelligenceMaliciousIpFromP2pNetwork,
        Self::P2pReport,
        Self::DnsOverHttps,
        Self::Beaconing,
        Self::DnsTunnel,
        Self::MaliciousJa4,
        Self::CredentialStuffing,
        Self::ReportedByOther,
        Self::Outlier,
        Self::IcmpTunnel,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HorizontalPortScan => "HORIZONTAL_PORT_SCAN",
            Self::VerticalPortScan => "VERTICAL_PORT_SCAN",
            Self::IcmpAddressScan => "ICMP_ADDRESS_SCAN",
            Self::IcmpTimestampScan => "ICMP_TIMESTAMP_SCAN",
            Self::IcmpAddressMaskScan => "ICMP_ADDRESS_MASK_SCAN",
            Self::DhcpScan => "DHCP_SCAN",
            Self::ArpScan => "ARP_SCAN",
            Self::DnsArpaScan => "DNS_ARPA_SCAN",
            Self::GreScan => "GRE_SCAN",
            Self::ArpOutsideLocalnet => "ARP_OUTSIDE_LOCALNET",
            Self::UnsolicitedArp => "UNSOLICITED_ARP",
            Self::MitmArpAttack => "MITM_ARP_ATTACK",
            Self::DeviceChangingIp => "DEVICE_CHANGING_IP",
            Self::LongConnection => "LONG_CONNECTION",
            Self::UnknownPort => "UNKNOWN_PORT",
            Self::MultipleReconnectionAttempts => "MULTIPLE_RECONNECTION_ATTEMPTS",
            Self::Port0Connection => "PORT_0_CONNECTION",
            Self::ConnectionToMultiplePorts => "CONNECTION_TO_MULTIPLE_PORTS",
            Self::ConnectionToPrivateIp => "CONNECTION_TO_PRIVATE_IP",
            Self::DifferentLocalnet => "DIFFERENT_LOCALNET",
            Self::ConnectionWithoutDns => "CONNECTION_WITHOUT_DNS",
            Self::DataUpload => "DATA_UPLOAD",
            Self::NonSslPort443Connection => "NON_SSL_PORT_443_CONNECTION",
            Self::NonHttpPort80Connection => "NON_HTTP_PORT_80_CONNECTION",
            Self::TorExitNode => "TOR_EXIT_NODE",
            Self::GreTunnel => "GRE_TUNNEL",
            Self::Login => "LOGIN",
            Self::MaliciousFlow => "MALICIOUS_FLOW",
            Self::CommandAndControlChannel => "COMMAND_AND_CONTROL_CHANNEL",
            Self::DnsWithoutConnection => "DNS_WITHOUT_CONNECTION",
            Self::DgaNxdomains => "DGA_NXDOMAINS",
            Self::HighEntropyDnsAnswer => "HIGH_ENTROPY_DNS_ANSWER",
            Self::InvalidDnsResolution => "INVALID_DNS_RESOLUTION",
            Self::YoungDomain => "YOUNG_DOMAIN",
            Self::SuspiciousUserAgent => "SUSPICIOUS_USER_AGENT",
            Self::EmptyConnections => "EMPTY_CONNECTIONS",
            Self::IncompatibleUserAgent => "INCOMPATIBLE_USER_AGENT",
            Self::MultipleUserAgent => "MULTIPLE_USER_AGENT",
            Self::ExecutableMimeType => "EXECUTABLE_MIME_TYPE",
            Self::PastebinDownload => "PASTEBIN_DOWNLOAD",
            Self::WeirdHttpMethod => "WEIRD_HTTP_METHOD",
            Self::HttpTraffic => "HTTP_TRAFFIC",
            Self::SelfSignedCertificate => "SELF_SIGNED_CERTIFICATE",
            Self::IncompatibleCn => "INCOMPATIBLE_CN",
            Self::CnUrlMismatch => "CN_URL_MISMATCH",
            Self::MaliciousJa3 => "MALICIOUS_JA3",
            Self::MaliciousJa3s => "MALICIOUS_JA3S",
            Self::MaliciousSslCert => "MALICIOUS_SSL_CERT",
            Self::MaliciousJarm => "MALICIOUS_JARM",
            Self::SshSuccessful => "SSH_SUCCESSFUL",
            Self::PasswordGuessing => "PASSWORD_GUESSING",
            Self::MultipleSshVersions => "MULTIPLE_SSH_VERSIONS",
            Self::BadSmtpLogin => "BAD_SMTP_LOGIN",
            Self::SmtpLoginBruteforce => "SMTP_LOGIN_BRUTEFORCE",
            Self::MaliciousDownloadedFile => "MALICIOUS_DOWNLOADED_FILE",
            Self::NetworkGpsLocationLeaked => "NETWORK_GPS_LOCATION_LEAKED",
            Self::ThreatIntelligenceToBlacklistedIp => "THREAT_INTELLIGENCE_TO_BLACKLISTED_IP",
            Self::ThreatIntelligenceFromBlacklistedIp => "THREAT_INTELLIGENCE_FROM_BLACKLISTED_IP",
            Self::ThreatIntelligenceBlacklistedDnsAnswer => "THREAT_INTELLIGENCE_BLACKLISTED_DNS_ANSWER",
            Self::ThreatIntelligenceAnswerOfBlacklistedQuery => {
                "THREAT_INTELLIGENCE_ANSWER_OF_BLACKLISTED_QUERY"
            }
            Self::ThreatIntelligenceBlacklistedDomain => "THREAT_INTELLIGENCE_BLACKLISTED_DOMAIN",
            Self::ThreatIntelligenceBlacklistedAsn => "THREAT_INTELLIGENCE_BLACKLISTED_ASN",
            Self::ThreatIntelligenceMaliciousUrl => "THREAT_INTELLIGENCE_MALICIOUS_URL",
            Self::ThreatIntelligenceMaliciousIpFromP2pNetwork => {
                "THREAT_INTELLIGENCE_MALICIOUS_IP_FROM_P2P_NETWORK"
            }
            Self::P2pReport => "P2P_REPORT",
            Self::DnsOverHttps => "DNS_OVER_HTTPS",
            Self::Beaconing => "BEACONING",
            Self::DnsTunnel => "DNS_TUNNEL",
            Self::MaliciousJa4 => "MALICIOUS_JA4",
            Self::CredentialStuffing => "CREDENTIAL_STUFFING",
            Self::ReportedByOther => "REPORTED_BY_OTHER",
            Self::Outlier => "OUTLIER",
            Self::IcmpTunnel => "ICMP_TUNNEL",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Side of the traffic on which the attacker of an evidence stands. Only [`AttackerSide::Source`] adds to the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttackerSide {
    Source,
    Destination,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub id: EvidenceId,
    pub kind: EvidenceType,
    /// Whose profile it stands in.
    pub profile: IpAddr,
    pub window_start: Timestamp,
    /// Number of the window for people.
    pub window: i64,
    pub attacker: IpAddr,
    pub attacker_side: AttackerSide,
    pub victim: Option<IpAddr>,
    /// Domain, URL, fingerprint or hash that the finding is about, where that is not an address.
    pub subject: Option<String>,
    /// Port of the client, where all flows behind the finding share one.
    pub src_port: Option<u16>,
    pub dst_port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    pub threat_level: ThreatLevel,
    pub confidence: Confidence,
    /// One sentence for people.
    pub description: String,
    pub explanation: Explanation,
    /// How unusual its window is in what it is about, against peers and the profile's own past, in words; also that
    /// this is not known. `None` where nobody compares, and for [`EvidenceType::Outlier`], whose explanation says it.
    pub account: Option<String>,
    /// At most [`Evidence::MAX_FLOWS`]; `explanation` gives the whole number where there were more.
    pub flows: Vec<CommunityId>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// A finding that grows is said again under its id with the next number; the last one stands and counts once.
    pub revision: u32,
    /// The same finding in the profile of the other side.
    pub related: Vec<EvidenceId>,
    /// Accumulated threat of its profile in its window since the last alert, once this finding was counted for the first
    /// time; if it raised an alert, the sum of that. `None` before anybody added up.
    pub accumulated: Option<f64>,
}

impl Evidence {
    /// Bound of `flows`: enough to look at, small enough to travel.
    pub const MAX_FLOWS: usize = 64;
}

/// UUIDv5 of (sensor, type, profile, window start, key of the detector): a replay gives the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EvidenceId(pub [u8; 16]);

/// The data-driven reason for an evidence.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Explanation {
    pub features: Vec<Feature>,
    pub text: String,
}

/// One number that the detector looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub name: Cow<'static, str>,
    pub value: f64,
    pub unit: Cow<'static, str>,
    /// What would be usual, where the detector knows.
    pub baseline: Option<f64>,
    /// From where on it counts.
    pub threshold: Option<f64>,
    /// How unusual the value is, in nats (−ln of its probability), where a baseline knows.
    pub surprisal: Option<f64>,
    /// The same against earlier windows of the profile itself, where there are any.
    pub own: Option<OwnPast>,
}

/// What a profile itself showed in its earlier windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnPast {
    /// Value at the mean of the logarithms; old windows count less.
    pub mean: f64,
    /// Nats of the value against them.
    pub surprisal: f64,
    pub windows: u32,
}
