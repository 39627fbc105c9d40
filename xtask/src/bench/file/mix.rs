//! The capture that `bench file` measures on: sessions of every usual kind, interleaved, the same bytes on every run.
//!
//! 2,000 sessions are open at a time; each step a random one sends its next packet, 10 µs later than the one before
//! (100,000 packets/s). Web and TLS transfers, DNS, pings, probes that nobody answers; one session in seven is IPv6,
//! one in ten has a VLAN tag, one in thirty travels in VXLAN. Payloads hold what decoders look for.
//!
//! Usual hosts look a name up and then connect to what it led to. [`Mix::Strange`] is the other end: every connection
//! goes to an address of its own that no name led to, many in plain HTTP, so that nearly each is a finding.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

const OPEN_SESSIONS: usize = 2000;
const NANOS_PER_PACKET: u64 = 10_000;
const START_SECONDS: u64 = 1_700_000_000;

/// What sessions are like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    Usual,
    Strange,
}

/// Makes the capture unless it is there; returns its packets.
pub(crate) fn ensure(path: &Path, mix: Mix, bytes: u64) -> anyhow::Result<u64> {
    let count = path.with_extension("packets");
    if let Ok(text) = fs::read_to_string(&count)
        && path.is_file()
    {
        return text.trim().parse().context("count of packets");
    }
    eprintln!("making {} ({} MB)", path.display(), bytes / 1_000_000);
    let packets = write(path, mix, bytes).with_context(|| path.display().to_string())?;
    fs::write(count, packets.to_string())?;
    Ok(packets)
}

fn write(path: &Path, mix: Mix, bytes: u64) -> anyhow::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let mut sessions: Vec<Session> = (0..OPEN_SESSIONS)
        .map(|_| Session::new(mix, &mut chance))
        .collect();
    let (mut written, mut packets) = (24, 0);
    let mut frame = Vec::with_capacity(2048);
    while written < bytes {
        let at = chance.below(OPEN_SESSIONS as u64) as usize;
        frame.clear();
        if !sessions[at].next_frame(&mut frame) {
            sessions[at] = Session::new(mix, &mut chance);
            continue;
        }
        let nanos = packets * NANOS_PER_PACKET;
        let length = frame.len() as u32;
        let head = [
            (START_SECONDS + nanos / 1_000_000_000) as u32,
            (nanos % 1_000_000_000) as u32,
            length,
            length,
        ];
        for word in head {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
        written += 16 + u64::from(length);
        packets += 1;
    }
    file.flush()?;
    Ok(packets)
}

/// xorshift64*
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Web,
    Tls,
    Dns,
    Ping,
    Probe,
}

/// Name servers of the usual hosts.
const RESOLVER: [u8; 4] = [10, 0, 4, 53];
/// Names that usual hosts ask for, each of one server.
const NAMES: u64 = 20_000;

struct Session {
    mix: Mix,
    kind: Kind,
    client: [u8; 4],
    server: [u8; 4],
    port: u16,
    six: bool,
    vlan: Option<u16>,
    vxlan: bool,
    /// Data packets of the answer.
    answers: u64,
    step: u64,
    sequence: [u32; 2],
    id: u64,
}

impl Session {
    fn new(mix: Mix, chance: &mut Chance) -> Self {
        let kind = match (mix, chance.below(100)) {
            (Mix::Usual, 0..5) | (Mix::Strange, 0..20) => Kind::Web,
            (Mix::Usual, 5..60) | (Mix::Strange, 20..45) => Kind::Tls,
            (Mix::Usual, 60..90) | (Mix::Strange, 45..85) => Kind::Dns,
            (Mix::Usual, 90..98) | (Mix::Strange, 85..90) => Kind::Ping,
            _ => Kind::Probe,
        };
        let bits = chance.next();
        // Usual servers are where their names say; the others are anywhere.
        let place = match mix {
            Mix::Usual => (bits % NAMES).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8,
            Mix::Strange => bits,
        };
        let answers = match kind {
            Kind::Web => 4 + chance.below(40),
            Kind::Tls => 6 + chance.below(60),
            Kind::Ping => 4,
            Kind::Dns | Kind::Probe => 1,
        };
        Self {
            mix,
            kind,
            client: [10, 0, (bits & 3) as u8, (bits >> 8) as u8],
            server: [
                93,
                (place >> 16) as u8,
                (place >> 24) as u8 & 15,
                (place >> 32) as u8,
            ],
            port: 32_768 + ((bits >> 40) & 0x7fff) as u16,
            six: chance.below(7) == 0,
            vlan: (chance.below(10) == 0).then_some(7),
            vxlan: chance.below(30) == 0,
            answers,
            step: 0,
            sequence: [bits as u32, (bits >> 32) as u32],
            id: bits,
        }
    }

