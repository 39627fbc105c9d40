//! A window that is over: its features, and what else may be shared with others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lynceus_model::evidence::EvidenceType;
use lynceus_model::flow::CommunityId;
use lynceus_model::outlier::patterns::Item;
use lynceus_model::outlier::{Extras, Values};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};

use super::own::hour_of;
use super::{Open, Outlier, Role};
use crate::report::{protocol_name, samples};
use crate::{History, ProfileUpdate};

/// A window that waits to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    pub window: WindowId,
    pub sensor: SensorId,
    pub number: i64,
    pub span: (Timestamp, Timestamp),
    pub role: Role,
    pub values: Values,
    /// Attributes that patterns are made of; `feature` items come with the judgement.
    pub items: BTreeSet<Item>,
    pub types: u128,
    /// Flows that show it, most bytes first.
    pub flows: Vec<CommunityId>,
}

/// Values of one attribute in one window.
const MAX_VALUES: usize = 4;
/// Flows that show a window.
const MAX_FLOWS: usize = 16;
/// A day of fingerprints, before one that is new says something.
const FINGERPRINTS_KNOWN: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl Outlier {
    pub(super) fn closed_of(&self, update: &ProfileUpdate<'_>, history: &History<'_>, open: &Open) -> Closed {
        let profile = update.profile;
        let window = profile.window;
        Closed {
            window,
            sensor: update.sensor,
            number: update.number,
            span: profile.span.unwrap_or((window.start, window.start)),
            role: self.role_of(profile),
            values: self.values_of(profile, history.windows(), Some(open)),
            items: self.items_of(profile, open),
            types: open.types,
            flows: flows_of(profile),
        }
    }

    /// Features of a window as it is known now. `open`: what its messages said; `None` makes these features missing.
    #[must_use]
    pub fn values_of(&self, profile: &ProfileDelta, earlier: &[ProfileDelta], open: Option<&Open>) -> Values {
        let window = profile.window;
        let hosts = hosts_of(profile);
        let fingerprints_known = self
            .fingerprints_since
            .is_some_and(|since| window.start.since(since) >= FINGERPRINTS_KNOWN);
        let own = self.owns.get(&window.profile);
        let totals = &profile.totals;
        let knowledge = &self.context.knowledge;
        let hosting: Vec<bool> = hosts.keys().filter_map(|ip| knowledge.in_clouds(*ip)).collect();
        Values::of(
            profile,
            &Extras {
                dst_asns: count(hosts.keys().filter_map(|ip| knowledge.system_number(*ip))),
                dst_countries: count(hosts.keys().filter_map(|ip| knowledge.country(*ip))),
                new_peers: Extras::new_peers(profile, earlier),
                dns_name_entropy: open.and_then(Open::name_entropy),
                new_fingerprints: open
                    .filter(|_| fingerprints_known)
                    .map(|open| open.new_fingerprints),
                incoming: totals.server_established.flows + totals.server_not_established.flows > 0,
                hour_surprisal: own.and_then(|own| own.hour_surprisal(window.start)),
                hosting_ratio: ratio(&hosting),
            },
        )
    }

    fn items_of(&self, profile: &ProfileDelta, open: &Open) -> BTreeSet<Item> {
        let mut items = BTreeSet::new();
        let mut put = |attribute: &str, value: String| {
            items.insert(Item {
                attribute: attribute.to_owned(),
                value,
            });
        };
        let mut ports: BTreeMap<(u8, u16), u64> = BTreeMap::new();
        for (key, cell) in profile.client_ports.rows() {
            *ports.entry((key.protocol, key.port)).or_default() += cell.counts.flows;
        }
        for (protocol, port) in most(ports) {
            put("port", format!("{port}/{}", protocol_name(protocol)));
        }
        let mut systems: BTreeMap<u32, u64> = BTreeMap::new();
        let mut countries: BTreeMap<String, u64> = BTreeMap::new();
        for (ip, flows) in hosts_of(profile) {
            if let Some(country) = self.context.knowledge.country(ip) {
                *countries.entry(country).or_default() += flows;
            }
            if let Some(system) = self.context.knowledge.system_number(ip) {
                *systems.entry(system).or_default() += flows;
            }
        }
        for system in most(systems) {
            put("asn", format!("AS{system}"));
        }
        for country in most(countries) {
            put("country", country);
        }
        for domain in most(open.domains.clone()) {
            put("sni", domain);
        }
        for fingerprint in open.fingerprints.iter().take(MAX_VALUES) {
            put("ja4", fingerprint.clone());
        }
        for vlan in open.vlans.iter().take(MAX_VALUES) {
            put("vlan", vlan.to_string());
        }
        let sensors: BTreeSet<SensorId> = profile.letters.entries().map(|(sensor, ..)| sensor).collect();
        for sensor in sensors.iter().take(MAX_VALUES) {
            put("sensor", sensor.to_string());
        }
        put("hour", format!("{:02}", hour_of(profile.window.start)));
        let kinds = EvidenceType::ALL.iter().enumerate();
        for (_, kind) in kinds.filter(|(place, _)| open.types >> place & 1 == 1) {
            put("evidence", kind.name().to_owned());
        }
        items
    }
}

