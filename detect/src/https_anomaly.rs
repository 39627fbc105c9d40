//! HTTPS anomaly: a client whose TLS connections are not as its own usual ones.

mod baseline;
mod drift;
mod host;

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{
    Confidence, Evidence, EvidenceId, EvidenceType, Explanation, Feature, ThreatLevel,
};
use lynceus_model::flow::{CommunityId, FlowUpdate, Service};
use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};
use serde::{Deserialize, Serialize};

use self::host::{Anomaly, Host, Server};
use crate::generations::Generations;
use crate::in_order::InOrder;
use crate::report::{evidence, samples};
use crate::sightings::before;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`HttpsAnomaly`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Hours with TLS connections from which only is learnt.
    pub training_hours: u64,
    /// Distances from the usual, in usual deviations.
    pub hourly_threshold: f64,
    pub flow_threshold: f64,
    /// Confidence from which on it is medium.
    pub medium_at: f64,
    /// How long a connection waits for its flow report and for connections that began earlier.
    #[serde(with = "humantime_serde")]
    pub reorder_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            training_hours: 2,
            hourly_threshold: 3.0,
            flow_threshold: 3.5,
            medium_at: 0.8,
            reorder_wait: Duration::from_secs(660),
        }
    }
}

/// Joins each ClientHello with the flow it travelled in and judges the connections of a client in the order of time.
#[derive(Debug)]
pub struct HttpsAnomaly {
    config: Config,
    waiting: HashMap<IpAddr, Halves, Seeded>,
    waits: usize,
    refused: u64,
    hosts: Generations<IpAddr, Host>,
    servers: Generations<(IpAddr, u64), Server>,
    /// Findings of open windows by window and server.
    said: BTreeMap<WindowId, BTreeMap<String, Said>>,
}

/// Connections of a client that wait, and the order in which they were seen.
#[derive(Debug, Default)]
struct Halves {
    by_flow: HashMap<CommunityId, Half, Seeded>,
    /// Also flows that are gone.
    order: InOrder<(Timestamp, CommunityId)>,
}

/// What is known of a connection so far.
#[derive(Clone, Debug)]
struct Half {
    window: WindowId,
    hello: Option<Hello>,
    ja3s: Option<u64>,
    /// IP bytes of both sides, as first reported.
    bytes: Option<u64>,
}

#[derive(Clone, Debug)]
struct Hello {
    time: Timestamp,
    window: WindowId,
    number: i64,
    name: Option<String>,
    address: IpAddr,
    port: u16,
    ja3: Option<u64>,
}

/// A TLS connection with all that is judged.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub time: Timestamp,
    pub window: WindowId,
    pub number: i64,
    pub community_id: CommunityId,
    pub server_hash: u64,
    pub ja3: Option<u64>,
    pub ja3s: Option<u64>,
    pub bytes: u64,
}

/// A finding about one server in one window, which grows.
#[derive(Clone, Debug)]
struct Said {
    revision: u32,
    confidence: f64,
    first: Timestamp,
    flows: Vec<CommunityId>,
    count: u64,
    /// One of them was more than usual, not less.
    more: bool,
}

