//! Outside services behind what detectors know: VirusTotal, URLhaus, CIRCL hashlookup, RDAP, JARM probes. All off by default.
//!
//! A detector never waits. What nobody has said yet is *unknown* and is queued; once the answer is there, the next sighting
//! finds it. Each service has a queue and a thread of its own, so that a slow one holds up no other. With them, findings
//! depend on when answers come: a replay may find more than the first run. Who reads files can wait for the answers and
//! read them again ([`Lookups::settle`]).

mod config;
mod service;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lynceus_detect::context::{Indicator, Listing};
use lynceus_enrich::discipline::{Budget, Clock, Gate, SystemClock};
use lynceus_enrich::provider::{Category, category};
use lynceus_enrich::wire::{ProbeLog, Wire};
use lynceus_model::evidence::{Evidence, EvidenceType};

pub use config::LookupConfig;
use service::Service;

/// What a detector wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Question {
    Address(IpAddr),
    Domain(String),
    Url(String),
    File(String),
    /// When a registrable domain was registered.
    Age(String),
    Jarm(SocketAddr),
}

/// What a service says.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// `None`: not listed.
    Listing(Option<Listing>),
    /// Seconds since the Unix epoch; `None`: the registry does not say.
    Registered(Option<i64>),
    Jarm(String),
}

/// What became of a question.
#[derive(Debug)]
enum Known {
    /// It is queued or being asked.
    Waiting,
    Said(Said, Instant),
    /// Not asked again before.
    Failed(Instant),
}

/// Counters, for people.
#[derive(Debug, Default)]
pub struct LookupCounters {
    /// Questions that were queued.
    pub asked: AtomicU64,
    /// Questions that were answered.
    pub answered: AtomicU64,
    pub failed: AtomicU64,
    /// Questions that found the queue full; they stay unknown.
    pub refused: AtomicU64,
    /// Answers that made room for newer ones.
    pub forgotten: AtomicU64,
}

/// Answers of one service, oldest first out.
#[derive(Debug, Default)]
struct Cache {
    known: HashMap<Question, Known>,
    order: VecDeque<Question>,
}

struct Desk {
    service: Service,
    cache: Arc<Mutex<Cache>>,
    ask: SyncSender<Question>,
}

/// All services that are on.
pub struct Lookups {
    desks: Vec<Desk>,
    counters: Arc<LookupCounters>,
    /// Servers that a command-and-control finding names: JARM probes go to these only, unless told otherwise.
    suspects: Mutex<HashSet<SocketAddr>>,
    every_server: bool,
    max_age: Duration,
    max_answers: usize,
}

/// Until a question that failed is asked again.
const RETRY: Duration = Duration::from_secs(600);
/// One question waits at most so long for its service's pace.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether all is answered.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Suspected servers.
const MAX_SUSPECTS: usize = 4096;
/// Letters of a name or URL that is asked for; longer ones are not.
const MAX_TEXT: usize = 2048;

impl Lookups {
    /// Starts the services that are on; `None` if none is. `state`: folder of quotas and the probe log.
    ///
    /// # Errors
    /// A key cannot be read, or a thread cannot be started.
    pub fn start(config: &LookupConfig, state: &Path) -> anyhow::Result<Option<Arc<Self>>> {
        Self::with_roots(config, state, None)
    }

