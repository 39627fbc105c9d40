//! What is usual for one client: its hours, its servers, its TLS stacks.

use std::collections::{BTreeSet, VecDeque};

use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::baseline::{Baseline, Learn};
use super::drift::Drift;
use super::{Config, Connection};

/// What a client has done with one server.
#[derive(Debug)]
pub(super) struct Server {
    ja3: BTreeSet<u64>,
    bytes: Baseline,
}

/// A number that was not as usual.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reason {
    pub name: &'static str,
    pub unit: &'static str,
    pub value: f64,
    pub usual: Option<f64>,
    pub score: f64,
    pub threshold: f64,
}

#[derive(Debug)]
pub(super) struct Anomaly {
    pub reasons: Vec<Reason>,
    pub confidence: f64,
    pub window: WindowId,
    pub number: i64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub flows: Vec<CommunityId>,
    pub all_flows: u64,
}

/// The open hour.
#[derive(Debug)]
struct Hour {
    hour: i64,
    window: WindowId,
    number: i64,
    last: Timestamp,
    flows: u64,
    servers: BTreeSet<u64>,
    new_servers: u64,
    ja3_changes: u64,
    known: (u64, f64),
    anomalies: u64,
    ids: Vec<CommunityId>,
}

#[derive(Debug)]
pub(super) struct Host {
    open: Option<Hour>,
    closed: u64,
    ja3s: BTreeSet<u64>,
    hourly: [(Baseline, Drift); 5],
    /// New servers, new JA3S, bytes to known servers.
    signals: [Drift; 3],
    /// The last three.
    anomalies: VecDeque<Timestamp>,
}

const HOUR: i64 = 3_600_000_000_000;
/// Novelty has no distance; it counts as this much.
const NOVELTY: f64 = 2.0;
const FEATURES: [(&str, &str); 5] = [
    ("TLS connections in the hour", "connections"),
    ("servers in the hour", "servers"),
    ("new servers in the hour", "servers"),
    ("new client fingerprints in the hour", "fingerprints"),
    ("mean bytes with known servers", "bytes"),
];

impl Host {
    /// Hashes that are kept of one kind for one client; beyond, nothing is new any more.
    const MAX_KNOWN: usize = 1_024;
    const MAX_IDS: usize = 64;

    pub(super) fn new(config: &Config) -> Self {
        Self {
            open: None,
            closed: 0,
            ja3s: BTreeSet::new(),
            hourly: std::array::from_fn(|_| (Baseline::new(config.hourly_threshold), Drift::default())),
            signals: Default::default(),
            anomalies: VecDeque::new(),
        }
    }

    /// A connection of another hour closes the open one, which may be an anomaly.
    pub(super) fn turn(&mut self, config: &Config, connection: &Connection) -> Option<Anomaly> {
        let hour = connection.time.0.div_euclid(HOUR);
        let found = match &self.open {
            Some(open) if open.hour < hour => self.close(config),
            _ => None,
        };
        if self.open.is_none() {
            self.open = Some(Hour {
                hour,
                window: connection.window,
                number: connection.number,
                last: connection.time,
                flows: 0,
                servers: BTreeSet::new(),
                new_servers: 0,
                ja3_changes: 0,
                known: (0, 0.0),
                anomalies: 0,
                ids: Vec::new(),
            });
        }
        found
    }

    /// Counts a connection; `server` is what is known of its server, `None` if it is new. Gives what to remember.
    pub(super) fn count(
        &mut self,
        config: &Config,
        connection: &Connection,
        server: Option<Server>,
    ) -> (Server, Option<Anomaly>) {
        let training = self.closed < config.training_hours;
        let bytes = connection.bytes as f64;
        let mut reasons = Vec::new();
        let new_server = server.is_none();
        let mut server = server.unwrap_or_else(|| Server {
            ja3: BTreeSet::new(),
            bytes: Baseline::new(config.flow_threshold),
        });
        let new_ja3 = connection.ja3.is_some_and(|ja3| remember(&mut server.ja3, ja3));
        let new_ja3s = connection.ja3s.is_some_and(|ja3s| remember(&mut self.ja3s, ja3s));
        let (off, usual) = server.bytes.score(bytes.ln_1p());
        let points = self.hourly_points().max(server.bytes.points);
        if let Some(open) = &mut self.open {
            open.count(connection, new_server, new_ja3);
        }
        if training {
            server.bytes.learn(bytes.ln_1p(), Learn::Training);
            return (server, None);
        }
        if new_server {
            reasons.push(novelty("server never seen before", config.flow_threshold));
        }
        if new_ja3s {
            reasons.push(novelty(
                "server fingerprint (JA3S) never seen before",
                config.flow_threshold,
            ));
        }
        if off >= server.bytes.threshold {
            reasons.push(Reason {
                name: "bytes with this server",
                unit: "bytes",
                value: bytes,
                usual: Some(usual.exp_m1()),
                score: off,
                threshold: server.bytes.threshold,
            });
        }
        let mut drift = self.signals[0].add(f64::from(u8::from(new_server)));
        drift |= self.signals[1].add(f64::from(u8::from(new_ja3s)));
        if !new_server {
            drift |= self.signals[2].add(bytes);
        }
        let sum: f64 = reasons.iter().map(|reason| reason.score).sum();
        let anomalies = self.open.as_ref().map_or(0, |open| open.anomalies);
        server.bytes.learn(bytes.ln_1p(), weight(drift, sum, anomalies));
        // One thing alone that is new is what browsing does all day.
        if sum < config.flow_threshold && off < server.bytes.threshold {
            return (server, None);
        }
        if let Some(open) = &mut self.open {
            open.anomalies += 1;
        }
        let anomaly = Anomaly {
            confidence: self.confidence(&reasons, connection.time, points),
            reasons,
            window: connection.window,
            number: connection.number,
            first: connection.time,
            last: connection.time,
            flows: vec![connection.community_id],
            all_flows: 1,
        };
        (server, Some(anomaly))
    }

