//! Traffic of several pages put together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::{CommunityId, Flow, FlowUpdate};
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;

/// Flows by identity, so that a flow that was reported in parts stands once.
#[derive(Clone, Default)]
pub struct Collected {
    flows: HashMap<(CommunityId, Timestamp), (u32, Flow)>,
    messages: Vec<AppRecord>,
    seen: usize,
}

impl Collected {
    /// Takes an entry of a list of traffic.
    ///
    /// # Errors
    /// The entry is not valid.
    pub fn add(&mut self, entry: v1::Traffic) -> Result<(), lynceus_proto::Invalid> {
        self.seen += 1;
        match entry.entry {
            Some(v1::traffic::Entry::Flow(update)) => {
                let update = FlowUpdate::try_from(update)?;
                let key = (update.flow.community_id, update.flow.first);
                // Totals count from the beginning of the flow: the last part says all.
                match self.flows.entry(key) {
                    Entry::Occupied(mut known) if known.get().0 < update.part => {
                        known.insert((update.part, update.flow));
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(free) => {
                        free.insert((update.part, update.flow));
                    }
                }
            }
            Some(v1::traffic::Entry::App(record)) => self.messages.push(AppRecord::try_from(record)?),
            None => {}
        }
        Ok(())
    }

    /// Entries taken so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.seen
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Messages in order of time; flows in any (the timeline sorts).
    #[must_use]
    pub fn finish(mut self) -> (Vec<Flow>, Vec<AppRecord>) {
        self.messages.sort_by_key(|record| record.time);
        (
            self.flows.into_values().map(|(_, flow)| flow).collect(),
            self.messages,
        )
    }
}
