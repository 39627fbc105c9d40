#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lynceus_fuzz::glance(data));
