//! From flows and messages to profile deltas: a state machine without clock and threads.
//!
//! Time is event time: the newest packet seen so far. Deltas are cut where it passes a multiple of the refresh interval,
//! so they depend on the sequence of events only, not on how events came in batches.
//!
//! * A flow stands in the window in which it began; later parts of a long flow in the window of their last packet. It
//!   counts as one flow with its first part, its packets and bytes count where they fall.
//! * A flow is established or not as its report says. If that changes from one part to the next, packets and bytes of
//!   the later parts stand with the new state; the flow is not counted again.
//! * Deltas merge, so a profile that had to leave memory loses nothing but the continuity of its letters.

mod carry;
mod live;
mod lives;
mod solicitations;
mod strokes;

use std::net::IpAddr;
use std::time::Duration;

use crate::address::{Network, is_host};
use crate::app::{AppEvent, AppRecord};
use crate::flow::FlowUpdate;
use crate::time::{Timestamp, WindowPlan};
use crate::window::{Direction, SensorId, Stage, WindowId, WindowUpdate};
use carry::Budget;
use live::{Live, Role, Written};
use lives::Lives;
use solicitations::{Solicitations, Unanswered};
use strokes::Strokes;

/// How profiles are made.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfilerConfig {
    pub sensor: SensorId,
    pub plan: WindowPlan,
    pub direction: Direction,
    /// Only addresses in these networks get a profile; empty: all.
    pub home: Vec<Network>,
    /// Event time between two deltas of a profile.
    pub refresh: Duration,
    /// How long letters wait for flows that began earlier but are reported later: the longest time from the begin of a
    /// flow to its first report, which is the source's active plus idle timeout. A window closes this long after its
    /// end.
    pub reorder_wait: Duration,
    /// Bytes of flows and messages that travel with the deltas of one refresh interval. What is beyond is in the
    /// numbers only and is counted in [`NotCarried`](crate::profile::NotCarried).
    pub carry_bytes: usize,
    /// Windows in memory. Beyond, those that were quiet for longest are sent and forgotten.
    pub max_windows: usize,
}

impl Default for ProfilerConfig {
    fn default() -> Self {
        Self {
            sensor: SensorId::default(),
            plan: WindowPlan {
                origin: Timestamp(0),
                width: WindowPlan::DEFAULT_WIDTH,
            },
            direction: Direction::Out,
            home: Vec::new(),
            refresh: Duration::from_secs(10),
            reorder_wait: Duration::from_secs(600),
            carry_bytes: 128 << 20,
            max_windows: 32_768,
        }
    }
}

/// What the profiler did and refused, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfilerCounters {
    /// Flow reports.
    pub flow_updates: u64,
    pub apps: u64,
    /// Flow reports and messages of addresses outside the home networks: in no profile.
    pub outside_home: u64,
    pub windows_opened: u64,
    /// Windows sent and forgotten early because [`ProfilerConfig::max_windows`] was reached.
    pub windows_evicted: u64,
    /// Flows without letter: their tuple found no place.
    pub letters_refused: u64,
    /// Flows without letter: reported after a later flow of their tuple was written.
    pub letters_late: u64,
    /// Flow reports that are in the numbers but did not travel.
    pub flows_not_carried: u64,
    pub apps_not_carried: u64,
    /// Neighbour solicitations that count as unanswered before their time: too many waited.
    pub solicitations_hurried: u64,
}

/// Makes window updates of flows and messages.
#[derive(Debug)]
pub struct Profiler {
    config: ProfilerConfig,
    lives: Lives,
    /// With something to say, in the order in which they got it.
    dirty: Vec<WindowId>,
    strokes: Strokes,
    solicitations: Solicitations,
    /// Newest packet.
    now: Option<Timestamp>,
    /// When `now` reaches this, deltas are cut.
    next_refresh: Timestamp,
    since_cut: usize,
    budget: Budget,
    ready: Vec<WindowUpdate>,
    counters: ProfilerCounters,
}

impl Profiler {
    /// Events after which deltas are cut early, so that a flood within one refresh interval stays in memory's bounds:
    /// an event adds at most about 3 KB (a window and its rows on both sides).
    const MAX_EVENTS_UNCUT: usize = 65_536;

    #[must_use]
    pub fn new(config: ProfilerConfig) -> Self {
        Self {
            budget: Budget::new(config.carry_bytes),
            config,
            lives: Lives::default(),
            dirty: Vec::new(),
            strokes: Strokes::default(),
            solicitations: Solicitations::default(),
            now: None,
            next_refresh: Timestamp::MIN,
            since_cut: 0,
            ready: Vec::new(),
            counters: ProfilerCounters::default(),
        }
    }

