use super::*;
use crate::flow::FlowKey;
use crate::parse::Link;

struct Bytes<'a>(&'a [u8]);

impl Frame for Bytes<'_> {
    fn wire_len(&self) -> u32 {
        self.0.len() as u32
    }
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }
}

fn packet(protocol: u8, port: u16, seq: u32, flags: u8, payload_len: usize) -> Packet {
    Packet {
        key: FlowKey {
            protocol,
            low_port: port,
            high_port: 40_000,
            ..FlowKey::default()
        },
        sender: Side::High,
        ip_len: 40 + payload_len as u32,
        ip_offset: 0,
        payload_offset: 0,
        payload_len: payload_len as u32,
        ttl: 64,
        tcp_flags: flags,
        tcp_seq: seq,
        icmp: None,
        fragment: Fragment::Whole,
        outer: None,
        degraded: None,
    }
}

/// Sends segments of one TCP direction; returns what was chosen for each.
fn tcp(flow: &mut FlowHeads, port: u16, segments: &[(u32, u8, &[u8])]) -> Vec<Choice> {
    segments
        .iter()
        .map(|(seq, flags, bytes)| {
            select(
                &Bytes(bytes),
                &packet(TCP, port, *seq, *flags, bytes.len()),
                flow,
                &HeadLimits::DEFAULT,
                || true,
            )
        })
        .collect()
}

fn hello(length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let mut bytes = vec![0x16, 3, 1, high, low, 1, 0, high, low];
    bytes.resize(usize::from(length), 7);
    bytes
}

#[test]
fn a_split_hello_is_taken_whole_and_nothing_after_it() {
    let hello = hello(2000);
    let (first, second) = hello.split_at(1400);
    let mut flow = FlowHeads::default();
    let choices = tcp(
        &mut flow,
        443,
        &[
            (99, SYN, b""),
            (100, 16, first),
            (1500, 16, second),
            (2400, 16, b"encrypted bytes"),
        ],
    );
    assert_eq!(
        choices,
        [
            Choice::Pass,
            Choice::Take { bytes: 1400 },
            Choice::Take { bytes: 600 },
            Choice::Pass
        ]
    );
}

#[test]
fn segments_out_of_order_and_a_lone_record_header_are_taken() {
    let hello = hello(2000);
    let (first, second) = hello.split_at(1400);
    let choices = tcp(
        &mut FlowHeads::default(),
        8443,
        &[(99, SYN, b""), (1500, 16, second), (100, 16, first)],
    );
    assert_eq!(
        choices[1..],
        [Choice::Take { bytes: 600 }, Choice::Take { bytes: 1400 }]
    );

    let (header, rest) = hello.split_at(5);
    let choices = tcp(
        &mut FlowHeads::default(),
        443,
        &[(99, SYN, b""), (100, 24, header), (105, 24, rest)],
    );
    assert_eq!(
        choices[1..],
        [Choice::Take { bytes: 5 }, Choice::Take { bytes: 1995 }]
    );
}

#[test]
fn of_a_stream_of_something_else_only_the_first_bytes_are_taken() {
    let mut flow = FlowHeads::default();
    let long = [7; 500];
    let choices = tcp(
        &mut flow,
        4444,
        &[
            (99, SYN, b""),
            (100, 16, &long),
            (600, 16, &long),
            (100, 16, &long),
        ],
    );
    let first = Choice::Take { bytes: FIRST_BYTES };
    assert_eq!(choices, [Choice::Pass, first, Choice::Pass, Choice::Pass]);
    // Without its SYN nobody knows whether they are the first.
    let choices = tcp(&mut FlowHeads::default(), 4444, &[(100, 16, &long)]);
    assert_eq!(choices, [Choice::Pass]);
}

#[test]
fn commands_and_replies_are_taken_by_line_and_mail_is_not() {
    let mut flow = FlowHeads::default();
    let choices = tcp(
        &mut flow,
        25,
        &[
            (100, 24, b"EHLO client.example\r\n"),
            (121, 24, b"DATA\r\n"),
            // The span of a stretch is in units of 64 bytes.
            (127, 24, &[b'x'; 100]),
            (227, 24, b"From: somebody\r\nand so on"),
            (252, 24, b"QUIT\r\n"),
            (258, 24, b"221 2.0.0 Bye\r\n"),
        ],
    );
    let taken = |bytes| Choice::Take { bytes };
    assert_eq!(
        choices,
        [taken(21), taken(6), taken(100), Choice::Pass, taken(6), taken(15)]
    );
}

