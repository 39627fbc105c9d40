//! The packet parser on packets put together by hand: what it reads, where it stops, and that no cut of any of them
//! makes it guess or panic.
#![allow(clippy::unwrap_used, reason = "a test")]

mod build;

use build::{A4, A6, B4, B6, ethernet, geneve, gre, ip4, ip4_between, ip6, join, tcp, udp, vlan, vxlan};
use proptest::prelude::*;
use sensor_ebpf::flow::{OneWay, Side, TunnelKind, VLAN_PRESENT, v4_mapped};
use sensor_ebpf::parse::{
    Degraded, Fragment, KERNEL_LEVELS, Link, Packet, Refused, Slice, USER_LEVELS, parse,
};

fn parse_cut<const LEVELS: usize>(link: Link, bytes: &[u8], wire_len: usize) -> Result<Packet, Refused> {
    let mut packet = Packet::default();
    let frame = Slice {
        bytes,
        wire_len: u32::try_from(wire_len).unwrap(),
    };
    parse::<_, LEVELS>(&frame, link, &mut packet).map(|()| packet)
}

fn read(bytes: &[u8]) -> Packet {
    parse_cut::<USER_LEVELS>(Link::Ethernet, bytes, bytes.len()).unwrap()
}

fn read_link(link: Link, bytes: &[u8]) -> Packet {
    parse_cut::<USER_LEVELS>(link, bytes, bytes.len()).unwrap()
}

fn outer(bytes: &[u8]) -> Packet {
    parse_cut::<0>(Link::Ethernet, bytes, bytes.len()).unwrap()
}

/// 10.0.0.1:1000 → 192.168.7.9:80, as every plain TCP packet here is.
fn assert_plain_tcp(packet: &Packet) {
    assert_eq!((packet.key.low, packet.key.low_port), (v4_mapped(A4), 1000));
    assert_eq!((packet.key.high, packet.key.high_port), (v4_mapped(B4), 80));
    assert_eq!(packet.key.protocol, 6);
    assert_eq!(packet.sender, Side::Low);
    assert_eq!((packet.tcp_flags, packet.tcp_seq), (0x12, 7));
    assert_eq!(packet.degraded, None);
}

fn http() -> Vec<u8> {
    ip4(6, &tcp(b"GET /"))
}

#[test]
fn plain_tcp_over_ethernet() {
    let packet = read(&ethernet(0x0800, &http()));
    assert_plain_tcp(&packet);
    assert_eq!(packet.ip_len, 45);
    assert_eq!(
        (packet.ip_offset, packet.payload_offset, packet.payload_len),
        (14, 54, 5)
    );
    assert_eq!((packet.ttl, packet.key.tunnel, packet.key.vlan), (64, 0, [0, 0]));
}

#[test]
fn both_directions_have_one_key() {
    let there = read(&ethernet(0x0800, &ip4_between(A4, B4, 17, &udp(4000, b""))));
    let back = read(&ethernet(0x0800, &ip4_between(B4, A4, 17, &udp(4000, b""))));
    assert_eq!(there.key, back.key);
    assert_eq!((there.sender, back.sender), (Side::Low, Side::High));
}

#[test]
fn padding_is_neither_length_nor_payload() {
    let mut frame = ethernet(0x0800, &http());
    frame.resize(200, 0xee);
    let packet = read(&frame);
    assert_eq!((packet.ip_len, packet.payload_len), (45, 5));
    assert_eq!(packet.degraded, None);
}

#[test]
fn stated_length_zero_means_the_frame() {
    let mut frame = ethernet(0x0800, &http());
    (frame[16], frame[17]) = (0, 0);
    let packet = read(&frame);
    assert_eq!((packet.ip_len, packet.payload_len), (45, 5));
    let mut frame = ethernet(0x86dd, &ip6(6, &tcp(b"12345678")));
    (frame[18], frame[19]) = (0, 0);
    assert_eq!(read(&frame).ip_len, 68);
    let nothing = ethernet(0x86dd, &ip6(59, &[]));
    assert_eq!(read(&join(&nothing, &[0; 6])).ip_len, 40);
}

