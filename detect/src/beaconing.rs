//! Beaconing: a client that calls a server again and again in a regular rhythm, whether the server answers or not.

mod channel;
mod score;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::is_target;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{FlowUpdate, Service};
use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};
use lynceus_model::words::plural;
use serde::{Deserialize, Serialize};

use self::channel::{Channel, Channels, Key, Said, Waiting};
use self::score::Score;
use crate::in_order::InOrder;
use crate::report::{With, evidence, feature, is_private, protocol_name};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`Beaconing`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Beats from which on a rhythm can be told from chance.
    pub min_beats: u64,
    /// Beats from which on it is as sure as it gets.
    pub sure_at: u64,
    /// Mean of the four parts of the score, 0 to 1.
    pub min_score: f64,
    /// The part about gaps alone, 0 to 1: equal sizes and steady use do not make up for it.
    pub min_timing: f64,
    /// Or this share of the gaps lies within one octave, and by chance so many would be there less often than `max_chance`.
    pub min_band: f64,
    pub max_chance: f64,
    /// Shorter median gaps are a program in a loop.
    #[serde(with = "humantime_serde")]
    pub min_gap: Duration,
    /// Share of flows without an answer from which on it is medium, if the server is on the Internet.
    pub silent_share: f64,
    /// How long flows wait for those that began earlier but are reported later: the longest time from the begin of a
    /// flow to its first report, as the profiler's, and a minute for several sensors.
    #[serde(with = "humantime_serde")]
    pub reorder_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_beats: 10,
            sure_at: 30,
            min_score: 0.8,
            min_timing: 0.8,
            min_band: 0.8,
            max_chance: 0.01,
            min_gap: Duration::from_millis(100),
            silent_share: 0.9,
            reorder_wait: Duration::from_secs(660),
        }
    }
}

impl Config {
    /// Few gaps look regular by chance, so they must be more regular: by a tenth for ten beats.
    fn beats(&self, score: &Score) -> bool {
        let by_chance = 1.0 / score.beats.max(1) as f64;
        score.gap >= self.min_gap.as_secs_f64()
            && score.total() >= self.min_score
            && (score.timing >= self.min_timing + by_chance
                || score.band >= self.min_band && score.chance <= self.max_chance)
    }
}

/// Judges the rhythm of each channel when it has ten flows, then whenever it has half as many again, and when a window
/// closes. A channel is one finding, in the window in which it was found, that grows as long as the channel goes on.
#[derive(Debug)]
pub struct Beaconing {
    config: Config,
    waiting: HashMap<IpAddr, InOrder<Waiting>, Seeded>,
    waits: usize,
    channels: Channels,
    /// Channels with a finding that went on, by client, until the client's window closes.
    grown: BTreeMap<IpAddr, BTreeSet<Key>>,
}

impl Beaconing {
    /// About 15 MB. Beyond, the earliest of the same client is judged without waiting for what may come before it.
    const MAX_WAITING: usize = 131_072;

    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            channels: Channels::new(config.min_beats),
            config,
            waiting: HashMap::default(),
            waits: 0,
            grown: BTreeMap::new(),
        }
    }

    /// The next flow of a client that is due: all that was to begin before it is known.
    fn next(&mut self, client: IpAddr, due: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let Entry::Occupied(mut waiting) = self.waiting.entry(client) else {
            return None;
        };
        let flow = waiting.get().peek().filter(|first| due(first)).copied()?;
        waiting.get_mut().pop();
        self.waits -= 1;
        if waiting.get().is_empty() {
            waiting.remove();
        }
        Some(flow)
    }

    fn judge(&mut self, update: &ProfileUpdate<'_>, flow: &Waiting) -> Option<Evidence> {
        let (channel, due) = self.channels.add(flow)?;
        let found = due.then(|| {
            say(
                &self.config,
                update,
                flow.key,
                channel,
                (flow.window, flow.number),
            )
        });
        if channel.said.is_some() {
            self.grown.entry(flow.key.client).or_default().insert(flow.key);
        }
        found.flatten()
    }

    /// At the end of a window: what grew since it was said is said as it is now.
    fn round_up(&mut self, update: &ProfileUpdate<'_>) -> Vec<Evidence> {
        let client = update.profile.window.profile;
        let keys = self.grown.remove(&client).unwrap_or_default();
        let mut found = Vec::new();
        for key in keys {
            if let Some(channel) = self.channels.get(key)
                && let Some(said) = channel.said
                && channel.flows > said.flows
            {
                found.extend(say(
                    &self.config,
                    update,
                    key,
                    channel,
                    (said.window, said.number),
                ));
            }
        }
        found
    }
}

impl Detector for Beaconing {
    fn name(&self) -> &'static str {
        "beaconing"
    }

    fn refused(&self) -> u64 {
        self.channels.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let client = window.profile;
        let mut found = Vec::new();
        for report in update.flows {
            let Some(flow) = waiting(update, report) else {
                continue;
            };
            self.waiting.entry(client).or_default().push(flow);
            self.waits += 1;
            if self.waits > Self::MAX_WAITING
                && let Some(flow) = self.next(client, |_| true)
            {
                found.extend(self.judge(update, &flow));
            }
        }
        let now = update.profile.span.map_or(Timestamp::MIN, |(_, last)| last);
        let wait = self.config.reorder_wait;
        let closed = update.stage == Stage::Closed;
        while let Some(flow) = self.next(client, |flow| {
            flow.start.saturating_add(wait) <= now || closed && flow.window.start <= window.start
        }) {
            found.extend(self.judge(update, &flow));
        }
        if closed {
            found.extend(self.round_up(update));
        }
        found
    }
}

