//! DHCP messages and ARP packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_sensor::decode::{arp, dhcp};

fuzz_target!(|bytes: &[u8]| {
    let _ = (dhcp::read(bytes), arp::read(bytes, None));
});