#[test]
fn vlan_tags_in_order() {
    let inside = vlan(5, 0x0800, &http());
    let packet = read(&ethernet(0x88a8, &vlan(0x6007, 0x8100, &inside)));
    assert_plain_tcp(&packet);
    assert_eq!(packet.key.vlan, [7 | VLAN_PRESENT, 5 | VLAN_PRESENT]);
    assert_eq!(
        read(&ethernet(0x9100, &vlan(0, 0x0800, &http()))).key.vlan,
        [VLAN_PRESENT, 0]
    );
    let three = vlan(1, 0x8100, &vlan(2, 0x8100, &vlan(3, 0x0800, &http())));
    assert_eq!(
        read(&ethernet(0x8100, &three)).key.vlan,
        [1 | VLAN_PRESENT, 2 | VLAN_PRESENT]
    );
}

#[test]
fn mpls_and_its_pseudowire() {
    let labels = [0, 1, 0x40, 64, 0, 1, 0x51, 64];
    assert_plain_tcp(&read(&ethernet(0x8847, &join(&labels, &http()))));
    let wire = join(&[0, 0, 0, 0], &ethernet(0x8100, &vlan(9, 0x0800, &http())));
    let packet = read(&ethernet(0x8847, &join(&labels, &wire)));
    assert_plain_tcp(&packet);
    assert_eq!(packet.key.vlan[0], 9 | VLAN_PRESENT);
}

#[test]
fn pppoe_and_llc_snap() {
    let length = u8::try_from(http().len() + 2).unwrap();
    let session = [0x11, 0, 0, 1, 0, length, 0x00, 0x21];
    assert_plain_tcp(&read(&ethernet(0x8864, &join(&session, &http()))));
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    assert_plain_tcp(&read(&ethernet(53, &join(&snap, &http()))));
}

#[test]
fn other_links() {
    assert_plain_tcp(&read_link(Link::RawIp, &http()));
    assert_plain_tcp(&read_link(Link::Null, &join(&[2, 0, 0, 0], &http())));
    assert_plain_tcp(&read_link(Link::Null, &join(&[0, 0, 0, 2], &http())));
    let sll = [0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0];
    assert_plain_tcp(&read_link(Link::LinuxSll, &join(&sll, &http())));
    let sll2 = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0];
    assert_plain_tcp(&read_link(Link::LinuxSll2, &join(&sll2, &http())));
    assert_plain_tcp(&read_link(Link::Ppp, &join(&[0xff, 3, 0, 0x21], &http())));
    let netlink = [0, 4, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    let refused = parse_cut::<4>(Link::LinuxSll, &join(&netlink, &http()), 61);
    assert_eq!(refused, Err(Refused::OtherEtherType));
}

