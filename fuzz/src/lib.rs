//! What the fuzz targets do, apart from libFuzzer, so that a stable compiler can replay their seeds too. Each function
//! takes any bytes and panics only where the product is wrong.

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;
use lynceus_sensor::clock::WallClock;
use lynceus_sensor::decode::dialogue::{ftp, smtp, telnet};
use lynceus_sensor::decode::{Read, tls, x509};
use lynceus_sensor::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use lynceus_sensor::source::files::{FileSource, LogFormat};
use lynceus_sensor::source::netflow::Records;
use lynceus_sensor::source::pcap::CaptureReader;
use lynceus_sensor::source::{Source as _, Status};
use prost::Message as _;
use sensor_ebpf::flow::{FlowKey, FlowRecord, Handshake, HookDirection, Point, Side, SideCounters};
use sensor_ebpf::parse::{self, KERNEL_LEVELS, Link, Packet, Slice, USER_LEVELS};

pub mod decode;
#[cfg(feature = "collector")]
mod outlier_state;

/// A fuzz target by name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets but `outlier_state`, which the collector's tests replay; `seeds/NAME` holds what each begins with.
pub const TARGETS: [Target; 24] = [
    ("decode_dhcp_arp", decode::dhcp_arp),
    ("decode_dns", decode::dns_message),
    ("decode_http", decode::http_head),
    ("decode_quic", decode::quic_datagrams),
    ("decode_ssh", decode::ssh_start),
    ("decode_tls", decode::tls_hello),
    ("decoder", decode::segments),
    ("heads", decode::selector),
    ("wire", wire),
    ("parse", parse),
    ("capture", capture),
    ("records", records),
    ("zeek", zeek),
    ("suricata", suricata),
    ("argus", argus),
    ("nfdump", nfdump),
    ("netflow", netflow),
    ("flight", flight),
    ("glance", glance),
    ("dialogue", dialogue),
    ("table", table),
    ("landmarks", landmarks),
    ("know_your_ip", know_your_ip),
    ("outside", outside),
];

const LINKS: [Link; 6] = [
    Link::Ethernet,
    Link::RawIp,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Null,
    Link::Ppp,
];

/// The packet parser: the first byte chooses the link type, the second how much longer the frame was on the wire.
pub fn parse(data: &[u8]) {
    let [link, more, bytes @ ..] = data else { return };
    let frame = Slice {
        bytes,
        wire_len: bytes.len() as u32 + u32::from(*more) * 8,
    };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    check_parse::<0>(&frame, link);
    check_parse::<KERNEL_LEVELS>(&frame, link);
    check_parse::<USER_LEVELS>(&frame, link);
}

fn check_parse<const LEVELS: usize>(frame: &Slice<'_>, link: Link) {
    let mut packet = Packet::default();
    if parse::parse::<_, LEVELS>(frame, link, &mut packet).is_err() {
        return;
    }
    assert!((packet.ip_offset as usize) < frame.bytes.len());
    assert!(packet.payload_len <= frame.wire_len);
    let key = &packet.key;
    assert!((key.low, key.low_port) <= (key.high, key.high_port));
    assert!(LEVELS > 0 || packet.outer.is_none() && key.tunnel == 0);
}

/// A capture file through reader, parser and a flow table that is too small: every packet must come out once.
pub fn capture(data: &[u8]) {
    let Ok(mut reader) = CaptureReader::new("fuzz", Cursor::new(data.to_vec())) else {
        return;
    };
    let mut table = flow_table();
    let (mut packet, mut flows, mut counted) = (Packet::default(), Vec::new(), 0u64);
    // A small compressed file can hold very many frames.
    for _ in 0..50_000 {
        let Ok(Some(frame)) = reader.next_frame() else {
            break;
        };
        let Some(link) = frame.link else { continue };
        let slice = Slice {
            bytes: frame.bytes,
            wire_len: frame.wire_len,
        };
        if parse::parse::<_, USER_LEVELS>(&slice, link, &mut packet).is_ok() {
            table
                .packet(&packet, frame.time, frame.wire_len, &mut flows)
                .expect("the table evicts");
            counted += 1;
        }
    }
    assert_eq!(drain(&mut table, &mut flows), counted);
}

/// Records of one observation point, late and out of order, in a table that is too small: every packet must come out
/// once. A record is 8 bytes: ends, CPU and protocol, packets of both sides, first time, last time, flags, origin.
pub fn records(data: &[u8]) {
    let mut table = flow_table();
    let clock = WallClock::default();
    let (mut flows, mut counted) = (Vec::new(), 0u64);
    for bytes in data.chunks_exact(8).take(20_000) {
        let record = record(bytes);
        counted += record.sides.iter().map(|side| side.packets).sum::<u64>();
        table
            .record(&record, clock, &mut flows)
            .expect("the table evicts");
        if bytes[7] & 0x80 != 0 {
            table.tick(clock.wall(u64::from(bytes[4]) << 30), &mut flows);
        }
    }
    assert_eq!(drain(&mut table, &mut flows), counted);
}

/// A log of Zeek, TSV or JSON.
pub fn zeek(data: &[u8]) {
    log(LogFormat::Zeek, data);
}

