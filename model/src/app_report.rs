//! Application events of sessions, certificates and files: from our decoders, or from the logs of another analyzer.

use crate::flow::Endpoint;
use crate::time::Timestamp;

/// A certificate that a TLS server sent (RFC 5280), the end entity's.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Certificate {
    /// Name that the client asked for in the same flow.
    pub server_name: Option<String>,
    /// Distinguished name as in RFC 4514.
    pub subject: String,
    pub issuer: String,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// DNS names of the subject alternative name.
    pub names: Vec<String>,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    /// Of the DER bytes, hexadecimal digits.
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    /// Whether its own key signed it. `None`: not known.
    pub self_signed: Option<bool>,
    /// What the analyzer that checked the chain said, as Zeek's `validation_status`.
    pub validation: Option<String>,
}

/// What is known of the authentication of an SSH flow when it is over.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SshLogin {
    /// `None`: not known.
    pub success: Option<bool>,
    /// Attempts seen, where they were counted.
    pub attempts: Option<u32>,
    pub client: Option<String>,
    pub server: Option<String>,
}

/// One command of a mail client and the reply to it, or a whole session from a log.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Smtp {
    /// Argument of HELO or EHLO.
    pub helo: Option<String>,
    /// Envelope addresses.
    pub mail_from: Option<String>,
    pub recipients: Vec<String>,
    /// Whether AUTH succeeded. `None`: not tried, or not known.
    pub login: Option<bool>,
    /// Code and text of the last reply.
    pub reply_code: Option<u16>,
    pub reply: Option<String>,
    /// STARTTLS was agreed; nothing can be read after it.
    pub tls: bool,
}

/// One FTP command and its reply.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Ftp {
    pub user: Option<String>,
    pub command: String,
    pub argument: Option<String>,
    pub reply_code: Option<u16>,
    pub reply: Option<String>,
    /// Where the data connection was announced to go (PORT, PASV, EPRT, EPSV).
    pub data: Option<Endpoint>,
}

/// How a login by Telnet, rlogin or rsh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LoginOutcome {
    Success,
    Failed,
    /// Seen, but not understood.
    #[default]
    Confused,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Login {
    /// `telnet`, `rlogin`, `rsh`.
    pub service: String,
    pub user: Option<String>,
    pub outcome: LoginOutcome,
}

/// A file that travelled in a flow.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// Protocol that carried it, as `http`.
    pub source: String,
    pub name: Option<String>,
    /// By content where that was looked at, else as declared.
    pub mime: Option<String>,
    pub bytes: Option<u64>,
    /// Hexadecimal digits.
    pub md5: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    /// It is a certificate of a TLS server.
    pub is_certificate: bool,
}

/// A tunnel that an analyzer found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TunnelNote {
    /// As `gre`, `vxlan`, `teredo`; lower case.
    pub kind: String,
    /// As `discover`, `close`, `expire`; lower case.
    pub action: String,
}

/// A finding of another analyzer: a Zeek notice or a Suricata alert.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Notice {
    /// `zeek`, `suricata`.
    pub analyzer: String,
    /// As `Scan::Port_Scan`, or the signature's text.
    pub name: String,
    pub message: String,
    pub detail: Option<String>,
    /// Number of the signature.
    pub signature: Option<u64>,
    /// 1 (worst) to 4 as Suricata ranks.
    pub severity: Option<u8>,
    pub category: Option<String>,
}

/// Traffic that breaks the rules of its protocol.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Weird {
    /// As Zeek names it: `unknown_HTTP_method`.
    pub name: String,
    pub detail: Option<String>,
}

/// Software that a host showed to be running.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Software {
    /// As `SSH::CLIENT`, or one of ours.
    pub kind: String,
    pub name: String,
    pub version: Option<String>,
}

impl Software {
    /// A service that answered on the port of the record, by the name of its protocol if that was recognized.
    pub const SERVICE: &'static str = "HOST::SERVICE";
    /// The host itself: it completed a connection.
    pub const HOST: &'static str = "HOST::SEEN";
}
