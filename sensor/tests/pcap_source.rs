//! The capture reader and the source over it, on files made here: every format variant, every cut, every lie.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Cursor, Write};

use lynceus_model::app::AppEvent;
use lynceus_model::time::Timestamp;
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::source::pcap::{CaptureReader, Depth, Fault, PcapSource};
use lynceus_sensor::source::{Event, Source, Status};
use proptest::prelude::*;
use sensor_ebpf::heads::HeadLimits;
use sensor_ebpf::parse::Link;

/// Byte order of a file that is put together.
#[derive(Clone, Copy, Debug)]
struct Order {
    big: bool,
}

impl Order {
    fn half(self, number: u16) -> [u8; 2] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn word(self, number: u32) -> [u8; 4] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn words(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| self.word(*number)).collect()
    }

    fn long(self, number: u64) -> [u8; 8] {
        if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn pcap(self, magic: u32, link: u32) -> Vec<u8> {
        let mut file = self.word(magic).to_vec();
        file.extend(self.half(2));
        file.extend(self.half(4));
        file.extend(self.words(&[0, 0, 65_535, link]));
        file
    }

    fn record(self, seconds: u32, fraction: u32, frame: &[u8], original: u32) -> Vec<u8> {
        let mut record = self.words(&[seconds, fraction, frame.len() as u32, original]);
        record.extend(frame);
        record
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = 12 + padded as u32;
        let mut block = self.words(&[kind, length]);
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(self.word(length));
        block
    }

    fn section(self) -> Vec<u8> {
        let mut body = self.word(0x1a2b_3c4d).to_vec();
        body.extend(self.half(1));
        body.extend(self.half(0));
        body.extend(self.long(u64::MAX));
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snap_len: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = self.half(link).to_vec();
        body.extend(self.half(0));
        body.extend(self.word(snap_len));
        for (code, value) in options {
            body.extend(self.half(*code));
            body.extend(self.half(value.len() as u16));
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, ticks: u64, frame: &[u8], original: u32) -> Vec<u8> {
        let head = [
            interface,
            (ticks >> 32) as u32,
            ticks as u32,
            frame.len() as u32,
            original,
        ];
        let mut body = self.words(&head);
        body.extend(frame);
        self.block(6, &body)
    }
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

/// Time, length on the wire, captured bytes, link.
type Seen = (i64, u32, Vec<u8>, Option<Link>);

/// Reads all frames, and the fault that ended it.
fn read(file: Vec<u8>) -> (Vec<Seen>, Option<(u64, Fault)>) {
    let mut frames = Vec::new();
    let mut reader = match CaptureReader::new("test", Cursor::new(file)) {
        Ok(reader) => reader,
        Err(error) => return (frames, Some((error.offset, error.fault))),
    };
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push((frame.time.0, frame.wire_len, frame.bytes.to_vec(), frame.link)),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some((error.offset, error.fault))),
        }
    }
}

#[test]
fn every_pcap_variant() {
    for order in [LITTLE, BIG] {
        for (magic, nanos) in [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)] {
            let mut file = order.pcap(magic, 1);
            file.extend(order.record(7, 5, b"abcd", 60));
            file.extend(order.record(8, 0, b"", 9));
            let (frames, fault) = read(file);
            assert!(fault.is_none(), "{fault:?}");
            let link = Some(Link::Ethernet);
            assert_eq!(frames[0], (7_000_000_000 + nanos, 60, b"abcd".to_vec(), link));
            assert_eq!(frames[1], (8_000_000_000, 9, vec![], link));
        }
        let mut file = order.pcap(0xa1b2_cd34, 101);
        let mut record = order.words(&[1, 2, 4, 4]);
        record.extend([9; 8]);
        record.extend(b"wxyz");
        file.extend(record);
        let (frames, fault) = read(file);
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!(frames, [(1_000_002_000, 4, b"wxyz".to_vec(), Some(Link::RawIp))]);
    }
}

#[test]
fn frame_check_sequences_are_taken_off() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1 | 0x0400_0000 | 2 << 28);
    file.extend(LITTLE.record(0, 0, b"abcdefghFCSX", 12));
    file.extend(LITTLE.record(0, 0, b"abc", 12));
    let (frames, _) = read(file);
    assert_eq!((frames[0].1, frames[0].2.as_slice()), (8, &b"abcdefgh"[..]));
    assert_eq!((frames[1].1, frames[1].2.as_slice()), (8, &b"abc"[..]));
}