/// Suricata's `eve.json`.
pub fn suricata(data: &[u8]) {
    log(LogFormat::Suricata, data);
}

/// What Argus' `ra` prints.
pub fn argus(data: &[u8]) {
    log(LogFormat::Argus, data);
}

/// CSV of nfdump, through the flow table.
pub fn nfdump(data: &[u8]) {
    log(LogFormat::NfdumpCsv, data);
}

/// Reads to the end: every packet that a row states is in one report, and every report is a line of JSON's worth.
fn log(format: LogFormat, data: &[u8]) {
    let Ok(mut source) = FileSource::log(format, "fuzz", Cursor::new(data.to_vec())) else {
        return;
    };
    let (mut events, mut packets) = (Vec::new(), 0u64);
    loop {
        let status = source.next(&mut events);
        packets = events
            .drain(..)
            .fold(packets, |sum, event| sum.saturating_add(event.packets()));
        if matches!(status, Ok(Status::Ended)) {
            break;
        }
    }
    assert_eq!(packets, source.log_packets());
    assert!(
        source
            .points(packets)
            .iter()
            .all(|point| point.unaccounted() == 0)
    );
}

/// Datagrams of one exporter, each behind its length in two bytes: every packet of a record is in one report.
pub fn netflow(data: &[u8]) {
    let mut records = Records::new().expect("bounds");
    let (mut flows, mut rest) = (Vec::new(), data);
    let from = SocketAddr::from(([192, 0, 2, 1], 2055));
    while let [high, low, bytes @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
        records.datagram(&bytes[..length], from, &mut flows);
        rest = &bytes[length..];
    }
    records.tick(records.newest(), &mut flows);
    while records.finish(&mut flows) {}
    assert_eq!(records.status().points[0].unaccounted(), 0);
}

fn record(bytes: &[u8]) -> FlowRecord {
    let mut low = [0; 16];
    low[15] = bytes[0] & 0x0f;
    let mut high = [0; 16];
    high[15] = 0x10 + (bytes[0] >> 4);
    let first = u64::from(bytes[4]) << 30;
    let side = |packets: u8| SideCounters {
        packets: u64::from(packets),
        ip_bytes: u64::from(packets) * 40,
        wire_bytes: u64::from(packets) * 54,
        first,
        last: first + (u64::from(bytes[5]) << 28),
        tcp_flags: bytes[6],
        flag_counts: std::array::from_fn(|bit| u32::from(packets) * (u32::from(bytes[6]) >> bit & 1)),
        ..SideCounters::default()
    };
    FlowRecord {
        key: FlowKey {
            low,
            high,
            protocol: [6, 17, 1, 58][usize::from(bytes[1] & 3)],
            ..FlowKey::default()
        },
        point: Point {
            ifindex: 1,
            direction: HookDirection::Ingress,
        },
        cpu: u16::from(bytes[1] >> 4),
        incarnation: 1,
        origin: if bytes[7] & 1 == 0 { Side::Low } else { Side::High },
        sides: [side(bytes[2]), side(bytes[3])],
        handshake: Handshake {
            syn: Some(first),
            syn_ack: (bytes[7] & 2 != 0).then_some(first / 2),
            ack: None,
        },
        outer: None,
    }
}

/// What a TLS server sends behind its hello, up to its certificate. The first two bytes say how much of it belongs to the
/// hello's record.
pub fn flight(data: &[u8]) {
    let [high, low, bytes @ ..] = data else { return };
    let Ok(Read::Done { value, consumed }) = tls::read_certificate(bytes, u16::from_be_bytes([*high, *low]))
    else {
        return;
    };
    assert!(consumed <= bytes.len());
    if let Some(Ok(certificate)) = value.map(|der| x509::read(&der)) {
        assert_eq!(certificate.sha256.map(|digits| digits.len()), Some(64));
        assert!(
            !certificate
                .subject
                .chars()
                .any(|letter| letter.is_ascii_control())
        );
    }
}

/// Dialogues of lines: each turn ends with a zero byte, client and server take turns.
pub fn dialogue(data: &[u8]) {
    let server = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut mail, mut files, mut typed) = (
        smtp::Session::default(),
        ftp::Session::default(),
        telnet::Session::default(),
    );
    for (turn, bytes) in data.split(|byte| *byte == 0).enumerate() {
        if turn % 2 == 0 {
            mail.client(bytes);
            files.client(bytes);
            typed.client(bytes);
        } else {
            mail.server(bytes, |event| {
                assert!(event.reply_code.is_some_and(|code| code < 1000))
            });
            files.server(bytes, server, |event| {
                assert!(event.command != "PASS" || event.argument.is_none());
                assert!(event.data.is_none_or(|data| data.port != 0));
            });
            typed.server(bytes);
        }
    }
}

fn flow_table() -> FlowTable {
    FlowTable::new(FlowTableConfig {
        expiry: Expiry::Timeouts(Timeouts::default()),
        max_flows: 16,
        when_full: WhenFull::Evict,
    })
}