#[test]
fn ipv4_options_and_authentication_header() {
    let mut header = ip4(6, &join(&[1, 1, 1, 0], &tcp(b"")));
    header[0] = 0x46;
    assert_plain_tcp(&read(&ethernet(0x0800, &header)));
    let ah = join(&[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &[0; 12]);
    assert_plain_tcp(&read(&ethernet(0x0800, &ip4(51, &join(&ah, &tcp(b""))))));
}

#[test]
fn ipv6_extension_headers() {
    let chain = [
        [43, 0, 0, 0, 0, 0, 0, 0],
        [60, 0, 0, 0, 0, 0, 0, 0],
        [44, 0, 1, 4, 0, 0, 0, 0],
        [6, 0, 0, 0, 0, 0, 0, 9],
    ]
    .concat();
    let packet = read(&ethernet(0x86dd, &ip6(0, &join(&chain, &tcp(b"abc")))));
    assert_eq!((packet.key.low, packet.key.high), (A6, B6));
    assert_eq!((packet.key.protocol, packet.key.high_port), (6, 80));
    assert_eq!(
        (packet.fragment, packet.payload_len, packet.degraded),
        (Fragment::Whole, 3, None)
    );
    let endless = [60, 0, 0, 0, 0, 0, 0, 0].repeat(20);
    let packet = read(&ethernet(0x86dd, &ip6(60, &endless)));
    assert_eq!(packet.degraded, Some(Degraded::TooManyExtensionHeaders));
    assert_eq!(packet.key.protocol, 60);
}

#[test]
fn fragments_know_their_datagram() {
    let mut first = ethernet(0x0800, &ip4(17, &udp(53, &[0; 100])));
    first[20] = 0x20;
    let packet = read(&first);
    assert_eq!(packet.fragment, Fragment::First { id: 0x1234 });
    assert_eq!(packet.ports(), (4000, 53));
    let mut later = first;
    (later[20], later[21]) = (0, 13);
    let mut packet = read(&later);
    assert_eq!(packet.fragment, Fragment::Later { id: 0x1234 });
    assert_eq!((packet.ports(), packet.degraded), ((0, 0), None));
    packet.set_ports(4000, 53, false);
    assert_eq!(
        packet.key,
        read(&ethernet(0x0800, &ip4(17, &udp(53, &[0; 100])))).key
    );
    let shim = [17, 0, 0, 0x51, 0, 0, 0, 9];
    let packet = read(&ethernet(0x86dd, &ip6(44, &join(&shim, &[0; 16]))));
    assert_eq!(
        (packet.fragment, packet.key.protocol),
        (Fragment::Later { id: 9 }, 17)
    );
}

#[test]
fn icmp_types_answer_each_other() {
    let request = read(&ethernet(
        0x0800,
        &ip4_between(A4, B4, 1, &[8, 0, 0, 0, 0, 1, 0, 1]),
    ));
    let reply = read(&ethernet(
        0x0800,
        &ip4_between(B4, A4, 1, &[0, 0, 0, 0, 0, 1, 0, 1]),
    ));
    assert_eq!(request.key, reply.key);
    assert_eq!((request.ports(), reply.ports()), ((8, 0), (0, 8)));
    assert_eq!((request.icmp, reply.icmp), (Some((8, 0)), Some((0, 0))));
    let there = read(&ethernet(
        0x0800,
        &ip4_between(A4, B4, 1, &[3, 3, 0, 0, 0, 0, 0, 0]),
    ));
    let back = read(&ethernet(
        0x0800,
        &ip4_between(B4, A4, 1, &[3, 3, 0, 0, 0, 0, 0, 0]),
    ));
    assert_eq!(
        (there.key.one_way, back.key.one_way),
        (OneWay::LowToHigh as u8, OneWay::HighToLow as u8)
    );
    assert_ne!(there.key, back.key);
    let neighbor = read(&ethernet(0x86dd, &ip6(58, &[135, 0, 0, 0, 0, 0, 0, 0])));
    assert_eq!(neighbor.ports(), (135, 136));
}

fn tunneled() -> Vec<(TunnelKind, u32, Vec<u8>)> {
    let inner_frame = ethernet(0x0800, &http());
    let outer = |protocol, inside: &[u8]| {
        ethernet(0x0800, &ip4_between([1, 1, 1, 1], [2, 2, 2, 2], protocol, inside))
    };
    vec![
        (
            TunnelKind::Vxlan,
            0xabcdef,
            outer(17, &vxlan(0xabcdef, &inner_frame)),
        ),
        (
            TunnelKind::Geneve,
            77,
            outer(17, &geneve(77, 0x6558, 3, &inner_frame)),
        ),
        (TunnelKind::Geneve, 78, outer(17, &geneve(78, 0x0800, 0, &http()))),
        (
            TunnelKind::Vxlan,
            6,
            outer(17, &udp(4790, &join(&[0x0c, 0, 0, 1, 0, 0, 6, 0], &http()))),
        ),
        (
            TunnelKind::Vxlan,
            7,
            outer(17, &udp(8472, &join(&[8, 0, 0, 0, 0, 0, 7, 0], &inner_frame))),
        ),
        (TunnelKind::Gre, 0, outer(47, &gre(0, 0x0800, &http()))),
        (TunnelKind::Gre, 5, outer(47, &gre(0xb000, 0x6558, &inner_frame))),
        (TunnelKind::IpIp, 0, outer(4, &http())),
        (TunnelKind::IpInIpv6, 0, ethernet(0x86dd, &ip6(4, &http()))),
    ]
}

fn deep_tunnels() -> Vec<(TunnelKind, Vec<u8>)> {
    let inner_frame = ethernet(0x0800, &http());
    let outer = |protocol, inside: &[u8]| {
        ethernet(0x0800, &ip4_between([1, 1, 1, 1], [2, 2, 2, 2], protocol, inside))
    };
    let extended = [0x34, 255, 0, 49, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0];
    vec![
        (
            TunnelKind::Erspan,
            outer(47, &gre(0x1000, 0x88be, &join(&[0; 8], &inner_frame))),
        ),
        (TunnelKind::Erspan, outer(47, &gre(0, 0x88be, &inner_frame))),
        (
            TunnelKind::Erspan,
            outer(47, &gre(0x1000, 0x22eb, &join(&[0; 12], &inner_frame))),
        ),
        (
            TunnelKind::GtpU,
            outer(17, &udp(2152, &join(&[0x30, 255, 0, 45, 0, 0, 0, 1], &http()))),
        ),
        (TunnelKind::GtpU, outer(17, &udp(2152, &join(&extended, &http())))),
        (
            TunnelKind::MplsInIp,
            outer(137, &join(&[0, 1, 0x51, 64], &http())),
        ),
        (
            TunnelKind::MplsInIp,
            outer(17, &udp(6635, &join(&[0, 1, 0x51, 64], &http()))),
        ),
    ]
}

#[test]
fn tunnels_open_and_keep_their_outside() {
    for (kind, vni, frame) in tunneled() {
        for packet in [
            read(&frame),
            parse_cut::<KERNEL_LEVELS>(Link::Ethernet, &frame, frame.len()).unwrap(),
        ] {
            assert_plain_tcp(&packet);
            assert_eq!((packet.key.tunnel, packet.key.vni), (kind as u8, vni));
            assert_eq!(packet.ip_len, 45, "{kind:?}");
            let outside = packet.outer.unwrap();
            if kind == TunnelKind::IpInIpv6 {
                assert_eq!(outside, (A6, B6));
            } else {
                assert_eq!(outside, (v4_mapped([1, 1, 1, 1]), v4_mapped([2, 2, 2, 2])));
            }
        }
        let around = outer(&frame);
        assert_eq!(
            (around.key.tunnel, around.outer, around.degraded),
            (0, None, None)
        );
        assert_ne!(around.key.protocol, 6);
    }
    let six = ethernet(0x0800, &ip4(41, &ip6(6, &tcp(b""))));
    assert_eq!(read(&six).key.tunnel, TunnelKind::SixInFour as u8);
    assert_eq!(read(&six).key.low, A6);
}

#[test]
fn user_space_opens_more() {
    for (kind, frame) in deep_tunnels() {
        let packet = read(&frame);
        assert_plain_tcp(&packet);
        assert_eq!(packet.key.tunnel, kind as u8);
        let kernel = parse_cut::<KERNEL_LEVELS>(Link::Ethernet, &frame, frame.len()).unwrap();
        assert_ne!(kernel.key.protocol, 6, "{kind:?}");
    }
}

#[test]
fn levels_are_bounded_and_counted() {
    let mut inside = http();
    for _ in 0..5 {
        inside = ip4(4, &inside);
    }
    let packet = read(&ethernet(0x0800, &inside));
    assert_eq!(
        (packet.key.protocol, packet.degraded),
        (4, Some(Degraded::TunnelNotOpened))
    );
    let two = ethernet(0x0800, &ip4(4, &ip4(47, &gre(0, 0x0800, &http()))));
    assert_plain_tcp(&read(&two));
    let kernel = parse_cut::<KERNEL_LEVELS>(Link::Ethernet, &two, two.len()).unwrap();
    assert_eq!(
        (kernel.key.protocol, kernel.degraded),
        (47, Some(Degraded::TunnelNotOpened))
    );
}

#[test]
fn a_tunnel_of_something_else_is_no_fault() {
    let arp = ethernet(0x0806, &[0; 28]);
    let packet = read(&ethernet(0x0800, &ip4(17, &vxlan(1, &arp))));
    assert_eq!(
        (packet.key.protocol, packet.key.tunnel, packet.degraded),
        (17, 0, None)
    );
    let broken = read(&ethernet(
        0x0800,
        &ip4(17, &vxlan(1, &ethernet(0x0800, &[0x11; 30]))),
    ));
    assert_eq!(
        (broken.key.protocol, broken.degraded),
        (17, Some(Degraded::TunnelNotOpened))
    );
}

#[test]
fn refusals_have_reasons() {
    let refused = |bytes: &[u8]| parse_cut::<4>(Link::Ethernet, bytes, bytes.len()).unwrap_err();
    assert_eq!(refused(&[0; 13]), Refused::TruncatedLink);
    assert_eq!(refused(&ethernet(0x0806, &[0; 28])), Refused::Arp);
    assert_eq!(refused(&ethernet(0x88cc, &[0; 28])), Refused::OtherEtherType);
    assert_eq!(refused(&ethernet(0x0800, &http()[..19])), Refused::TruncatedIp);
    assert_eq!(refused(&ethernet(0x0800, &[0x44; 40])), Refused::BadIpHeader);
    assert_eq!(refused(&ethernet(0x86dd, &http())), Refused::BadIpHeader);
}

#[test]
fn lengths_that_lie_degrade() {
    let mut longer = ethernet(0x0800, &http());
    longer[17] = 200;
    let packet = read(&longer);
    assert_eq!(
        (packet.ip_len, packet.degraded),
        (200, Some(Degraded::BadIpLength))
    );
    assert_eq!(packet.ports(), (1000, 80));
    let mut shorter = ethernet(0x0800, &http());
    shorter[17] = 22;
    let packet = read(&shorter);
    assert_eq!(
        (packet.ports(), packet.degraded),
        ((0, 0), Some(Degraded::BadTransportLength))
    );
    let mut tiny = ethernet(0x0800, &http());
    tiny[17] = 19;
    assert_eq!(
        parse_cut::<4>(Link::Ethernet, &tiny, tiny.len()),
        Err(Refused::BadIpHeader)
    );
}

/// Every cut of every packet: the frame's length is known, its bytes are not. Whatever is read must be what the whole
/// packet says, and a packet whose first IP header is present must count.
#[test]
fn truncated_anywhere() {
    let mut all: Vec<Vec<u8>> = tunneled().into_iter().map(|(_, _, frame)| frame).collect();
    all.extend(deep_tunnels().into_iter().map(|(_, frame)| frame));
    all.push(ethernet(0x0800, &http()));
    all.push(ethernet(0x88a8, &vlan(1, 0x8100, &vlan(2, 0x0800, &http()))));
    all.push(ethernet(
        0x86dd,
        &ip6(0, &join(&[6, 0, 0, 0, 0, 0, 0, 0], &tcp(b""))),
    ));
    for frame in all {
        let whole = read(&frame);
        let around = outer(&frame);
        for cut in 0..frame.len() {
            let Ok(packet) = parse_cut::<USER_LEVELS>(Link::Ethernet, &frame[..cut], frame.len()) else {
                let first_ip = around.ip_offset as usize;
                let header = if around.key.low[..12] == v4_mapped([0; 4])[..12] {
                    20
                } else {
                    40
                };
                assert!(cut < first_ip + header, "a whole IP header was refused at {cut}");
                continue;
            };
            if packet.ip_offset == whole.ip_offset {
                assert_eq!((packet.key.low, packet.ip_len), (whole.key.low, whole.ip_len));
                assert!(packet.ports() == whole.ports() || packet.ports() == (0, 0));
            } else {
                assert!(
                    packet.degraded.is_some(),
                    "an outer header stands in silently at {cut}"
                );
            }
            assert!(packet.tcp_flags == whole.tcp_flags || packet.tcp_flags == 0);
        }
    }
}

fn any_link() -> impl Strategy<Value = Link> {
    prop_oneof![
        Just(Link::Ethernet),
        Just(Link::RawIp),
        Just(Link::LinuxSll),
        Just(Link::LinuxSll2),
        Just(Link::Null),
        Just(Link::Ppp),
    ]
}

fn check_bounds(link: Link, bytes: &[u8], wire_len: usize) {
    for result in [
        parse_cut::<0>(link, bytes, wire_len),
        parse_cut::<KERNEL_LEVELS>(link, bytes, wire_len),
        parse_cut::<USER_LEVELS>(link, bytes, wire_len),
    ] {
        let Ok(packet) = result else { continue };
        assert!((packet.ip_offset as usize) < bytes.len());
        assert!(packet.payload_len as usize <= wire_len);
        let low = (packet.key.low, packet.key.low_port);
        assert!(low <= (packet.key.high, packet.key.high_port));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics(link in any_link(), bytes in proptest::collection::vec(any::<u8>(), 0..256), more in 0usize..2000) {
        check_bounds(link, &bytes, bytes.len() + more);
        check_bounds(link, &bytes, more);
    }

    /// Random bytes seldom get past the first header; changed packets do.
    #[test]
    fn never_panics_on_changed_packets(which in 0usize..16, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let mut all: Vec<Vec<u8>> = tunneled().into_iter().map(|(_, _, frame)| frame).collect();
        all.extend(deep_tunnels().into_iter().map(|(_, frame)| frame));
        let mut frame = all[which].clone();
        for (index, value) in changes {
            let at = index.index(frame.len());
            frame[at] = value;
        }
        check_bounds(Link::Ethernet, &frame, frame.len());
    }
}
