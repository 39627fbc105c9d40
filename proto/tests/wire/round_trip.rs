//! Model → wire → bytes → wire → model is the identity.

use std::fmt::Debug;

use lynceus_model::status::SensorStatus;
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, SensorId, StreamId};
use lynceus_proto::session::{Ack, Hello, Welcome};
use lynceus_proto::{Invalid, v1};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::values;

/// Sends a value over the wire format.
fn travel<M, W>(value: M) -> M
where
    W: Message + Default + From<M>,
    M: TryFrom<W, Error = Invalid> + Debug,
{
    let bytes = W::from(value).encode_to_vec();
    M::try_from(W::decode(bytes.as_slice()).unwrap()).unwrap()
}

fn batch_id() -> impl Strategy<Value = BatchId> {
    (
        "[A-Za-z0-9._-]{1,64}",
        any::<[u8; 16]>(),
        any::<u32>(),
        1..=u64::MAX,
    )
        .prop_map(|(name, boot, stream, seq)| BatchId {
            sensor: SensorId::new(name).unwrap(),
            stream: StreamId {
                boot: BootId(boot),
                stream,
            },
            seq,
        })
}

fn stream_id() -> impl Strategy<Value = StreamId> {
    any::<([u8; 16], u32)>().prop_map(|(boot, stream)| StreamId {
        boot: BootId(boot),
        stream,
    })
}

fn ack() -> impl Strategy<Value = Ack> {
    (
        stream_id(),
        any::<u64>(),
        any::<Option<u64>>(),
        proptest::option::of(values::text()),
    )
        .prop_map(|(stream, seq, credit_bytes, refused)| Ack {
            stream,
            seq,
            credit_bytes,
            refused,
        })
}

proptest! {
    #[test]
    fn a_flow(update in values::flow_update()) {
        prop_assert_eq!(travel::<_, v1::FlowUpdate>(update.clone()), update);
    }

    #[test]
    fn an_application_event(record in values::app_record()) {
        prop_assert_eq!(travel::<_, v1::AppRecord>(record.clone()), record);
    }

    #[test]
    fn an_evidence(evidence in values::evidence()) {
        prop_assert_eq!(travel::<_, v1::Evidence>(evidence.clone()), evidence);
    }

    #[test]
    fn a_gap(gap in values::gap()) {
        prop_assert_eq!(travel::<_, v1::Gap>(gap.clone()), gap);
    }

    #[test]
    fn a_status(status in values::sensor_status()) {
        prop_assert_eq!(travel::<SensorStatus, v1::SensorStatus>(status.clone()), status);
    }

    #[test]
    fn a_hello(name in "[a-z0-9-]{1,64}", streams in vec(stream_id(), 0..5)) {
        let hello = Hello { sensor: SensorId::new(name).unwrap(), streams };
        prop_assert_eq!(travel::<Hello, v1::Hello>(hello.clone()), hello);
    }

    #[test]
    fn a_welcome(committed in vec(ack(), 0..5), credit_bytes in 1..=u64::MAX) {
        let welcome = Welcome { committed, credit_bytes };
        prop_assert_eq!(travel::<Welcome, v1::Welcome>(welcome.clone()), welcome);
    }

    #[test]
    fn a_batch(id in batch_id(), content in values::content()) {
        let sealed = v1::Batch::seal(&id, &v1::Payload::from(content.clone()));
        let bytes = sealed.encode_to_vec();
        let received = Batch::try_from(v1::Batch::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(received, Batch::local(id, content));
    }

    /// Cutting a batch at any size loses nothing and keeps the order of each kind.
    #[test]
    fn a_split_payload(content in values::content(), copies in 1..4_usize) {
        let one = v1::Payload::from(content);
        let mut whole = v1::Payload::default();
        for _ in 0..copies {
            whole.flows.extend(one.flows.iter().cloned());
            whole.apps.extend(one.apps.iter().cloned());
            whole.gaps.extend(one.gaps.iter().cloned());
        }
        let largest = whole.encoded_len() / 3;
        let mut joined = v1::Payload::default();
        whole.clone().split_to(largest, |part| {
            let part = match part {
                Ok(part) => {
                    assert!(part.encoded_len() <= largest);
                    part
                }
                Err(single) => {
                    assert!(single.encoded_len() > largest);
                    assert_eq!(single.flows.len() + single.apps.len() + single.gaps.len(), 1);
                    single
                }
            };
            joined.flows.extend(part.flows);
            joined.apps.extend(part.apps);
            joined.gaps.extend(part.gaps);
        });
        prop_assert_eq!(joined, whole);
    }
}

#[test]
fn an_empty_batch() {
    let id = BatchId {
        sensor: SensorId::new("edge-1").unwrap(),
        stream: StreamId {
            boot: BootId([7; 16]),
            stream: 0,
        },
        seq: 1,
    };
    let sealed = v1::Batch::seal(&id, &v1::Payload::default());
    assert_eq!(
        Batch::try_from(sealed).unwrap(),
        Batch::local(id, Content::default())
    );
}
