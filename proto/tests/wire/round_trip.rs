//! Model → wire → bytes → wire → model is the identity.

use std::fmt::Debug;

use lynceus_model::block::BlockOrders;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::status::SensorStatus;
use lynceus_model::window::{SensorId, Stage};
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, StreamId};
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
    (any::<[u8; 16]>(), stream_id(), 1..=u64::MAX).prop_map(|(sensor, stream, seq)| BatchId {
        sensor: SensorId(sensor),
        stream,
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
    fn an_alert(alert in values::alert()) {
        prop_assert_eq!(travel::<_, v1::Alert>(alert.clone()), alert);
    }

    #[test]
    fn a_window_update(update in values::window_update()) {
        prop_assert_eq!(travel::<_, v1::WindowUpdate>(update.clone()), update);
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
    fn a_hello(sensor: [u8; 16], streams in vec(stream_id(), 0..5), width: u64, takes_blocks: bool) {
        let window_width = (width != 0).then(|| std::time::Duration::from_nanos(width));
        let hello = Hello { sensor: SensorId(sensor), streams, window_width, takes_blocks };
        prop_assert_eq!(travel::<Hello, v1::Hello>(hello.clone()), hello);
    }

    #[test]
    fn block_orders(orders in values::block_orders()) {
        prop_assert_eq!(travel::<BlockOrders, v1::BlockOrders>(orders.clone()), orders);
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

    /// Cutting a batch at any size loses nothing and keeps the order; profiles merge to the same.
    #[test]
    fn a_split_payload(content in values::content(), divisor in 2..40_usize) {
        let whole = v1::Payload::from(content.clone());
        let largest = whole.encoded_len() / divisor;
        let mut parts = Vec::new();
        whole.split_to(largest, |part| {
            if let Ok(part) = &part {
                assert!(part.encoded_len() <= largest);
            }
            let (Ok(part) | Err(part)) = part;
            parts.push(Content::try_from(part).unwrap());
        });
        let gaps: Vec<_> = parts.iter().flat_map(|part| part.gaps.clone()).collect();
        prop_assert_eq!(&gaps, &content.gaps);
        let flows = |contents: &[Content]| -> Vec<_> {
            contents.iter().flat_map(|one| &one.updates).flat_map(|update| update.flows.clone()).collect()
        };
        prop_assert_eq!(flows(&parts), flows(std::slice::from_ref(&content)));
        let mut updates = parts.into_iter().flat_map(|part| part.updates);
        for expected in content.updates {
            let mut joined = updates.next().unwrap();
            while joined.apps.len() < expected.apps.len()
                || joined.flows.len() < expected.flows.len()
                || joined.stage != expected.stage
            {
                prop_assert_eq!(joined.stage, Stage::Partial);
                let next = updates.next().unwrap();
                prop_assert!(joined.delta.merge(&next.delta));
                joined.flows.extend(next.flows);
                joined.apps.extend(next.apps);
                joined.stage = next.stage;
            }
            prop_assert_eq!(joined, expected);
        }
        prop_assert!(updates.next().is_none());
    }
}

/// Past the limits of its tables a profile travels with its sketches, and goes on merging as if it had stayed.
#[test]
fn a_truncated_profile() {
    let whole = values::profile::scanner(3_000);
    assert!(whole.truncated());
    let wire = v1::ProfileDelta::from(&whole);
    assert!(wire.encoded_len() < 1 << 20, "{} bytes", wire.encoded_len());
    let travelled =
        ProfileDelta::try_from(v1::ProfileDelta::decode(wire.encode_to_vec().as_slice()).unwrap()).unwrap();
    assert_eq!(travelled, whole);

    let more = values::profile::scanner(4_000);
    let (mut here, mut there) = (whole, travelled);
    assert!(here.merge(&more) && there.merge(&more));
    assert_eq!(here, there);
}

#[test]
fn an_empty_batch() {
    let id = BatchId {
        sensor: SensorId([1; 16]),
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
