//! Outlier: a window that is far from its peers and from the profile's own past, with an exact account of why.
//!
//! Windows are judged when they are over, all that began together at once, against the windows of the last one to two
//! weeks of profiles in the same role. While that baseline is not warm, windows are compared with each other and
//! nothing is raised. The user says how many false alarms a day are bearable; the scores that were seen say which score
//! that is. Formulas: `lynceus_model::outlier`; figures: `docs/outliers.md`.

mod account;
mod baseline;
mod close;
mod fleet;
mod judge;
mod open;
mod own;
mod roles;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId};
use serde::{Deserialize, Serialize};

pub use self::account::Seen;
pub use self::baseline::{Baseline, Compiled, GENERATION, Generation};
pub use self::close::Closed;
pub use self::fleet::{Fleet, Heard};
pub use self::judge::{Judged, Knows, Odd, Warmth};
pub use self::open::{Fingerprints, Open};
pub use self::own::Own;
pub use self::roles::{Group, Role};
pub use self::state::State;

use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`Outlier`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// False alarms that are bearable, of all profiles together.
    pub alarms_per_day: f64,
    /// Windows of a role, and the time they span, before anything is raised.
    pub warm_windows: u64,
    #[serde(with = "humantime_serde")]
    pub warm_after: Duration,
    /// Profiles whose own past is in memory; the pasts of others are in the store.
    pub max_profiles: usize,
    /// Peers that the administrator puts together, at most eight groups; others are clients, servers or outside.
    pub groups: Vec<Group>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            alarms_per_day: 1.0,
            warm_windows: 200,
            warm_after: Duration::from_secs(24 * 3600),
            max_profiles: 100_000,
            groups: Vec::new(),
        }
    }
}

/// Judges windows that are over.
#[derive(Debug)]
pub struct Outlier {
    config: Config,
    context: Context,
    width: Duration,
    baselines: BTreeMap<Role, Baseline>,
    owns: HashMap<IpAddr, Box<Own>>,
    fingerprints: Fingerprints,
    /// First ClientHello.
    fingerprints_since: Option<Timestamp>,
    open: BTreeMap<(Timestamp, WindowId), Open>,
    /// Of the windows in `open` that began at a time, how many some sensor has not closed. None is 0.
    held: BTreeMap<Timestamp, usize>,
    /// By profile: a window is closed once by each sensor that saw it, and the last one has all of it.
    closed: BTreeMap<Timestamp, BTreeMap<IpAddr, Closed>>,
    waiting: usize,
    fleet: Fleet,
    /// Who says what is shown now.
    origin: SensorId,
    /// Windows that were judged: a late record does not make them be judged again.
    done: BTreeSet<(Timestamp, WindowId)>,
    judged: Vec<Judged>,
    /// Place in the log of what is shown now; 0 without one.
    position: u64,
    counters: Counters,
}

/// What was refused, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Windows of which too many were open: their messages are not known.
    pub open_refused: u64,
    /// Windows judged before the others of their time were over, because too many waited.
    pub judged_early: u64,
    /// Windows that were judged already.
    pub late: u64,
    /// Windows too old for the baseline.
    pub too_old: u64,
    /// Sensors that were not waited for any more, because too many others spoke.
    pub sensors_forgotten: u64,
    /// Pasts of profiles that left memory without having been stored.
    pub pasts_forgotten: u64,
}

