//! What modules are shown at once, and what they found of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lynceus_detect::{Earlier, ProfileUpdate};
use lynceus_model::app::AppRecord;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId, WindowUpdate};
use lynceus_proto::batch::Content;
use lynceus_proto::v1;

use crate::earlier::LookBack;

/// Updates that all modules are shown before anything they found takes effect: of one entry of the log, of windows that
/// are different and begin at the same time.
pub(crate) struct Group {
    pub(crate) sensor: SensorId,
    pub(crate) items: Vec<Item>,
}

/// One update, with all that is known of its window at this moment.
pub(crate) struct Item {
    pub(crate) content: Arc<Content>,
    /// Of the update in `content`.
    pub(crate) index: usize,
    pub(crate) profile: Arc<ProfileDelta>,
    pub(crate) history: LookBack,
    pub(crate) number: i64,
    /// Event time, where it advanced with this update.
    pub(crate) tick: Option<Timestamp>,
    /// The window before the update, where modules elsewhere have to be told of it.
    pub(crate) opened: Option<Arc<ProfileDelta>>,
}

impl Item {
    pub(crate) fn update(&self) -> &WindowUpdate {
        &self.content.updates[self.index]
    }

    /// What a detector is shown, in the name of this sensor or group of sensors.
    pub(crate) fn shown(&self, sensor: SensorId) -> ProfileUpdate<'_> {
        let update = self.update();
        ProfileUpdate {
            sensor,
            profile: &self.profile,
            delta: &update.delta,
            number: self.number,
            stage: update.stage,
            flows: &update.flows,
            apps: &update.apps,
        }
    }

    /// What modules elsewhere are told of the window before they see the update.
    pub(crate) fn opening(&self) -> Option<v1::WindowOpening> {
        let base = self.opened.as_ref()?;
        Some(v1::WindowOpening {
            update: u32::try_from(self.index).ok()?,
            base: (**base != ProfileDelta::new(base.window)).then(|| (&**base).into()),
            earlier: self.history.windows().iter().map(Into::into).collect(),
        })
    }

    /// Memory that is kept for a module that has not come to it: the window as it was, which is copied when it goes on,
    /// and what was new. Texts of messages are taken at a usual size.
    fn bytes(&self) -> usize {
        const TEXTS: usize = 256;
        let update = self.update();
        self.profile.bytes()
            + update.delta.bytes()
            + update.flows.len() * size_of::<FlowUpdate>()
            + update.apps.len() * (size_of::<AppRecord>() + TEXTS)
    }
}

/// What a module found at one update.
pub(crate) struct Found {
    /// Of the update in the group.
    pub(crate) item: usize,
    /// It was said at the tick after the update.
    pub(super) at_tick: bool,
    pub(super) module: usize,
    pub(crate) evidence: Vec<Evidence>,
}

/// What was found in a group after the others had gone on.
pub(crate) struct Late {
    pub(crate) group: Arc<Group>,
    /// In the order of updates, then of modules.
    pub(crate) found: Vec<Found>,
}

/// A group on its way through the tasks.
pub(super) struct Job {
    pub(super) group: Arc<Group>,
    found: Mutex<Vec<Found>>,
    /// Modules that are behind and not through with it.
    owed: AtomicUsize,
}

impl Job {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            found: Mutex::default(),
            owed: AtomicUsize::new(0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.group.items.iter().map(Item::bytes).sum()
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = WindowId> {
        self.group.items.iter().map(|item| item.profile.window)
    }

    pub(super) fn add(&self, found: &mut Vec<Found>) {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(found);
    }

    /// What was found since the last call, in the order of updates and then of modules, whoever came first.
    pub(super) fn take(&self) -> Vec<Found> {
        let mut found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        found.sort_by_key(|found| (found.item, found.at_tick, found.module));
        found
    }

    pub(super) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// One module is through with it, or will never be.
    pub(super) fn paid(&self) {
        self.owed.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }
}
