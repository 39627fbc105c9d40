//! The capture itself: a source that goes on, through profiler into the collector of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_sensor::capture::Capture as Observed;
use lynceus_sensor::clock;
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, Timeouts};
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::profiler::{Pipeline, ProfileSettings, first_report};
use lynceus_sensor::source::Status;
use lynceus_sensor::source::kernel::KernelConfig;

use crate::local::Local;

/// Wait when nothing is there: an idle capture costs next to nothing.
const IDLE_WAIT: Duration = Duration::from_millis(20);
/// How often what is known is handed to the collector, for the screen.
const REFRESH: Duration = Duration::from_secs(1);

/// On a screen a flow is wanted while it lives: it is reported first after three seconds, then every three.
fn timeouts() -> Timeouts {
    Timeouts {
        active: Some(Duration::from_secs(3)),
        ..Timeouts::default()
    }
}

/// How profiles are cut for a screen: news every second.
pub(super) fn profiles(settings: ProfileSettings) -> ProfileSettings {
    ProfileSettings {
        reorder_wait: first_report(&timeouts()),
        refresh: REFRESH,
        ..settings
    }
}

/// The same where flows come from a log: when they are over.
pub(in crate::cli) fn profiles_of_logs(settings: ProfileSettings) -> ProfileSettings {
    ProfileSettings {
        refresh: REFRESH,
        ..settings
    }
}

pub(super) fn config(interfaces: &[String], hook: HookChoice) -> KernelConfig {
    KernelConfig {
        interfaces: interfaces.to_vec(),
        hook,
        table: FlowTableConfig {
            expiry: Expiry::Timeouts(timeouts()),
            ..FlowTableConfig::default()
        },
        ..KernelConfig::default()
    }
}

/// A capture that is ready to run.
pub(super) struct Capture {
    pipeline: Pipeline<Observed>,
    local: Local,
    until: Option<Instant>,
    started: Timestamp,
}

/// What is left of a capture: nothing is attached any more, everything is judged.
pub(super) struct Done {
    pub(super) local: Local,
    pub(super) status: SensorStatus,
}

impl Capture {
    /// # Errors
    /// The whitelist cannot be read.
    pub(super) fn new(
        source: Observed,
        profiles: ProfileSettings,
        local: Local,
        until: Option<Instant>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            pipeline: Pipeline::new(source, profiles)?,
            local,
            until,
            started: clock::now(),
        })
    }

    /// The source's accounting; a source of logs does not tell when it was read.
    fn status(&self) -> SensorStatus {
        let mut status = self.pipeline.source().status();
        if status.read_at == Timestamp::default() {
            (status.started, status.read_at) = (self.started, clock::now());
        }
        status
    }

    /// Runs until the flag is set or the time is over, then takes what is left.
    ///
    /// # Errors
    /// The source fails or the store refuses.
    pub(super) fn run(mut self, stop: &AtomicBool) -> anyhow::Result<Done> {
        let mut updates = Vec::new();
        let mut next_refresh = Instant::now();
        loop {
            let over = self.until.is_some_and(|until| Instant::now() >= until);
            if over || stop.load(Ordering::Acquire) {
                stop.store(true, Ordering::Release);
                self.pipeline.source_mut().stop();
            }
            let status = self.pipeline.next(&mut updates)?;
            self.local.take(updates.drain(..))?;
            if Instant::now() >= next_refresh {
                next_refresh = Instant::now() + REFRESH;
                self.local.send()?;
                self.local.status(self.status())?;
            }
            match status {
                Status::Ended => break,
                Status::More => {}
                Status::Idle => thread::sleep(IDLE_WAIT),
            }
        }
        self.local.flush()?;
        let status = self.status();
        self.local.status(status.clone())?;
        Ok(Done {
            local: self.local,
            status,
        })
    }
}
