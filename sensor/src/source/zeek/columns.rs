//! The columns that are read, of all logs together: a row is an array with a place for each.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

macro_rules! columns {
    ($($name:ident = $($text:literal)|+),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Column { $($name),* }

        const NAMES: &[(&str, Column)] = &[$($(($text, Column::$name)),+),*];

        impl Column {
            pub(super) const COUNT: usize = [$(Self::$name),*].len();
        }
    };
}

columns! {
    Path = "_path",
    Ts = "ts",
    Uid = "uid",
    OrigH = "id.orig_h" | "id_orig_h" | "orig_h",
    OrigP = "id.orig_p" | "id_orig_p",
    RespH = "id.resp_h" | "id_resp_h" | "resp_h",
    RespP = "id.resp_p" | "id_resp_p",
    Label = "label",
    DetailedLabel = "detailedlabel" | "detailed-label" | "detailed_label",
    // conn
    Proto = "proto",
    IpProto = "ip_proto",
    Service = "service",
    Duration = "duration",
    OrigBytes = "orig_bytes",
    RespBytes = "resp_bytes",
    ConnState = "conn_state",
    History = "history",
    MissedBytes = "missed_bytes",
    OrigPkts = "orig_pkts",
    OrigIpBytes = "orig_ip_bytes",
    RespPkts = "resp_pkts",
    RespIpBytes = "resp_ip_bytes",
    OrigL2 = "orig_l2_addr",
    RespL2 = "resp_l2_addr",
    Vlan = "vlan",
    InnerVlan = "inner_vlan",
    // dns
    TransId = "trans_id",
    Rtt = "rtt",
    Query = "query",
    Qtype = "qtype",
    Rcode = "rcode",
    Answers = "answers",
    Ttls = "TTLs",
    // http
    TransDepth = "trans_depth",
    Method = "method",
    Host = "host",
    Uri = "uri",
    UserAgent = "user_agent",
    RequestBodyLen = "request_body_len",
    ResponseBodyLen = "response_body_len",
    StatusCode = "status_code",
    RespMimeTypes = "resp_mime_types",
    // ssl, quic
    Version = "version",
    Cipher = "cipher",
    ServerName = "server_name",
    NextProtocol = "next_protocol",
    CertChain = "cert_chain_fuids" | "cert_chain_fps",
    Subject = "subject",
    Issuer = "issuer",
    ValidationStatus = "validation_status",
    Ja3 = "ja3",
    Ja3s = "ja3s",
    Ja4 = "ja4",
    ClientProtocol = "client_protocol",
    ClientInitialDcid = "client_initial_dcid",
    // x509
    Id = "id" | "fingerprint",
    CertificateSubject = "certificate.subject",
    CertificateIssuer = "certificate.issuer",
    NotBefore = "certificate.not_valid_before",
    NotAfter = "certificate.not_valid_after",
    SanDns = "san.dns",
    // files
    Fuid = "fuid",
    TxHosts = "tx_hosts",
    RxHosts = "rx_hosts",
    ConnUids = "conn_uids",
    Source = "source",
    MimeType = "mime_type",
    Filename = "filename",
    IsOrig = "is_orig",
    SeenBytes = "seen_bytes",
    TotalBytes = "total_bytes",
    Md5 = "md5",
    Sha1 = "sha1",
    Sha256 = "sha256",
    // ssh
    AuthSuccess = "auth_success",
    AuthAttempts = "auth_attempts",
    Client = "client",
    Server = "server",
    Hassh = "hassh",
    HasshServer = "hasshServer",
    // dhcp
    ClientAddr = "client_addr",
    ServerAddr = "server_addr",
    Mac = "mac",
    HostName = "host_name",
    RequestedAddr = "requested_addr",
    AssignedAddr = "assigned_addr" | "assigned_ip",
    MsgTypes = "msg_types",
    ClientSoftware = "client_software",
    // ftp, smtp
    User = "user",
    Command = "command",
    Arg = "arg",
    ReplyCode = "reply_code",
    ReplyMsg = "reply_msg",
    DataRespH = "data_channel.resp_h",
    DataRespP = "data_channel.resp_p",
    Helo = "helo",
    MailFrom = "mailfrom",
    RcptTo = "rcptto",
    LastReply = "last_reply",
    Tls = "tls",
    // login (a script of Slips writes it)
    Success = "success",
    // tunnel
    TunnelType = "tunnel_type",
    Action = "action",
    // notice, weird
    Note = "note",
    Msg = "msg",
    Sub = "sub",
    Src = "src",
    Dst = "dst",
    Port = "p",
    Name = "name",
    Addl = "addl",
    // known_services
    PortNumber = "port_num",
    PortProtocol = "port_proto",
    // software
    HostPort = "host_p",
    SoftwareType = "software_type",
    VersionMajor = "version.major",
    VersionMinor = "version.minor",
    VersionMinor2 = "version.minor2",
    UnparsedVersion = "unparsed_version",
    // arp
    Operation = "operation",
    SrcMac = "src_mac",
    DstMac = "dst_mac",
    OrigHw = "orig_hw",
    RespHw = "resp_hw",
}

impl Column {
    pub(super) fn of(name: &str) -> Option<Self> {
        static BY_NAME: LazyLock<FxHashMap<&'static str, Column>> =
            LazyLock::new(|| NAMES.iter().copied().collect());
        BY_NAME.get(name).copied()
    }

    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, column)| *column == self);
        found.map_or("", |(name, _)| name)
    }
}
