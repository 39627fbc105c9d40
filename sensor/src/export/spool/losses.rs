//! What is missing, joined by reason.

use std::collections::BTreeMap;

use lynceus_model::status::{Gap, GapReason};

use super::frame::Meta;

/// Everything that was lost for one reason since the spool was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub reason: GapReason,
    pub batches: u64,
    pub flows: u64,
}

/// Bounded by the number of reasons.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pending: BTreeMap<GapReason, Gap>,
    totals: BTreeMap<GapReason, (u64, u64)>,
}

impl Losses {
    pub(super) fn add(&mut self, reason: GapReason, meta: &Meta) {
        // What a gap record tells was counted when it was lost.
        if meta.gaps == 0 {
            let (batches, flows) = self.totals.entry(reason).or_default();
            *batches += 1;
            *flows = flows.saturating_add(meta.flows);
        }
        let known = |count: u64| (meta.unknown == 0).then_some(count);
        self.restore(&Gap {
            reason,
            first: meta.first,
            last: meta.last,
            batches: known(meta.batches),
            updates: known(meta.updates),
            flows: known(meta.flows),
            apps: known(meta.apps),
            packets: None,
        });
    }

    /// Something is missing and nobody can say how much.
    pub(super) fn add_unknown(&mut self, gap: &Gap) {
        self.totals.entry(gap.reason).or_default().0 += 1;
        self.restore(gap);
    }

    pub(super) fn restore(&mut self, gap: &Gap) {
        self.pending
            .entry(gap.reason)
            .and_modify(|pending| pending.absorb(gap))
            .or_insert_with(|| gap.clone());
    }

    pub(super) fn take(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.pending).into_values().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn totals(&self) -> Vec<Lost> {
        let lost = |(reason, (batches, flows)): (&GapReason, &(u64, u64))| Lost {
            reason: *reason,
            batches: *batches,
            flows: *flows,
        };
        self.totals.iter().map(lost).collect()
    }
}
