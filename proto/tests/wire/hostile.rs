//! Bytes that no sensor of ours sent.

use lynceus_model::alert::Alert;
use lynceus_model::app::AppRecord;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::status::SensorStatus;
use lynceus_model::window::{SensorId, WindowUpdate};
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, StreamId};
use lynceus_proto::session::{Ack, Hello, Welcome};
use lynceus_proto::{Problem, v1};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;

use super::values;

/// Decodes as everything that a peer may send; what comes out does not matter, that it comes back does.
fn decode_as_everything(bytes: &[u8]) {
    let _ = v1::SensorMessage::decode(bytes);
    let _ = v1::CollectorMessage::decode(bytes);
    let _ = v1::Batch::decode(bytes).map(Batch::try_from);
    let _ = v1::Payload::decode(bytes).map(Content::try_from);
    let _ = v1::WindowUpdate::decode(bytes).map(WindowUpdate::try_from);
    let _ = v1::Alert::decode(bytes).map(Alert::try_from);
    let _ = v1::FlowUpdate::decode(bytes).map(FlowUpdate::try_from);
    let _ = v1::AppRecord::decode(bytes).map(AppRecord::try_from);
    let _ = v1::Evidence::decode(bytes).map(Evidence::try_from);
    let _ = v1::SensorStatus::decode(bytes).map(SensorStatus::try_from);
    let _ = v1::Hello::decode(bytes).map(Hello::try_from);
    let _ = v1::Welcome::decode(bytes).map(Welcome::try_from);
    let _ = v1::Ack::decode(bytes).map(Ack::try_from);
}

fn id() -> BatchId {
    BatchId {
        sensor: SensorId([1; 16]),
        stream: StreamId {
            boot: BootId([1; 16]),
            stream: 0,
        },
        seq: 9,
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..600)) {
        decode_as_everything(&bytes);
    }

    /// Changed bytes of a real message get deeper into the decoder than random ones.
    #[test]
    fn damaged_messages_do_not_panic(
        content in values::content(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = v1::Payload::from(content).encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        decode_as_everything(&bytes);
        decode_as_everything(&bytes[..cut.index(bytes.len())]);
    }

    /// A payload that is not the one that was sealed never passes.
    #[test]
    fn a_changed_payload_is_refused(
        content in values::content(),
        place in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut batch = v1::Batch::seal(&id(), &v1::Payload::from(content));
        prop_assume!(!batch.payload.is_empty());
        let mut bytes = batch.payload.to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        batch.payload = Bytes::from(bytes);
        let error = Batch::try_from(batch).unwrap_err();
        prop_assert_eq!(error.field, "crc32c");
    }
}

#[test]
fn an_identity_must_be_whole() {
    let sealed = v1::Batch::seal(&id(), &v1::Payload::default());
    let field = |batch: v1::Batch| Batch::try_from(batch).unwrap_err().field;
    assert_eq!(
        field(v1::Batch {
            seq: 0,
            ..sealed.clone()
        }),
        "seq"
    );
    assert_eq!(
        field(v1::Batch {
            stream: None,
            ..sealed.clone()
        }),
        "stream"
    );
    assert_eq!(
        field(v1::Batch {
            sensor_id: Vec::new(),
            ..sealed.clone()
        }),
        "sensor_id"
    );
    assert_eq!(
        field(v1::Batch {
            sensor_id: vec![0; 17],
            ..sealed.clone()
        }),
        "sensor_id"
    );
    assert_eq!(
        field(v1::Batch {
            stream: Some(v1::StreamId {
                boot_id: vec![0; 15],
                stream: 0
            }),
            ..sealed.clone()
        }),
        "boot_id"
    );
    let counts = Some(v1::Counts {
        flows: 1,
        ..v1::Counts::default()
    });
    assert_eq!(
        field(v1::Batch {
            counts,
            ..sealed.clone()
        }),
        "counts"
    );
    assert_eq!(field(v1::Batch { last: 5, ..sealed }), "first");
}

#[test]
fn the_error_names_the_field_inside_the_batch() {
    let flow = v1::FlowUpdate {
        flow: Some(v1::Flow {
            tuple: Some(v1::FiveTuple {
                originator_ip: vec![10, 0, 0, 1],
                originator_port: 70_000,
                ..v1::FiveTuple::default()
            }),
            ..v1::Flow::default()
        }),
        ..v1::FlowUpdate::default()
    };
    let payload = v1::Payload {
        updates: vec![v1::WindowUpdate {
            delta: Some(v1::ProfileDelta {
                profile: vec![10, 0, 0, 1],
                ..v1::ProfileDelta::default()
            }),
            stage: v1::Stage::Refreshed.into(),
            flows: vec![flow],
            apps: Vec::new(),
        }],
        gaps: Vec::new(),
        said: None,
    };
    let error = Batch::try_from(v1::Batch::seal(&id(), &payload)).unwrap_err();
    assert_eq!(
        error.field,
        "payload.updates[0].flows[0].flow.tuple.originator_port"
    );
    assert_eq!(error.problem, Problem::Range { value: 70_000 });
}

#[test]
fn numbers_that_are_none_are_refused() {
    for (value, refused) in [(f64::NAN, true), (1.5, true), (-0.1, true), (1.0, false)] {
        let wire = v1::Evidence {
            id: vec![0; 16],
            kind: "ARP_SCAN".into(),
            profile: vec![10, 0, 0, 1],
            attacker: vec![10, 0, 0, 1],
            attacker_side: 1,
            threat_level: 2,
            confidence: value,
            ..v1::Evidence::default()
        };
        assert_eq!(Evidence::try_from(wire).is_err(), refused, "confidence {value}");
    }
}

#[test]
fn a_sensor_says_no_findings() {
    let payload = v1::Payload {
        said: Some(v1::ModuleSaid {
            module: "forged".to_owned(),
            ..v1::ModuleSaid::default()
        }),
        ..v1::Payload::default()
    };
    let error = Batch::try_from(v1::Batch::seal(&id(), &payload)).unwrap_err();
    assert_eq!(error.field, "payload.said");
}
