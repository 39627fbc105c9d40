//! The shell around the profiler: pulls events out of a source and hands out window updates.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use lynceus_model::address::Network;
use lynceus_model::profiler::{Profiler, ProfilerConfig, ProfilerCounters};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{Direction, SensorId, WindowUpdate};

use crate::flow_table::Timeouts;
use crate::left_out::LeftOut;
use crate::source::{Event, Source, Status};

/// What an operator may set about profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileSettings {
    pub sensor: SensorId,
    /// Width of a window; `None`: all event time is one window.
    pub width: Option<Duration>,
    pub direction: Direction,
    /// Only addresses in these networks get a profile; empty: all.
    pub home: Vec<Network>,
    /// Event time between two deltas of a profile.
    pub refresh: Duration,
    /// Bytes of flows and messages that travel in one refresh interval.
    pub carry_bytes: usize,
    /// Windows in memory.
    pub max_windows: usize,
    /// The longest time from the begin of a flow to its first report; see [`first_report`].
    pub reorder_wait: Duration,
    /// Whitelist file: flows that it leaves out are in no profile.
    pub whitelist: Option<PathBuf>,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        let model = ProfilerConfig::default();
        Self {
            sensor: model.sensor,
            width: Some(model.plan.width),
            direction: model.direction,
            home: model.home,
            refresh: model.refresh,
            carry_bytes: model.carry_bytes,
            max_windows: model.max_windows,
            reorder_wait: first_report(&Timeouts::default()),
            whitelist: None,
        }
    }
}

/// How long after its begin a flow is reported first, at the latest: at its active timeout, else after its silence.
/// Half a minute more for what lies on the way.
#[must_use]
pub fn first_report(timeouts: &Timeouts) -> Duration {
    let silence = timeouts
        .tcp
        .max(timeouts.udp)
        .max(timeouts.icmp)
        .max(timeouts.other);
    timeouts.active.unwrap_or(silence) + Duration::from_secs(30)
}

/// A source and the profiler behind it.
pub struct Pipeline<S> {
    source: S,
    settings: ProfileSettings,
    /// There as soon as it is known from where windows are counted.
    profiler: Option<Profiler>,
    plan: Option<WindowPlan>,
    events: Vec<Event>,
    left_out: Option<LeftOut>,
    ended: bool,
}

impl<S: Source> Pipeline<S> {
    /// # Errors
    /// The whitelist cannot be read.
    pub fn new(source: S, settings: ProfileSettings) -> anyhow::Result<Self> {
        let left_out = settings.whitelist.clone().map(LeftOut::open).transpose();
        Ok(Self {
            left_out: left_out.context("whitelist")?,
            source,
            settings,
            profiler: None,
            plan: None,
            events: Vec::new(),
            ended: false,
        })
    }

    /// Appends the next window updates. What was readable before a fault is in them.
    ///
    /// # Errors
    /// Those of the source. Calling again goes on with what the source still has.
    pub fn next(&mut self, updates: &mut Vec<WindowUpdate>) -> anyhow::Result<Status> {
        if self.ended {
            return Ok(Status::Ended);
        }
        let status = self.source.next(&mut self.events);
        if self.events.is_empty() && self.profiler.is_none() && !matches!(status, Ok(Status::Ended)) {
            return status;
        }
        let profiler = match &mut self.profiler {
            Some(profiler) => profiler,
            empty => {
                let plan = plan(&self.settings, self.source.origin());
                self.plan = Some(plan);
                empty.insert(Profiler::new(config(&self.settings, plan)))
            }
        };
        if let Some(left_out) = &mut self.left_out {
            // The same file must give the same result, so it is looked at once for sources that end.
            if self.source.origin().is_none() {
                left_out.look_again();
            }
            self.events.retain(|event| !left_out.leaves_out(event));
        }
        for event in self.events.drain(..) {
            match event {
                Event::Flow(update) => profiler.observe(*update),
                Event::App(record) => profiler.observe_app(*record),
            }
        }
        match status {
            // Only in silence: between events the cuts would depend on how they came.
            Ok(Status::Idle) => profiler.tick(self.source.watermark()),
            Ok(Status::Ended) => {
                profiler.finish();
                self.ended = true;
            }
            _ => {}
        }
        profiler.drain(updates);
        status
    }

