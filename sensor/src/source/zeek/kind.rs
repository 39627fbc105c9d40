//! Which of Zeek's logs something is.

use std::path::Path;

use super::columns::Column;
use super::record::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Conn,
    Dns,
    Http,
    Ssl,
    Quic,
    X509,
    Files,
    Ssh,
    Dhcp,
    Ftp,
    Smtp,
    Login,
    Tunnel,
    Notice,
    Weird,
    Software,
    Arp,
    KnownHosts,
    KnownServices,
    KnownCerts,
    KnownDevices,
    /// A log of Zeek that is not read.
    Unused,
}

/// Logs that are read, by the name that Zeek gives them.
const NAMES: [(&str, Kind); 21] = [
    ("conn", Kind::Conn),
    ("dns", Kind::Dns),
    ("http", Kind::Http),
    ("ssl", Kind::Ssl),
    ("quic", Kind::Quic),
    ("x509", Kind::X509),
    ("files", Kind::Files),
    ("ssh", Kind::Ssh),
    ("dhcp", Kind::Dhcp),
    ("ftp", Kind::Ftp),
    ("smtp", Kind::Smtp),
    ("login", Kind::Login),
    ("tunnel", Kind::Tunnel),
    ("notice", Kind::Notice),
    ("weird", Kind::Weird),
    ("software", Kind::Software),
    ("arp", Kind::Arp),
    ("known_hosts", Kind::KnownHosts),
    ("known_services", Kind::KnownServices),
    ("known_certs", Kind::KnownCerts),
    ("known_devices", Kind::KnownDevices),
];

impl Kind {
    pub(crate) const COUNT: usize = Self::Unused as usize + 1;

    /// Logs that are read, by name.
    pub(crate) fn names() -> impl Iterator<Item = (&'static str, Self)> {
        NAMES.into_iter()
    }

    /// Of `#path` or `_path`: a name that is not known is a log that is not read.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        if path.is_empty() || path == "-" {
            return None;
        }
        let known = NAMES.iter().find(|(name, _)| *name == path);
        Some(known.map_or(Self::Unused, |(_, kind)| *kind))
    }

    /// Of the name of a file: `conn.log`, `conn.log.labeled.gz`, `labeled-conn.log`, `dns.2024-05-01-13-00-00.log`.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        if !name.contains(".log") {
            return None;
        }
        let mut words = name.split(['.', '-']);
        words.find_map(|word| {
            NAMES
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, kind)| *kind)
        })
    }

    /// Of what only this log has: JSON from standard input has no other sign.
    pub(super) fn of_columns(record: &Record<'_>) -> Option<Self> {
        [
            (Column::ConnState, Self::Conn),
            (Column::Rcode, Self::Dns),
            (Column::Qtype, Self::Dns),
            (Column::TransId, Self::Dns),
            (Column::Fuid, Self::Files),
            (Column::TransDepth, Self::Http),
            (Column::StatusCode, Self::Http),
            (Column::ClientInitialDcid, Self::Quic),
            (Column::Cipher, Self::Ssl),
            (Column::ServerName, Self::Ssl),
            (Column::CertificateSubject, Self::X509),
            (Column::AuthAttempts, Self::Ssh),
            (Column::AuthSuccess, Self::Ssh),
            (Column::MsgTypes, Self::Dhcp),
            (Column::Note, Self::Notice),
            (Column::TunnelType, Self::Tunnel),
            (Column::SoftwareType, Self::Software),
            (Column::Operation, Self::Arp),
            (Column::LastReply, Self::Smtp),
            (Column::OrigPkts, Self::Conn),
        ]
        .into_iter()
        .find_map(|(column, kind)| record.raw(column).map(|_| kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, kind) in [
            ("a/conn.log", Some(Kind::Conn)),
            ("conn.log.labeled", Some(Kind::Conn)),
            ("labeled-conn.log", Some(Kind::Conn)),
            ("conn.00:00:00-01:00:00.log.gz", Some(Kind::Conn)),
            ("dns.2024-05-01-13-00-00.log", Some(Kind::Dns)),
            ("known_hosts.log", Some(Kind::KnownHosts)),
            ("loaded_scripts.log", None),
            ("conn.txt", None),
            ("README.md", None),
        ] {
            assert_eq!(Kind::of_name(Path::new(name)), kind, "{name}");
        }
        assert_eq!(Kind::of_path("pe"), Some(Kind::Unused));
        assert_eq!(Kind::of_path("-"), None);
    }
}