    /// Appends the session's next frame; false when it is over.
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> bool {
        let step = self.step;
        self.step += 1;
        let looks_up = self.mix == Mix::Usual && matches!(self.kind, Kind::Web | Kind::Tls);
        if looks_up && step < 2 {
            let body = self.dns(step == 1);
            self.wrap(frame, RESOLVER, step == 0, 17, &body);
            return true;
        }
        let step = if looks_up { step - 2 } else { step };
        let (from_client, protocol, body) = match self.kind {
            Kind::Dns => match step {
                0 | 1 => (step == 0, 17, self.dns(step == 1)),
                _ => return false,
            },
            Kind::Ping => {
                if step >= 2 * self.answers {
                    return false;
                }
                let asks = step.is_multiple_of(2);
                let kind = match (asks, self.six) {
                    (true, false) => 8,
                    (false, false) => 0,
                    (true, true) => 128,
                    (false, true) => 129,
                };
                let mut body = vec![kind, 0, 0, 0, 0, 1, 0, (step / 2) as u8];
                body.resize(64, 0x61);
                (asks, if self.six { 58 } else { 1 }, body)
            }
            Kind::Probe => match step {
                0 => (true, 6, self.tcp(true, 0x02, &[])),
                _ => return false,
            },
            Kind::Web | Kind::Tls => match self.transfer(step) {
                Some((from_client, body)) => (from_client, 6, body),
                None => return false,
            },
        };
        let asked = self.mix == Mix::Usual && matches!(self.kind, Kind::Dns);
        let server = if asked { RESOLVER } else { self.server };
        self.wrap(frame, server, from_client, protocol, &body);
        true
    }

    /// Handshake, request, answer with an acknowledgement after every second segment, FIN from both.
    fn transfer(&mut self, step: u64) -> Option<(bool, Vec<u8>)> {
        const FIN_ACK: u8 = 0x11;
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        const PSH_ACK: u8 = 0x18;
        let rounds = self.answers * 3 / 2;
        // Full segments of large transfers, shorter ones of pages: about 600 bytes a frame over all.
        let large = match self.mix {
            Mix::Usual => self.id & 1 == 0,
            Mix::Strange => matches!(self.kind, Kind::Tls),
        };
        let segment = if large {
            &[0x5a; 1448][..]
        } else {
            &[0x5a; 320][..]
        };
        Some(match step {
            0 => (true, self.tcp(true, SYN, &[])),
            1 => (false, self.tcp(false, SYN | ACK, &[])),
            2 => (true, self.tcp(true, ACK, &[])),
            3 => {
                let request = self.request();
                (true, self.tcp(true, PSH_ACK, &request))
            }
            4 => {
                let head: &[u8] = match self.kind {
                    Kind::Web => {
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 65536\r\n\r\n"
                    }
                    _ => &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
                };
                (false, self.tcp(false, PSH_ACK, head))
            }
            step if step < 5 + rounds => match (step - 5) % 3 {
                2 => (true, self.tcp(true, ACK, &[])),
                _ => (false, self.tcp(false, ACK, segment)),
            },
            step if step == 5 + rounds => (true, self.tcp(true, FIN_ACK, &[])),
            step if step == 6 + rounds => (false, self.tcp(false, FIN_ACK, &[])),
            step if step == 7 + rounds => (true, self.tcp(true, ACK, &[])),
            _ => return None,
        })
    }

    fn request(&self) -> Vec<u8> {
        let name = format!("host{}.example.org", self.name());
        match self.kind {
            Kind::Web => format!(
                "GET /page/{} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n",
                self.id % 100_000
            )
            .into_bytes(),
            _ => client_hello(&name),
        }
    }

    const fn name(&self) -> u64 {
        match self.mix {
            Mix::Usual => self.id % NAMES,
            Mix::Strange => self.id % 5000,
        }
    }

