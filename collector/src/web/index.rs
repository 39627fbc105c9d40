//! All profiles in short, so that they can be ordered by threat and found by text. Made by one pass over the summaries and
//! kept for a while; the pass costs about a microsecond a window.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lynceus_model::time::Timestamp;

use super::Web;
use super::error::Refusal;

/// Profiles in the index: a network of /16 and some; at about 120 bytes each 12 MB. The rest is counted.
const MOST: usize = 100_000;
/// How long an index is good, at least; and how many times what it took to make it.
const GOOD: (Duration, u32) = (Duration::from_secs(2), 20);

/// One profile, all its windows together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Short {
    pub(super) ip: IpAddr,
    pub(super) windows: u64,
    pub(super) flows: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) evidence: u64,
    pub(super) alerts: u64,
    /// Highest of a window, and the threshold there.
    pub(super) threat: f64,
    pub(super) threshold: f64,
    /// Start of the window that a reader wants first: most alerts, then highest threat, then newest.
    pub(super) telling: Timestamp,
    /// Last packet, where one was seen.
    pub(super) last: Option<Timestamp>,
    rank: (u64, f64),
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The most threatening first, then those with most traffic.
    pub(super) profiles: Vec<Short>,
    pub(super) windows: u64,
    /// Profiles beyond the bound.
    pub(super) left_out: u64,
}

#[derive(Default)]
pub(super) struct Cached(Mutex<Option<(Instant, Arc<Index>)>>);

impl Index {
    /// Profiles with an alert.
    pub(super) fn flagged(&self) -> usize {
        self.profiles.iter().filter(|profile| profile.alerts > 0).count()
    }
}

impl Web {
    /// The index, at most a few seconds old. Blocks.
    pub(super) fn index(&self) -> Result<Arc<Index>, Refusal> {
        let lock = || self.0.index.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Held while it is made: who comes meanwhile waits for this one instead of making his own.
        let mut cached = lock();
        if let Some((until, index)) = cached.as_ref()
            && Instant::now() < *until
        {
            return Ok(Arc::clone(index));
        }
        let begin = Instant::now();
        let index = Arc::new(self.make_index()?);
        let good = GOOD.0.max(begin.elapsed() * GOOD.1);
        *cached = Some((Instant::now() + good, Arc::clone(&index)));
        Ok(index)
    }

    fn make_index(&self) -> Result<Index, Refusal> {
        let mut index = Index::default();
        self.0.query.each_summary(|window, summary| {
            index.windows += 1;
            let known = index
                .profiles
                .last()
                .is_some_and(|short| short.ip == window.profile);
            if !known {
                if index.profiles.len() >= MOST {
                    index.left_out += 1;
                    return ControlFlow::Continue(());
                }
                index.profiles.push(Short::new(window.profile, window.start));
            }
            if let Some(short) = index.profiles.last_mut() {
                short.add(window.start, &summary);
            }
            ControlFlow::Continue(())
        })?;
        index.profiles.sort_by(|a, b| {
            (b.alerts.cmp(&a.alerts))
                .then(b.threat.total_cmp(&a.threat))
                .then(b.bytes.cmp(&a.bytes))
                .then(a.ip.cmp(&b.ip))
        });
        Ok(index)
    }
}

impl Short {
    const fn new(ip: IpAddr, start: Timestamp) -> Self {
        Self {
            ip,
            windows: 0,
            flows: 0,
            packets: 0,
            bytes: 0,
            evidence: 0,
            alerts: 0,
            threat: 0.0,
            threshold: 0.0,
            telling: start,
            last: None,
            rank: (0, 0.0),
        }
    }

    fn add(&mut self, start: Timestamp, summary: &lynceus_proto::v1::WindowSummary) {
        self.windows += 1;
        self.flows += summary.flows;
        self.packets += summary.packets;
        self.bytes += summary.bytes;
        self.evidence += summary.evidence;
        self.alerts += summary.alerts;
        self.threat = self.threat.max(summary.threat);
        self.threshold = self.threshold.max(summary.threshold);
        let seen = summary.seen.as_ref().map(|span| Timestamp(span.last));
        self.last = self.last.max(seen);
        let rank = (summary.alerts, summary.threat);
        // Windows come in the order of time: an equal one is newer.
        if rank.0 > self.rank.0 || (rank.0 == self.rank.0 && rank.1 >= self.rank.1) {
            self.rank = rank;
            self.telling = start;
        }
    }
}