    /// Counts a flow report in the profile of its client and, with [`Direction::All`], in that of its server.
    pub fn observe(&mut self, update: FlowUpdate) {
        self.counters.flow_updates += 1;
        let flow = &update.flow;
        self.advance(flow.last);
        let start = self
            .config
            .plan
            .start_of(if update.part == 0 { flow.first } else { flow.last });
        let (client, server) = flow.client_server();
        let server = (self.config.direction == Direction::All && self.profiled(server.ip, Role::Server))
            .then_some((
                WindowId {
                    profile: server.ip,
                    start,
                },
                Role::Server,
            ));
        let client = self.profiled(client.ip, Role::Client).then_some((
            WindowId {
                profile: client.ip,
                start,
            },
            Role::Client,
        ));
        // The report travels with the client's profile, or with the server's if only that is at home.
        let (other, carrier) = if client.is_some() {
            (server, client)
        } else {
            (None, server)
        };
        let carried = carrier.is_some() && self.budget.flow(&update);
        if let Some((window, role)) = other {
            self.count(window, &update, role);
        }
        match carrier {
            Some((window, role)) => {
                let live = self.count(window, &update, role);
                if carried {
                    live.carry(update);
                } else {
                    live.delta().not_carried.flows += 1;
                    self.counters.flows_not_carried += 1;
                }
            }
            None => self.counters.outside_home += 1,
        }
        self.added();
    }

    /// Counts a message in the profile of the flow's originator.
    pub fn observe_app(&mut self, record: AppRecord) {
        self.counters.apps += 1;
        self.advance(record.time);
        let discovery = match &record.event {
            AppEvent::Arp(arp) => arp.discovery.map(|said| (arp, said)),
            _ => None,
        };
        if let Some((arp, _)) = discovery {
            self.solicitations.answered(arp);
        }
        let profile = record.tuple.originator.ip;
        if !self.profiled(profile, Role::Client) {
            self.counters.outside_home += 1;
            return;
        }
        if let Some((arp, said)) = discovery
            && Solicitations::asks(arp, &said)
        {
            self.solicitations.ask(arp, record.time, record.community_id);
        }
        let window = WindowId {
            profile,
            start: self.config.plan.start_of(record.time),
        };
        let taken = self.budget.app(&record);
        let live = self.open(window);
        live.count_app(&record);
        if taken {
            live.carry_app(record);
        } else {
            live.delta().not_carried.apps += 1;
            self.counters.apps_not_carried += 1;
        }
        self.added();
    }

    /// Event time passed without events (live, when the network is quiet): cuts deltas that are due. Where there are
    /// events, they move event time themselves; calling this between them would make cuts depend on batches.
    pub fn tick(&mut self, now: Timestamp) {
        self.advance(now);
    }

    /// Moves out what is ready, in the order in which it was cut.
    pub fn drain(&mut self, updates: &mut Vec<WindowUpdate>) {
        updates.append(&mut self.ready);
    }

    /// The source ended: writes all letters, closes all windows.
    pub fn finish(&mut self) {
        self.look_for_answers(Timestamp::MAX);
        self.cut(Timestamp::MAX);
    }

    #[must_use]
    pub const fn counters(&self) -> ProfilerCounters {
        self.counters
    }

