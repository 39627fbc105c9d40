//! TLS hellos in records, and bare as in QUIC; fingerprints have one length whatever stands in the hello. And the flight
//! behind a ServerHello with the certificate in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_model::app::AppEvent;
use lynceus_sensor::decode::{Read, tls};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Read::Done { value: (event, left), consumed }) = tls::read_hello(bytes) {
        check(&event);
        lynceus_fuzz::flight(&[&left.to_be_bytes(), &bytes[consumed..]].concat());
    }
    if let Ok(Read::Done { value, consumed }) = tls::read_handshake(bytes, true) {
        assert!(consumed <= bytes.len());
        check(&value);
    }
});

fn check(event: &AppEvent) {
    if let AppEvent::TlsClient(hello) = event {
        assert_eq!((hello.ja3.len(), hello.ja4.len()), (32, 36));
    }
}
