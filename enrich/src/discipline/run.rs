//! Many addresses: each once, the suspicious ones first, a few at a time, and a manifest of what was done.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use serde::Serialize;

use super::{Damage, Desk};
use crate::fact::{Fact, Field};
use crate::provider::{Answer, Status};

/// How a run is done.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Addresses that are asked about at a time; at least 1.
    pub max_conn: usize,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Manifest {
    pub version: &'static str,
    /// RFC 3339.
    pub started: String,
    pub finished: String,
    pub providers: Vec<&'static str>,
    pub requested: usize,
    pub unique: usize,
    /// With at least one answer.
    pub enriched: usize,
    /// Not asked about, because the run was stopped.
    pub skipped: usize,
    /// Answers out of the history.
    pub from_cache: usize,
    pub probes: u64,
    /// How often each provider ended how.
    pub outcomes: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    pub history: Damage,
    pub unkept: u64,
}

impl Manifest {
    /// Of a run that begins now.
    #[must_use]
    pub fn begin(desk: &Desk) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: now(desk),
            providers: desk.names(),
            // Probes before this run; the difference is taken at the end.
            probes: desk.wire().log().written(),
            ..Self::default()
        }
    }

    /// Counts the answers about one address.
    pub fn count(&mut self, answers: &[Answer]) {
        for answer in answers {
            self.from_cache += usize::from(answer.from_cache);
            let ends = self.outcomes.entry(answer.provider).or_default();
            *ends.entry(answer.status.name()).or_default() += 1;
        }
        let enriched = answers.iter().any(|answer| answer.status == Status::Found);
        self.enriched += usize::from(enriched);
    }

    /// Closes it.
    pub fn end(&mut self, desk: &Desk) {
        self.finished = now(desk);
        self.probes = desk.wire().log().written() - self.probes;
        self.history = desk.history().damage();
        self.unkept = desk.unkept();
    }
}

fn now(desk: &Desk) -> String {
    jiff::Timestamp::from_second(desk.clock().now()).map_or_else(|_| String::new(), |time| time.to_string())
}

/// How suspicious facts make an address, for the order of questions: more is asked about first.
#[must_use]
pub fn suspicion(facts: &[Fact]) -> u32 {
    let of = |fact: &Fact| match (fact.field, &fact.value) {
        (Field::Feeds, crate::fact::Value::Set(feeds)) => 100 * u32::try_from(feeds.len()).unwrap_or(1),
        (Field::MaliciousCount, value) => {
            50 * u32::try_from(value.integer().unwrap_or(0).clamp(0, 100)).unwrap_or(0)
        }
        (Field::AbuseScore, value) => u32::try_from(value.integer().unwrap_or(0).clamp(0, 100)).unwrap_or(0),
        (Field::IsTor | Field::IsProxy | Field::IsVpn, value) if value.flag() == Some(true) => 20,
        (Field::IsHosting, value) if value.flag() == Some(true) => 5,
        (Field::IsCdn | Field::IsSearchBot, value) if value.flag() == Some(true) => 0,
        _ => 0,
    };
    facts.iter().map(of).fold(0, u32::saturating_add)
}

impl Run {
    /// Asks about each address once, those with the highest suspicion first, and hands on answers as they come, with the
    /// place of the address in `addresses`. `stop`: no new address is begun.
    pub fn ask(
        self,
        desk: &Desk,
        addresses: &[(IpAddr, u32)],
        stop: &AtomicBool,
        mut take: impl FnMut(usize, Vec<Answer>),
    ) -> Manifest {
        let mut manifest = Manifest::begin(desk);
        manifest.requested = addresses.len();
        let mut seen = HashSet::new();
        let mut order: Vec<usize> = (0..addresses.len())
            .filter(|place| seen.insert(addresses[*place].0))
            .collect();
        order.sort_by_key(|place| std::cmp::Reverse(addresses[*place].1));
        manifest.unique = order.len();
        let next = AtomicUsize::new(0);
        let threads = self.max_conn.clamp(1, order.len().max(1));
        // As many answers wait as threads work; a slow reader slows the asking.
        let (give, answers) = sync_channel(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (give, next, order) = (give.clone(), &next, &order);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed)
                        && let Some(place) = order.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if give.send((*place, desk.ask(addresses[*place].0, None))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(give);
            for (place, answers) in answers {
                manifest.count(&answers);
                manifest.skipped += 1;
                take(place, answers);
            }
        });
        manifest.skipped = manifest.unique - manifest.skipped;
        manifest.end(desk);
        manifest
    }
}
