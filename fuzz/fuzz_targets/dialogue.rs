//! Sessions of SMTP, FTP and Telnet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lynceus_fuzz::dialogue(bytes));