impl HttpsAnomaly {
    /// Connections that wait: some 25 MB. Beyond, new ones are left out and counted.
    const MAX_WAITING: usize = 131_072;
    /// Twice this many clients, each up to some 35 KB; a client that is forgotten is trained anew.
    const MAX_HOSTS: usize = 1_024;
    /// Twice this many pairs of client and server, each up to 5 KB; one that is forgotten is new again.
    const MAX_SERVERS: usize = 8_192;
    /// Servers with findings in a window.
    const MAX_SAID: usize = 1_024;

    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            waiting: HashMap::default(),
            waits: 0,
            refused: 0,
            hosts: Generations::new(Self::MAX_HOSTS),
            servers: Generations::new(Self::MAX_SERVERS),
            said: BTreeMap::new(),
        }
    }

    fn half(&mut self, window: WindowId, id: CommunityId, seen: Timestamp) -> Option<&mut Half> {
        let waiting = self.waiting.entry(window.profile).or_default();
        let entry = match waiting.by_flow.entry(id) {
            Entry::Occupied(entry) => return Some(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        if self.waits >= Self::MAX_WAITING {
            self.refused += 1;
            return None;
        }
        self.waits += 1;
        waiting.order.push((seen, id));
        Some(entry.insert(Half {
            window,
            hello: None,
            ja3s: None,
            bytes: None,
        }))
    }

    fn hear(&mut self, update: &ProfileUpdate<'_>, record: &AppRecord) {
        let window = update.profile.window;
        let Some(id) = record.community_id else { return };
        match &record.event {
            AppEvent::TlsClient(client) if !client.quic => {
                if let Some(half) = self.half(window, id, record.time) {
                    half.hello = Some(Hello {
                        time: record.time,
                        window,
                        number: update.number,
                        name: client.server_name.clone(),
                        address: record.tuple.responder.ip,
                        port: record.tuple.responder.port,
                        ja3: hash_of(&client.ja3),
                    });
                }
            }
            AppEvent::TlsServer(server) if !server.quic => {
                if let Some(half) = self.half(window, id, record.time) {
                    half.ja3s = hash_of(&server.ja3s);
                }
            }
            _ => {}
        }
    }

    fn weigh(&mut self, window: WindowId, report: &FlowUpdate) {
        let flow = &report.flow;
        let known = || {
            let waiting = self.waiting.get(&window.profile);
            waiting.is_some_and(|waiting| waiting.by_flow.contains_key(&flow.community_id))
        };
        if report.part == 0
            && (flow.service == Service::Tls || known())
            && let Some(half) = self.half(window, flow.community_id, flow.first)
        {
            half.bytes = Some(flow.out.bytes.saturating_add(flow.back.bytes));
        }
    }

    /// The whole connections of a client that are due, in the order of time; halves that are due are dropped. Due is what
    /// was seen up to `until`, and with `closed` all of that window and of those before it.
    fn due(
        &mut self,
        client: IpAddr,
        until: Timestamp,
        closed: Option<Timestamp>,
    ) -> Vec<(Hello, Connection)> {
        let Some(waiting) = self.waiting.get_mut(&client) else {
            return Vec::new();
        };
        let mut due: Vec<(CommunityId, Half)> = Vec::new();
        while let Some((seen, id)) = waiting.order.peek().copied()
            && seen <= until
        {
            waiting.order.pop();
            due.extend(waiting.by_flow.remove_entry(&id));
        }
        if let Some(start) = closed {
            let over = |_: &CommunityId, half: &mut Half| half.window.start <= start;
            due.extend(waiting.by_flow.extract_if(over));
        }
        self.waits -= due.len();
        if waiting.by_flow.is_empty() {
            self.waiting.remove(&client);
        }
        let whole = due.into_iter().filter_map(|(community_id, half)| {
            let (hello, bytes) = (half.hello?, half.bytes?);
            let connection = Connection {
                time: hello.time,
                window: hello.window,
                number: hello.number,
                community_id,
                server_hash: hello
                    .name
                    .as_deref()
                    .map_or_else(|| hash(&hello.address.to_string()), hash),
                ja3: hello.ja3,
                ja3s: half.ja3s,
                bytes,
            };
            Some((hello, connection))
        });
        let mut found: Vec<_> = whole.collect();
        found.sort_unstable_by_key(|(_, connection)| (connection.time, connection.community_id));
        found
    }

    fn judge(&mut self, update: &ProfileUpdate<'_>, hello: &Hello, connection: &Connection) -> Vec<Evidence> {
        let client = update.profile.window.profile;
        if self.hosts.touch(client).is_none() {
            self.hosts.insert(client, Host::new(&self.config));
        }
        let Some(host) = self.hosts.touch(client) else {
            return Vec::new();
        };
        let before = host.trained(&self.config);
        let hourly = host.turn(&self.config, connection);
        let just_trained = !before && host.trained(&self.config);
        if just_trained {
            self.servers.each(|(owner, _), server| {
                if *owner == client {
                    server.calibrate();
                }
            });
        }
        let known = self.servers.remove(&(client, connection.server_hash));
        let (server, anomaly) = host.count(&self.config, connection, known);
        self.servers.insert((client, connection.server_hash), server);
        let mut found: Vec<Evidence> = hourly
            .map(|anomaly| describe(&self.config, update, None, &anomaly, (0, is_more(&anomaly))))
            .into_iter()
            .collect();
        found.extend(anomaly.and_then(|anomaly| self.about_server(update, hello, anomaly)));
        found
    }

    /// Anomalies with one server in one window are one finding; it is said again when there are half as many more.
    fn about_server(
        &mut self,
        update: &ProfileUpdate<'_>,
        hello: &Hello,
        mut anomaly: Anomaly,
    ) -> Option<Evidence> {
        let name = hello.name.clone().unwrap_or_else(|| hello.address.to_string());
        let servers = self.said.entry(anomaly.window).or_default();
        if !servers.contains_key(&name) && servers.len() >= Self::MAX_SAID {
            return None;
        }
        let new = Said {
            revision: 0,
            confidence: 0.0,
            first: anomaly.first,
            flows: Vec::new(),
            count: 0,
            more: false,
        };
        let said = servers.entry(name).or_insert(new);
        said.count += 1;
        said.more |= is_more(&anomaly);
        said.flows = samples(said.flows.iter().chain(&anomaly.flows).copied());
        said.confidence = said.confidence.max(anomaly.confidence);
        if said.count > 1
            && !(said.count.is_power_of_two()
                || said.count.is_multiple_of(3) && (said.count / 3).is_power_of_two())
        {
            return None;
        }
        (anomaly.first, anomaly.all_flows) = (said.first, said.count);
        (anomaly.confidence, anomaly.flows) = (said.confidence, said.flows.clone());
        said.revision += 1;
        Some(describe(
            &self.config,
            update,
            Some(hello),
            &anomaly,
            (said.revision - 1, said.more),
        ))
    }
}

impl Detector for HttpsAnomaly {
    fn name(&self) -> &'static str {
        "https_anomaly"
    }

    fn refused(&self) -> u64 {
        self.refused + self.hosts.refused() + self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        update.apps.iter().for_each(|record| self.hear(update, record));
        update.flows.iter().for_each(|report| self.weigh(window, report));
        let now = update.profile.span.map_or(Timestamp::MIN, |(_, last)| last);
        let closed = update.stage == Stage::Closed;
        let until = before(now, self.config.reorder_wait);
        let due = self.due(window.profile, until, closed.then_some(window.start));
        let found = due
            .iter()
            .flat_map(|(hello, connection)| self.judge(update, hello, connection))
            .collect();
        if closed {
            self.said.remove(&window);
        }
        found
    }
}

