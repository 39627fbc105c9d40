//! The selector of payload heads: what it takes is present in the packet and within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor_ebpf::heads::{Choice, FlowHeads, HeadLimits, select};
use sensor_ebpf::parse::{Link, Packet, Slice, USER_LEVELS, parse};

fuzz_target!(|bytes: &[u8]| {
    let limits = HeadLimits::DEFAULT;
    let mut flow = FlowHeads::default();
    let mut rest = bytes;
    while let Some((&length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(after.len().min(usize::from(length)));
        rest = after;
        let frame = Slice {
            bytes: frame,
            wire_len: frame.len() as u32,
        };
        let mut packet = Packet::default();
        if parse::<_, USER_LEVELS>(&frame, Link::Ethernet, &mut packet).is_ok()
            && let Choice::Take { bytes } = select(&frame, &packet, &mut flow, &limits, || true)
        {
            assert!(bytes <= limits.bytes && u32::from(bytes) <= packet.payload_len && bytes > 0);
        }
    }
});
