//! Keeps feeds, whitelist and lists of clouds fresh, on a thread of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use lynceus_enrich::feeds::Feed;
use lynceus_enrich::feeds::index::Builder;
use lynceus_enrich::feeds::read::{Outcome, read};
use lynceus_model::whitelist::Whitelist;

use super::FeedConfig;
use super::cache::Cache;
use super::fetch::{self, Fetched};
use crate::knowledge::{Facts, Known};

/// Between two looks at files and due fetches.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure; doubled up to the feed's own refresh.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Reads a feed file.
///
/// # Errors
/// It cannot be read, or is no feed; the error names the file.
pub fn load(config: &FeedConfig, file: File, taken: i64) -> anyhow::Result<(Feed, Outcome)> {
    let mut builder = Builder::default();
    let outcome =
        read(file, &config.options()?, &mut builder).with_context(|| format!("feed {}", config.name))?;
    let index = builder.finish();
    let feed = Feed {
        name: config.name.clone(),
        index,
        taken,
    };
    Ok((feed, outcome))
}

/// What reading a feed came to, by the feed's name.
pub type Loaded = (String, Outcome);

/// Loads everything once, then goes on until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    loaded: Vec<Loaded>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Loads files and cached copies before it returns, so that detectors know them from the first flow on; fetches come
    /// after. `tls`: own roots, for private feeds.
    ///
    /// # Errors
    /// A feed's settings are wrong, or the whitelist cannot be read. A feed that cannot be read is told, not an error.
    pub fn start(
        feeds: Vec<FeedConfig>,
        whitelist: Option<PathBuf>,
        cache: &Path,
        facts: Arc<Facts>,
        tls: Option<ureq::tls::TlsConfig>,
    ) -> anyhow::Result<Self> {
        let mut work = Work::new(feeds, whitelist, cache, facts, tls)?;
        let loaded = work.load_all();
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("feeds".to_owned())
            .spawn(move || {
                loop {
                    work.fetch_due();
                    match stopped.recv_timeout(LOOK) {
                        Err(RecvTimeoutError::Timeout) => {}
                        _ => return,
                    }
                    work.load_all();
                    work.facts.look_at_published();
                    if let Err(error) = work.look_at_whitelist() {
                        tracing::error!(error = format!("{error:#}"), "whitelist kept as it was");
                    }
                }
            })?;
        Ok(Self {
            loaded,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What was loaded at the start, for programs that keep no log.
    #[must_use]
    pub fn loaded(&self) -> &[Loaded] {
        &self.loaded
    }
}

/// Fetches what is due and loads everything, once: what a run over files needs to say the same each time. Returns what
/// each feed that could be read came to.
///
/// # Errors
/// As [`Keeper::start`].
pub fn load_once(
    feeds: Vec<FeedConfig>,
    whitelist: Option<PathBuf>,
    cache: &Path,
    facts: Arc<Facts>,
) -> anyhow::Result<Vec<Loaded>> {
    let mut work = Work::new(feeds, whitelist, cache, facts, None)?;
    let mut loaded = work.load_all();
    let fetched = work.fetch_due();
    // A copy that was fetched replaces the one of the cache.
    loaded.retain(|(name, _)| fetched.iter().all(|(newer, _)| newer != name));
    loaded.extend(fetched);
    Ok(loaded)
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        // A fetch under way may take minutes; it ends with the process.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            // The thread does not panic on purpose; there is nobody to tell.
            let _ = thread.join();
        }
    }
}

struct Watched {
    config: FeedConfig,
    /// Of the file that was loaded.
    changed: Option<SystemTime>,
    due: SystemTime,
    failures: u32,
}

impl Watched {
    const fn new(config: FeedConfig) -> Self {
        Self {
            config,
            changed: None,
            due: SystemTime::UNIX_EPOCH,
            failures: 0,
        }
    }
}

struct Work {
    watched: Vec<Watched>,
    whitelist: Option<(PathBuf, Option<SystemTime>)>,
    cache: Cache,
    agent: ureq::Agent,
    facts: Arc<Facts>,
}

impl Work {
    fn new(
        feeds: Vec<FeedConfig>,
        whitelist: Option<PathBuf>,
        cache: &Path,
        facts: Arc<Facts>,
        tls: Option<ureq::tls::TlsConfig>,
    ) -> anyhow::Result<Self> {
        for feed in &feeds {
            feed.options()?;
        }
        facts.note(|known| {
            let names = feeds.iter().map(|feed| Known {
                name: feed.name.clone(),
                ..Known::default()
            });
            *known = names.collect();
        });
        let mut work = Self {
            watched: feeds.into_iter().map(Watched::new).collect(),
            whitelist: whitelist.map(|path| (path, None)),
            cache: Cache::new(cache),
            agent: fetch::agent(tls),
            facts,
        };
        work.look_at_whitelist().context("whitelist")?;
        Ok(work)
    }