fn describe(
    config: &Config,
    update: &ProfileUpdate<'_>,
    hello: Option<&Hello>,
    anomaly: &Anomaly,
    (revision, more): (u32, bool),
) -> Evidence {
    let kind = EvidenceType::MaliciousFlow;
    let client = anomaly.window.profile;
    let (scope, key) = match hello {
        Some(hello) => {
            let name = hello.name.clone().unwrap_or_else(|| hello.address.to_string());
            (format!("with {name}"), format!("https|server|{name}"))
        }
        None => (
            "over an hour".to_owned(),
            format!("https|hour|{}", anomaly.first.0),
        ),
    };
    let medium = more && anomaly.confidence >= config.medium_at;
    let reasons: Vec<String> = anomaly.reasons.iter().map(reason).collect();
    let reasons = reasons.join("; ");
    Evidence {
        id: EvidenceId::new(update.sensor, kind, anomaly.window, &key),
        window_start: anomaly.window.start,
        window: anomaly.number,
        victim: hello.map(|hello| hello.address),
        subject: hello.and_then(|hello| hello.name.clone()),
        dst_port: hello.map(|hello| hello.port),
        protocol: Some(6),
        threat_level: if medium {
            ThreatLevel::Medium
        } else {
            ThreatLevel::Low
        },
        confidence: Confidence::new(anomaly.confidence),
        description: format!(
            "HTTPS anomaly: {client} does not use TLS {scope} as it usually does: {reasons}."
        ),
        explanation: Explanation {
            features: anomaly.reasons.iter().map(feature_of).collect(),
            text: format!(
                "{reasons}. Usual is what this address itself did before; the first {} hours with TLS are only learnt \
                 from. Connections: {}.",
                config.training_hours, anomaly.all_flows
            ),
        },
        flows: samples(anomaly.flows.iter().copied()),
        first: anomaly.first,
        last: anomaly.last,
        revision,
        ..evidence(update, kind, &key)
    }
}

/// Something new, or clearly more than usual: a connection that ends early carries nothing away, and on a scale of
/// logarithms a few kilobytes are many deviations.
fn is_more(anomaly: &Anomaly) -> bool {
    const BYTES: f64 = 1e6;
    anomaly.reasons.iter().any(|reason| match reason.usual {
        Some(usual) if reason.unit == "bytes" => reason.value - usual >= BYTES,
        Some(usual) => reason.value > usual,
        None => true,
    })
}

fn feature_of(reason: &host::Reason) -> Feature {
    Feature {
        name: Cow::Borrowed(reason.name),
        value: reason.value,
        unit: Cow::Borrowed(reason.unit),
        baseline: reason.usual,
        threshold: Some(reason.threshold),
        surprisal: None,
        own: None,
    }
}

fn reason(reason: &host::Reason) -> String {
    match reason.usual {
        Some(usual) if !reason.unit.is_empty() => format!(
            "{} {:.0}, usually {usual:.0} ({:.1} deviations off, {:.1} is the limit)",
            reason.name, reason.value, reason.score, reason.threshold
        ),
        _ => reason.name.to_owned(),
    }
}

fn hash_of(text: &str) -> Option<u64> {
    (!text.is_empty()).then(|| hash(text))
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