#[test]
fn what_is_typed_is_bounded_by_packets() {
    let mut flow = FlowHeads::default();
    let taken = |flow: &mut FlowHeads, count: u32| {
        (0..count)
            .map(|index| tcp(flow, 23, &[(index, 24, b"x")])[0])
            .collect::<Vec<_>>()
    };
    let choices = taken(&mut flow, 70);
    assert!(
        choices[..64]
            .iter()
            .all(|choice| *choice == Choice::Take { bytes: 1 })
    );
    assert_eq!(choices[64], Choice::Refuse(HeadRefused::FlowPackets));
    assert!(choices[65..].iter().all(|choice| *choice == Choice::Pass));
    tcp(&mut flow, 23, &[(500, SYN, b"")]);
    assert_eq!(taken(&mut flow, 1), [Choice::Take { bytes: 1 }]);
}

#[test]
fn a_stretch_ends_after_its_packets_and_the_next_head_opens_another() {
    let body = [7u8; 1000];
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut segments: Vec<(u32, u8, &[u8])> = vec![(100, 16, head)];
    segments.extend((0..6).map(|index| (119 + index * 1000, 16, body.as_slice())));
    segments.push((50_000, 16, head));
    let choices = tcp(&mut FlowHeads::default(), 80, &segments);
    let taken = Choice::Take { bytes: 1000 };
    assert_eq!(
        choices,
        [
            Choice::Take { bytes: 19 },
            taken,
            taken,
            taken,
            Choice::Refuse(HeadRefused::FlowPackets),
            Choice::Pass,
            Choice::Pass,
            Choice::Take { bytes: 19 },
        ]
    );
}

#[test]
fn big_segments_are_bounded_by_bytes() {
    let mut certificate = vec![0x16, 3, 3, 0, 80, 2, 0, 0, 76];
    certificate.resize(60_000, 0);
    let choices = tcp(
        &mut FlowHeads::default(),
        443,
        &[(1, 16, &certificate), (4000, 16, &certificate[9..99])],
    );
    assert_eq!(
        choices,
        [
            Choice::Take { bytes: 8192 },
            Choice::Refuse(HeadRefused::FlowBytes)
        ]
    );
}

#[test]
fn every_dns_message_of_a_long_connection_is_taken() {
    let message = b"\x00\x0b\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00";
    let mut flow = FlowHeads::default();
    for index in 0..50u32 {
        let choices = tcp(&mut flow, 53, &[(index * 13, 24, message)]);
        assert_eq!(choices, [Choice::Take { bytes: 13 }]);
    }
    assert_eq!(
        tcp(&mut flow, 53, &[(9000, 24, b"not a message of DNS")]),
        [Choice::Pass]
    );
}

#[test]
fn datagrams_by_port_or_content() {
    let mut initial = vec![0xc3, 0, 0, 0, 1, 8, 1, 2, 3];
    initial.resize(1200, 0);
    let mut version_2 = initial.clone();
    version_2[..5].copy_from_slice(&[0xd3, 0x6b, 0x33, 0x43, 0xcf]);
    let mut handshake = initial.clone();
    handshake[0] = 0xe3;
    for (port, bytes, wanted) in [
        (53, b"0123456789ab".as_slice(), true),
        (5353, b"0123456789ab", true),
        (67, &[0; 300], true),
        (1900, b"M-SEARCH * HTTP/1.1\r\n", true),
        (4444, &initial, true),
        (443, &version_2, true),
        (443, &handshake, false),
        (123, &[0x23; 48], true),
        (1230, &[0x23; 48], false),
        (123, &[0x23; 12], false),
        (50_000, b"\0\x01\0\0\x21\x12\xa4\x42............", true),
        (50_000, b"\0\x01\0\0\x21\x12\xa4\x43............", false),
        (6881, b"d1:ad2:id20:", true),
        (6881, b"d4:spam3:egg", false),
    ] {
        let choice = select(
            &Bytes(bytes),
            &packet(UDP, port, 0, 0, bytes.len()),
            &mut FlowHeads::default(),
            &HeadLimits::DEFAULT,
            || true,
        );
        assert_eq!(choice != Choice::Pass, wanted, "{port}");
    }
}

#[test]
fn a_refused_source_leaves_the_flow_as_it_was() {
    let hello = hello(500);
    let mut flow = FlowHeads::default();
    let choice = select(
        &Bytes(&hello),
        &packet(TCP, 443, 5, 16, hello.len()),
        &mut flow,
        &HeadLimits::DEFAULT,
        || false,
    );
    assert_eq!(choice, Choice::Refuse(HeadRefused::SourceRate));
    assert_eq!(flow, FlowHeads::default());
}

