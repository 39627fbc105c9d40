//! Syslog: RFC 5424 messages over UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425) or a local socket.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lynceus_model::time::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Failure, Syslog};
use crate::output::OutputConfig;

/// Facility 13 (log audit), severity 4 (warning).
const PRIORITY: u8 = 13 * 8 + 4;
const TIMEOUT: Duration = Duration::from_secs(10);
/// A datagram that every receiver takes (RFC 5426 §3.2); longer messages are cut there.
const MAX_DATAGRAM: usize = 65_000;

enum Connection {
    Udp(UdpSocket),
    Unix(UnixDatagram),
    Stream(Box<dyn Write + Send>),
}

/// A connection that is made when it is needed.
pub(in crate::output) struct Wire {
    target: Syslog,
    roots: Option<Arc<ClientConfig>>,
    host: String,
    connection: Option<Connection>,
}

impl Wire {
    pub(super) fn new(config: &OutputConfig, target: Syslog) -> anyhow::Result<Self> {
        let roots = match &target {
            Syslog::Tls { .. } => Some(client(config)?),
            _ => None,
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host
            .trim()
            .chars()
            .filter(char::is_ascii_graphic)
            .take(255)
            .collect();
        Ok(Self {
            target,
            roots,
            host: if host.is_empty() { "-".to_owned() } else { host },
            connection: None,
        })
    }

    pub(super) fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), Failure> {
        let sent = self.try_send(messages);
        if sent.is_err() {
            self.connection = None;
        }
        Ok(sent?)
    }

    fn try_send(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        let host = self.host.clone();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.target, self.roots.as_ref())?),
        };
        for message in messages {
            let line = frame(&host, message, crate::now());
            match connection {
                Connection::Udp(socket) => drop(socket.send(cut(&line))?),
                Connection::Unix(socket) => drop(socket.send(cut(&line))?),
                Connection::Stream(stream) => {
                    stream.write_all(format!("{} ", line.len()).as_bytes())?;
                    stream.write_all(&line)?;
                }
            }
        }
        if let Connection::Stream(stream) = connection {
            stream.flush()?;
        }
        Ok(())
    }
}

/// RFC 5424 §6: the time is that of sending, the message carries that of the finding.
fn frame(host: &str, message: &[u8], now: Timestamp) -> Vec<u8> {
    let time = crate::output::encode::time(now);
    let pid = std::process::id();
    let mut line = format!("<{PRIORITY}>1 {time} {host} lynceus {pid} finding - ").into_bytes();
    line.extend_from_slice(message);
    line
}

fn cut(line: &[u8]) -> &[u8] {
    let mut end = line.len().min(MAX_DATAGRAM);
    // Not in the middle of a character.
    while end < line.len() && line[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &line[..end]
}

fn connect(target: &Syslog, roots: Option<&Arc<ClientConfig>>) -> io::Result<Connection> {
    Ok(match target {
        Syslog::Udp(address) => {
            let to = resolve(address)?;
            let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own)?;
            socket.connect(to)?;
            Connection::Udp(socket)
        }
        Syslog::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Connection::Unix(socket)
        }
        Syslog::Tcp(address) => Connection::Stream(Box::new(tcp(address)?)),
        Syslog::Tls { host, port } => {
            let config = roots.ok_or_else(|| io::Error::other("TLS without roots"))?;
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            let address = if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            };
            Connection::Stream(Box::new(StreamOwned::new(connection, tcp(&address)?)))
        }
    })
}

fn tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&resolve(address)?, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn resolve(address: &str) -> io::Result<std::net::SocketAddr> {
    let mut found = address.to_socket_addrs()?;
    found
        .next()
        .ok_or_else(|| io::Error::other(format!("{address} has no address")))
}

fn client(config: &OutputConfig) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let path = config
        .ca
        .as_ref()
        .context("syslog+tls needs `ca`: the authority of the receiver")?;
    let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.context("ca")?).context("ca")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_standard() {
        let line = String::from_utf8(frame("host", b"text", Timestamp(0))).unwrap();
        let expected = format!(
            "<108>1 1970-01-01T00:00:00.000000Z host lynceus {} finding - text",
            std::process::id()
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "ü".repeat(MAX_DATAGRAM);
        let kept = cut(long.as_bytes());
        assert!(kept.len() <= MAX_DATAGRAM && std::str::from_utf8(kept).is_ok());
    }
}
