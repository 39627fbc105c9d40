//! TLS hellos in records, and bare as in QUIC; fingerprints have one length whatever stands in the hello.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_model::app::AppEvent;
use lynceus_sensor::decode::{Read, tls};

fuzz_target!(|bytes: &[u8]| {
    for outcome in [tls::read_hello(bytes), tls::read_handshake(bytes, true)] {
        if let Ok(Read::Done { value, consumed }) = outcome {
            assert!(consumed <= bytes.len());
            if let AppEvent::TlsClient(hello) = value {
                assert_eq!((hello.ja3.len(), hello.ja4.len()), (32, 36));
            }
        }
    }
});
