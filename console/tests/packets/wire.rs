//! Frames of made-up hosts, IPv4 and IPv6 alike, and the capture file that they make.
//!
//! Only what the parser reads is filled in: transport checksums are 0, and a frame may be longer on the wire than in the
//! file, as with a snapshot length.

use std::net::IpAddr;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

pub(crate) const EVERYBODY: [u8; 6] = [0xff; 6];

/// Time of the first frame at the earliest: 2023-11-14 22:00:00 UTC, so that windows begin with hours.
const BEGIN: u64 = 1_700_000_000 / 3_600 * 3_600;

/// An address and its port.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

pub(crate) fn at(ip: &str, port: u16) -> At {
    At {
        ip: ip.parse().unwrap(),
        port,
    }
}

/// The card of a host: made of its address.
pub(crate) fn card(ip: IpAddr) -> [u8; 6] {
    let octets = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    [2, 0, octets[12], octets[13], octets[14], octets[15]]
}

/// What is in the air, in any order.
#[derive(Default)]
pub(crate) struct Air {
    frames: Vec<Frame>,
}

struct Frame {
    micros: u64,
    bytes: Vec<u8>,
    /// On the wire.
    length: usize,
}

impl Air {
    /// `missing`: bytes at the end that are on the wire and not in the file.
    fn frame(&mut self, seconds: f64, mut bytes: Vec<u8>, missing: usize) {
        let length = (bytes.len() + missing).max(60);
        if missing == 0 {
            bytes.resize(length, 0);
        }
        self.frames.push(Frame {
            micros: (seconds * 1e6).round() as u64,
            bytes,
            length,
        });
    }

    /// An IP packet.
    pub(crate) fn ip(
        &mut self,
        seconds: f64,
        (from, to): (IpAddr, IpAddr),
        protocol: u8,
        payload: &[u8],
        missing: usize,
    ) {
        let (ether_type, packet) = ip_packet((from, to), protocol, payload, missing);
        let bytes = [&card(to)[..], &card(from), &ether_type, &packet].concat();
        self.frame(seconds, bytes, missing);
    }

    pub(crate) fn udp(&mut self, seconds: f64, from: At, to: At, payload: &[u8]) {
        let length = (8 + payload.len()) as u16;
        let header = [from.port, to.port, length, 0].map(u16::to_be_bytes).concat();
        self.ip(seconds, (from.ip, to.ip), 17, &[&header, payload].concat(), 0);
    }

    pub(crate) fn tcp(
        &mut self,
        seconds: f64,
        (from, to): (At, At),
        flags: u8,
        (sequence, acknowledged): (u32, u32),
        payload: &[u8],
        missing: usize,
    ) {
        let mut segment = [from.port, to.port].map(u16::to_be_bytes).concat();
        segment.extend([sequence, acknowledged].map(u32::to_be_bytes).concat());
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(payload);
        self.ip(seconds, (from.ip, to.ip), 6, &segment, missing);
    }

    /// An attempt that nobody answers.
    pub(crate) fn knock(&mut self, seconds: f64, from: At, to: At) {
        self.tcp(seconds, (from, to), SYN, (1_000, 0), &[], 0);
    }

    /// An attempt that is refused.
    pub(crate) fn refused(&mut self, seconds: f64, from: At, to: At) {
        self.knock(seconds, from, to);
        self.tcp(seconds + 0.001, (to, from), RST | ACK, (0, 1_001), &[], 0);
    }

    /// A message of ICMP or ICMPv6 with identifier and sequence.
    pub(crate) fn icmp(&mut self, seconds: f64, from: IpAddr, to: IpAddr, kind: u8, data: usize) {
        let protocol = if from.is_ipv4() { 1 } else { 58 };
        let message = [vec![kind, 0, 0, 0, 0, 7, 0, 1], vec![0x6c; data]].concat();
        self.ip(seconds, (from, to), protocol, &message, 0);
    }

