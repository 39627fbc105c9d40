//! The windows of a module elsewhere: built from the stream as the collector builds its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{Stage, WindowId};
use lynceus_proto::batch::Content;

use crate::dispatch::is_at_rest;
use crate::earlier::{LookBack, Packed};
use crate::modules::Item;

/// What an entry says of a window that its reader may not know.
pub(super) struct Opening {
    /// The window before the update; `None`: it began with it.
    pub(super) base: Option<ProfileDelta>,
    /// Earlier windows of the profile, newest first.
    pub(super) earlier: Vec<ProfileDelta>,
}

struct Open {
    /// Entry that opened it.
    since: u64,
    closed: bool,
    profile: Arc<ProfileDelta>,
    history: Arc<Packed>,
    bytes: usize,
    touched: u64,
}

/// Windows that updates still change.
pub(super) struct Windows {
    plan: WindowPlan,
    open: HashMap<WindowId, Open>,
    /// The longest untouched first.
    by_touch: BTreeMap<u64, WindowId>,
    clock: u64,
    bytes: usize,
    max_bytes: usize,
    /// Newest event time.
    now: Timestamp,
    torn: u64,
}

impl Windows {
    /// `max_bytes`: of the collector's windows. Twice as many stay here, so that the collector forgets a window first and
    /// says it again when it comes back.
    pub(super) fn new(plan: WindowPlan, max_bytes: usize) -> Self {
        Self {
            plan,
            open: HashMap::new(),
            by_touch: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            max_bytes: max_bytes.saturating_mul(2),
            now: Timestamp::MIN,
            torn: 0,
        }
    }

    /// Merges an update of an entry and gives what modules are to be shown.
    pub(super) fn merge(
        &mut self,
        entry: u64,
        content: &Arc<Content>,
        index: usize,
        opening: Option<Opening>,
    ) -> Item {
        let update = &content.updates[index];
        let id = update.delta.window;
        self.clock += 1;
        if opening.is_none() && !self.open.contains_key(&id) {
            self.torn += 1;
        }
        let open = match opening {
            Some(Opening { base, earlier }) => {
                let mut packed = Packed::default();
                earlier.iter().for_each(|window| packed.push(window));
                let profile = Arc::new(base.unwrap_or_else(|| ProfileDelta::new(id)));
                self.remove(id);
                self.open
                    .entry(id)
                    .insert_entry(Open::new(entry, profile, Arc::new(packed)))
                    .into_mut()
            }
            None => self
                .open
                .entry(id)
                .or_insert_with(|| Open::new(entry, Arc::new(ProfileDelta::new(id)), Arc::default())),
        };
        let merged = Arc::make_mut(&mut open.profile).merge(&update.delta);
        debug_assert!(merged, "the window was looked up by the delta's own identity");
        open.closed = update.stage == Stage::Closed;
        self.by_touch.remove(&open.touched);
        open.touched = self.clock;
        self.by_touch.insert(self.clock, id);
        let bytes = open.profile.bytes() + open.history.bytes();
        self.bytes = self.bytes - open.bytes + bytes;
        open.bytes = bytes;
        let (profile, history) = (Arc::clone(&open.profile), Arc::clone(&open.history));
        let last = update.delta.span.map(|(_, last)| last);
        let tick = last.filter(|last| *last > self.now);
        self.now = tick.unwrap_or(self.now);
        Item {
            content: Arc::clone(content),
            index,
            profile,
            history: LookBack::new(history),
            number: self.plan.number_of(id.start),
            tick,
            opened: None,
        }
    }

    /// Lets windows go that rest, and beyond the bound those untouched for longest.
    pub(super) fn rest(&mut self) {
        let at_rest = |(id, open): (&WindowId, &Open)| {
            is_at_rest(id.start, open.closed, &self.plan, self.now).then_some(*id)
        };
        let gone: Vec<WindowId> = self.open.iter().filter_map(at_rest).collect();
        gone.into_iter().for_each(|id| self.remove(id));
        while self.bytes > self.max_bytes
            && let Some((_, id)) = self.by_touch.first_key_value()
        {
            self.remove(*id);
        }
    }

    /// Whoever reads on after this entry knows all windows that are open now; `done` if there are none.
    pub(super) fn replay_from(&self, done: u64) -> u64 {
        let earliest = self.open.values().map(|open| open.since).min();
        earliest.map_or(done, |since| since.saturating_sub(1).min(done))
    }

    pub(super) const fn is_full(&self) -> bool {
        self.bytes > self.max_bytes
    }

    /// Windows of which only a part is known, because the stream's bound removed the rest.
    pub(super) const fn torn(&self) -> u64 {
        self.torn
    }

    fn remove(&mut self, id: WindowId) {
        if let Some(open) = self.open.remove(&id) {
            self.by_touch.remove(&open.touched);
            self.bytes -= open.bytes;
        }
    }
}

impl Open {
    const fn new(since: u64, profile: Arc<ProfileDelta>, history: Arc<Packed>) -> Self {
        Self {
            since,
            closed: false,
            profile,
            history,
            bytes: 0,
            touched: 0,
        }
    }
}
