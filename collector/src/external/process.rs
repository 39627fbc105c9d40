//! `lynceus-collector module NAME`: a process that works as a module, or stands by until the one that works is gone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use lynceus_model::evidence::Evidence;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::Content;
use lynceus_proto::module::Said;
use lynceus_proto::v1;

use super::heartbeat::{Heartbeat, Pulse};
use super::member::{Entry, Member};
use super::settings::Settings;
use super::windows::{Opening, Windows};
use crate::config::Config;
use crate::feeds::Keeper;
use crate::knowledge::Facts;
use crate::lookups::Lookups;
use crate::modules::{Group, Modules};
use crate::store::{RedisOptions, StoreError};

/// Which module, and where it finds its collector.
#[derive(Clone, Debug)]
pub struct ModuleOptions {
    /// As in `modules.external` of the collector.
    pub name: String,
    pub redis: RedisOptions,
    /// Feeds and outside services, for detectors that ask them; everything else comes from the collector.
    pub config: Config,
}

/// Between two looks whether there is work.
const PAUSE: Duration = Duration::from_millis(500);
/// Entries between two looks at windows that rest.
const HOUSEKEEPING: usize = 256;

/// Works until `stopped`. What breaks for a while is tried again.
///
/// # Errors
/// The feeds of the configuration cannot be used, or the detectors' threads do not start.
pub fn run(options: &ModuleOptions, stopped: &AtomicBool) -> anyhow::Result<()> {
    let facts = Arc::new(Facts::default());
    facts.set_published();
    let config = &options.config;
    let cache: PathBuf = config.feed_cache();
    // The whitelist is the collector's: it looks at what modules say.
    let _keeper = Keeper::start(config.feeds.clone(), None, &cache, Arc::clone(&facts), None)?;
    let mut said_waiting = false;
    while !stopped.load(Ordering::Acquire) {
        match serve(options, &facts, stopped, &mut said_waiting) {
            Ok(()) => {}
            // The signal that ends us also breaks the wait for entries.
            Err(Trouble::Passing(_)) if stopped.load(Ordering::Acquire) => {}
            Err(Trouble::Passing(error)) => tracing::warn!(%error, "begins anew"),
            Err(Trouble::Lasting(error)) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Why a turn ended before its time.
enum Trouble {
    /// Redis is away, or somebody else works.
    Passing(StoreError),
    Lasting(anyhow::Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Passing(error)
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Lasting(error)
    }
}

/// One turn: from the lease to its end. Returns at once where another process has it.
fn serve(
    options: &ModuleOptions,
    facts: &Arc<Facts>,
    stopped: &AtomicBool,
    said_waiting: &mut bool,
) -> Result<(), Trouble> {
    let mut member = Member::open(&options.redis, &options.name)?;
    let Some(text) = member.settings()? else {
        if !std::mem::replace(said_waiting, true) {
            tracing::info!("waits for a collector that publishes");
        }
        return Ok(());
    };
    let settings = Settings::read(&text)?;
    let Some(detectors) = settings.processes.get(&options.name) else {
        if !std::mem::replace(said_waiting, true) {
            let known: Vec<&String> = settings.processes.keys().collect();
            tracing::warn!(
                ?known,
                "the collector's `modules.external` does not name this module; waits"
            );
        }
        return Ok(());
    };
    if !member.sit()? {
        if !std::mem::replace(said_waiting, true) {
            tracing::info!("another process works; stands by");
        }
        return Ok(());
    }
    *said_waiting = false;
    // Not before: what was asked of the services so far is read from what the last one that worked has left.
    ask_outside(options, facts)?;
    let engine = crate::dispatch::EngineOptions {
        facts: Arc::clone(facts),
        ..settings.engine()?
    };
    let mut makers = engine.makers();
    makers.retain(|maker| detectors.iter().any(|name| name == maker.name()));
    let modules = Modules::new(makers, engine.hosting);
    let mut second = Member::open(&options.redis, &options.name)?;
    second.token.clone_from(&member.token);
    let heartbeat = Heartbeat::start(second, text, modules.board()).context("no thread")?;
    let turn = Turn {
        name: options.name.clone(),
        facts: Arc::clone(facts),
        group: engine.group,
        windows: Windows::new(engine.plan, engine.max_window_bytes),
        modules,
        pulse: heartbeat.pulse(),
        findings: 0,
        since_rest: 0,
        replay: 0,
    };
    let worked = turn.run(&mut member, stopped);
    drop(heartbeat);
    member.leave();
    worked
}

/// Quotas are of this module's processes on this machine: two that worked with one file would lose each other's counts.
fn ask_outside(options: &ModuleOptions, facts: &Facts) -> anyhow::Result<()> {
    if facts.lookups().is_some() {
        return Ok(());
    }
    let state = options.config.knowledge_state().join(&options.name);
    if let Some(lookups) = Lookups::start(&options.config.knowledge, &state)? {
        facts.set_lookups(lookups);
    }
    Ok(())
}

struct Turn {
    name: String,
    facts: Arc<Facts>,
    group: SensorId,
    windows: Windows,
    modules: Modules,
    pulse: Arc<Pulse>,
    findings: u64,
    since_rest: usize,
    /// Whoever comes after us reads on from here.
    replay: u64,
}

impl Turn {
    fn run(mut self, member: &mut Member, stopped: &AtomicBool) -> Result<(), Trouble> {
        let stand = member.stand()?;
        tracing::info!(module = self.name, ?stand, "works");
        self.replay = stand.replay;
        self.pulse.tally(|tally| {
            tally.claimed = stand.claimed;
            if stand.trimmed > stand.cursor {
                tally.fault = Some(format!(
                    "entries {} to {} went before it came to them",
                    stand.cursor + 1,
                    stand.trimmed
                ));
            }
        });
        let over = |pulse: &Pulse| pulse.is_over() || stopped.load(Ordering::Acquire);
        // What is done already is looked at again for the windows' and the detectors' sake; what a predecessor was given
        // and did not finish comes after it, in its order.
        let mut at = stand.replay.min(stand.cursor);
        while at < stand.delivered && !over(&self.pulse) {
            let entries = member.look(at, stand.delivered)?;
            let Some(last) = entries.last() else { break };
            at = last.id;
            let (known, left): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| entry.id <= stand.cursor);
            for entry in known {
                self.look(entry)?;
            }
            self.work(member, left)?;
        }
        while !over(&self.pulse) {
            let entries = member.take()?;
            self.work(member, entries)?;
        }
        Ok(())
    }

    /// Looks at entries and says what is found; done is what is said.
    fn work(&mut self, member: &mut Member, entries: Vec<Entry>) -> Result<(), Trouble> {
        let Some(cursor) = entries.last().map(|entry| entry.id) else {
            return Ok(());
        };
        let done: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        let mut found = Vec::new();
        for entry in entries {
            found.extend(self.look(entry)?);
        }
        self.since_rest += done.len();
        if self.since_rest >= HOUSEKEEPING || self.windows.is_full() {
            self.since_rest = 0;
            self.windows.rest();
            self.replay = self.windows.replay_from(cursor);
        }
        self.findings += found.len() as u64;
        let said: Vec<Said> = found
            .chunks(Said::MAX_EVIDENCE)
            .map(|evidence| Said {
                module: self.name.clone(),
                cursor,
                evidence: evidence.to_vec(),
            })
            .collect();
        while !member.say(&said, &done, cursor, self.replay)? {
            if self.pulse.is_over() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        let (findings, torn) = (self.findings, self.windows.torn());
        self.pulse
            .tally(|tally| (tally.findings, tally.torn) = (findings, torn));
        Ok(())
    }

    fn look(&mut self, entry: Entry) -> Result<Vec<Evidence>, Trouble> {
        let mut openings: BTreeMap<usize, Opening> = BTreeMap::new();
        for opening in entry.updates.openings {
            let (index, opening) = read_opening(opening).with_context(|| format!("entry {}", entry.id))?;
            openings.insert(index, opening);
        }
        let payload = v1::Payload {
            updates: entry.updates.updates,
            ..v1::Payload::default()
        };
        let content = Content::try_from(payload).with_context(|| format!("entry {}", entry.id))?;
        let content = Arc::new(content);
        let items = (0..content.updates.len())
            .map(|index| {
                let opening = openings.remove(&index);
                self.windows.merge(entry.id, &content, index, opening)
            })
            .collect();
        let group = Arc::new(Group {
            sensor: self.group,
            items,
        });
        let mut found = self.modules.inspect(&group).context("the modules' threads")?;
        // Once all is said, the entry does not come again.
        self.modules.settle(None).context("the modules' threads")?;
        found.extend(self.modules.late().into_iter().flat_map(|late| late.found));
        let found: Vec<Evidence> = found.into_iter().flat_map(|found| found.evidence).collect();
        for evidence in &found {
            self.facts.note_evidence(evidence);
        }
        Ok(found)
    }
}

fn read_opening(wire: v1::WindowOpening) -> anyhow::Result<(usize, Opening)> {
    let earlier: Result<Vec<_>, _> = wire.earlier.into_iter().map(ProfileDelta::try_from).collect();
    let opening = Opening {
        base: wire.base.map(ProfileDelta::try_from).transpose()?,
        earlier: earlier?,
    };
    Ok((usize::try_from(wire.update)?, opening))
}
