//! What the decoders say of a flow's application protocol, joined with the flow.
//!
//! In files the packet's flow is at hand. Live, a head comes up at once and the flow's record up to a sweep later: the
//! word waits for its flow.

use std::time::Duration;

use lynceus_model::flow::Service;
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::FlowKey;

use super::entry::Content;
use super::{Expiry, FlowTable, Place, nanos, state};
use crate::decode::Generations;

/// Words that wait for their flow: some seconds of new flows. A forgotten one leaves its flow [`Service::Unseen`].
const WAITING: usize = 131_072;
/// Longer than a sweep and the way through the queues take.
const AGE: Duration = Duration::from_secs(30);

pub(super) type Waiting = Generations<FlowKey, Word>;

/// What was said of a flow that is not in the table yet.
#[derive(Default)]
pub(super) struct Word {
    content: Content,
    time: Timestamp,
}

pub(super) fn waiting() -> Waiting {
    Generations::new(WAITING, AGE)
}

impl FlowTable {
    /// Notes what a head of the flow of the last packet says.
    #[inline]
    pub fn note(&mut self, place: Place, service: Service) {
        self.entries[place.0].content.note(service);
    }

    /// Notes what a head of a live flow says; the flow's records may come later.
    pub fn note_live(&mut self, key: &FlowKey, service: Service, time: Timestamp) {
        if service == Service::Unseen {
            return;
        }
        let entries = &self.entries;
        if let Some(slot) = self
            .index
            .find(self.index.hash(key), |slot| entries[slot].key == *key)
        {
            let entry = &mut self.entries[slot];
            let silence = time.0.saturating_sub(entry.last.0);
            let idle = match &self.config.expiry {
                Expiry::Timeouts(timeouts) => nanos(timeouts.idle(entry)),
                Expiry::Never => i64::MAX,
            };
            let is_over = silence > idle || silence > 0 && state::is_over(entry.flags);
            if !is_over {
                entry.content.note(service);
                return;
            }
        }
        let word = self.waiting.entry(*key, time, drop);
        word.content.note(service);
        word.time = time;
    }

    /// Gives a flow that began by a record what was said of it before.
    pub(super) fn take_word(&mut self, slot: u32) {
        let entry = &mut self.entries[slot];
        if let Some(word) = self.waiting.remove(&entry.key)
            && entry.first.since(word.time) <= AGE
        {
            entry.content.note(word.content.service());
        }
    }
}
