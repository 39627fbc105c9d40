//! The flight of a TLS server up to its certificate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lynceus_fuzz::flight(bytes));
