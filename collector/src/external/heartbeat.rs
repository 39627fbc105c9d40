//! Keeps the lease while detectors are at work, tells how they do, and notices when the configuration changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::member::{LEASE, Member};
use crate::modules::{Board, ModuleFigures};

/// What the working thread and the heartbeat tell each other.
pub(super) struct Pulse {
    /// The lease is lost, or the configuration is another: the work must end.
    over: AtomicBool,
    stopped: AtomicBool,
    tally: Mutex<Tally>,
}

/// Figures that the modules' own board does not have.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) findings: u64,
    /// Entries that a predecessor had been given.
    pub(super) claimed: u64,
    /// Windows of which only a part was known.
    pub(super) torn: u64,
    pub(super) fault: Option<String>,
}

/// The thread; ends with this value.
pub(super) struct Heartbeat {
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

/// Between two beats: several of them fit into a lease.
const BEAT: Duration = Duration::from_secs(1);

impl Pulse {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(super) fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Heartbeat {
    /// `member`: with a connection of its own and the token that has the lease.
    pub(super) fn start(member: Member, settings: String, board: Arc<Board>) -> std::io::Result<Self> {
        let pulse = Arc::new(Pulse {
            over: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            tally: Mutex::default(),
        });
        let own = Arc::clone(&pulse);
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || beat(member, &settings, &board, &own))?;
        Ok(Self {
            pulse,
            thread: Some(thread),
        })
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.pulse.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of it was told by the hook.
            let _ = thread.join();
        }
    }
}

fn beat(mut member: Member, settings: &str, board: &Board, pulse: &Pulse) {
    let mut renewed = Instant::now();
    loop {
        let asked = Instant::now();
        match member.renew() {
            Ok(true) => renewed = asked,
            Ok(false) => {
                tracing::warn!("another process works now");
                pulse.over.store(true, Ordering::Release);
            }
            Err(error) => tracing::warn!(%error, "the lease was not renewed"),
        }
        if renewed.elapsed() >= LEASE {
            pulse.over.store(true, Ordering::Release);
        }
        if !pulse.is_over() {
            // What is not told now is told at the next beat.
            let _ = member.report(&fields(&member.token, &board.figures(), &pulse.read()));
            if let Ok(Some(now)) = member.settings()
                && now != settings
            {
                tracing::info!("the collector's settings changed");
                pulse.over.store(true, Ordering::Release);
            }
        }
        // A last beat after the work, so that what people see is what was done.
        if pulse.stopped.load(Ordering::Acquire) || pulse.is_over() {
            return;
        }
        std::thread::park_timeout(BEAT);
    }
}

fn fields(token: &str, figures: &[ModuleFigures], tally: &Tally) -> Vec<(&'static str, String)> {
    let sum = |of: fn(&ModuleFigures) -> u64| figures.iter().map(of).sum::<u64>().to_string();
    let busy: Duration = figures.iter().map(|module| module.busy).sum();
    let stopped = figures.iter().filter(|module| module.stopped).count();
    let fault = figures.iter().find_map(|module| {
        let fault = module.last_fault.as_ref()?;
        Some(format!("{}: {fault}", module.name))
    });
    // Updates are those of the process, not once for each of its detectors.
    let updates = figures.iter().map(|module| module.updates).max().unwrap_or(0);
    vec![
        ("consumer", token.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("updates", updates.to_string()),
        ("findings", tally.findings.to_string()),
        ("claimed", tally.claimed.to_string()),
        ("busy", busy.as_nanos().to_string()),
        ("slow", sum(|module| module.slow)),
        ("panics", sum(|module| module.panics)),
        ("hangs", sum(|module| module.hangs)),
        ("late", sum(|module| module.late)),
        ("waiting", sum(|module| module.waiting)),
        ("full", sum(|module| module.full)),
        ("missed", sum(|module| module.missed)),
        (
            "refused",
            (figures.iter().map(|module| module.refused).sum::<u64>() + tally.torn).to_string(),
        ),
        ("stopped", stopped.to_string()),
        ("fault", tally.fault.clone().or(fault).unwrap_or_default()),
    ]
}
