//! What must survive a restart. Whoever keeps it writes it down at a place of the log, and shows what came after that
//! place again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lynceus_model::outlier::FEATURES_VERSION;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::{Baseline, Closed, Fingerprints, Fleet, Generation, Open, Outlier, Own, Role};

/// All but the pasts of profiles, which are kept one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// [`FEATURES_VERSION`] that it was made with.
    pub version: u32,
    /// Role, current and previous generation.
    pub baselines: Vec<(Role, Generation, Generation)>,
    pub fingerprints: Fingerprints,
    pub fingerprints_since: Option<Timestamp>,
    pub open: Vec<(WindowId, Open)>,
    pub closed: Vec<Closed>,
    pub done: Vec<WindowId>,
    pub fleet: Fleet,
}

impl Outlier {
    #[must_use]
    pub fn state(&self) -> State {
        State {
            version: FEATURES_VERSION,
            baselines: self
                .baselines
                .iter()
                .map(|(role, baseline)| (*role, baseline.current.clone(), baseline.previous.clone()))
                .collect(),
            fingerprints: self.fingerprints.clone(),
            fingerprints_since: self.fingerprints_since,
            open: self
                .open
                .iter()
                .map(|((_, window), open)| (*window, open.clone()))
                .collect(),
            closed: self.closed.values().flat_map(BTreeMap::values).cloned().collect(),
            done: self.done.iter().map(|(_, window)| *window).collect(),
            fleet: self.fleet.clone(),
        }
    }

    /// Goes on from a state. One of another version of the features is of no use and gives false: the baseline begins
    /// anew, and says that it is not warm.
    pub fn restore(&mut self, state: State) -> bool {
        if state.version != FEATURES_VERSION {
            return false;
        }
        self.baselines = state
            .baselines
            .into_iter()
            .map(|(role, current, previous)| {
                let mut baseline = Baseline::from_parts(current, previous);
                baseline.compiled();
                (role, baseline)
            })
            .collect();
        self.fingerprints = state.fingerprints;
        self.fingerprints_since = state.fingerprints_since;
        let open = state.open.into_iter().take(Self::MAX_OPEN);
        self.open = open
            .map(|(window, open)| ((window.start, window), open))
            .collect();
        self.held = BTreeMap::new();
        for ((start, _), _) in self.open.iter().filter(|(_, open)| open.is_held()) {
            *self.held.entry(*start).or_default() += 1;
        }
        self.closed = BTreeMap::new();
        for closed in state.closed.into_iter().take(Self::MAX_WAITING) {
            let waiting = self.closed.entry(closed.window.start).or_default();
            waiting.insert(closed.window.profile, closed);
        }
        self.waiting = self.closed.values().map(BTreeMap::len).sum();
        self.fleet = state.fleet;
        let done = state.done.into_iter().take(Self::MAX_DONE);
        self.done = done.map(|window| (window.start, window)).collect();
        true
    }

    /// Profiles with windows that wait to be judged. After [`Outlier::restore`] their pasts must be put, if there are any.
    pub fn waiting(&self) -> impl Iterator<Item = IpAddr> {
        self.closed.values().flat_map(BTreeMap::keys).copied()
    }

    /// Whether the past of a profile is in memory.
    #[must_use]
    pub fn knows(&self, profile: IpAddr) -> bool {
        self.owns.contains_key(&profile)
    }

    /// Puts the past of a profile into memory, as it was kept.
    pub fn put_own(&mut self, profile: IpAddr, own: Own) {
        self.owns.entry(profile).or_insert_with(|| Box::new(own));
    }

    /// The past of a profile, if it is in memory.
    #[must_use]
    pub fn own(&self, profile: IpAddr) -> Option<&Own> {
        self.owns.get(&profile).map(Box::as_ref)
    }

    /// Shows the pasts that changed since the last call, in the order of addresses; they count as kept then.
    pub fn each_changed(&mut self, mut each: impl FnMut(IpAddr, &Own)) {
        let mut changed: Vec<(&IpAddr, &mut Box<Own>)> =
            self.owns.iter_mut().filter(|(_, own)| own.dirty).collect();
        changed.sort_unstable_by_key(|(ip, _)| **ip);
        for (ip, own) in changed {
            each(*ip, own);
            own.dirty = false;
        }
    }

    /// Lets the pasts go that are kept and taught least recently, until [`super::Config::max_profiles`] are left.
    pub fn shrink(&mut self) {
        let Some(beyond) = self.owns.len().checked_sub(self.config.max_profiles) else {
            return;
        };
        // Windows that wait to be judged are compared with their pasts.
        let waiting: BTreeSet<IpAddr> = self.waiting().collect();
        let kept = self
            .owns
            .iter()
            .filter(|(ip, own)| !own.dirty && !waiting.contains(*ip));
        let mut oldest: Vec<(Timestamp, IpAddr)> = kept.map(|(ip, own)| (own.last, *ip)).collect();
        oldest.sort_unstable();
        for (_, ip) in oldest.into_iter().take(beyond) {
            self.owns.remove(&ip);
        }
    }

    /// Whether there are so many pasts in memory that they should be kept and let go now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.owns.len()
            > self
                .config
                .max_profiles
                .saturating_add(self.config.max_profiles / 4)
    }

    /// The baselines, by role.
    pub fn baselines(&self) -> impl Iterator<Item = (Role, &Baseline)> {
        self.baselines.iter().map(|(role, baseline)| (*role, baseline))
    }
}