    fn close(&mut self, config: &Config) -> Option<Anomaly> {
        let hour = self.open.take()?;
        let (known, bytes) = hour.known;
        let values = [
            hour.flows as f64,
            hour.servers.len() as f64,
            hour.new_servers as f64,
            hour.ja3_changes as f64,
            if known == 0 { 0.0 } else { bytes / known as f64 },
        ];
        self.closed += 1;
        if self.closed <= config.training_hours {
            for ((baseline, _), value) in self.hourly.iter_mut().zip(values) {
                baseline.learn(value.ln_1p(), Learn::Training);
                if self.closed == config.training_hours {
                    baseline.calibrate();
                }
            }
            return None;
        }
        let points = self.hourly_points();
        let mut reasons = Vec::new();
        for ((baseline, _), (value, (name, unit))) in self.hourly.iter().zip(values.into_iter().zip(FEATURES))
        {
            let (score, usual) = baseline.score(value.ln_1p());
            if score >= baseline.threshold {
                reasons.push(Reason {
                    name,
                    unit,
                    value,
                    usual: Some(usual.exp_m1()),
                    score,
                    threshold: baseline.threshold,
                });
            }
        }
        let sum: f64 = reasons.iter().map(|reason| reason.score).sum();
        for ((baseline, drift), value) in self.hourly.iter_mut().zip(values) {
            let drifted = drift.add(value);
            baseline.learn(value.ln_1p(), weight(drifted, sum, hour.anomalies));
        }
        if reasons.is_empty() {
            return None;
        }
        Some(Anomaly {
            confidence: self.confidence(&reasons, hour.last, points),
            reasons,
            window: hour.window,
            number: hour.number,
            first: Timestamp(hour.hour.saturating_mul(HOUR)),
            last: hour.last,
            flows: hour.ids,
            all_flows: hour.flows,
        })
    }

    /// A server's bytes are calibrated when its client's training is over.
    pub(super) fn trained(&self, config: &Config) -> bool {
        self.closed >= config.training_hours
    }

    fn hourly_points(&self) -> u64 {
        self.hourly
            .iter()
            .map(|(baseline, _)| baseline.points)
            .min()
            .unwrap_or(0)
    }

    /// 0 to 1: how far off, how often lately, how well the usual is known, how many reasons.
    fn confidence(&mut self, reasons: &[Reason], now: Timestamp, points: u64) -> f64 {
        self.anomalies.push_back(now);
        if self.anomalies.len() > 3 {
            self.anomalies.pop_front();
        }
        let recent = self
            .anomalies
            .iter()
            .filter(|time| now.0.saturating_sub(time.0) <= 3 * HOUR);
        let highest = reasons.iter().map(|reason| reason.score).fold(0.0, f64::max);
        0.45 * (1.0 - (-highest / 3.0).exp())
            + 0.25 * (recent.count() as f64 / 3.0).min(1.0)
            + 0.20 * (points as f64 / 18.0).min(1.0)
            + 0.10 * (reasons.len() as f64 / 3.0).min(1.0)
    }
}

impl Server {
    pub(super) fn calibrate(&mut self) {
        self.bytes.calibrate();
    }
}

impl Hour {
    fn count(&mut self, connection: &Connection, new_server: bool, new_ja3: bool) {
        self.last = self.last.max(connection.time);
        self.flows += 1;
        remember(&mut self.servers, connection.server_hash);
        self.ja3_changes += u64::from(new_ja3);
        if new_server {
            self.new_servers += 1;
        } else {
            self.known = (self.known.0 + 1, self.known.1 + connection.bytes as f64);
        }
        if self.ids.len() < Host::MAX_IDS {
            self.ids.push(connection.community_id);
        }
    }
}

/// True if it was not known.
fn remember(known: &mut BTreeSet<u64>, hash: u64) -> bool {
    known.len() < Host::MAX_KNOWN && known.insert(hash)
}

const fn novelty(name: &'static str, threshold: f64) -> Reason {
    Reason {
        name,
        unit: "",
        value: 1.0,
        usual: Some(0.0),
        score: NOVELTY,
        threshold,
    }
}

/// How much of a value is taken over into what is usual: much if nothing has changed, little if a change looks calm,
/// next to nothing if it is suspicious.
fn weight(drift: bool, sum: f64, anomalies: u64) -> Learn {
    Learn::Moving(match (drift, sum <= 2.0 && anomalies <= 1) {
        (false, _) => 0.5,
        (true, true) => 0.05,
        (true, false) => 0.005,
    })
}
