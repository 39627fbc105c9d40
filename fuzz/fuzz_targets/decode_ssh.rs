//! SSH banners and key exchange offers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_sensor::decode::{Read, ssh};

fuzz_target!(|bytes: &[u8]| {
    for outcome in [ssh::read_banner(bytes), ssh::read_key_exchange(bytes, true)] {
        if let Ok(Read::Done { consumed, .. }) = outcome {
            assert!(consumed <= bytes.len());
        }
    }
});