    /// A question for the server's address or the answer to it. Usual hosts that only ask want the address of the other
    /// family, and there is none.
    fn dns(&self, answer: bool) -> Vec<u8> {
        let usual = self.mix == Mix::Usual;
        let nothing = usual && matches!(self.kind, Kind::Dns);
        let six = usual && self.six != nothing;
        let mut message = (self.id as u16).to_be_bytes().to_vec();
        message.extend(if answer {
            [0x81, 0x80, 0, 1, 0, u8::from(!nothing), 0, 0, 0, 0]
        } else {
            [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        });
        let name = format!("host{}", self.name());
        for label in [name.as_str(), "example", "org"] {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        let kind = if six { 28 } else { 1 };
        message.extend([0, 0, kind, 0, 1]);
        if answer && !nothing {
            message.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 0, 0]);
            if six {
                message.push(16);
                message.extend(address6(self.server));
            } else {
                message.push(4);
                message.extend(self.server);
            }
        }
        let port = match self.kind {
            Kind::Dns => self.port,
            _ => 32_768 | (self.id >> 8) as u16,
        };
        let ports = if answer { (53, port) } else { (port, 53) };
        udp(ports, &message)
    }

    fn tcp(&mut self, from_client: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
        let service = match self.kind {
            Kind::Web => 80,
            Kind::Tls => 443,
            _ => (self.id % 1024) as u16,
        };
        let (me, ports) = if from_client {
            (0, (self.port, service))
        } else {
            (1, (service, self.port))
        };
        let mut segment = Vec::with_capacity(20 + payload.len());
        segment.extend(ports.0.to_be_bytes());
        segment.extend(ports.1.to_be_bytes());
        segment.extend(self.sequence[me].to_be_bytes());
        segment.extend(self.sequence[1 - me].to_be_bytes());
        segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        let advance = payload.len() as u32 + u32::from(flags & 3 != 0);
        self.sequence[me] = self.sequence[me].wrapping_add(advance);
        segment
    }

    fn wrap(&self, frame: &mut Vec<u8>, server: [u8; 4], from_client: bool, protocol: u8, body: &[u8]) {
        let (source, destination) = if from_client {
            (self.client, server)
        } else {
            (server, self.client)
        };
        let ip = if self.six {
            ip6(source, destination, protocol, body)
        } else {
            ip4(source, destination, protocol, body)
        };
        let ether_type = if self.six { 0x86dd } else { 0x0800 };
        if self.vxlan {
            let mut inner = vec![8, 0, 0, 0, 0, 0, 9, 0];
            ethernet(&mut inner, None, ether_type, &ip);
            let outer = ip4([172, 16, 0, 1], [172, 16, 0, 2], 17, &udp((50_000, 4789), &inner));
            ethernet(frame, self.vlan, 0x0800, &outer);
        } else {
            ethernet(frame, self.vlan, ether_type, &ip);
        }
    }
}

fn ethernet(frame: &mut Vec<u8>, vlan: Option<u16>, ether_type: u16, packet: &[u8]) {
    frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    if let Some(id) = vlan {
        frame.extend([0x81, 0]);
        frame.extend(id.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
}

fn ip4(source: [u8; 4], destination: [u8; 4], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    let sum = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum::<u32>();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(body);
    packet
}

fn ip6(source: [u8; 4], destination: [u8; 4], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for address in [source, destination] {
        packet.extend(address6(address));
    }
    packet.extend(body);
    packet
}

fn address6(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = ports.0.to_be_bytes().to_vec();
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A TLS 1.2 ClientHello with server name and ALPN.
fn client_hello(name: &str) -> Vec<u8> {
    let block = |kind: u16, value: Vec<u8>| {
        let mut extension = kind.to_be_bytes().to_vec();
        extension.extend((value.len() as u16).to_be_bytes());
        extension.extend(value);
        extension
    };
    let length = name.len() as u16;
    let mut server_name = (length + 3).to_be_bytes().to_vec();
    server_name.push(0);
    server_name.extend(length.to_be_bytes());
    server_name.extend(name.bytes());
    let mut extensions = block(0, server_name);
    extensions.extend(block(16, b"\x00\x0c\x02h2\x08http/1.1".to_vec()));
    extensions.extend(block(10, vec![0, 4, 0, 29, 0, 23]));
    extensions.extend(block(11, vec![1, 0]));
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 6, 0x13, 1, 0xc0, 0x2f, 0xc0, 0x30, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}
