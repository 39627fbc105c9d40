//! Measures of a payload, and cutting it where it is too large for a message.

use lynceus_model::time::Timestamp;
use prost::Message;

use super::Bounds;
use crate::limits;
use crate::v1;

impl v1::Payload {
    #[must_use]
    pub fn counts(&self) -> v1::Counts {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        v1::Counts {
            updates: count(self.updates.len()),
            flows: count(self.updates.iter().map(|update| update.flows.len()).sum()),
            apps: count(self.updates.iter().map(|update| update.apps.len()).sum()),
            gaps: count(self.gaps.len()),
        }
    }

    /// Cuts it into parts that a receiver takes, in order. `Err` carries what is too large and cannot be cut.
    ///
    /// An update that is too large alone becomes several of the same window: the first ones are partial, the last
    /// one has the stage. Its delta travels once, with the first.
    pub fn split(self, each: impl FnMut(Result<Self, Self>)) {
        self.split_to(limits::BATCH_BYTES, each);
    }

    /// [`split`](Self::split) with another limit of encoded bytes.
    pub fn split_to(self, bytes: usize, mut each: impl FnMut(Result<Self, Self>)) {
        // Depth first keeps the order; the stack grows with the logarithm of the number of items.
        let mut stack = vec![self];
        while let Some(mut payload) = stack.pop() {
            if payload.longest_list() <= limits::BATCH_ITEMS && payload.encoded_len() <= bytes {
                each(Ok(payload));
            } else if let Some(rest) = payload.take_second_half() {
                stack.push(rest);
                stack.push(payload);
            } else {
                each(Err(payload));
            }
        }
    }

    /// Least and greatest event time; both 0 where there is none.
    pub(super) fn bounds(&self) -> (Timestamp, Timestamp) {
        let mut bounds = Bounds::default();
        for update in &self.updates {
            if let Some(span) = update.delta.as_ref().and_then(|delta| delta.span) {
                bounds.add(span.first, span.last);
            }
            let flows = update.flows.iter().filter_map(|update| update.flow.as_ref());
            flows.for_each(|flow| bounds.add(flow.first, flow.last));
            update
                .apps
                .iter()
                .for_each(|record| bounds.add(record.time, record.time));
        }
        self.gaps.iter().for_each(|gap| bounds.add(gap.first, gap.last));
        bounds.ends()
    }

    fn longest_list(&self) -> usize {
        let inner = self
            .updates
            .iter()
            .map(|update| update.flows.len().max(update.apps.len()));
        inner
            .max()
            .unwrap_or(0)
            .max(self.updates.len())
            .max(self.gaps.len())
    }

    fn take_second_half(&mut self) -> Option<Self> {
        if self.updates.len() > 1 {
            let updates = self.updates.split_off(self.updates.len() / 2);
            let gaps = std::mem::take(&mut self.gaps);
            return Some(Self {
                updates,
                gaps,
                said: None,
            });
        }
        if !self.gaps.is_empty() && (self.gaps.len() > 1 || !self.updates.is_empty()) {
            let kept = if self.updates.is_empty() {
                self.gaps.len() / 2
            } else {
                0
            };
            return Some(Self {
                updates: Vec::new(),
                gaps: self.gaps.split_off(kept),
                said: None,
            });
        }
        let rest = self.updates.first_mut()?.take_second_half()?;
        Some(Self {
            updates: vec![rest],
            gaps: Vec::new(),
            said: None,
        })
    }
}

impl v1::WindowUpdate {
    fn take_second_half(&mut self) -> Option<Self> {
        let delta = self.delta.as_ref()?;
        let empty = v1::ProfileDelta {
            profile: delta.profile.clone(),
            window_start: delta.window_start,
            ..v1::ProfileDelta::default()
        };
        let items = self.flows.len() + self.apps.len();
        // A delta without its flows cannot be cut further, nor can a single flow without a delta.
        if items == 0 || (items == 1 && *delta == empty) {
            return None;
        }
        // Of one flow and one message the flow stays; the only item goes, so that the delta is alone.
        let flows = match self.flows.len() {
            1 if items > 1 => 1,
            length => length / 2,
        };
        let apps = self.apps.len() / 2;
        let rest = Self {
            delta: Some(empty),
            stage: self.stage,
            flows: self.flows.split_off(flows),
            apps: self.apps.split_off(apps),
        };
        self.stage = v1::Stage::Partial.into();
        Some(rest)
    }
}
