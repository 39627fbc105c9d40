//! Segments of a few TCP flows in any order through the whole decoder. Each segment: four bytes (port, side and cut,
//! sequence number, length), then its payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_model::time::Timestamp;
use lynceus_sensor::decode::{DecodeLimits, Decoder};
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};

const PORTS: [u16; 4] = [80, 443, 53, 22];

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(DecodeLimits {
        streams: 8,
        ..DecodeLimits::default()
    });
    let mut rest = bytes;
    let mut heads = 0;
    while let Some((&[port, flags, seq, length], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(after.len().min(usize::from(length)));
        rest = after;
        let head = Head {
            key: FlowKey {
                protocol: 6,
                low_port: PORTS[usize::from(port & 3)],
                high_port: u16::from(port >> 2),
                ..FlowKey::default()
            },
            point: Point {
                ifindex: 0,
                direction: HookDirection::Ingress,
            },
            sender: if flags & 1 == 0 { Side::Low } else { Side::High },
            time: 0,
            tcp_seq: u32::from(seq) * 16,
            tcp_flags: 16,
            payload_len: payload.len() as u32 + u32::from(flags >> 7),
            bytes: payload,
        };
        heads += 1;
        decoder.decode(&head, Timestamp(i64::from(flags) << 30), None, &mut |_| {});
        assert!(decoder.resident() <= 10);
    }
    assert_eq!(decoder.counters().heads, heads);
});
