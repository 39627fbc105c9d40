//! Batches that were sent and are not acknowledged.

use std::collections::VecDeque;

use lynceus_proto::batch::StreamId;
use lynceus_proto::session::Ack;

#[derive(Debug)]
pub(super) struct Sent {
    /// In the spool.
    pub(super) index: u64,
    pub(super) stream: StreamId,
    pub(super) seq: u64,
    /// Of its payload: what counts against the credit.
    pub(super) bytes: u64,
}

/// In the order of sending. Bounded by the credit.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    sent: VecDeque<Sent>,
    bytes: u64,
}

impl InFlight {
    pub(super) fn push(&mut self, sent: Sent) {
        self.bytes += sent.bytes;
        self.sent.push_back(sent);
    }

    /// Whether so many more bytes may go out. One batch always may, or a small credit would stop everything.
    pub(super) fn has_credit(&self, bytes: u64, credit: u64) -> bool {
        self.sent.is_empty() || self.bytes + bytes <= credit
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Takes off what the acknowledgement covers: everything of its stream up to its number. Streams are sent one
    /// after the other, so these are the first ones.
    pub(super) fn acknowledged(&mut self, ack: &Ack) -> Vec<Sent> {
        let covered = |sent: &Sent| sent.stream == ack.stream && sent.seq <= ack.seq;
        let count = self.sent.iter().take_while(|sent| covered(sent)).count();
        let done: Vec<Sent> = self.sent.drain(..count).collect();
        self.bytes -= done.iter().map(|sent| sent.bytes).sum::<u64>();
        done
    }
}

#[cfg(test)]
mod tests {
    use lynceus_proto::batch::BootId;

    use super::*;

    fn stream(boot: u8) -> StreamId {
        StreamId {
            boot: BootId([boot; 16]),
            stream: 0,
        }
    }

    fn ack(boot: u8, seq: u64) -> Ack {
        Ack {
            stream: stream(boot),
            seq,
            credit_bytes: None,
            refused: None,
        }
    }

    #[test]
    fn an_acknowledgement_covers_its_own_stream_only() {
        let mut in_flight = InFlight::default();
        for (index, (boot, seq)) in [(1, 8), (1, 9), (2, 1), (2, 2)].into_iter().enumerate() {
            let stream = stream(boot);
            in_flight.push(Sent {
                index: index as u64,
                stream,
                seq,
                bytes: 10,
            });
        }
        assert!(in_flight.has_credit(10, 50) && !in_flight.has_credit(11, 50));
        assert!(in_flight.acknowledged(&ack(2, 2)).is_empty());
        assert_eq!(in_flight.acknowledged(&ack(1, 9)).len(), 2);
        assert_eq!(in_flight.acknowledged(&ack(1, 9)).len(), 0);
        assert_eq!(in_flight.acknowledged(&ack(2, 1)).len(), 1);
        assert!(!in_flight.is_empty() && in_flight.has_credit(10, 20));
        in_flight.acknowledged(&ack(2, 2));
        assert!(in_flight.is_empty() && in_flight.has_credit(1_000, 0));
    }
}