/// Distinct values; `None` where there is none at all.
fn count<T: Ord>(values: impl Iterator<Item = T>) -> Option<u64> {
    let values: BTreeSet<T> = values.collect();
    (!values.is_empty()).then_some(values.len() as u64)
}

/// Share of those that are; `None` without any.
fn ratio(are: &[bool]) -> Option<f64> {
    let yes = are.iter().filter(|is| **is).count();
    (!are.is_empty()).then(|| yes as f64 / are.len() as f64)
}

/// Hosts with their flows.
fn hosts_of(profile: &ProfileDelta) -> BTreeMap<IpAddr, u64> {
    let mut hosts = BTreeMap::new();
    for (key, cell) in profile.client_peers.rows() {
        *hosts.entry(key.ip).or_default() += cell.counts.flows;
    }
    hosts
}

/// The most frequent, in the order of their frequency.
fn most<T: Ord>(counts: BTreeMap<T, u64>) -> Vec<T> {
    let mut counts: Vec<(T, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(MAX_VALUES);
    counts.into_iter().map(|(value, _)| value).collect()
}

fn flows_of(profile: &ProfileDelta) -> Vec<CommunityId> {
    let mut tuples: Vec<_> = profile
        .out_tuples
        .rows()
        .map(|(key, cell)| (cell.counts.bytes(), key, cell.earliest.community_id))
        .collect();
    tuples.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    samples(tuples.into_iter().map(|(_, _, id)| id).take(MAX_FLOWS))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lynceus_model::outlier::features::place_of;
    use lynceus_model::profile::{Cell, Counts, Draws, Earliest, PeerKey};

    use super::*;
    use crate::Context;
    use crate::context::{AutonomousSystem, Knowledge, Network};
    use crate::outlier::Config;

    /// The third byte is the system and names the country; what the fourth says is a cloud's.
    #[derive(Debug)]
    struct Known;

    impl Knowledge for Known {
        fn autonomous_system(&self, ip: IpAddr) -> Option<AutonomousSystem> {
            let IpAddr::V4(ip) = ip else { return None };
            (!ip.is_private()).then(|| AutonomousSystem {
                number: ip.octets()[2].into(),
                name: String::new(),
            })
        }

        fn country(&self, ip: IpAddr) -> Option<String> {
            let system = self.autonomous_system(ip)?.number;
            Some(if system < 3 { "US" } else { "DE" }.to_owned())
        }

        fn in_clouds(&self, ip: IpAddr) -> Option<bool> {
            let IpAddr::V4(ip) = ip else { return None };
            (!ip.is_private()).then(|| ip.octets()[3] < 10)
        }
    }

    fn window(hour: i64, hosts: &[&str]) -> ProfileDelta {
        let mut profile = ProfileDelta::new(WindowId {
            profile: [10, 0, 0, 1].into(),
            start: Timestamp::from_secs(hour * 3600),
        });
        let counts = Counts {
            flows: 1,
            ..Counts::default()
        };
        for host in hosts {
            let key = PeerKey {
                established: true,
                protocol: 6,
                ip: host.parse().unwrap(),
            };
            let cell = Cell {
                counts,
                draws: Draws::new(7, &counts),
                earliest: Earliest {
                    first: Timestamp(0),
                    community_id: CommunityId([0; 20]),
                    packets: 1,
                },
                last: Timestamp(1),
            };
            profile.client_peers.add(key, &cell);
        }
        profile
    }

    /// `[dst_asns, dst_countries, new_peers, hosting_ratio]`
    fn facts(knowledge: Arc<dyn Knowledge>, now: &[&str], earlier: &[&[&str]]) -> [Option<f64>; 4] {
        let context = Context {
            network: Arc::new(Network::default()),
            knowledge,
        };
        let outlier = Outlier::new(Config::default(), &context);
        let earlier: Vec<_> = (0..)
            .zip(earlier)
            .map(|(hour, hosts)| window(hour, hosts))
            .collect();
        let values = outlier.values_of(&window(9, now), &earlier, None);
        let names = ["dst_asns", "dst_countries", "new_peers", "hosting_ratio"];
        names.map(|name| values.get(place_of(name).unwrap()))
    }

    #[test]
    fn facts_about_hosts_are_features() {
        let now = ["192.0.1.1", "192.0.2.1", "192.0.3.50", "192.0.3.51", "10.0.0.9"];
        let told = |earlier: &[&[&str]]| facts(Arc::new(Known), &now, earlier);
        // The private host is in no system and in no cloud.
        let without_a_past = [Some(3.0), Some(2.0), None, Some(0.5)];
        assert_eq!(told(&[]), without_a_past, "nothing is new");
        let past: [&[&str]; 2] = [&["192.0.1.1", "192.0.1.77"], &["192.0.3.50"]];
        assert_eq!(told(&past), [Some(3.0), Some(2.0), Some(3.0), Some(0.5)]);
    }

    #[test]
    fn what_nobody_knows_is_missing_and_no_zero() {
        let nobody: Arc<dyn Knowledge> = Arc::new(crate::context::Nothing);
        assert_eq!(facts(nobody, &["192.0.1.1"], &[]), [None; 4]);
        assert_eq!(facts(Arc::new(Known), &["10.0.0.9"], &[]), [None; 4]);
    }
}
