//! Scans that stay below the limit in each window and are only seen over many of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::profile::{Earliest, ProfileDelta, TupleKey};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::ports::{Named, PeerToPeer, answered, silent_share};
use crate::report::{With, evidence, feature, protocol_name, samples, span};
use crate::services::is_of_peers;
use crate::sightings::before;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`SlowScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Targets without answer within `within`, in at least two windows of which none alone has so many.
    pub min_targets: usize,
    #[serde(with = "humantime_serde")]
    pub within: Duration,
    /// A port, or a host, is scanned only if at least this share of what was tried did not answer.
    pub min_silent_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_targets: 10,
            within: Duration::from_secs(24 * 3_600),
            min_silent_share: 2.0 / 3.0,
        }
    }
}

/// Keeps what each closed window tried in vain. Speaks when a window closes; once for each port or host in a stretch of
/// `within`.
#[derive(Debug)]
pub struct SlowScan {
    config: Config,
    network: Arc<Network>,
    named: Named,
    profiles: BTreeMap<IpAddr, Tried>,
    /// Rows of all profiles.
    rows: usize,
}

/// What a profile tried, by window.
#[derive(Debug, Default)]
struct Tried {
    windows: BTreeMap<Timestamp, BTreeMap<Group, Part>>,
    /// Groups that were said, with the window in which they were.
    said: BTreeMap<Group, Timestamp>,
}

/// What stays the same in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Protocol and port, on many hosts.
    Port(u8, u16),
    /// Protocol and host, on many ports.
    Host(u8, IpAddr),
}

/// One window's share of a group.
#[derive(Debug, Default)]
struct Part {
    targets: BTreeMap<TupleKey, Earliest>,
    answered: f64,
}

/// Rows of all profiles, about 30 MB; beyond it the profiles with the lowest addresses are forgotten.
const MAX_ROWS: usize = 262_144;
/// Windows of a profile.
const MAX_WINDOWS: usize = 64;

impl SlowScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            named: Named::new(),
            profiles: BTreeMap::new(),
            rows: 0,
        }
    }

    /// The groups of a window that are too small to be a scan of their own.
    fn parts(&self, profile: &ProfileDelta) -> BTreeMap<Group, Part> {
        let mut parts: BTreeMap<Group, Part> = BTreeMap::new();
        let peers = PeerToPeer::of(profile);
        for (key, attempt) in profile.attempts.rows() {
            if peers.covers(key.protocol, key.port) {
                continue;
            }
            // Where the ports of one host are tried, it does not matter how the host was found.
            let looks_for_hosts = !is_of_peers(key.port) && self.named.is_blind(profile, key, attempt);
            let port = looks_for_hosts.then_some(Group::Port(key.protocol, key.port));
            let host = Group::Host(key.protocol, key.ip);
            for group in port.into_iter().chain([host]) {
                let part = parts.entry(group).or_default();
                part.targets.insert(*key, attempt.earliest);
            }
        }
        parts.retain(|_, part| part.targets.len() < self.config.min_targets);
        for (group, part) in &mut parts {
            part.answered = answered(profile, |key| match group {
                Group::Port(protocol, port) => (key.protocol, key.port) == (*protocol, *port),
                Group::Host(protocol, ip) => (key.protocol, key.ip) == (*protocol, *ip),
            });
        }
        parts
    }

    fn keep(&mut self, window: WindowId, parts: BTreeMap<Group, Part>) {
        let rows =
            |parts: &BTreeMap<Group, Part>| parts.values().map(|part| part.targets.len()).sum::<usize>();
        let tried = self.profiles.entry(window.profile).or_default();
        self.rows += rows(&parts);
        if let Some(replaced) = tried.windows.insert(window.start, parts) {
            self.rows -= rows(&replaced);
        }
        let oldest = before(window.start, self.config.within);
        while let Some(first) = tried.windows.first_entry() {
            if *first.key() >= oldest && tried.windows.len() <= MAX_WINDOWS {
                break;
            }
            if let Some((_, gone)) = tried.windows.pop_first() {
                self.rows -= rows(&gone);
            }
        }
        tried.said.retain(|_, said| *said >= oldest);
        while self.rows > MAX_ROWS {
            let Some((_, gone)) = self.profiles.pop_first() else {
                break;
            };
            self.rows -= gone.windows.values().map(rows).sum::<usize>();
        }
    }

    fn judge(&mut self, update: &ProfileUpdate<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let Some(tried) = self.profiles.get_mut(&window.profile) else {
            return Vec::new();
        };
        let Some(own) = tried.windows.get(&window.start) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for group in own.keys().copied().collect::<Vec<_>>() {
            if tried.said.contains_key(&group) {
                continue;
            }
            let mut targets: BTreeMap<TupleKey, Earliest> = BTreeMap::new();
            let (mut windows, mut answers) = (0, 0.0);
            for part in tried
                .windows
                .range(..=window.start)
                .filter_map(|(_, parts)| parts.get(&group))
            {
                windows += 1;
                answers += part.answered;
                for (key, earliest) in &part.targets {
                    let first = targets.entry(*key).or_insert(*earliest);
                    *first = (*first).min(*earliest);
                }
            }
            let share = silent_share(targets.len() as f64, answers);
            if targets.len() >= self.config.min_targets
                && windows >= 2
                && share >= self.config.min_silent_share
            {
                tried.said.insert(group, window.start);
                found.push(describe(
                    update,
                    &self.config,
                    group,
                    &targets,
                    (windows, answers),
                ));
            }
        }
        found
    }
}

impl Detector for SlowScan {
    fn name(&self) -> &'static str {
        "slow_scan"
    }

    fn refused(&self) -> u64 {
        self.named.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        self.named.note(update);
        // A truncated window is a scan that is not slow.
        if update.stage != Stage::Closed
            || update.profile.attempts.is_empty()
            || update.profile.attempts.truncated()
            || self.network.is_scanner(update.profile.window.profile)
        {
            return Vec::new();
        }
        let parts = self.parts(update.profile);
        self.keep(update.profile.window, parts);
        self.judge(update)
    }
}

fn describe(
    update: &ProfileUpdate<'_>,
    config: &Config,
    group: Group,
    targets: &BTreeMap<TupleKey, Earliest>,
    (windows, answers): (usize, f64),
) -> Evidence {
    let source = update.profile.window.profile;
    let count = targets.len();
    let packets: u64 = targets.values().map(|earliest| earliest.packets).sum();
    let (first, last) = span(update, targets.values().map(|earliest| earliest.first));
    let hours = last.since(first).as_secs_f64() / 3_600.0;
    let (kind, key, victim, port, protocol, unit, what) = match group {
        Group::Port(protocol, port) => (
            EvidenceType::HorizontalPortScan,
            format!("slow/{protocol}/{port}"),
            None,
            Some(port),
            protocol,
            "hosts",
            format!("port {port}/{} of {count} hosts", protocol_name(protocol)),
        ),
        Group::Host(protocol, ip) => (
            EvidenceType::VerticalPortScan,
            format!("slow/{protocol}/{ip}"),
            Some(ip),
            None,
            protocol,
            "ports",
            format!("{count} {} ports of {ip}", protocol_name(protocol)),
        ),
    };
    // As for scans within a window: sure above ten packets.
    let confidence = if packets > 10 {
        1.0
    } else {
        (packets as f64 / 10.0).max(0.3)
    };
    Evidence {
        victim,
        dst_port: port,
        protocol: Some(protocol),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(confidence),
        description: format!(
            "Slow scan: {source} tried {what} over {hours:.1} hours in {windows} windows, and none answered."
        ),
        explanation: Explanation {
            features: vec![
                feature("targets without answer", count as f64, unit).threshold(config.min_targets as f64),
                feature("windows", windows as f64, "windows").threshold(2.0),
                feature("targets with answer", answers.round(), unit),
                feature(
                    "share without answer",
                    silent_share(count as f64, answers),
                    "ratio",
                )
                .threshold(config.min_silent_share),
                feature("packets sent", packets as f64, "packets").threshold(10.0),
            ],
            text: format!(
                "No window alone has enough for a scan; together they have {count} {unit} that did not answer, within {} \
                 hours.",
                config.within.as_secs() / 3_600
            ),
        },
        flows: samples(targets.values().map(|earliest| earliest.community_id)),
        first,
        last,
        ..evidence(update, kind, &key)
    }
}
