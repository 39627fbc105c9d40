//! DNS messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_sensor::decode::dns;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = dns::read(bytes, false) {
        assert!(message.name.len() <= 4 * 255);
        assert!(message.name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
});
