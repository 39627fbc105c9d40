//! QUIC datagrams of both sides of one connection, through the decoder. The first byte of each datagram is its length
//! in units of eight bytes, its lowest bit the side.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_model::time::Timestamp;
use lynceus_sensor::decode::Decoder;
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    let mut rest = bytes;
    while let Some((&length, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(after.len().min(usize::from(length) * 8));
        rest = after;
        let head = Head {
            key: FlowKey {
                protocol: 17,
                low_port: 443,
                ..FlowKey::default()
            },
            point: Point {
                ifindex: 0,
                direction: HookDirection::Ingress,
            },
            sender: if length & 1 == 0 { Side::Low } else { Side::High },
            time: 0,
            tcp_seq: 0,
            tcp_flags: 0,
            payload_len: datagram.len() as u32,
            bytes: datagram,
        };
        decoder.decode(&head, Timestamp(0), None, &mut |_| {});
    }
});