impl Outlier {
    /// Open windows: more than a sensor keeps in memory. Some 25 MB.
    const MAX_OPEN: usize = 65_536;
    /// Windows that are over and wait for the others of their time: at 1 to 3 KB each at most some 100 MB.
    const MAX_WAITING: usize = 32_768;
    /// Windows that are remembered as judged: 3 MB.
    const MAX_DONE: usize = 65_536;
    /// Accounts that nobody has taken; whoever drives the detector takes them after each update.
    const MAX_JUDGED: usize = 131_072;
    /// Event time after which windows are judged although others of their time are still open.
    const PATIENCE: Duration = Duration::from_secs(3600);

    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            context: context.clone(),
            width: lynceus_model::time::WindowPlan::DEFAULT_WIDTH,
            baselines: BTreeMap::new(),
            owns: HashMap::new(),
            fingerprints: Fingerprints::default(),
            fingerprints_since: None,
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            closed: BTreeMap::new(),
            waiting: 0,
            fleet: Fleet::default(),
            origin: SensorId::default(),
            done: BTreeSet::new(),
            judged: Vec::new(),
            position: 0,
            counters: Counters::default(),
        }
    }

    /// Width of the windows, where it is not the default one.
    pub const fn set_width(&mut self, width: Duration) {
        self.width = width;
    }

    /// Place in the log of what is shown from now on: what was learnt from a place is not learnt again from it.
    pub const fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// The sensor that says what is shown from now on.
    pub const fn set_origin(&mut self, sensor: SensorId) {
        self.origin = sensor;
    }

    /// Accounts of windows that were judged since the last call.
    pub fn take_judged(&mut self) -> Vec<Judged> {
        std::mem::take(&mut self.judged)
    }

    /// Notes that a detector found something in a window, while `shown` is looked at: detectors come before this one,
    /// so that window may not be open yet.
    pub fn saw(&mut self, window: WindowId, kind: EvidenceType, shown: WindowId) {
        let key = (window.start, window);
        if window == shown && self.open.len() < Self::MAX_OPEN && !self.done.contains(&key) {
            self.open.entry(key).or_default().saw(kind);
        } else if let Some(open) = self.open.get_mut(&key) {
            open.saw(kind);
        }
    }

    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Memory of baselines and pasts, struct and heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entry = size_of::<(IpAddr, Box<Own>)>() + 1;
        self.baselines.values().map(Baseline::bytes).sum::<usize>()
            + self.owns.len() * size_of::<Own>()
            + self.owns.capacity() * entry
    }

    fn open_window(&mut self, update: &ProfileUpdate<'_>) {
        let window = update.profile.window;
        let key = (window.start, window);
        let hears = |event: &lynceus_model::app::AppRecord| {
            matches!(event.event, lynceus_model::app::AppEvent::TlsClient(_))
        };
        if let Some(first) = update.apps.iter().find(|record| hears(record)) {
            let since = self.fingerprints_since.unwrap_or(first.time);
            self.fingerprints_since = Some(since.min(first.time));
        }
        if self.open.len() >= Self::MAX_OPEN && !self.open.contains_key(&key) {
            self.counters.open_refused += 1;
            return;
        }
        let open = self.open.entry(key).or_default();
        open.hear(update, &mut self.fingerprints);
        if update.stage != Stage::Closed && open.hold(self.origin) {
            *self.held.entry(window.start).or_default() += 1;
        }
    }

    /// The window is over for one sensor: when it is for all that saw it, it waits for the others of its time.
    fn close_window(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) {
        let window = update.profile.window;
        let key = (window.start, window);
        if self.done.contains(&key) {
            self.forget_open(key);
            self.counters.late += 1;
            return;
        }
        if let Some(open) = self.open.get_mut(&key)
            && open.release(self.origin)
        {
            self.let_go(window.start);
        }
        let none = Open::default();
        let closed = self.closed_of(update, history, self.open.get(&key).unwrap_or(&none));
        let waiting = self.closed.entry(window.start).or_default();
        if waiting.insert(window.profile, closed).is_none() {
            self.waiting += 1;
        }
    }

    fn forget_open(&mut self, key: (Timestamp, WindowId)) {
        if self.open.remove(&key).is_some_and(|open| open.is_held()) {
            self.let_go(key.0);
        }
    }

    /// One window less that is not closed.
    fn let_go(&mut self, start: Timestamp) {
        if let Some(held) = self.held.get_mut(&start) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&start);
            }
        }
    }

    /// Judges the windows that began at `start` or before, if all of their time are over for all sensors.
    fn judge_if_complete(&mut self, start: Timestamp) -> Vec<Evidence> {
        let starts: Vec<Timestamp> = self.closed.range(..=start).map(|(start, _)| *start).collect();
        let mut found = Vec::new();
        for start in starts {
            let early = self.held.contains_key(&start) || self.fleet.awaits(start, self.patience());
            if early && self.waiting < Self::MAX_WAITING {
                continue;
            }
            self.counters.judged_early += u64::from(early);
            found.extend(self.judge_all(start));
        }
        found
    }

    fn judge_all(&mut self, start: Timestamp) -> Vec<Evidence> {
        let closed = self.closed.remove(&start).unwrap_or_default();
        self.waiting -= closed.len();
        for closed in closed.values() {
            let key = (start, closed.window);
            self.forget_open(key);
            self.done.insert(key);
        }
        while self.done.len() > Self::MAX_DONE {
            self.done.pop_first();
        }
        self.judge(closed.into_values().collect())
    }

    /// Event time after the end of windows in which those of slow sensors are waited for.
    const fn patience(&self) -> Duration {
        Self::PATIENCE.saturating_add(self.width)
    }
}

impl Detector for Outlier {
    fn name(&self) -> &'static str {
        "outlier"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let over = update.stage == Stage::Closed;
        if !self.fleet.hear(self.origin, update.profile.window.start, over) {
            self.counters.sensors_forgotten += 1;
        }
        self.open_window(update);
        if !over {
            return Vec::new();
        }
        self.close_window(update, history);
        self.judge_if_complete(update.profile.window.start)
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Evidence> {
        let wait = self.width.saturating_add(self.patience());
        let over = |start: Timestamp| start.saturating_add(wait) < now;
        let starts: Vec<Timestamp> = self
            .closed
            .keys()
            .copied()
            .take_while(|start| over(*start))
            .collect();
        // Windows that left the sensor's memory early are never closed.
        let forgotten: Vec<_> = self
            .open
            .keys()
            .copied()
            .take_while(|(start, _)| over(*start))
            .collect();
        let found = starts
            .into_iter()
            .flat_map(|start| self.judge_all(start))
            .collect();
        forgotten.into_iter().for_each(|key| self.forget_open(key));
        found
    }
}
