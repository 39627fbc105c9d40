//! The door to all providers.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::history::IMPORTS;
use super::{Announcement, Budget, Change, Clock, Folders, Gate, History, Observation, Options, changes};
use crate::provider::{
    Answer, Category, Info, Leak, Provider, Question, Reply, Settings, Status, category, registry,
};
use crate::wire::{ProbeLog, Wire};

/// All providers behind one discipline.
pub struct Desk {
    providers: Vec<Box<dyn Provider>>,
    wire: Arc<Wire>,
    gate: Gate,
    history: History,
    clock: Arc<dyn Clock>,
    options: Options,
    /// Who is being asked about what; at most one thread each.
    under_way: Mutex<HashSet<(&'static str, IpAddr)>>,
    done: Condvar,
    changes: Mutex<Vec<Change>>,
    unkept: AtomicU64,
}

/// Changes that wait to be told; beyond, only the history has them.
const MAX_CHANGES: usize = 10_000;

impl Desk {
    /// # Errors
    /// A setting may not be so, or a name in `only` is not known.
    pub fn open(
        settings: &Settings,
        folders: &Folders,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        settings.check()?;
        let mut options = options;
        for (name, quota) in settings.plans() {
            options.plans.entry(name).or_insert(quota);
        }
        let log = ProbeLog::at(folders.state.join("probes.jsonl"));
        let wire = Arc::new(Wire::new(settings, log, None));
        let providers = registry(settings, &wire, &folders.cache);
        Self::with(providers, wire, folders, options, clock)
    }