    /// With other certificate authorities than the public ones.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with_roots(
        config: &LookupConfig,
        state: &Path,
        roots: Option<ureq::tls::TlsConfig>,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        if !config.any() {
            return Ok(None);
        }
        config.check()?;
        let log = ProbeLog::at(state.join("probes.jsonl"));
        let wire = Arc::new(Wire::new(&Default::default(), log, roots));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let budget = Budget::new(Some(state.to_owned()), config.plans(), Arc::clone(&clock));
        let gate = Arc::new(Gate::new(budget, clock, PATIENCE));
        let counters = Arc::new(LookupCounters::default());
        let mut desks = Vec::new();
        for service in Service::all(config, &wire, state)? {
            let (ask, asked) = sync_channel(config.queue);
            let cache = Arc::new(Mutex::new(Cache::default()));
            let work = Work {
                service: service.clone(),
                asked,
                cache: Arc::clone(&cache),
                gate: Arc::clone(&gate),
                wire: Arc::clone(&wire),
                counters: Arc::clone(&counters),
            };
            // It ends with the channel; a question under way may take a minute, so nobody waits for it.
            std::thread::Builder::new()
                .name(format!("lookup-{}", service.name()))
                .spawn(move || work.run())?;
            desks.push(Desk { service, cache, ask });
        }
        let names: Vec<&str> = desks.iter().map(|desk| desk.service.name()).collect();
        tracing::warn!(
            services = names.join(", "),
            "outside services are asked about what is seen"
        );
        Ok(Some(Arc::new(Self {
            desks,
            counters,
            suspects: Mutex::default(),
            every_server: config.jarm.every_server,
            max_age: config.max_age,
            max_answers: config.answers,
        })))
    }

    #[must_use]
    pub fn counters(&self) -> &LookupCounters {
        &self.counters
    }

    /// Listings of the services that have answered; `None`: none has, or none could.
    #[must_use]
    pub fn listed(&self, indicator: Indicator<'_>) -> Option<Vec<Listing>> {
        let question = match indicator {
            Indicator::Ip(ip) => Question::Address(ip),
            Indicator::Domain(name) => Question::Domain(name.to_ascii_lowercase()),
            Indicator::Url(url) => Question::Url(url.to_owned()),
            Indicator::File(hash) => Question::File(hash.to_ascii_lowercase()),
            _ => return None,
        };
        let said = self.ask(&question);
        let listings: Vec<Option<Listing>> = said
            .into_iter()
            .filter_map(|said| match said {
                Said::Listing(listing) => Some(listing),
                _ => None,
            })
            .collect();
        (!listings.is_empty()).then(|| listings.into_iter().flatten().collect())
    }

    /// Days between the registration of a domain and `at`, seconds since the Unix epoch.
    #[must_use]
    pub fn domain_age(&self, domain: &str, at: i64) -> Option<u32> {
        let said = self.ask(&Question::Age(domain.to_ascii_lowercase()));
        let registered = said.into_iter().find_map(|said| match said {
            Said::Registered(time) => time,
            _ => None,
        })?;
        // Before its registration, as this registry has it, a domain has no age.
        u32::try_from(at.checked_sub(registered)?.div_euclid(86_400)).ok()
    }

    #[must_use]
    pub fn jarm(&self, server: SocketAddr) -> Option<String> {
        let suspected = || {
            self.suspects
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&server)
        };
        if !self.every_server && !suspected() {
            return None;
        }
        self.ask(&Question::Jarm(server))
            .into_iter()
            .find_map(|said| match said {
                Said::Jarm(hash) => Some(hash),
                _ => None,
            })
    }

    /// Takes the server of a command-and-control finding as suspected.
    pub fn note(&self, evidence: &Evidence) {
        let is_control = matches!(
            evidence.kind,
            EvidenceType::CommandAndControlChannel | EvidenceType::Beaconing
        );
        if let (true, Some(ip), Some(port)) = (is_control, evidence.victim, evidence.dst_port) {
            let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            if suspects.len() < MAX_SUSPECTS {
                suspects.insert(SocketAddr::new(ip, port));
            } else {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until every question has its answer or has failed, or the time is over. Gives the number of those that still
    /// wait.
    #[must_use]
    pub fn settle(&self, patience: Duration) -> u64 {
        let begin = Instant::now();
        loop {
            let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let done = of(&self.counters.answered) + of(&self.counters.failed);
            let waiting = of(&self.counters.asked).saturating_sub(done);
            if waiting == 0 || begin.elapsed() >= patience {
                return waiting;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// What services have said; what is not known yet is queued.
    fn ask(&self, question: &Question) -> Vec<Said> {
        if !may_leave(question) {
            return Vec::new();
        }
        let desks = self.desks.iter().filter(|desk| desk.service.answers(question));
        desks.filter_map(|desk| self.ask_one(desk, question)).collect()
    }

    fn ask_one(&self, desk: &Desk, question: &Question) -> Option<Said> {
        let mut cache = desk.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.known.get(question) {
            Some(Known::Waiting) => return None,
            Some(Known::Said(said, at)) if at.elapsed() < self.max_age => return Some(said.clone()),
            Some(Known::Failed(at)) if at.elapsed() < RETRY => return None,
            _ => {}
        }
        match desk.ask.try_send(question.clone()) {
            Ok(()) => {
                self.counters.asked.fetch_add(1, Ordering::Relaxed);
                if cache.known.insert(question.clone(), Known::Waiting).is_none() {
                    cache.order.push_back(question.clone());
                }
                while cache.order.len() > self.max_answers {
                    if let Some(oldest) = cache.order.pop_front() {
                        cache.known.remove(&oldest);
                        self.counters.forgotten.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        None
    }
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.desks.iter().map(|desk| desk.service.name()).collect();
        formatter
            .debug_struct("Lookups")
            .field("services", &names)
            .finish_non_exhaustive()
    }
}

/// What is only of the own network is nobody else's business; what is too long is no question.
fn may_leave(question: &Question) -> bool {
    let outside = |ip: IpAddr| category(ip) == Category::Public;
    match question {
        Question::Address(ip) => outside(*ip),
        Question::Domain(name) | Question::Age(name) => {
            name.len() <= 253 && name.contains('.') && name.parse::<IpAddr>().is_err()
        }
        Question::Url(url) => {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            let name = match host.strip_prefix('[') {
                Some(six) => six.split(']').next().unwrap_or_default(),
                None => host.split(':').next().unwrap_or_default(),
            };
            let foreign = name
                .parse::<IpAddr>()
                .map_or_else(|_| name.contains('.'), outside);
            url.len() <= MAX_TEXT && foreign
        }
        Question::File(hash) => hash.len() <= 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
        // A suspected server may well stand in the own network.
        Question::Jarm(_) => true,
    }
}

/// A service's thread.
struct Work {
    service: Service,
    asked: Receiver<Question>,
    cache: Arc<Mutex<Cache>>,
    gate: Arc<Gate>,
    wire: Arc<Wire>,
    counters: Arc<LookupCounters>,
}

impl Work {
    fn run(self) {
        while let Ok(question) = self.asked.recv() {
            let online = || self.wire.is_online();
            let said = self
                .gate
                .ask(self.service.info(), online, || self.service.ask(&question));
            let known = match said {
                Ok(said) => {
                    self.counters.answered.fetch_add(1, Ordering::Relaxed);
                    Known::Said(said, Instant::now())
                }
                Err((status, error)) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(
                        service = self.service.name(),
                        status = status.name(),
                        error,
                        "no answer"
                    );
                    Known::Failed(Instant::now())
                }
            };
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            // Forgotten meanwhile: then it stays forgotten, or the bound would not hold.
            if let Some(place) = cache.known.get_mut(&question) {
                *place = known;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_own_network_is_asked_of_nobody() {
        for (question, leaves) in [
            (Question::Address("8.8.8.8".parse().unwrap()), true),
            (Question::Address("192.168.1.1".parse().unwrap()), false),
            (Question::Domain("printer".to_owned()), false),
            (Question::Domain("example.org".to_owned()), true),
            (Question::Url("http://example.org/a".to_owned()), true),
            (Question::Url("http://10.0.0.1:8080/a".to_owned()), false),
            (Question::Url("http://[fd00::1]/a".to_owned()), false),
            (Question::Url("http://8.8.8.8/a".to_owned()), true),
            (Question::Url("http://nas/a".to_owned()), false),
            (
                Question::Url(format!("http://example.org/{}", "a".repeat(5000))),
                false,
            ),
            (Question::File("../etc/passwd".to_owned()), false),
            (
                Question::File("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
                true,
            ),
        ] {
            assert_eq!(may_leave(&question), leaves, "{question:?}");
        }
    }

    #[test]
    fn nothing_is_started_unless_something_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let lookups = Lookups::start(&LookupConfig::default(), folder.path()).unwrap();
        assert!(lookups.is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
