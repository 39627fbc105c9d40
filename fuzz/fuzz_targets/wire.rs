//! What a peer of the collector may send: what passes the checks goes back to the wire and passes again, unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_proto::batch::{Batch, Content};
use lynceus_proto::session::{Hello, Welcome};
use lynceus_proto::v1;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = v1::Batch::decode(bytes) {
        let _ = Batch::try_from(batch);
    }
    if let Ok(hello) = v1::Hello::decode(bytes) {
        let _ = Hello::try_from(hello);
    }
    if let Ok(welcome) = v1::Welcome::decode(bytes) {
        let _ = Welcome::try_from(welcome);
    }
    // Without the checksum around it, so that the fuzzer gets to the content.
    if let Ok(Ok(content)) = v1::Payload::decode(bytes).map(Content::try_from) {
        let again = Content::try_from(v1::Payload::from(content.clone()));
        assert_eq!(again, Ok(content));
    }
});
