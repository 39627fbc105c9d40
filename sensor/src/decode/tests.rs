use proptest::prelude::*;
use sensor_ebpf::flow::{HookDirection, v4_mapped};

use super::*;

const CLIENT: Side = Side::Low;
const SERVER: Side = Side::High;

fn key(protocol: u8, server_port: u16) -> FlowKey {
    FlowKey {
        low: v4_mapped([192, 0, 2, 1]),
        high: v4_mapped([192, 0, 2, 2]),
        low_port: 40_000,
        high_port: server_port,
        protocol,
        ..FlowKey::default()
    }
}

fn head(key: FlowKey, sender: Side, bytes: &[u8]) -> Head<'_> {
    Head {
        key,
        point: sensor_ebpf::flow::Point {
            ifindex: 0,
            direction: HookDirection::Ingress,
        },
        sender,
        time: 0,
        tcp_seq: 1,
        tcp_flags: 24,
        payload_len: bytes.len() as u32,
        bytes,
    }
}

fn decode(decoder: &mut Decoder, head: &Head<'_>, seconds: i64, originator: Option<Side>) -> Vec<AppRecord> {
    let mut records = Vec::new();
    decoder.decode(head, Timestamp::from_secs(seconds), originator, &mut |record| {
        records.push(record);
    });
    records
}

