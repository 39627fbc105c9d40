//! What the sensor reads: packets of which each is a flow that nothing else has.

use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use lynceus_tests::frames::{Host, udp};

/// Writes a capture of endless new flows, a few at a time, until told or until nobody reads any more.
pub(super) fn feed(mut input: ChildStdin, flows: &AtomicU32, stop: &AtomicBool) {
    // Little-endian pcap, version 2.4, microseconds, Ethernet.
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    // At least once: an empty capture is an error.
    loop {
        for _ in 0..5 {
            packet(flows.fetch_add(1, Ordering::Relaxed), &mut bytes);
        }
        match input.write_all(&bytes) {
            Ok(()) => bytes.clear(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) => panic!("feed the sensor: {error}"),
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Event time goes on by 1 s a packet, so that with each one a flow ends and a profile is refreshed.
fn packet(number: u32, bytes: &mut Vec<u8>) {
    let [a, b, c, d] = number.to_be_bytes();
    let client = Host::new(Ipv4Addr::new(10, 0, 0, d % 16));
    let server = Host::new(Ipv4Addr::new(10, 1 + a, b, c));
    let frame = udp(&client, &server, 1024 + u16::from(d), 53, b"?");
    let length = u32::try_from(frame.len()).unwrap();
    for word in [1_700_000_000 + number, 0, length, length] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&frame);
}
