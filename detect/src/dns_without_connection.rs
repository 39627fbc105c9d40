//! A name that was looked up and then not used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::address::is_target;
use lynceus_model::app::{AppEvent, AppRecord, Dns};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::connection_without_dns::addresses;
use crate::context::Network;
use crate::neighbours::Neighbours;
use crate::report::{With, feature, grown, times};
use crate::sightings::{Answer, Sightings, before};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DnsWithoutConnection`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// A connection that began so long before the answer counts as its use: the name was looked up again.
    #[serde(with = "humantime_serde")]
    pub before: Duration,
    /// Names of one window that are said.
    pub max_names: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            before: Duration::from_secs(3_600),
            max_names: 64,
        }
    }
}

/// Judges when the window closes, which is ten minutes after its end: whatever was connected to by then was used.
#[derive(Debug)]
pub struct DnsWithoutConnection {
    config: Config,
    network: Arc<Network>,
    neighbours: Neighbours,
    /// Who exchanged packets with whom, DNS left out.
    contacts: Sightings<(IpAddr, IpAddr)>,
    /// Hosts that connect to anything but name servers.
    connecting: Sightings<IpAddr>,
    /// Hosts that answer on port 53: they ask for others.
    name_servers: Sightings<IpAddr>,
    windows: PerWindow<BTreeMap<String, Name>>,
}

#[derive(Debug, Default)]
struct Name {
    tally: Tally,
    addresses: BTreeSet<IpAddr>,
}

impl Name {
    fn add(&mut self, record: &AppRecord, dns: &Dns) {
        self.tally.add(record.time, record.time, record.community_id);
        let room = MAX_ADDRESSES.saturating_sub(self.addresses.len());
        self.addresses.extend(addresses(dns).take(room));
    }
}

/// Names of a window that are looked at, and addresses of a name.
const MAX_NAMES: usize = 1_024;
const MAX_ADDRESSES: usize = 64;
/// Pairs of a generation, some 25 MB.
const MAX_CONTACTS: usize = 262_144;
const MAX_HOSTS: usize = 65_536;

impl DnsWithoutConnection {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            neighbours: Neighbours::default(),
            contacts: Sightings::new(MAX_CONTACTS),
            connecting: Sightings::new(MAX_HOSTS),
            name_servers: Sightings::new(MAX_HOSTS),
            windows: PerWindow::new(),
        }
    }

    fn learn(&mut self, update: &ProfileUpdate<'_>) {
        self.neighbours.learn(update);
        for report in update.flows {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            if server.port == 53 {
                if flow.back.packets > 0 {
                    self.name_servers.note(server.ip, flow.first, flow.last);
                }
                continue;
            }
            self.connecting.note(client.ip, flow.first, flow.last);
            self.contacts.note((client.ip, server.ip), flow.first, flow.last);
            self.contacts.note((server.ip, client.ip), flow.first, flow.last);
        }
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            if !is_judged(dns) || addresses(dns).next().is_none() {
                continue;
            }
            let names = self.windows.of(window);
            if let Some(name) = names.get_mut(&dns.name) {
                name.add(record, dns);
            } else if names.len() < MAX_NAMES {
                names.entry(dns.name.clone()).or_default().add(record, dns);
            } else {
                self.windows.refuse();
            }
        }
    }

    /// True only if every address of the name is known not to have been contacted.
    fn is_unused(&self, profile: &ProfileDelta, hosts: &[IpAddr], name: &Name) -> bool {
        let from = before(name.tally.first, self.config.before);
        let to = Timestamp::MAX;
        let connects = hosts
            .iter()
            .any(|host| self.connecting.seen(host, from, to) == Answer::Yes);
        let listed = |ip: &IpAddr| profile.client_peers.rows().any(|(key, _)| key.ip == *ip);
        let unused = |ip: &IpAddr| {
            let unseen = |host: &IpAddr| self.contacts.seen(&(*host, *ip), from, to) == Answer::No;
            hosts.iter().all(unseen) && !listed(ip)
        };
        // A sinkhole is nothing to connect to.
        connects && name.addresses.iter().all(|ip| is_target(*ip) && unused(ip))
    }
}

/// A question for an address that a program asks in order to connect.
fn is_judged(dns: &Dns) -> bool {
    const ADDRESS: [u16; 2] = [1, 28];
    if !dns.response || dns.multicast || dns.rcode != 0 || !ADDRESS.contains(&dns.query_type) {
        return false;
    }
    let name = dns.name.as_str();
    let other = [".arpa", ".local", ".cymru.com"]
        .iter()
        .any(|end| name.ends_with(end))
        || !name.contains('.')
        || name.contains('*')
        || name.starts_with("wpad.");
    !other
}

impl Detector for DnsWithoutConnection {
    fn name(&self) -> &'static str {
        "dns_without_connection"
    }

    fn refused(&self) -> u64 {
        self.contacts.refused()
            + self.connecting.refused()
            + self.name_servers.refused()
            + self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        self.learn(update);
        let profile = update.profile;
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let names = self.windows.take(profile.window).unwrap_or_default();
        let host = profile.window.profile;
        let to = Timestamp::MAX;
        let resolves_for_others = self.network.dns_servers.contains(&host)
            || self.network.gateways.contains(&host)
            || self.name_servers.seen(&host, Timestamp::MIN, to) == Answer::Yes;
        // What did not travel, or had no place, may be the connection that is missing.
        let incomplete = profile.not_carried.flows > 0 && profile.client_peers.truncated();
        if resolves_for_others || incomplete {
            return Vec::new();
        }
        let mut hosts = self.neighbours.twins(host);
        hosts.push(host);
        let unused = names
            .iter()
            .filter(|(_, name)| self.is_unused(profile, &hosts, name));
        unused
            .take(self.config.max_names)
            .map(|(text, name)| describe(update, text, name))
            .collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, text: &str, name: &Name) -> Evidence {
    let host = update.profile.window.profile;
    let lookups = name.tally.count;
    Evidence {
        subject: Some(text.to_owned()),
        dst_port: Some(53),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(0.8),
        description: format!(
            "DNS without connection: {host} looked up {text} and connected to none of its addresses."
        ),
        explanation: Explanation {
            features: vec![
                feature("answers", lookups as f64, "messages").threshold(1.0),
                feature(
                    "addresses in the answers",
                    name.addresses.len() as f64,
                    "addresses",
                ),
            ],
            text: format!(
                "{text} was answered {}, and nothing was exchanged with its addresses until ten minutes after the window. \
                 Browsers look names up in advance; malware looks up names to see whether they are there, or to say \
                 something by asking.",
                times(lookups)
            ),
        },
        ..grown(update, EvidenceType::DnsWithoutConnection, text, &name.tally)
    }
}
