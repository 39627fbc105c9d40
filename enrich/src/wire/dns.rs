//! A small stub resolver: one question, one answer, over UDP and, where that is cut, TCP (RFC 1035, 7766).
//!
//! The system's resolver cannot be given a time-out, cannot ask for TXT records and does not tell NXDOMAIN from failure.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::provider::Fault;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Ptr,
    Txt,
}

impl Kind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
        }
    }

    const fn code(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Ptr => TYPE::PTR,
            Self::Txt => TYPE::TXT,
        }
    }
}

/// One record of the kind that was asked for; aliases on the way are followed by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Address(IpAddr),
    /// Lower case, without the last dot.
    Name(String),
    Text(String),
}

/// `NoSuchName`: NXDOMAIN. An empty list: the name exists without such a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Records(Vec<Record>),
    NoSuchName,
}

/// Servers and patience.
pub struct Resolver {
    servers: Vec<SocketAddr>,
    timeout: Duration,
}

/// Servers of the system that are asked one after the other.
const MAX_SERVERS: usize = 3;
/// Records of one answer.
const MAX_RECORDS: usize = 256;
/// Largest UDP answer without EDNS is 512; some send more.
const BUFFER: usize = 4096;

impl Resolver {
    pub(super) fn new(servers: Vec<SocketAddr>, timeout: Duration) -> Self {
        let mut servers = if servers.is_empty() {
            std::fs::read_to_string("/etc/resolv.conf").map_or_else(|_| Vec::new(), |text| system(&text))
        } else {
            servers
        };
        servers.truncate(MAX_SERVERS);
        Self { servers, timeout }
    }

    /// `wait`: instead of the usual patience. `note` is called with the server before each question.
    pub(super) fn ask(
        &self,
        name: &str,
        kind: Kind,
        wait: Option<Duration>,
        note: &dyn Fn(&str) -> Result<(), Fault>,
    ) -> Result<Reply, Fault> {
        let id = question_id();
        let question = question(id, name, kind)?;
        let end = Instant::now() + wait.unwrap_or(self.timeout).min(self.timeout);
        let mut last = Fault::Unreachable("there is no name server".to_owned());
        for (place, server) in self.servers.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // The last one may take all the time that is left.
            let shares = u32::try_from(self.servers.len() - place).unwrap_or(1);
            note(&server.to_string())?;
            match exchange(*server, &question, id, (name, kind), left / shares) {
                Ok(reply) => return Ok(reply),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

/// `nameserver` lines of resolv.conf.
fn system(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        words.next()?.parse::<IpAddr>().ok()
    });
    addresses.map(|ip| SocketAddr::new(ip, 53)).collect()
}

/// Random, against answers that somebody else sends (RFC 5452).
fn question_id() -> u16 {
    let random = uuid::Uuid::new_v4().into_bytes();
    u16::from_be_bytes([random[0], random[1]])
}

fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, Fault> {
    let bad = |error: simple_dns::SimpleDnsError| Fault::Local(format!("{name:?} is no name: {error}"));
    let mut packet = simple_dns::Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(bad)?;
    let question = Question::new(name, QTYPE::TYPE(kind.code()), QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(question);
    packet.build_bytes_vec().map_err(bad)
}

fn exchange(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    asked: (&str, Kind),
    wait: Duration,
) -> Result<Reply, Fault> {
    let unreachable = |error: std::io::Error| Fault::Unreachable(format!("name server {server}: {error}"));
    let own: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let end = Instant::now() + wait;
    let socket = UdpSocket::bind(own).map_err(unreachable)?;
    // Connected: the kernel drops what others send and tells of a closed port.
    socket.connect(server).map_err(unreachable)?;
    socket.send(question).map_err(unreachable)?;
    let mut buffer = [0; BUFFER];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::Unreachable(format!(
                "name server {server} does not answer"
            )));
        }
        socket.set_read_timeout(Some(left)).map_err(unreachable)?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(error) => return Err(unreachable(error)),
        };
        match read(&buffer[..length], id, asked) {
            // Not an answer to this question: somebody guesses, or an old answer is late.
            Ok(None) => {}
            Ok(Some(Seen::Reply(reply))) => return Ok(reply),
            Ok(Some(Seen::Cut)) => {
                let bytes = by_tcp(server, question, end).map_err(unreachable)?;
                return match read(&bytes, id, asked)? {
                    Some(Seen::Reply(reply)) => Ok(reply),
                    _ => Err(Fault::Malformed(format!(
                        "name server {server}: no answer over TCP"
                    ))),
                };
            }
            Err(fault) => return Err(fault),
        }
    }
}

