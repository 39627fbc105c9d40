//! Frames of every kind that the kernel programs know, made by hand.

pub(super) fn ethernet(ether_type: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(body);
    frame
}

pub(super) fn ipv4(protocol: u8, id: u16, fragment: u16, options: &[u8], last: u8, body: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + options.len() + body.len()).expect("short");
    let mut packet = vec![0x45 + (options.len() / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([61, protocol, 0, 0, 192, 0, 2, last, 198, 51, 100, 7]);
    packet.extend(options);
    packet.extend(body);
    packet
}

pub(super) fn ipv6(next: u8, last: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    packet.extend([next, 62]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(body);
    packet
}

pub(super) fn tcp(from: u16, to: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend([0, 0, 1, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

pub(super) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).expect("short").to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// One frame of each kind that the kernel programs know.
pub(super) fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let plain = ipv4(6, 1, 0, &[], 1, &tcp(40_000, 443, 0x12, b"x"));
    let inner = ethernet(0x0800, &ipv4(17, 2, 0, &[], 3, &udp(5, 6, b"inner")));
    let labelled = |first: &[u8]| [&[0x00, 0x01, 0x01, 0x40], first].concat();
    vec![
        ("tcp", ethernet(0x0800, &plain)),
        (
            "udp",
            ethernet(0x0800, &ipv4(17, 1, 0, &[], 2, &udp(53, 40_001, b"answer"))),
        ),
        (
            "icmp",
            ethernet(0x0800, &ipv4(1, 1, 0, &[], 4, &[8, 0, 0, 0, 0, 1, 0, 1])),
        ),
        (
            "icmp one way",
            ethernet(0x0800, &ipv4(1, 1, 0, &[], 5, &[3, 1, 0, 0, 0, 0, 0, 0])),
        ),
        (
            "igmp",
            ethernet(0x0800, &ipv4(2, 1, 0, &[], 6, &[0x16, 0, 0, 0, 224, 0, 0, 1])),
        ),
        (
            "sctp",
            ethernet(0x0800, &ipv4(132, 1, 0, &[], 7, &tcp(7, 8, 0, b""))),
        ),
        (
            "options",
            ethernet(0x0800, &ipv4(6, 1, 0, &[1, 1, 1, 0], 8, &tcp(9, 10, 0x02, b""))),
        ),
        ("ipv6", ethernet(0x86dd, &ipv6(6, 9, &tcp(11, 12, 0x18, b"data")))),
        ("ipv6 udp", ethernet(0x86dd, &ipv6(17, 10, &udp(13, 14, b"data")))),
        (
            "ipv6 extensions",
            ethernet(
                0x86dd,
                &ipv6(
                    0,
                    11,
                    &[
                        &[60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0][..],
                        &tcp(15, 16, 0x10, b""),
                    ]
                    .concat(),
                ),
            ),
        ),
        (
            "icmpv6",
            ethernet(0x86dd, &ipv6(58, 12, &[135, 0, 0, 0, 0, 0, 0, 0])),
        ),
        ("vlan", ethernet(0x8100, &[&[0x20, 5, 8, 0][..], &plain].concat())),
        (
            "qinq",
            ethernet(0x88a8, &[&[0, 9, 0x81, 0, 0, 5, 8, 0][..], &plain].concat()),
        ),
        (
            "three tags",
            ethernet(
                0x88a8,
                &[&[0, 9, 0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0][..], &plain].concat(),
            ),
        ),
        ("mpls", ethernet(0x8847, &labelled(&plain))),
        (
            "pppoe",
            ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 43, 0, 0x21][..], &plain].concat()),
        ),
        ("arp", ethernet(0x0806, &[0; 28])),
        ("lldp", ethernet(0x88cc, &[0; 20])),
        (
            "first fragment",
            ethernet(0x0800, &ipv4(17, 77, 0x2000, &[], 13, &udp(17, 18, b"first!!!"))),
        ),
        (
            "later fragment",
            ethernet(0x0800, &ipv4(17, 77, 2, &[], 13, b"later")),
        ),
        (
            "lone fragment",
            ethernet(0x0800, &ipv4(17, 78, 2, &[], 13, b"later")),
        ),
        (
            "ipv6 fragment",
            ethernet(
                0x86dd,
                &ipv6(
                    44,
                    14,
                    &[&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(19, 20, b"first")].concat(),
                ),
            ),
        ),
        (
            "vxlan",
            ethernet(
                0x0800,
                &ipv4(
                    17,
                    1,
                    0,
                    &[],
                    15,
                    &udp(21, 4789, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat()),
                ),
            ),
        ),
        (
            "geneve",
            ethernet(
                0x86dd,
                &ipv6(
                    17,
                    16,
                    &udp(
                        22,
                        6081,
                        &[&[1, 0, 0x65, 0x58, 0, 1, 3, 0, 0, 0, 0, 0][..], &inner].concat(),
                    ),
                ),
            ),
        ),
        (
            "gre",
            ethernet(
                0x0800,
                &ipv4(
                    47,
                    1,
                    0,
                    &[],
                    17,
                    &[&[0x20, 0, 8, 0, 0, 0, 0, 9][..], &plain].concat(),
                ),
            ),
        ),
        ("ipip", ethernet(0x0800, &ipv4(4, 1, 0, &[], 18, &plain))),
        (
            "6in4",
            ethernet(
                0x0800,
                &ipv4(41, 1, 0, &[], 19, &ipv6(17, 20, &udp(23, 24, b"six"))),
            ),
        ),
        (
            "ipip twice",
            ethernet(0x0800, &ipv4(4, 1, 0, &[], 21, &ipv4(4, 1, 0, &[], 22, &plain))),
        ),
        ("bad version", ethernet(0x0800, &[0x35; 40])),
        ("padded", ethernet(0x0800, &[&plain[..], &[0; 9]].concat())),
    ]
}