fn dns(id: u8, response: bool) -> Vec<u8> {
    let mut message = vec![0, id, if response { 0x80 } else { 0 }, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x01a\x00\x00\x01\x00\x01");
    message
}

fn latency(records: &[AppRecord]) -> Option<Duration> {
    match &records[0].event {
        AppEvent::Dns(message) => message.latency,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_response_finds_its_query() {
    let mut decoder = Decoder::default();
    let key = key(UDP, 53);
    decode(&mut decoder, &head(key, CLIENT, &dns(1, false)), 10, Some(CLIENT));
    decode(&mut decoder, &head(key, CLIENT, &dns(2, false)), 11, Some(CLIENT));
    // Asked again: the first time counts.
    decode(&mut decoder, &head(key, CLIENT, &dns(1, false)), 12, Some(CLIENT));
    let answer = decode(&mut decoder, &head(key, SERVER, &dns(1, true)), 13, Some(CLIENT));
    assert_eq!(latency(&answer), Some(Duration::from_secs(3)));
    assert!(answer[0].from_responder);
    assert_eq!(answer[0].tuple.originator.port, 40_000);
    let again = decode(&mut decoder, &head(key, SERVER, &dns(1, true)), 14, Some(CLIENT));
    assert_eq!(latency(&again), None);
    // Long after the query nothing is known.
    decode(
        &mut decoder,
        &head(key, CLIENT, &dns(9, false)),
        100,
        Some(CLIENT),
    );
    decode(
        &mut decoder,
        &head(key, CLIENT, &dns(9, false)),
        200,
        Some(CLIENT),
    );
    let late = decode(&mut decoder, &head(key, SERVER, &dns(2, true)), 201, Some(CLIENT));
    assert_eq!(latency(&late), None);
}

#[test]
fn who_asks_is_the_originator_where_nothing_is_known() {
    let mut decoder = Decoder::default();
    let answer = decode(&mut decoder, &head(key(UDP, 53), SERVER, &dns(1, true)), 1, None);
    assert_eq!(answer[0].tuple.responder.port, 53);
    assert!(answer[0].from_responder);
    let banner = decode(
        &mut decoder,
        &head(key(TCP, 22), SERVER, b"SSH-2.0-x\r\n"),
        1,
        None,
    );
    assert_eq!(banner[0].tuple.responder.port, 22);
    assert!(banner[0].from_responder);
}

#[test]
fn multicast_and_ssdp_and_dhcp_go_by_port_and_content() {
    let mut decoder = Decoder::default();
    let records = decode(
        &mut decoder,
        &head(key(UDP, 5353), CLIENT, &dns(0, true)),
        1,
        None,
    );
    assert!(matches!(&records[0].event, AppEvent::Dns(message) if message.multicast));
    let search = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n";
    let records = decode(&mut decoder, &head(key(UDP, 1900), CLIENT, search), 1, None);
    assert!(matches!(&records[0].event, AppEvent::HttpRequest(_)));
    assert!(decode(&mut decoder, &head(key(UDP, 67), CLIENT, &[1; 300]), 1, None).is_empty());
    assert_eq!(decoder.counters().malformed[Protocol::Dhcp.index()], 1);
}

#[test]
fn neighbour_discovery_is_told_from_who_sent_it() {
    let mut decoder = Decoder::default();
    let (attacker, host, router) = ([0xfe; 16], [0xfd; 16], [0x20; 16]);
    let key = FlowKey {
        low: host,
        high: attacker,
        protocol: ICMPV6,
        ..FlowKey::default()
    };
    let mut message = vec![136, 0, 0, 0, 0xe0, 0, 0, 0];
    message.extend(router);
    message.extend([2, 1, 2, 0, 0, 0, 0, 9]);
    let mut advertisement = head(key, Side::High, &message);
    advertisement.tcp_flags = 255;
    let records = decode(&mut decoder, &advertisement, 1, Some(Side::Low));
    let ends = records[0].tuple;
    assert_eq!(
        (ends.originator.ip, ends.responder.ip),
        (attacker.into(), host.into())
    );
    assert_eq!((ends.protocol, records[0].from_responder), (58, false));
    assert!(records[0].community_id.is_some());
    assert!(matches!(&records[0].event, AppEvent::Arp(packet) if packet.sender == IpAddr::from(router)));
    advertisement.tcp_flags = 64;
    assert!(decode(&mut decoder, &advertisement, 1, None).is_empty());
    let counters = decoder.counters();
    assert_eq!(counters.neighbours[neighbour::Refused::HopLimit as usize], 1);
    assert_eq!(counters.malformed[Protocol::Neighbour.index()], 1);
}

#[test]
fn arp_with_and_without_a_frame() {
    let mut decoder = Decoder::default();
    let packet = b"\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\xc0\0\x02\x01\0\0\0\0\0\0\xc0\0\x02\x02";
    let mut key = FlowKey {
        low_port: ARP_ETHER_TYPE,
        high_port: ARP_LINK_BYTES,
        ..FlowKey::default()
    };
    let bytes = [&[0xff; 6], &[2, 0, 0, 0, 0, 1], packet.as_slice()].concat();
    let destination = |records: &[AppRecord]| match &records[0].event {
        AppEvent::Arp(packet) => packet.frame_destination,
        other => panic!("{other:?}"),
    };
    let records = decode(&mut decoder, &head(key, CLIENT, &bytes), 1, None);
    assert_eq!(destination(&records), Some([0xff; 6]));
    assert_eq!(records[0].tuple.responder.ip.to_string(), "192.0.2.2");
    key.high_port = 0;
    let records = decode(&mut decoder, &head(key, CLIENT, packet), 1, None);
    assert_eq!(destination(&records), None);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let limits = DecodeLimits {
        streams: 100,
        quic: 100,
        queries: 100,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    for index in 0..5000u32 {
        let port = (index % 60_000) as u16;
        let mut tcp = key(TCP, 80);
        tcp.low_port = port;
        decode(
            &mut decoder,
            &head(tcp, CLIENT, b"GET /unfinished HTTP/1.1\r\n"),
            1,
            None,
        );
        let mut udp = key(UDP, 53);
        udp.low_port = port;
        decode(
            &mut decoder,
            &head(udp, CLIENT, &dns(index as u8, false)),
            1,
            None,
        );
        let mut quic = key(UDP, 443);
        quic.low_port = port;
        decode(
            &mut decoder,
            &head(quic, CLIENT, &[0xc0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
            1,
            None,
        );
        assert!(decoder.resident() <= 306, "{}", decoder.resident());
    }
    assert!(decoder.counters().incomplete >= 4800);
}

proptest! {
    #[test]
    fn never_panics(
        heads in prop::collection::vec(
            (any::<bool>(), prop::sample::select(vec![22u16, 53, 67, 80, 443, 1900, 5353]), any::<bool>(), any::<u16>(),
             prop::collection::vec(any::<u8>(), 0..120)),
            0..30,
        ),
    ) {
        let mut decoder = Decoder::default();
        for (tcp, port, from_client, seq, bytes) in &heads {
            let key = key(if *tcp { TCP } else { UDP }, *port);
            let mut head = head(key, if *from_client { CLIENT } else { SERVER }, bytes);
            head.tcp_seq = u32::from(*seq);
            decode(&mut decoder, &head, 1, None);
        }
        prop_assert_eq!(decoder.counters().heads, heads.len() as u64);
    }
}

#[test]
fn a_certificate_knows_the_name_that_was_asked_for() {
    let key_pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["host.example".into()]).unwrap();
    let certificate = params.self_signed(&key_pair).unwrap();
    let der = certificate.der();
    let message =
        |kind: u8, body: &[u8]| [&(body.len() as u32 | u32::from(kind) << 24).to_be_bytes(), body].concat();
    let record = |payload: &[u8]| {
        let length = (payload.len() as u16).to_be_bytes();
        [&[22, 3, 3], length.as_slice(), payload].concat()
    };
    let names = b"\0\0\0\x11\0\x0f\0\0\x0chost.example";
    let mut hello = vec![3, 3];
    hello.extend([0; 33]);
    hello.extend([0, 2, 0xc0, 0x2f, 1, 0, 0, names.len() as u8]);
    hello.extend(names);
    let length = |bytes: usize| (bytes as u32).to_be_bytes()[1..].to_vec();
    let chain = [length(der.len() + 3), length(der.len()), der.to_vec()].concat();
    let mut answer = vec![3, 3];
    answer.extend([0; 33]);
    answer.extend([0xc0, 0x2f, 0, 0, 0]);
    let flight = record(&[message(2, &answer), message(11, &chain)].concat());

    let (mut decoder, key) = (Decoder::default(), key(TCP, 443));
    decode(
        &mut decoder,
        &head(key, CLIENT, &record(&message(1, &hello))),
        1,
        Some(CLIENT),
    );
    let mut told = Vec::new();
    let (first, second) = flight.split_at(flight.len() / 2);
    told.extend(decode(&mut decoder, &head(key, SERVER, first), 2, Some(CLIENT)));
    let rest = Head {
        tcp_seq: 1 + first.len() as u32,
        ..head(key, SERVER, second)
    };
    told.extend(decode(&mut decoder, &rest, 3, Some(CLIENT)));
    let [hello, record] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(matches!(hello.event, AppEvent::TlsServer(_)));
    let AppEvent::Certificate(certificate) = &record.event else {
        panic!("{record:?}");
    };
    assert_eq!(certificate.server_name.as_deref(), Some("host.example"));
    assert_eq!(certificate.names, ["host.example"]);
    assert!(record.from_responder);
    assert_eq!(record.tuple.responder.port, 443);
    assert_eq!(record.time, Timestamp::from_secs(3));

    // Cut in the capture: nothing is told, and it is counted.
    let cut = Head {
        payload_len: flight.len() as u32,
        ..head(self::key(TCP, 8443), SERVER, first)
    };
    assert_eq!(decode(&mut decoder, &cut, 4, Some(CLIENT)).len(), 1);
    assert_eq!(decoder.counters().incomplete, 1);
    assert_eq!(decoder.counters().malformed, [0; Protocol::COUNT]);
}

#[test]
fn dialogues_are_read_on_their_ports_and_give_way_to_tls() {
    let (mut decoder, key) = (Decoder::default(), key(TCP, 587));
    let mut seq = [1u32; 2];
    let mut say = |sender: Side, bytes: &[u8]| {
        let mut told = Vec::new();
        let head = Head {
            tcp_seq: seq[sender as usize],
            ..head(key, sender, bytes)
        };
        seq[sender as usize] += bytes.len() as u32;
        let service = decoder.decode(&head, Timestamp::from_secs(1), None, &mut |record| {
            told.push(record);
        });
        // Sent again: nothing new.
        decoder.decode(&head, Timestamp::from_secs(1), None, &mut |_| {
            panic!("told twice")
        });
        (service, told)
    };
    assert_eq!(say(SERVER, b"220 ready\r\n").0, Service::Unrecognized);
    assert_eq!(say(CLIENT, b"EHLO me\r\n").0, Service::Smtp);
    let (service, told) = say(SERVER, b"250-x\r\n250 STARTTLS\r\n");
    assert_eq!((service, told.len()), (Service::Smtp, 1));
    assert!(told[0].from_responder);
    assert_eq!(told[0].tuple.responder.port, 587);
    say(CLIENT, b"STARTTLS\r\n");
    let (_, told) = say(SERVER, b"220 go\r\n");
    assert!(matches!(&told[0].event, AppEvent::Smtp(event) if event.tls));
    assert_eq!(
        say(CLIENT, &[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).0,
        Service::Tls
    );
    assert_eq!(decoder.counters().repeated, 5);
}