#[test]
fn a_source_gets_its_burst_then_its_rate_and_survives_time_going_back() {
    let limits = HeadLimits::new(4, 8192, 100, 50);
    let mut bucket = SourceBucket::default();
    let start = 1_700_000_000_000_000_000;
    let taken = (0..1000).filter(|_| bucket.take(start, &limits)).count();
    assert_eq!(taken, 50);
    let taken = (1..=1000u64)
        .filter(|tick| bucket.take(start + tick * 1_000_000, &limits))
        .count();
    assert_eq!(taken, 100);
    assert!(bucket.take(5, &limits), "another clock starts anew");
}

#[test]
fn arp_is_found_behind_vlan_tags() {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5, 8, 6, 0, 1]);
    let place = arp_place(&Bytes(&frame), Link::Ethernet).unwrap();
    assert_eq!((place.offset, place.ethernet), (18, true));
    assert_eq!(place.source[10..], [2, 0, 0, 0, 0, 1]);
    assert_eq!(arp_place(&Bytes(&frame[..16]), Link::Ethernet), None);
}

/// What the kernel programs skip for a flow that the selector knows nothing of: nothing may be lost by it.
#[test]
fn the_first_look_leaves_out_only_what_changes_nothing() {
    let contents: [&[u8]; 15] = [
        b"",
        b"x",
        b"G",
        b"GET / HTTP/1.1",
        b"Abcdefghijkl",
        b"sixteen bytes ..",
        &[0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3],
        &[0x16, 3, 3],
        &[0x15, 3, 3, 0, 2, 1, 112, 0x16, 3, 3],
        &[0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6],
        &[0, 9, 1, 2, 1, 0, 0, 1, 0, 0, 0],
        &[0x23; 48],
        b"220 hello",
        b"d1:ad2:id20:",
        b"\0\x01\0\0\x21\x12\xa4\x42....",
    ];
    let (mut skipped, mut looked) = (0, 0);
    for protocol in [TCP, UDP, 1] {
        for port in [443, 53, 67, 5353, 1900, 21, 23, 123] {
            for flags in [0, SYN, 0x10] {
                for bytes in contents {
                    let packet = packet(protocol, port, 7, flags, bytes.len());
                    let offered = Offered::of(&packet).expect("no fragment");
                    let frame = Bytes(bytes);
                    let mut flow = FlowHeads::default();
                    let choice = select(&frame, &packet, &mut flow, &HeadLimits::DEFAULT, || true);
                    let nothing = choice == Choice::Pass && flow == FlowHeads::default();
                    let skips = offered.is_empty() || !may_matter(&frame, &offered);
                    assert!(nothing || !skips, "{protocol} {port} {flags} {bytes:?}");
                    let content = look(&frame, &offered);
                    assert!(
                        nothing || !content.passes_unknown(&offered),
                        "{protocol} {port} {flags} {bytes:?}"
                    );
                    skipped += u32::from(skips);
                    looked += u32::from(!skips);
                }
            }
        }
    }
    assert!(skipped > 100 && looked > 100, "{skipped} {looked}");
}

#[test]
fn neighbour_discovery_goes_up_whole_with_its_hop_limit() {
    let message = [135, 0, 0, 0, 0, 0, 0, 0];
    let mut offered = packet(ICMPV6, 135, 0, 0, 16);
    offered.payload_offset = 8;
    offered.icmp = Some((SOLICITATION, 0));
    offered.ttl = 255;
    let choose = |packet: &Packet, admit: bool| {
        let mut flow = FlowHeads::default();
        select(&Bytes(&message), packet, &mut flow, &HeadLimits::DEFAULT, || {
            admit
        })
    };
    assert_eq!(choose(&offered, true), Choice::Take { bytes: 24 });
    assert_eq!(choose(&offered, false), Choice::Refuse(HeadRefused::SourceRate));
    let seen = Offered::of(&offered).unwrap();
    assert_eq!(
        (seen.payload_offset, seen.payload_len, seen.tcp_flags),
        (0, 24, 255)
    );
    assert!(
        may_matter(&Bytes(&message), &seen),
        "nothing need be known of the flow"
    );

    let echo = Packet {
        icmp: Some((128, 0)),
        ..offered
    };
    let cut = Packet {
        icmp: None,
        ..offered
    };
    let pieces = Packet {
        fragment: Fragment::First { id: 1 },
        ..offered
    };
    for other in [echo, cut, pieces] {
        assert_eq!(choose(&other, true), Choice::Pass);
    }
}
