//! Builds Ethernet frames with right checksums: the traffic of the demo and of the system tests.

use std::net::Ipv4Addr;

/// One machine of a made-up network.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub mac: [u8; 6],
    pub ip: Ipv4Addr,
}

impl Host {
    /// A host with a locally administered MAC made of its address.
    #[must_use]
    pub const fn new(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        Self {
            mac: [0x02, 0x4c, a, b, c, d],
            ip,
        }
    }
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// TCP header fields that differ from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    pub source_port: u16,
    pub destination_port: u16,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
}

#[must_use]
pub fn tcp(from: &Host, to: &Host, header: Tcp, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(header.source_port.to_be_bytes());
    segment.extend(header.destination_port.to_be_bytes());
    segment.extend(header.sequence.to_be_bytes());
    segment.extend(header.acknowledgment.to_be_bytes());
    segment.extend([5 << 4, header.flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let sum = transport_checksum(from, to, 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, to, 6, &segment)
}

#[must_use]
pub fn udp(from: &Host, to: &Host, source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("payload of a test frame is below 64 KiB");
    let mut datagram = Vec::with_capacity(usize::from(length));
    datagram.extend(source_port.to_be_bytes());
    datagram.extend(destination_port.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = transport_checksum(from, to, 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, to, 17, &datagram)
}

/// ICMP echo request (type 8) or reply (type 0).
#[must_use]
pub fn icmp_echo(from: &Host, to: &Host, kind: u8, identifier: u16, sequence: u16) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend([0x6c; 24]);
    let sum = checksum(&message, 0);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, to, 1, &message)
}

/// Asks the whole network who has `target`.
#[must_use]
pub fn arp_request(from: &Host, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet([0xff; 6], from.mac, 0x0806);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(from.mac);
    frame.extend(from.ip.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame.resize(60, 0);
    frame
}

fn ethernet(destination: [u8; 6], source: [u8; 6], ether_type: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.extend(destination);
    frame.extend(source);
    frame.extend(ether_type.to_be_bytes());
    frame
}

fn ipv4(from: &Host, to: &Host, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("payload of a test frame is below 64 KiB");
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(from.ip.octets());
    header.extend(to.ip.octets());
    let sum = checksum(&header, 0);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ethernet(to.mac, from.mac, 0x0800);
    frame.extend(header);
    frame.extend(payload);
    frame
}

fn transport_checksum(from: &Host, to: &Host, protocol: u8, segment: &[u8]) -> u16 {
    let mut pseudo = Vec::with_capacity(12);
    pseudo.extend(from.ip.octets());
    pseudo.extend(to.ip.octets());
    pseudo.extend([0, protocol]);
    pseudo.extend(
        u16::try_from(segment.len())
            .expect("segment of a test frame is below 64 KiB")
            .to_be_bytes(),
    );
    let partial = u32::from(!checksum(&pseudo, 0));
    match checksum(segment, partial) {
        0 => 0xffff,
        sum => sum,
    }
}

/// RFC 1071.
pub(crate) fn checksum(bytes: &[u8], initial: u32) -> u16 {
    let mut sum = initial;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Host = Host::new(Ipv4Addr::new(10, 0, 0, 1));
    const B: Host = Host::new(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn headers_and_segments_sum_to_zero() {
        let frame = tcp(
            &A,
            &B,
            Tcp {
                source_port: 1,
                destination_port: 2,
                flags: SYN,
                ..Tcp::default()
            },
            b"odd",
        );
        assert_eq!(checksum(&frame[14..34], 0), 0);
        let mut pseudo = frame[26..34].to_vec();
        pseudo.extend([0, 6, 0, 23]);
        pseudo.extend(&frame[34..]);
        assert_eq!(checksum(&pseudo, 0), 0);
    }
}