fn by_tcp(server: SocketAddr, question: &[u8], end: Instant) -> std::io::Result<Vec<u8>> {
    let left = || {
        end.saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1))
    };
    let mut stream = TcpStream::connect_timeout(&server, left())?;
    stream.set_write_timeout(Some(left()))?;
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
    stream.set_read_timeout(Some(left()))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Reads any bytes as an answer, for fuzzing: it may refuse, and must not panic.
#[doc(hidden)]
pub fn decode_all(bytes: &[u8]) {
    for kind in [Kind::A, Kind::Aaaa, Kind::Ptr, Kind::Txt] {
        let _ = read(bytes, 7, ("example.org", kind));
    }
}

#[derive(Debug, PartialEq)]
enum Seen {
    Reply(Reply),
    /// Must be asked again over TCP.
    Cut,
}

/// `None`: not an answer to this question.
fn read(bytes: &[u8], id: u16, asked: (&str, Kind)) -> Result<Option<Seen>, Fault> {
    let malformed = |error: simple_dns::SimpleDnsError| Fault::Malformed(format!("DNS: {error}"));
    let packet = simple_dns::Packet::parse(bytes).map_err(malformed)?;
    let (name, kind) = asked;
    let same = |question: &Question<'_>| {
        question.qtype == QTYPE::TYPE(kind.code())
            && question
                .qname
                .to_string()
                .trim_end_matches('.')
                .eq_ignore_ascii_case(name)
    };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !packet.questions.iter().all(same) {
        return Ok(None);
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(Some(Seen::Cut));
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Some(Seen::Reply(Reply::NoSuchName))),
        RCODE::ServerFailure => return Err(Fault::Server("DNS: server failure".to_owned(), None)),
        other => return Err(Fault::Denied(format!("DNS: {other:?}"))),
    }
    let records = packet
        .answers
        .iter()
        .filter_map(|answer| match (&answer.rdata, kind) {
            (RData::A(a), Kind::A) => Some(Record::Address(Ipv4Addr::from_bits(a.address).into())),
            (RData::AAAA(a), Kind::Aaaa) => Some(Record::Address(Ipv6Addr::from_bits(a.address).into())),
            (RData::PTR(ptr), Kind::Ptr) => {
                let name = ptr.0.to_string();
                Some(Record::Name(name.trim_end_matches('.').to_ascii_lowercase()))
            }
            (RData::TXT(text), Kind::Txt) => String::try_from(text.clone()).ok().map(Record::Text),
            _ => None,
        });
    Ok(Some(Seen::Reply(Reply::Records(
        records.take(MAX_RECORDS).collect(),
    ))))
}

/// `1.2.0.192.in-addr.arpa`, or nibbles under `ip6.arpa`.
#[must_use]
pub fn reverse_name(ip: IpAddr) -> String {
    let root = if ip.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    format!("{}.{root}", reversed(ip))
}

/// The address backwards, as it stands before the zone of a list: octets of IPv4, nibbles of IPv6.
#[must_use]
pub fn reversed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev();
            let texts = nibbles.map(|byte| format!("{:x}.{:x}", byte & 15, byte >> 4));
            texts.collect::<Vec<_>>().join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_reverse_zones() {
        assert_eq!(
            reverse_name("192.0.2.1".parse().unwrap()),
            "1.2.0.192.in-addr.arpa"
        );
        let six = reverse_name("2001:db8::1".parse().unwrap());
        assert!(
            six.starts_with("1.0.0.0.") && six.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{six}"
        );
    }

    #[test]
    fn name_servers_of_the_system() {
        let text = "# c\nsearch example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver bad\n";
        let servers: Vec<String> = system(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53"]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), id: u16) {
            let _ = read(&bytes, id, ("example.org", Kind::Txt));
        }

        #[test]
        fn a_damaged_answer_never_answers_another_question(at in 0_usize..29, value: u8) {
            let mut bytes = question(7, "example.org", Kind::A).unwrap();
            bytes[2] |= 0x80;
            prop_assert_eq!(read(&bytes, 7, ("example.org", Kind::A)).unwrap(), Some(Seen::Reply(Reply::Records(Vec::new()))));
            prop_assert_eq!(read(&bytes, 8, ("example.org", Kind::A)).unwrap(), None);
            bytes[at] = value;
            let _ = read(&bytes, 7, ("example.org", Kind::A));
        }
    }
}