    /// With providers of one's own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with(
        mut providers: Vec<Box<dyn Provider>>,
        wire: Arc<Wire>,
        folders: &Folders,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        match &options.only {
            None => providers
                .retain(|provider| provider.enabled() && !options.without.contains(&provider.info().name)),
            Some(names) => {
                let known: Vec<&str> = providers.iter().map(|provider| provider.info().name).collect();
                if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
                    return Err(format!(
                        "{unknown:?} is no provider; there are {}",
                        known.join(", ")
                    ));
                }
                providers.retain(|provider| names.iter().any(|name| name == provider.info().name));
            }
        }
        let budget = Budget::new(
            Some(folders.state.clone()),
            options.plans.clone(),
            Arc::clone(&clock),
        );
        let history = match &options.history {
            Some(folder) => History::at(folder.clone()),
            None => folders.history(),
        };
        Ok(Self {
            providers,
            wire,
            gate: Gate::new(budget, Arc::clone(&clock), options.patience),
            history,
            clock,
            options,
            under_way: Mutex::default(),
            done: Condvar::new(),
            changes: Mutex::default(),
            unkept: AtomicU64::new(0),
        })
    }

    /// Names of the providers that are chosen, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.providers
            .iter()
            .map(|provider| provider.info().name)
            .collect()
    }

    /// Who learns what, for each chosen provider that sends packets.
    #[must_use]
    pub fn announce(&self) -> Vec<Announcement> {
        let sending = self.providers.iter().filter(|provider| provider.info().sends);
        sending
            .map(|provider| {
                let info = provider.info();
                let missing = || provider.missing().map(|missing| format!("needs {missing}"));
                Announcement {
                    provider: info.name,
                    leak: info.leak,
                    who: info.who,
                    held_back: self.options.leave.against(info).or_else(missing),
                    left: self.gate.budget().left(info).ok(),
                }
            })
            .collect()
    }

    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Breakers and budget, for questions that are no provider's.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Answers that could not be written to the history.
    #[must_use]
    pub fn unkept(&self) -> u64 {
        self.unkept.load(Ordering::Relaxed)
    }

    /// Changes since they were last taken.
    #[must_use]
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks all chosen providers about an address, side by side; those that need a position come after the others.
    /// Answers are in the providers' order.
    #[must_use]
    pub fn ask(&self, ip: IpAddr, position: Option<(f64, f64)>) -> Vec<Answer> {
        let kept = self.history.of(ip).unwrap_or_else(|error| {
            tracing::warn!(%error, "the history cannot be read");
            Vec::new()
        });
        let pass = |needs_position: bool, position: Option<(f64, f64)>| -> Vec<Answer> {
            let question = Question { ip, position };
            let chosen = self
                .providers
                .iter()
                .filter(|provider| provider.info().needs_position == needs_position);
            std::thread::scope(|scope| {
                let asked: Vec<_> = chosen
                    .map(|provider| {
                        let (kept, provider) = (&kept, provider.as_ref());
                        if self.is_quick(provider, ip) {
                            return Asked::Done(self.one(provider, &question, kept));
                        }
                        Asked::Running(
                            provider.info(),
                            scope.spawn(move || self.one(provider, &question, kept)),
                        )
                    })
                    .collect();
                asked
                    .into_iter()
                    .map(|asked| match asked {
                        Asked::Done(answer) => answer,
                        Asked::Running(info, thread) => thread.join().unwrap_or_else(|_| {
                            self.without(info, ip, Status::Failed, "it panicked".to_owned())
                        }),
                    })
                    .collect()
            })
        };
        let mut answers = pass(false, None);
        let position = position.or_else(|| position_of(&answers));
        answers.extend(pass(true, position));
        answers
    }

    /// What was known at a time (`as_of`, seconds since the Unix epoch), from the history alone: the latest answer of
    /// each provider until then.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn recall(&self, ip: IpAddr, as_of: i64) -> io::Result<Vec<Answer>> {
        self.history.recall(ip, as_of)
    }

    /// What imported scans saw.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn imports(&self, ip: IpAddr) -> io::Result<Vec<Answer>> {
        let mut all = self.recall(ip, i64::MAX)?;
        all.retain(|answer| IMPORTS.contains(&answer.provider));
        Ok(all)
    }

    /// Whether the answer comes without waiting, so that a thread would cost more than it saves.
    fn is_quick(&self, provider: &dyn Provider, ip: IpAddr) -> bool {
        let info = provider.info();
        !info.sends || self.options.leave.against(info).is_some() || (!info.any_address && !is_public(ip))
    }

    fn one(&self, provider: &dyn Provider, question: &Question, kept: &[Observation]) -> Answer {
        let info = provider.info();
        let ip = question.ip;
        if !info.any_address && !is_public(ip) {
            let text = "the address is not globally routable".to_owned();
            return self.without(info, ip, Status::NotGloballyRoutable, text);
        }
        let settings = fingerprint(&provider.settings());
        let mine = |seen: &&Observation| seen.provider == info.name && seen.settings == settings;
        if let Some(answer) = self.kept(info, ip, kept.iter().filter(mine)) {
            return answer;
        }
        if let Some(missing) = provider.missing() {
            return self.without(info, ip, Status::Unconfigured, format!("needs {missing}"));
        }
        if let Some(reason) = self.options.leave.against(info) {
            return self.without(info, ip, Status::NotAllowed, reason);
        }
        let Some(_turn) = self.turn(info.name, ip) else {
            // Somebody else asked the same just now; a network's answer may be there as well.
            let kept = self.history.of(ip).unwrap_or_default();
            let answer = self.kept(info, ip, kept.iter().filter(mine));
            let text = "somebody else asked at the same time and got no answer".to_owned();
            return answer.unwrap_or_else(|| self.without(info, ip, Status::Failed, text));
        };
        let online = || self.wire.is_online();
        match self.gate.ask(info, online, || provider.ask(question)) {
            Err((status, text)) => self.without(info, ip, status, text),
            Ok(reply) => {
                let (status, columns, range) = match reply {
                    Reply::Found { columns, range } => (Status::Found, columns, range),
                    Reply::NotFound => (Status::NotFound, Vec::new(), None),
                };
                let observation = Observation {
                    ip,
                    provider: info.name.to_owned(),
                    settings,
                    observed: self.clock.now(),
                    status,
                    range,
                    columns,
                };
                let before = kept
                    .iter()
                    .rev()
                    .find(|seen| seen.provider == info.name && seen.settings == observation.settings);
                self.keep(info, before, &observation);
                Answer {
                    provider: info.name,
                    ip,
                    status,
                    error: None,
                    columns: observation.columns,
                    range,
                    observed: observation.observed,
                    from_cache: false,
                }
            }
        }
    }

    /// A kept answer that is still good, the newest.
    fn kept<'a>(
        &self,
        info: &Info,
        ip: IpAddr,
        seen: impl Iterator<Item = &'a Observation>,
    ) -> Option<Answer> {
        let fresh = match (self.options.max_age, info.fresh) {
            (_, None) => return None,
            (Some(age), _) | (None, Some(age)) => i64::try_from(age.as_secs()).unwrap_or(i64::MAX),
        };
        let newest = seen.max_by_key(|seen| seen.observed)?;
        let age = self.clock.now().saturating_sub(newest.observed);
        (age <= fresh).then(|| newest.answer(ip))?
    }

    /// Keeps an answer. Those that cost nothing to repeat are not kept.
    fn keep(&self, info: &Info, before: Option<&Observation>, observation: &Observation) {
        if info.leak == Leak::None {
            return;
        }
        if let Err(error) = self.history.append(observation) {
            tracing::warn!(%error, "an answer is not kept");
            self.unkept.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(before) = before {
            let mut all = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_CHANGES.saturating_sub(all.len());
            all.extend(changes(before, observation).into_iter().take(room));
        }
    }

    /// The right to ask; `None` after waiting for somebody who had it.
    fn turn(&self, name: &'static str, ip: IpAddr) -> Option<Turn<'_>> {
        let key = (name, ip);
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.insert(key) {
            return Some(Turn { desk: self, key });
        }
        while under_way.contains(&key) {
            under_way = self.done.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn without(&self, info: &Info, ip: IpAddr, status: Status, error: String) -> Answer {
        Answer {
            provider: info.name,
            ip,
            status,
            error: Some(error),
            columns: Vec::new(),
            range: None,
            observed: self.clock.now(),
            from_cache: false,
        }
    }
}

enum Asked<'scope> {
    Done(Answer),
    Running(&'static Info, std::thread::ScopedJoinHandle<'scope, Answer>),
}

struct Turn<'a> {
    desk: &'a Desk,
    key: (&'static str, IpAddr),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.desk.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.key);
        self.desk.done.notify_all();
    }
}

fn is_public(ip: IpAddr) -> bool {
    category(ip) == Category::Public
}

/// The first 16 hexadecimal digits of SHA-256.
fn fingerprint(settings: &str) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(settings.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Latitude and longitude of the first answer that has both.
fn position_of(answers: &[Answer]) -> Option<(f64, f64)> {
    answers.iter().find_map(|answer| {
        let named = |name: &str| {
            let mut columns = answer.columns.iter();
            columns
                .find(|(column, _)| column.rsplit('.').next() == Some(name))?
                .1
                .as_f64()
        };
        Some((named("latitude")?, named("longitude")?))
    })
}
