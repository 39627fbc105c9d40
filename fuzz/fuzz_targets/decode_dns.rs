#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lynceus_fuzz::decode::dns_message(data));