    /// ARP: `says` is (card, address) of the sender, `of` those of the target.
    pub(crate) fn arp(
        &mut self,
        seconds: f64,
        operation: u8,
        says: ([u8; 6], &str),
        of: ([u8; 6], &str),
        to_card: [u8; 6],
    ) {
        let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
        let mut bytes = [&to_card[..], &says.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
        bytes.extend([&says.0[..], &address(says.1), &of.0, &address(of.1)].concat());
        self.frame(seconds, bytes, 0);
    }

    /// Neighbour discovery (RFC 4861): a solicitation, or an advertisement with its flags, that names a card.
    pub(crate) fn neighbour(
        &mut self,
        seconds: f64,
        (from, to): (&str, &str),
        flags: Option<u8>,
        target: &str,
        own: [u8; 6],
    ) {
        let ip = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap();
        let (kind, option) = if flags.is_some() { (136, 2) } else { (135, 1) };
        let mut message = vec![kind, 0, 0, 0, flags.unwrap_or(0), 0, 0, 0];
        message.extend(ip(target).octets());
        message.extend([option, 1]);
        message.extend(own);
        let ends = (IpAddr::V6(ip(from)), IpAddr::V6(ip(to)));
        let (ether_type, mut packet) = ip_packet(ends, 58, &message, 0);
        // A router would lower it.
        packet[7] = 255;
        let bytes = [&card(ends.1)[..], &own, &ether_type, &packet].concat();
        self.frame(seconds, bytes, 0);
    }

    /// Asks everybody whose address ends in the same 24 bits.
    pub(crate) fn solicit(&mut self, seconds: f64, own: &str, target: &str) {
        let last = target.parse::<std::net::Ipv6Addr>().unwrap().to_bits() & 0x00ff_ffff;
        let group = format!("ff02::1:ff{:02x}:{:x}", last >> 16, last & 0xffff);
        self.neighbour(seconds, (own, &group), None, target, card(at(own, 0).ip));
    }

    pub(crate) fn who_has(&mut self, seconds: f64, card: [u8; 6], own: &str, target: &str) {
        self.arp(seconds, 1, (card, own), ([0; 6], target), EVERYBODY);
    }

    /// What others send, too.
    #[allow(dead_code, reason = "a file has one family of addresses")]
    pub(crate) fn join(&mut self, other: Self) {
        self.frames.extend(other.frames);
    }

    /// When each frame is sent, in microseconds, and its bytes, in order.
    #[allow(dead_code, reason = "files are written as a whole")]
    pub(crate) fn frames(mut self) -> Vec<(u64, Vec<u8>)> {
        self.frames.sort_by_key(|frame| frame.micros);
        let frames = self.frames.into_iter();
        frames.map(|frame| (frame.micros, frame.bytes)).collect()
    }

    /// The capture file.
    pub(crate) fn pcap(mut self) -> Vec<u8> {
        self.frames.sort_by_key(|frame| frame.micros);
        let mut file = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend([262_144_u32, 1].map(u32::to_le_bytes).concat());
        for frame in self.frames {
            let (seconds, micros) = (BEGIN + frame.micros / 1_000_000, frame.micros % 1_000_000);
            let words = [seconds, micros, frame.bytes.len() as u64, frame.length as u64];
            file.extend(words.map(|word| (word as u32).to_le_bytes()).concat());
            file.extend(frame.bytes);
        }
        file
    }
}

/// The Ethernet type and the bytes of an IP packet.
pub(crate) fn ip_packet(
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    payload: &[u8],
    missing: usize,
) -> ([u8; 2], Vec<u8>) {
    let length = payload.len() + missing;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + length as u16).to_be_bytes());
            header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            header.extend([from.octets(), to.octets()].concat());
            let sum = header.chunks(2).fold(0_u32, |sum, pair| {
                sum + u32::from(u16::from_be_bytes([pair[0], pair[1]]))
            });
            let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            ([8, 0], [&header, payload].concat())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((length as u16).to_be_bytes());
            header.extend([protocol, 64]);
            header.extend([from.octets(), to.octets()].concat());
            ([0x86, 0xdd], [&header, payload].concat())
        }
        _ => panic!("both addresses are of one family"),
    }
}

/// A TCP connection that is spoken over.
pub(crate) struct Talk<'a> {
    air: &'a mut Air,
    client: At,
    server: At,
    now: f64,
    sent: u32,
    heard: u32,
}

impl Air {
    /// Opens a connection at `seconds`.
    pub(crate) fn talk(&mut self, seconds: f64, client: At, server: At) -> Talk<'_> {
        self.tcp(seconds, (client, server), SYN, (1_000, 0), &[], 0);
        self.tcp(
            seconds + 0.001,
            (server, client),
            SYN | ACK,
            (9_000, 1_001),
            &[],
            0,
        );
        self.tcp(seconds + 0.002, (client, server), ACK, (1_001, 9_001), &[], 0);
        Talk {
            air: self,
            client,
            server,
            now: seconds + 0.002,
            sent: 1_001,
            heard: 9_001,
        }
    }
}

impl Talk<'_> {
    pub(crate) fn wait(mut self, seconds: f64) -> Self {
        self.now += seconds;
        self
    }

    /// The client sends.
    pub(crate) fn say(mut self, bytes: &[u8]) -> Self {
        self.now += 0.002;
        let ends = (self.client, self.server);
        let numbers = (self.sent, self.heard);
        self.air.tcp(self.now, ends, PSH | ACK, numbers, bytes, 0);
        self.sent += bytes.len() as u32;
        self
    }

    /// The server sends.
    pub(crate) fn hear(mut self, bytes: &[u8]) -> Self {
        self.now += 0.002;
        let ends = (self.server, self.client);
        let numbers = (self.heard, self.sent);
        self.air.tcp(self.now, ends, PSH | ACK, numbers, bytes, 0);
        self.heard += bytes.len() as u32;
        self
    }

    /// The client sends so many bytes that the file does not hold, in packets of up to 64,000.
    pub(crate) fn pour(mut self, mut bytes: usize) -> Self {
        while bytes > 0 {
            let part = bytes.min(64_000);
            bytes -= part;
            self.now += 0.002;
            let ends = (self.client, self.server);
            let numbers = (self.sent, self.heard);
            self.air.tcp(self.now, ends, ACK, numbers, &[], part);
            self.sent = self.sent.wrapping_add(part as u32);
        }
        self
    }

    pub(crate) fn end(self) {
        let (there, back) = ((self.client, self.server), (self.server, self.client));
        let (sent, heard) = (self.sent, self.heard);
        self.air
            .tcp(self.now + 0.001, there, FIN | ACK, (sent, heard), &[], 0);
        let sent = sent.wrapping_add(1);
        self.air
            .tcp(self.now + 0.002, back, FIN | ACK, (heard, sent), &[], 0);
        self.air
            .tcp(self.now + 0.003, there, ACK, (sent, heard + 1), &[], 0);
    }
}