/// Ends all flows; returns the packets of all reports.
fn drain(table: &mut FlowTable, flows: &mut Vec<FlowUpdate>) -> u64 {
    table.tick(Timestamp::MAX, flows);
    while table.finish(1000, flows) {}
    assert_eq!(table.stats().flows, 0);
    flows
        .iter()
        .map(|update| update.new_out.packets + update.new_back.packets)
        .sum()
}

/// What a peer of the collector may send: what passes the checks goes back to the wire and passes again, unchanged.
pub fn wire(data: &[u8]) {
    use lynceus_proto::batch::{Batch, Content};
    use lynceus_proto::session::{Hello, Welcome};
    use lynceus_proto::v1;
    if let Ok(batch) = v1::Batch::decode(data) {
        let _ = Batch::try_from(batch);
    }
    if let Ok(hello) = v1::Hello::decode(data) {
        let _ = Hello::try_from(hello);
    }
    if let Ok(welcome) = v1::Welcome::decode(data) {
        let _ = Welcome::try_from(welcome);
    }
    // Without the checksum around it, so that the fuzzer gets to the content.
    if let Ok(Ok(content)) = v1::Payload::decode(data).map(Content::try_from) {
        let again = Content::try_from(v1::Payload::from(content.clone()));
        assert_eq!(again, Ok(content));
    }
}

/// The list of profiles that a closed store keeps: a whole file, or what stands behind its checksum. What is taken is
/// written and taken again, unchanged.
pub fn glance(data: &[u8]) {
    use lynceus_proto::glance::Glance;
    for glance in [Glance::read(data), Glance::body(data)].into_iter().flatten() {
        let bytes = glance.to_bytes().expect("no longer than what was read");
        assert_eq!(Glance::read(&bytes), Ok(glance));
    }
}

/// Landmark files, measurement files and lists of anchors: what is taken can be written and read again.
pub fn landmarks(data: &[u8]) {
    use lynceus_enrich::latency::{atlas, landmark, measurement};
    let taken = landmark::read(data).ok();
    let imported = atlas::import(data, 10.0).ok().map(|imported| imported.landmarks);
    for landmarks in [taken, imported].into_iter().flatten() {
        let mut text = Vec::new();
        landmark::write(&landmarks, &mut text).expect("memory takes everything");
        assert_eq!(landmark::read(&text[..]).expect("what was written"), landmarks);
    }
    let _ = measurement::read(data);
}

/// Configurations of both generations, lists of columns and addresses, and texts with addresses in them.
pub fn know_your_ip(data: &[u8]) {
    use lynceus_enrich::kyi::{Config, columns, extract::Extract, list::List};
    let text = String::from_utf8_lossy(data);
    let environment = text
        .lines()
        .take(20)
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("KNOW_YOUR_IP_{name}"), value.to_owned()));
    let _ = Config::ini(&text, environment.clone());
    let _ = Config::toml(&text, environment);
    if let Ok(names) = columns::read(&text) {
        assert!(!names.is_empty() && names.len() <= columns::MAX_COLUMNS);
    }
    assert!(List::new(data).all(|line| line.is_ok()));
    let small = std::io::BufReader::with_capacity(3, data);
    let pieces: Vec<IpAddr> = Extract::new(small)
        .map(|address| address.expect("memory"))
        .collect();
    let whole: Vec<IpAddr> = Extract::new(data)
        .map(|address| address.expect("memory"))
        .collect();
    assert_eq!(pieces, whole);
}

/// A table of addresses: header, index, blocks and records, asked for some addresses and numbers.
pub fn table(data: &[u8]) {
    use lynceus_enrich::offline::asn::Systems;
    use lynceus_enrich::offline::container::Container;
    use lynceus_enrich::offline::vendor::Vendors;
    let addresses = [
        "0.0.0.0",
        "1.2.3.4",
        "255.255.255.255",
        "::",
        "2001:db8::1",
        "ffff::",
    ];
    let Ok(container) = Container::open(data.to_vec()) else {
        return;
    };
    if let Ok(systems) = Systems::open(container) {
        for address in addresses {
            let ip: IpAddr = address.parse().expect("an address");
            if let Ok(Some(system)) = systems.find(ip) {
                assert!(system.matched.contains(ip));
            }
        }
    }
    if let Ok(container) = Container::open(data.to_vec())
        && let Ok(vendors) = Vendors::open(container)
    {
        let _ = vendors.find([0, 1, 2, 3, 4, 5]);
    }
}

/// Answers of outside sources about addresses, of name servers, and results of scanners.
pub fn outside(data: &[u8]) {
    lynceus_enrich::provider::decode_all(data);
    lynceus_enrich::wire::dns::decode_all(data);
    for scanner in [
        lynceus_enrich::scans::Scanner::ZMap,
        lynceus_enrich::scans::Scanner::ZGrab2,
    ] {
        lynceus_enrich::scans::read(scanner, data, Some(80), 0, |_| Ok(())).expect("memory does not fail");
    }
}

/// What the outlier detector remembers, as rows of a store.
#[cfg(feature = "collector")]
pub fn outlier_state(data: &[u8]) {
    outlier_state::outlier_state(data);
}