/// Two sections of different byte order, interfaces with their own link, clock and snap length, and the three packet
/// blocks between blocks that are skipped.
fn mixed_pcapng() -> Vec<u8> {
    let mut file = LITTLE.section();
    file.extend(LITTLE.interface(1, 3, &[(9, vec![9]), (2, b"eth0".to_vec())]));
    file.extend(LITTLE.block(5, &[0; 400]));
    file.extend(LITTLE.enhanced(0, 1_000_000_007, b"abcd", 60));
    let mut simple = LITTLE.word(50).to_vec();
    simple.extend(b"xyz");
    file.extend(LITTLE.block(3, &simple));
    file.extend(BIG.section());
    file.extend(BIG.interface(101, 0, &[]));
    file.extend(BIG.interface(276, 0, &[(14, BIG.long(100).to_vec()), (9, vec![0x80 | 1])]));
    file.extend(BIG.enhanced(1, 3, b"hello", 5));
    let mut old = BIG.half(0).to_vec();
    old.extend(BIG.half(7));
    old.extend(BIG.words(&[0, 2_000_000, 2, 2]));
    old.extend(b"IP");
    file.extend(BIG.block(2, &old));
    file
}

fn mixed_frames() -> Vec<Seen> {
    vec![
        (1_000_000_007, 60, b"abcd".to_vec(), Some(Link::Ethernet)),
        (0, 50, b"xyz".to_vec(), Some(Link::Ethernet)),
        (101_500_000_000, 5, b"hello".to_vec(), Some(Link::LinuxSll2)),
        (2_000_000_000, 2, b"IP".to_vec(), Some(Link::RawIp)),
    ]
}

#[test]
fn pcapng_sections_interfaces_and_blocks() {
    let (frames, fault) = read(mixed_pcapng());
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(frames, mixed_frames());
}

#[test]
fn compressed_files_read_the_same() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&mixed_pcapng()).unwrap();
    assert_eq!(read(gz.finish().unwrap()).0, mixed_frames());
    let zst = zstd::encode_all(Cursor::new(mixed_pcapng()), 1).unwrap();
    assert_eq!(read(zst.clone()).0, mixed_frames());
    let (_, fault) = read(zst[..zst.len() - 5].to_vec());
    assert!(matches!(fault, Some((_, Fault::Io(_)))), "{fault:?}");
}

/// Every cut keeps what is before it and names where the torn record begins; a cut between records is no fault.
#[test]
fn truncated_anywhere() {
    for file in [mixed_pcapng(), {
        let mut file = BIG.pcap(0xa1b2_c3d4, 1);
        file.extend(BIG.record(1, 0, b"one", 3));
        file.extend(BIG.record(2, 0, b"two", 3));
        file
    }] {
        let (whole, _) = read(file.clone());
        for cut in 0..file.len() {
            let (frames, fault) = read(file[..cut].to_vec());
            assert_eq!(frames, whole[..frames.len()], "cut at {cut}");
            if let Some((offset, fault)) = fault {
                assert!(offset <= cut as u64);
                let named = matches!(fault, Fault::Cut { .. } | Fault::Empty | Fault::NotACapture(_));
                assert!(named, "cut at {cut}: {fault}");
            }
        }
    }
}