/// A new TCP or UDP flow of the profile as client, except to services that keep time, names and addresses: they have a
/// rhythm by design.
fn waiting(update: &ProfileUpdate<'_>, report: &FlowUpdate) -> Option<Waiting> {
    let flow = &report.flow;
    let protocol = flow.tuple.protocol;
    let window = update.profile.window;
    if report.part != 0 || !matches!(protocol, TCP | UDP) {
        return None;
    }
    let (client, server) = flow.client_server();
    let housekeeping = matches!(
        flow.service,
        Service::Dns | Service::Mdns | Service::Ntp | Service::Dhcp
    ) || server.port == DNS
        || protocol == UDP && HOUSEKEEPING.contains(&server.port);
    if client.ip != window.profile || !is_target(server.ip) || housekeeping {
        return None;
    }
    let sent = if flow.roles_turned() { flow.back } else { flow.out };
    Some(Waiting {
        start: flow.first,
        community_id: flow.community_id,
        key: Key {
            client: client.ip,
            server: server.ip,
            port: server.port,
            protocol,
        },
        bytes: sent.bytes,
        failed: !flow.established(),
        window,
        number: update.number,
    })
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;
/// Names, addresses, time and announcements: DHCP, NTP, NetBIOS, DHCPv6, SSDP, mDNS, LLMNR.
const HOUSEKEEPING: [u16; 10] = [67, 68, 123, 137, 138, 546, 547, 1900, 5353, 5355];

/// The finding as it is now, if the channel beats; in the window given, if it is a new one.
fn say(
    config: &Config,
    update: &ProfileUpdate<'_>,
    key: Key,
    channel: &mut Channel,
    (window, number): (WindowId, i64),
) -> Option<Evidence> {
    let score = channel.score(config.min_beats as usize)?;
    if !config.beats(&score) {
        return None;
    }
    let silent = channel.failed as f64 / channel.flows.max(1) as f64;
    // Who keeps calling where nobody answers has lost a server that others took away; polling that is answered is
    // what half of all programs do.
    let level = if silent >= config.silent_share && !is_private(key.server) {
        ThreatLevel::Medium
    } else {
        ThreatLevel::Low
    };
    let sure = f64::min(1.0, channel.flows as f64 / config.sure_at.max(1) as f64);
    let confidence = (score.total() * sure * 100.0).round() / 100.0;
    let said = Said::after(channel.said, (window, number), channel.flows, level, confidence);
    channel.said = Some(said);
    let id_key = format!("{}|{}|{}|{}", key.server, key.port, key.protocol, channel.first.0);
    Some(Evidence {
        id: EvidenceId::new(update.sensor, EvidenceType::Beaconing, said.window, &id_key),
        window_start: said.window.start,
        window: said.number,
        victim: Some(key.server),
        dst_port: Some(key.port),
        protocol: Some(key.protocol),
        threat_level: said.level,
        confidence: Confidence::new(said.confidence),
        description: description(update, key, channel, &score),
        explanation: explain(config, channel, &score),
        flows: channel.ids.clone(),
        first: channel.first,
        last: channel.last,
        revision: said.revision,
        ..evidence(update, EvidenceType::Beaconing, &id_key)
    })
}

fn description(update: &ProfileUpdate<'_>, key: Key, channel: &Channel, score: &Score) -> String {
    let at_least = if update.profile.not_carried.flows > 0 {
        "at least "
    } else {
        ""
    };
    let answers = match channel.failed {
        0 => String::new(),
        failed if failed == channel.flows => ", none answered".to_owned(),
        failed => format!(", {failed} of them not answered"),
    };
    format!(
        "Beaconing: {} calls {} port {}/{} about every {}: {at_least}{}{answers}.",
        key.client,
        key.server,
        key.port,
        protocol_name(key.protocol),
        time(score.gap),
        plural(channel.flows, "flow", "flows"),
    )
}

fn explain(config: &Config, channel: &Channel, score: &Score) -> Explanation {
    let span = channel.last.since(channel.first).as_secs_f64();
    Explanation {
        features: vec![
            feature("beacon score", score.total(), "of 1").threshold(config.min_score),
            feature("regularity of gaps", score.timing, "of 1").threshold(config.min_timing),
            feature("gaps within one octave", score.band, "share of gaps").threshold(config.min_band),
            feature("regularity of bytes sent", score.sizes, "of 1"),
            feature("evenness over time", score.steadiness, "of 1"),
            feature("part of the time without a hole", score.coverage, "of 1"),
            feature("median gap", score.gap, "seconds"),
            feature("median deviation of gaps", score.deviation, "seconds"),
            feature("flows", channel.flows as f64, "flows").threshold(config.min_beats as f64),
            feature("flows not answered", channel.failed as f64, "flows"),
            feature("time", span, "seconds"),
        ],
        text: format!(
            "Of the last {} beats half of the gaps are within {} of {}. Gaps {:.2}, sizes {:.2}, evenness {:.2} and \
             coverage {:.2} make a score of {:.2}; {:.2} is the limit. Sure from {} flows on.",
            score.beats,
            time(score.deviation),
            time(score.gap),
            score.gaps(),
            score.sizes,
            score.steadiness,
            score.coverage,
            score.total(),
            config.min_score,
            config.sure_at,
        ),
    }
}

/// Seconds for people.
fn time(seconds: f64) -> String {
    match seconds {
        0.0..1.0 => format!("{:.0} ms", seconds * 1e3),
        1.0..120.0 => format!("{seconds:.1} s"),
        120.0..7_200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}
