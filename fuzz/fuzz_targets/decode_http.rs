//! Heads of HTTP requests and responses, whole and cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_sensor::decode::{Read, http};

fuzz_target!(|bytes: &[u8]| {
    let _ = http::may_be_head(bytes);
    for whole in [false, true] {
        if let Ok(Read::Done { consumed, .. }) = http::read_head(bytes, whole) {
            assert!(consumed <= bytes.len());
        }
    }
});