#[test]
fn lies_are_named_and_cost_no_memory() {
    let fault = |file: Vec<u8>| read(file).1.map(|(_, fault)| fault);
    let mut long = LITTLE.pcap(0xa1b2_c3d4, 1);
    long.extend(LITTLE.words(&[0, 0, u32::MAX, 60]));
    assert!(matches!(fault(long), Some(Fault::TooLong { .. })));
    let section = || LITTLE.section();
    for (block, is_it) in [
        (LITTLE.words(&[6, 4, 0]), "length"),
        (LITTLE.words(&[6, 0xffff_fffc, 0]), "long"),
        (LITTLE.words(&[77, 0xffff_fffc, 0]), "cut"),
        (LITTLE.words(&[77, 12, 16]), "ends"),
        (LITTLE.enhanced(0, 0, b"abcd", 4), "interface"),
    ] {
        let mut file = section();
        file.extend(block);
        let found = match fault(file) {
            Some(Fault::BlockLength(_)) => "length",
            Some(Fault::TooLong { .. }) => "long",
            Some(Fault::Cut { .. }) => "cut",
            Some(Fault::BlockEnds { .. }) => "ends",
            Some(Fault::UnknownInterface(_)) => "interface",
            other => panic!("{is_it}: {other:?}"),
        };
        assert_eq!(found, is_it);
    }
    let mut captured = section();
    captured.extend(LITTLE.interface(1, 0, &[]));
    let mut body = LITTLE.words(&[0, 0, 0, 100, 100]);
    body.extend(b"only this");
    captured.extend(LITTLE.block(6, &body));
    assert!(matches!(
        fault(captured),
        Some(Fault::CapturedLength { captured: 100, .. })
    ));
    assert!(matches!(fault(vec![]), Some(Fault::Empty)));
    assert!(matches!(
        fault(b"#!/bin/sh, not a capture".to_vec()),
        Some(Fault::NotACapture(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_files_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut file = mixed_pcapng();
        for (index, value) in changes {
            let at = index.index(file.len());
            file[at] = value;
        }
        let (frames, _) = read(file);
        prop_assert!(frames.len() < 100);
    }
}

/// A DNS query from 10.0.0.1 to 10.0.0.2 over Ethernet.
fn dns_query() -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x07example\x03org\x00\x00\x01\x00\x01");
    let udp_len = 8 + message.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((20 + udp_len).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(5353u16.wrapping_add(1).to_be_bytes());
    frame.extend(53u16.to_be_bytes());
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

#[test]
fn a_decoding_source_gives_flows_and_application_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dns.pcap");
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    let frame = dns_query();
    file.extend(LITTLE.record(100, 0, &frame, frame.len() as u32));
    let arp = [
        &[0xff; 6][..],
        &[
            2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1,
        ],
        &[0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
    ]
    .concat();
    file.extend(LITTLE.record(101, 0, &arp, arp.len() as u32));
    std::fs::write(&path, &file).unwrap();
    let missing = folder.path().join("missing.pcap");
    let source = PcapSource::new([missing, path], FlowTableConfig::default(), Depth::Deep);
    let mut source = source.with_decoders(HeadLimits::DEFAULT);
    let mut events = Vec::new();
    let error = source.next(&mut events).unwrap_err().to_string();
    assert!(error.contains("missing.pcap: No such file"), "{error}");
    while source.next(&mut events).unwrap() != Status::Ended {}
    let names: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Flow(_) => "flow",
            Event::App(record) => match &record.event {
                AppEvent::Dns(dns) => {
                    assert_eq!(dns.name, "example.org");
                    "dns"
                }
                AppEvent::Arp(_) => "arp",
                other => panic!("{other:?}"),
            },
        })
        .collect();
    assert_eq!(names, ["dns", "arp", "flow"]);
    assert_eq!(source.watermark(), Timestamp::from_secs(101));
    assert_eq!((source.heads().taken, source.decoders().events), (2, 2));
}

/// One call may span hours where there is little traffic: a flow that ended stands before a message of later.
#[test]
fn events_come_in_the_order_in_which_they_became_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.pcap");
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    let frame = dns_query();
    for seconds in [100, 5_000, 9_000] {
        file.extend(LITTLE.record(seconds, 0, &frame, frame.len() as u32));
    }
    std::fs::write(&path, &file).unwrap();
    let source = PcapSource::new([path], FlowTableConfig::default(), Depth::Deep);
    let mut source = source.with_decoders(HeadLimits::DEFAULT);
    let mut events = Vec::new();
    while source.next(&mut events).unwrap() != Status::Ended {}
    let order: Vec<(bool, i64)> = events
        .iter()
        .map(|event| match event {
            Event::Flow(update) => (true, update.flow.first.0 / 1_000_000_000),
            Event::App(record) => (false, record.time.0 / 1_000_000_000),
        })
        .collect();
    let expected = [100, 5_000, 9_000].map(|seconds| [(false, seconds), (true, seconds)]);
    assert_eq!(order, expected.concat());
}
