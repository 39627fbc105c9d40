use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use lynceus_model::flow::ConnState;

use super::*;

/// Bytes in network order.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn all(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

const NOW: u32 = 1_700_000_000;
/// Milliseconds since the exporter's boot.
const UPTIME: u32 = 1_000_000;

/// Both ends and TCP's flags.
type Sent = ([u8; 4], u16, [u8; 4], u16, u8);

fn v5(sequence: u32, flows: &[Sent]) -> Vec<u8> {
    v5_sampled(sequence, 0, flows)
}

fn v5_sampled(sequence: u32, sampling: u16, flows: &[Sent]) -> Vec<u8> {
    let head = Bytes::default()
        .u16(5)
        .u16(flows.len() as u16)
        .u32(UPTIME)
        .u32(NOW)
        .u32(500_000_000)
        .u32(sequence)
        .u16(0)
        .u16(sampling);
    let add = |bytes: Bytes, (from, from_port, to, to_port, flags): &Sent| {
        bytes
            .all(from)
            .all(to)
            .u32(0)
            .u16(3)
            .u16(4)
            .u32(5)
            .u32(400)
            .u32(UPTIME - 2000)
            .u32(UPTIME - 1000)
            .u16(*from_port)
            .u16(*to_port)
            .u8(0)
            .u8(*flags)
            .u8(6)
            .all(&[0; 9])
    };
    flows.iter().fold(head, add).0
}

struct Exporter {
    source: NetflowSource,
    socket: UdpSocket,
}

impl Exporter {
    fn new() -> Self {
        let source = NetflowSource::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(source.address().unwrap()).unwrap();
        Self { source, socket }
    }

    fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    /// Takes so many datagrams, then ends.
    fn finish(mut self, datagrams: u64) -> (Vec<FlowUpdate>, NetflowSource) {
        let mut events = Vec::new();
        for _ in 0..1000 {
            self.source.next(&mut events).unwrap();
            if self.source.counts().datagrams >= datagrams {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.source.stop();
        while self.source.next(&mut events).unwrap() != Status::Ended {}
        let flows = events.into_iter().filter_map(|event| match event {
            Event::Flow(update) => Some(*update),
            Event::App(_) => None,
        });
        (flows.collect(), self.source)
    }
}

#[test]
fn version_5_joins_directions_and_counts_gaps() {
    let exporter = Exporter::new();
    let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    exporter.send(&v5(
        100,
        &[(client, 4000, server, 80, 0x1b), (server, 80, client, 4000, 0x1b)],
    ));
    exporter.send(&v5(109, &[(client, 4001, server, 81, 0x02)]));
    exporter.send(b"\x00\x05\x00");
    let (flows, source) = exporter.finish(3);
    assert_eq!(flows.len(), 2);
    let whole = flows
        .iter()
        .find(|update| update.flow.tuple.responder.port == 80)
        .unwrap();
    assert_eq!(whole.flow.tuple.originator.port, 4000);
    assert_eq!(
        (
            whole.flow.out.packets,
            whole.flow.out.bytes,
            whole.flow.back.packets
        ),
        (5, 400, 5)
    );
    assert_eq!(whole.flow.state, ConnState::Sf);
    let second = 1_000_000_000;
    let export = i64::from(NOW) * second + second / 2;
    assert_eq!(
        (whole.flow.first.0, whole.flow.last.0),
        (export - 2 * second, export - second)
    );
    assert_eq!(whole.flow.seen_at[0].interface, "127.0.0.1/3");
    assert_eq!(
        flows
            .iter()
            .find(|update| update.flow.tuple.responder.port == 81)
            .unwrap()
            .flow
            .state,
        ConnState::S0
    );
    let status = source.status();
    let losses: Vec<_> = status
        .losses
        .iter()
        .map(|loss| (&*loss.reason, &*loss.unit, loss.count))
        .collect();
    assert_eq!(
        losses,
        [("malformed", "datagrams", 1), ("missing_sequence", "flows", 7)]
    );
    assert_eq!(status.points[0].unaccounted(), 0);
}

#[test]
fn version_9_waits_for_its_template() {
    let exporter = Exporter::new();
    let head = |sequence: u32| {
        Bytes::default()
            .u16(9)
            .u16(1)
            .u32(UPTIME)
            .u32(NOW)
            .u32(sequence)
            .u32(7)
    };
    let data = |sequence: u32| {
        head(sequence)
            .u16(256)
            .u16(4 + 38 + 2)
            .all(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
            .all(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
            .u8(58)
            .u8(3)
            .u16(180)
            .u16(128 << 8)
            .u16(0)
            .0
    };
    // Source and destination of IPv6, protocol, packets in one byte, bytes in two, ICMP's type and code.
    let template = head(2)
        .u16(0)
        .u16(4 + 4 + 6 * 4)
        .u16(256)
        .u16(6)
        .u16(27)
        .u16(16)
        .u16(28)
        .u16(16)
        .u16(4)
        .u16(1)
        .u16(2)
        .u16(1)
        .u16(1)
        .u16(2)
        .u16(139)
        .u16(2)
        .0;
    exporter.send(&data(1));
    exporter.send(&template);
    exporter.send(&data(6));
    let (flows, source) = exporter.finish(3);
    assert_eq!(flows.len(), 1);
    let flow = &flows[0].flow;
    assert_eq!(
        (flow.icmp, flow.out.packets, flow.out.bytes),
        (Some((128, 0)), 3, 180)
    );
    assert_eq!(flow.first, Timestamp::from_secs(NOW.into()));
    assert_eq!(source.counts().no_template, 1);
    let status = source.status();
    let gap = status
        .losses
        .iter()
        .find(|loss| loss.reason == "missing_sequence")
        .unwrap();
    assert_eq!((&*gap.unit, gap.count), ("datagrams", 3));
}

#[test]
fn ipfix_with_milliseconds_and_both_directions() {
    let exporter = Exporter::new();
    let fields: [(u16, u16, bool); 10] = [
        (8, 4, false),
        (12, 4, false),
        (7, 2, false),
        (11, 2, false),
        (4, 1, false),
        (6, 2, false),
        (2, 8, false),
        (1, 8, false),
        (2, 4, true),
        (1, 4, true),
    ];
    let mut template = Bytes::default().u16(300).u16(12);
    for (number, length, reverse) in fields {
        template = template
            .u16(number | if reverse { 0x8000 } else { 0 })
            .u16(length);
        if reverse {
            template = template.u32(29_305);
        }
    }
    let template = template.u16(152).u16(8).u16(153).u16(8).0;
    let millis = u64::from(NOW) * 1000;
    let record = Bytes::default()
        .all(&[10, 0, 0, 1])
        .all(&[10, 0, 0, 2])
        .u16(5000)
        .u16(443)
        .u8(6)
        .u16(0x1b)
        .u64(10)
        .u64(1000)
        .u32(8)
        .u32(9000)
        .u64(millis - 1500)
        .u64(millis - 250)
        .0;
    let sets = Bytes::default()
        .u16(2)
        .u16(4 + template.len() as u16)
        .all(&template)
        .u16(300)
        .u16(4 + record.len() as u16)
        .all(&record)
        .0;
    let message = |sequence: u32| {
        let head = Bytes::default()
            .u16(10)
            .u16(16 + sets.len() as u16)
            .u32(NOW)
            .u32(sequence)
            .u32(1);
        head.all(&sets).0
    };
    exporter.send(&message(40));
    let (flows, source) = exporter.finish(1);
    assert_eq!(flows.len(), 1);
    let flow = &flows[0].flow;
    assert_eq!(
        (
            flow.out.packets,
            flow.out.bytes,
            flow.back.packets,
            flow.back.bytes
        ),
        (10, 1000, 8, 9000)
    );
    assert_eq!(flow.first.0, (millis as i64 - 1500) * 1_000_000);
    assert_eq!(flow.duration(), Duration::from_millis(1250));
    assert!(flow.established());
    assert!(source.status().losses.is_empty());
}

/// Packets, bytes, observation point and records told as sampled.
fn scaled(flows: &[FlowUpdate], source: &NetflowSource) -> (u64, u64, String, u64) {
    assert_eq!(flows.len(), 1);
    let flow = &flows[0].flow;
    let point = flow
        .seen_at
        .first()
        .map_or_else(String::new, |seen| seen.interface.to_string());
    let status = source.status();
    let losses = status.losses.iter().find(|loss| loss.reason == "sampled");
    (
        flow.out.packets,
        flow.out.bytes,
        point,
        losses.map_or(0, |loss| loss.count),
    )
}

#[test]
fn version_5_says_its_rate_in_the_header() {
    let exporter = Exporter::new();
    exporter.send(&v5_sampled(
        1,
        0x4000 | 100,
        &[([10, 0, 0, 1], 4000, [10, 0, 0, 2], 80, 2)],
    ));
    let (flows, source) = exporter.finish(1);
    let expected = (500, 40_000, "127.0.0.1/3 (sampled 1:100)".to_owned(), 1);
    assert_eq!(scaled(&flows, &source), expected);
}

/// IPv4 ends, protocol, packets, bytes, input interface; then one more field.
fn template(id: u16, more: (u16, u16)) -> Bytes {
    let fields = [(8, 4), (12, 4), (4, 1), (2, 4), (1, 4), (10, 2), more];
    let head = Bytes::default().u16(id).u16(fields.len() as u16);
    fields
        .iter()
        .fold(head, |bytes, (number, length)| bytes.u16(*number).u16(*length))
}

fn record() -> Bytes {
    Bytes::default()
        .all(&[10, 0, 0, 1])
        .all(&[10, 0, 0, 2])
        .u8(17)
        .u32(5)
        .u32(400)
        .u16(3)
}

fn set(id: u16, body: Bytes) -> Vec<u8> {
    Bytes::default()
        .u16(id)
        .u16(4 + body.0.len() as u16)
        .all(&body.0)
        .0
}

#[test]
fn version_9_says_its_rate_in_options() {
    let exporter = Exporter::new();
    // Scope: the system, in four bytes; then sampler, mode and interval.
    let options = Bytes::default()
        .u16(257)
        .u16(4)
        .u16(12)
        .all(&[0, 1, 0, 4, 0, 48, 0, 1, 0, 49, 0, 1, 0, 50, 0, 4]);
    let said = Bytes::default().u32(1).u8(9).u8(2).u32(512).all(&[0; 2]);
    let sets = [
        set(1, options),
        set(0, template(256, (48, 1))),
        set(257, said),
        set(256, record().u8(9)),
    ]
    .concat();
    let head = Bytes::default().u16(9).u16(4).u32(UPTIME).u32(NOW).u32(1).u32(7);
    exporter.send(&head.all(&sets).0);
    let (flows, source) = exporter.finish(1);
    let expected = (5 * 512, 400 * 512, "127.0.0.1/3 (sampled 1:512)".to_owned(), 1);
    assert_eq!(scaled(&flows, &source), expected);
}

#[test]
fn ipfix_says_its_rate_by_selector() {
    let exporter = Exporter::new();
    // One scope field, the selector; then interval and space.
    let options = Bytes::default()
        .u16(257)
        .u16(3)
        .u16(1)
        .all(&[1, 46, 0, 8, 1, 49, 0, 4, 1, 50, 0, 4]);
    let said = Bytes::default().u64(5).u32(1).u32(999);
    let sets = [
        set(3, options),
        set(2, template(256, (302, 8))),
        set(257, said),
        set(256, record().u64(5)),
    ]
    .concat();
    let head = Bytes::default()
        .u16(10)
        .u16(16 + sets.len() as u16)
        .u32(NOW)
        .u32(1)
        .u32(1);
    exporter.send(&head.all(&sets).0);
    let (flows, source) = exporter.finish(1);
    let expected = (5000, 400_000, "127.0.0.1/3 (sampled 1:1000)".to_owned(), 1);
    assert_eq!(scaled(&flows, &source), expected);
}

#[test]
fn datagrams_of_any_bytes() {
    let exporter = Exporter::new();
    let whole = v5(1, &[([10, 0, 0, 1], 1, [10, 0, 0, 2], 2, 2)]);
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        chance ^= chance >> 12;
        chance ^= chance << 25;
        chance ^= chance >> 27;
        (chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    };
    for _ in 0..100 {
        let mut bytes = whole.clone();
        bytes[1] = [5, 9, 10][below(3)];
        for _ in 0..4 {
            let at = below(bytes.len());
            bytes[at] = below(256) as u8;
        }
        bytes.truncate(below(bytes.len()) + 1);
        exporter.send(&bytes);
    }
    let (_, source) = exporter.finish(100);
    assert_eq!(source.status().points[0].unaccounted(), 0);
}