    /// Windows in memory.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.lives.len()
    }

    fn count(&mut self, window: WindowId, update: &FlowUpdate, role: Role) -> &mut Live {
        if update.part == 0 {
            self.strokes.push(window, update, role);
        }
        let live = self.open(window);
        live.count(update, role);
        live
    }

    /// A group address is nobody, so it has no profile as receiver.
    fn profiled(&self, ip: IpAddr, role: Role) -> bool {
        let home = &self.config.home;
        (role == Role::Client || is_host(ip)) && (home.is_empty() || home.iter().any(|net| net.contains(ip)))
    }

    /// Moves event time. Packets from the future of a broken clock only cut deltas too early.
    fn advance(&mut self, time: Timestamp) {
        let now = self.now.map_or(time, |now| now.max(time));
        if self.now.is_none() {
            self.next_refresh = self.after(now);
        }
        self.now = Some(now);
        if now >= self.next_refresh {
            // Those of windows that close now, if event time made a leap; of others those of this refresh.
            let closing = self.horizon().saturating_add(solicitations::PATIENCE).min(now);
            self.look_for_answers(self.next_refresh.max(closing));
            self.cut(self.horizon());
            self.next_refresh = self.after(now);
        }
        self.look_for_answers(now);
    }

    /// Counts the neighbour solicitations whose answer was overdue before `now`.
    fn look_for_answers(&mut self, now: Timestamp) {
        while let Some(question) = self.solicitations.pop_before(now) {
            self.unanswered(question);
        }
    }

    fn unanswered(&mut self, (asker, target, attempt, overdue): Unanswered) {
        let window = WindowId {
            profile: asker,
            start: self.config.plan.start_of(attempt.earliest.first),
        };
        self.open(window).unanswered(target, overdue, &attempt);
    }

    /// The next multiple of the refresh interval after `time`.
    fn after(&self, time: Timestamp) -> Timestamp {
        let step = i64::try_from(self.config.refresh.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        Timestamp(time.0.div_euclid(step).saturating_add(1).saturating_mul(step))
    }

    /// Flows that began earlier are complete, or are not waited for any longer.
    fn horizon(&self) -> Timestamp {
        let wait = i64::try_from(self.config.reorder_wait.as_nanos()).unwrap_or(i64::MAX);
        self.now
            .map_or(Timestamp::MIN, |now| Timestamp(now.0.saturating_sub(wait)))
    }

    fn open(&mut self, window: WindowId) -> &mut Live {
        let place = match self.lives.place(window) {
            Some(place) => place,
            None => {
                if self.lives.len() >= self.config.max_windows.max(1) {
                    self.evict();
                }
                self.counters.windows_opened += 1;
                self.lives.insert(window)
            }
        };
        let live = self
            .lives
            .at(place)
            .expect("the place was looked up or made just now");
        live.touched = self.counters.flow_updates + self.counters.apps;
        if !live.dirty {
            live.dirty = true;
            self.dirty.push(window);
        }
        live
    }

    fn added(&mut self) {
        self.since_cut += 1;
        if self.strokes.is_over_limit() {
            self.write_letters(self.horizon());
        }
        if self.solicitations.is_over_limit()
            && let Some(question) = self.solicitations.pop_before(Timestamp::MAX)
        {
            self.counters.solicitations_hurried += 1;
            self.unanswered(question);
        }
        if self.since_cut >= Self::MAX_EVENTS_UNCUT {
            self.send_dirty(Stage::Partial);
        }
    }

    /// A refresh: letters that are due, deltas of what changed, windows that are over. What changed goes first, so that
    /// whoever sees a window closed has seen everything of its time, of the other profiles too.
    fn cut(&mut self, horizon: Timestamp) {
        self.write_letters(horizon);
        self.send_dirty(Stage::Refreshed);
        let width = self.config.plan.width;
        let over = |start: Timestamp| horizon == Timestamp::MAX || start.saturating_add(width) <= horizon;
        if self.lives.first_start().is_some_and(over) {
            for window in self.lives.all(over) {
                self.send(window, Stage::Closed);
                self.lives.remove(window);
            }
        }
        self.budget.renew();
    }

    fn write_letters(&mut self, horizon: Timestamp) {
        while let Some(slot) = self.strokes.pop_before(horizon) {
            for waiting in slot {
                // Where its window was evicted the letters of the tuple ended.
                let Some(live) = self.lives.get(waiting.window) else {
                    self.counters.letters_refused += 1;
                    continue;
                };
                match live.write(waiting) {
                    Written::Yes => {}
                    Written::Late => self.counters.letters_late += 1,
                    Written::NoPlace => self.counters.letters_refused += 1,
                }
                if !live.dirty {
                    live.dirty = true;
                    self.dirty.push(waiting.window);
                }
            }
        }
    }

    fn send_dirty(&mut self, stage: Stage) {
        self.since_cut = 0;
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for window in dirty {
            self.send(window, stage);
        }
    }

    fn send(&mut self, window: WindowId, stage: Stage) {
        let sensor = self.config.sensor;
        let Some(live) = self.lives.get(window) else {
            return;
        };
        if live.dirty || stage == Stage::Closed {
            self.ready.push(live.take(sensor, stage));
        }
    }

    /// Sends and forgets the eighth of the windows that was quiet for longest.
    fn evict(&mut self) {
        for window in self.lives.quietest((self.lives.len() / 8).max(1)) {
            self.send(window, Stage::Refreshed);
            self.lives.remove(window);
            self.counters.windows_evicted += 1;
        }
    }
}