    /// Loads what changed on disk: files, and copies that a fetch replaced.
    fn load_all(&mut self) -> Vec<Loaded> {
        let mut all = Vec::new();
        for place in 0..self.watched.len() {
            let loaded = self.load(place);
            match loaded {
                Ok(None) => {}
                Ok(Some((feed, outcome))) => {
                    for (line, text) in &outcome.examples {
                        tracing::warn!(feed = feed.name, line, text, "not an indicator");
                    }
                    tracing::info!(
                        feed = feed.name,
                        indicators = outcome.indicators,
                        bad = outcome.bad,
                        "feed loaded"
                    );
                    let known = Known {
                        name: feed.name.clone(),
                        taken: Some(feed.taken),
                        indicators: outcome.indicators,
                        bad: outcome.bad,
                        expired: outcome.expired,
                        bytes: feed.index.bytes() as u64,
                        error: None,
                    };
                    self.facts.note(|all| all[place] = known);
                    all.push((feed.name.clone(), outcome));
                    self.facts.set_feeds(self.facts.feeds().with(feed));
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    if self.facts.known()[place].error.as_deref() != Some(&text) {
                        tracing::error!(error = text, "feed not loaded; its last copy stays");
                    }
                    self.fault(place, Some(text));
                }
            }
        }
        all
    }

    fn load(&mut self, place: usize) -> anyhow::Result<Option<(Feed, Outcome)>> {
        let watched = &mut self.watched[place];
        let config = &watched.config;
        let (file, taken) = match (&config.path, &config.url) {
            (Some(path), _) => {
                let file =
                    File::open(path).with_context(|| format!("feed {}: {}", config.name, path.display()))?;
                (file, None)
            }
            (None, Some(url)) => match self.cache.get(&config.name, url) {
                Some((file, stamp)) => (file, Some(stamp.fetched)),
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let changed = file.metadata()?.modified()?;
        if watched.changed == Some(changed) {
            return Ok(None);
        }
        watched.changed = Some(changed);
        load(config, file, taken.unwrap_or_else(|| seconds(changed))).map(Some)
    }

    fn fault(&self, place: usize, text: Option<String>) {
        self.facts.note(|all| all[place].error = text);
    }

    fn fetch_due(&mut self) -> Vec<Loaded> {
        let now = SystemTime::now();
        for place in 0..self.watched.len() {
            let watched = &mut self.watched[place];
            let config = &watched.config;
            let Some(url) = &config.url else { continue };
            if watched.due == SystemTime::UNIX_EPOCH
                && let Some((_, stamp)) = self.cache.get(&config.name, url)
            {
                let age = seconds(now).saturating_sub(stamp.fetched);
                let left = config
                    .refresh
                    .saturating_sub(Duration::from_secs(age.max(0).unsigned_abs()));
                watched.due = now + left;
            }
            if watched.due > now {
                continue;
            }
            let (fault, wait) = match fetch::fetch(&self.agent, config, &self.cache, seconds(now)) {
                Ok(Fetched::New | Fetched::Same) => {
                    watched.failures = 0;
                    (None, config.refresh)
                }
                Ok(Fetched::Later { status, wait }) => {
                    let wait = wait.unwrap_or_else(|| retry(&mut watched.failures, config.refresh));
                    (Some(format!("{url} answers {status}")), wait)
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    tracing::warn!(feed = config.name, error = text, "not fetched");
                    (Some(text), retry(&mut watched.failures, config.refresh))
                }
            };
            watched.due = now + wait;
            self.fault(place, fault);
        }
        self.load_all()
    }

    /// Reads the whitelist again if its file changed. Bad lines are told and cost only themselves.
    fn look_at_whitelist(&mut self) -> anyhow::Result<()> {
        let Some((path, seen)) = &mut self.whitelist else {
            return Ok(());
        };
        let name = path.display().to_string();
        let changed = fs::metadata(&*path)
            .and_then(|meta| meta.modified())
            .context(name.clone())?;
        if *seen == Some(changed) {
            return Ok(());
        }
        let text = fs::read(&*path).context(name.clone())?;
        *seen = Some(changed);
        let (whitelist, bad) = Whitelist::parse(&String::from_utf8_lossy(&text));
        for line in &bad {
            tracing::warn!(file = name, "{line}");
        }
        tracing::info!(
            file = name,
            entries = whitelist.len(),
            bad = bad.len(),
            "whitelist read"
        );
        self.facts.set_whitelist(whitelist);
        Ok(())
    }
}

fn retry(failures: &mut u32, most: Duration) -> Duration {
    *failures = failures.saturating_add(1);
    FIRST_RETRY.saturating_mul(1 << (*failures - 1).min(10)).min(most)
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
