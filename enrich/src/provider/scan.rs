//! Opt-in TCP connections to a list of ports, with what the server says first.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::settings::Scan;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "scan",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Target,
    who: "the address sees your address and your connections; it may take them for an attack",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: true,
    needs_position: false,
};

/// An open port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Open {
    pub port: u16,
    /// What the server said without being asked, one line, control characters escaped; absent: nothing.
    pub banner: Option<String>,
}

/// Connections at a time to one address.
const PARALLEL: usize = 16;
/// Bytes of a banner.
const MAX_BANNER: usize = 256;

/// Tries the ports. Returns the open ones, and those that neither opened nor refused in time.
#[must_use]
pub fn scan(ip: IpAddr, ports: &[u16], connect: Duration, banner: Duration) -> (Vec<Open>, Vec<u16>) {
    let (mut open, mut silent) = (Vec::new(), Vec::new());
    for ports in ports.chunks(PARALLEL) {
        std::thread::scope(|scope| {
            let tries: Vec<_> = ports
                .iter()
                .map(|port| {
                    (
                        *port,
                        scope.spawn(move || one(SocketAddr::new(ip, *port), connect, banner)),
                    )
                })
                .collect();
            for (port, tried) in tries {
                match tried.join() {
                    Ok(Ok(banner)) => open.push(Open { port, banner }),
                    Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                    _ => silent.push(port),
                }
            }
        });
    }
    open.sort_by_key(|open| open.port);
    (open, silent)
}

fn one(place: SocketAddr, connect: Duration, banner: Duration) -> std::io::Result<Option<String>> {
    let mut stream = TcpStream::connect_timeout(&place, connect)?;
    let end = Instant::now() + banner;
    let mut bytes = Vec::new();
    let mut buffer = [0; MAX_BANNER];
    // A banner that is cut is a banner: errors from here on end the reading, not the finding.
    while bytes.len() < MAX_BANNER && !bytes.contains(&b'\n') {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    bytes.truncate(MAX_BANNER);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(shown(line))
}

/// Printable on any terminal.
fn shown(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let safe: String = text
        .chars()
        .flat_map(|letter| {
            let escape = letter.is_control();
            let plain = (!escape).then_some(letter);
            let escaped = escape.then(|| letter.escape_default());
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    (!safe.is_empty()).then_some(safe)
}

pub(super) struct ScanProvider {
    pub(super) settings: Scan,
    pub(super) wire: Arc<Wire>,
}

impl Provider for ScanProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn settings(&self) -> String {
        format!("{:?}", self.settings.ports)
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let settings = &self.settings;
        for port in &settings.ports {
            let place = SocketAddr::new(question.ip, *port).to_string();
            self.wire
                .note(Sender::of(&INFO, question.ip), &place, "TCP connection")?;
        }
        let (open, silent) = scan(
            question.ip,
            &settings.ports,
            Duration::from_millis(settings.timeout),
            Duration::from_millis(settings.banner),
        );
        let mut table = Table::new(INFO.name);
        table.list("ports", open.iter().map(|open| open.port.to_string()));
        let banners = open
            .iter()
            .filter_map(|open| Some(format!("{}/tcp {}", open.port, open.banner.as_ref()?)));
        table.list("services", banners);
        table.list("silent", silent.iter().map(u16::to_string));
        table.list("tried", settings.ports.iter().map(u16::to_string));
        Ok(Reply::found(table.done()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn open_ports_are_found_with_their_banners() {
        let talker = TcpListener::bind("127.0.0.1:0").unwrap();
        let quiet = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let ports = [
            talker.local_addr().unwrap().port(),
            quiet.local_addr().unwrap().port(),
        ];
        std::thread::spawn(move || {
            let (mut stream, _) = talker.accept().unwrap();
            stream.write_all(b"SSH-2.0-x\x1b[2J\r\nmore").unwrap();
            std::thread::sleep(Duration::from_secs(2));
        });
        let wait = Duration::from_millis(500);
        let (open, silent) = scan(
            "127.0.0.1".parse().unwrap(),
            &[ports[0], ports[1], closed],
            wait,
            wait,
        );
        let banner = |port: u16| {
            open.iter()
                .find(|open| open.port == port)
                .map(|open| open.banner.as_deref())
        };
        assert_eq!(banner(ports[0]), Some(Some("SSH-2.0-x\\u{1b}[2J")));
        assert_eq!(banner(ports[1]), Some(None));
        assert_eq!((open.len(), silent.len()), (2, 0));
    }
}