    /// Closes all windows although the source goes on (the program ends).
    pub fn finish(&mut self, updates: &mut Vec<WindowUpdate>) {
        if let Some(profiler) = &mut self.profiler {
            profiler.finish();
            profiler.drain(updates);
        }
        self.ended = true;
    }

    /// How event time is cut into windows, as soon as there was an event.
    #[must_use]
    pub const fn plan(&self) -> Option<WindowPlan> {
        self.plan
    }

    #[must_use]
    pub fn counters(&self) -> ProfilerCounters {
        self.profiler.as_ref().map(Profiler::counters).unwrap_or_default()
    }

    /// Flows that the whitelist left out.
    #[must_use]
    pub fn whitelisted(&self) -> u64 {
        self.left_out.as_ref().map_or(0, LeftOut::flows)
    }

    /// Windows in memory.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.profiler.as_ref().map_or(0, Profiler::windows)
    }

    /// Bound of [`Pipeline::windows`].
    #[must_use]
    pub const fn max_windows(&self) -> usize {
        self.settings.max_windows
    }

    pub const fn source(&self) -> &S {
        &self.source
    }

    pub const fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }
}

fn plan(settings: &ProfileSettings, origin: Option<Timestamp>) -> WindowPlan {
    WindowPlan {
        origin: origin.unwrap_or(Timestamp(0)),
        // Wider than any event time.
        width: settings.width.unwrap_or(Duration::MAX),
    }
}

fn config(settings: &ProfileSettings, plan: WindowPlan) -> ProfilerConfig {
    ProfilerConfig {
        sensor: settings.sensor,
        plan,
        direction: settings.direction,
        home: settings.home.clone(),
        refresh: settings.refresh,
        reorder_wait: settings.reorder_wait,
        carry_bytes: settings.carry_bytes,
        max_windows: settings.max_windows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out what it is given, then ends.
    struct Fixed {
        steps: Vec<(Status, Option<Timestamp>)>,
    }

    impl Source for Fixed {
        fn next(&mut self, _events: &mut Vec<Event>) -> anyhow::Result<Status> {
            Ok(self.steps.remove(0).0)
        }

        fn watermark(&self) -> Timestamp {
            Timestamp(0)
        }

        fn origin(&self) -> Option<Timestamp> {
            self.steps.first().and_then(|step| step.1)
        }
    }

    #[test]
    fn windows_are_counted_from_what_the_source_says_at_its_first_event() {
        let steps = vec![
            (Status::More, None),
            (Status::Ended, None),
            (Status::Ended, Some(Timestamp(5))),
        ];
        let mut pipeline = Pipeline::new(Fixed { steps }, ProfileSettings::default()).unwrap();
        let mut updates = Vec::new();
        assert_eq!(pipeline.next(&mut updates).unwrap(), Status::More);
        assert_eq!(pipeline.plan(), None);
        assert_eq!(pipeline.next(&mut updates).unwrap(), Status::Ended);
        assert_eq!(pipeline.plan().unwrap().origin, Timestamp(5));
        assert_eq!(pipeline.next(&mut updates).unwrap(), Status::Ended);
    }

    #[test]
    fn one_window_holds_all_time() {
        let settings = ProfileSettings {
            width: None,
            ..ProfileSettings::default()
        };
        let plan = plan(&settings, Some(Timestamp::from_secs(1_700_000_000)));
        for second in [1_700_000_000, 1_800_000_000, 4_000_000_000] {
            assert_eq!(plan.start_of(Timestamp::from_secs(second)), plan.origin);
        }
    }

    #[test]
    fn the_wait_covers_the_first_report() {
        let timeouts = Timeouts::default();
        assert!(first_report(&timeouts) > timeouts.active.unwrap());
        assert!(
            first_report(&Timeouts {
                active: None,
                ..timeouts
            }) > timeouts.tcp
        );
    }
}
