//! What the detectors of a case know beside its traffic.

use std::net::IpAddr;

use lynceus_detect::context::{AutonomousSystem, Indicator, Knowledge, Listing};
use lynceus_model::address::Network;
use lynceus_model::evidence::ThreatLevel;
use lynceus_model::flow::Endpoint;
use serde::Deserialize;

/// Empty lists are "not known", as without feeds and tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Facts {
    listed: Vec<ListedSpec>,
    vendors: Vec<VendorSpec>,
    systems: Vec<SystemSpec>,
    domains: Vec<DomainSpec>,
    jarms: Vec<JarmSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedSpec {
    /// `ip`, `domain`, `url`, `asn`, `ja3`, `ja3s`, `ja4`, `certificate`, `file`, `jarm`, `tor`.
    kind: String,
    /// Of kind `ip` also a network; of kind `domain` also for the names below it.
    value: String,
    #[serde(default = "high")]
    level: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VendorSpec {
    #[serde(deserialize_with = "super::mac")]
    mac: [u8; 6],
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemSpec {
    network: String,
    number: u32,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainSpec {
    name: String,
    days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JarmSpec {
    server: std::net::SocketAddr,
    jarm: String,
}

impl ListedSpec {
    /// `Some(wider)` if it lists the indicator.
    fn matches(&self, indicator: Indicator<'_>) -> Option<Option<String>> {
        let exact = |kind: &str, value: &str| (self.kind == kind && self.value == value).then_some(None);
        match indicator {
            Indicator::Ip(ip) => {
                let network: Network = (self.kind == "ip").then(|| self.value.parse().ok())??;
                network
                    .contains(ip)
                    .then(|| self.value.contains('/').then(|| self.value.clone()))
            }
            Indicator::Domain(name) => exact("domain", name).or_else(|| {
                let below = self.kind == "domain" && name.ends_with(&format!(".{}", self.value));
                below.then(|| Some(self.value.clone()))
            }),
            Indicator::Url(url) => exact("url", url),
            Indicator::AutonomousSystem(number) => exact("asn", &number.to_string()),
            Indicator::Ja3(hash) => exact("ja3", hash),
            Indicator::Ja3s(hash) => exact("ja3s", hash),
            Indicator::Ja4(hash) => exact("ja4", hash),
            Indicator::Certificate(hash) => exact("certificate", hash),
            Indicator::File(hash) => exact("file", hash),
            Indicator::Jarm(hash) => exact("jarm", hash),
            Indicator::TorExit(ip) => exact("tor", &ip.to_string()),
        }
    }
}

impl Knowledge for Facts {
    fn autonomous_system(&self, ip: IpAddr) -> Option<AutonomousSystem> {
        let system = self.systems.iter().find(|system| {
            let network: Network = system.network.parse().expect("a network");
            network.contains(ip)
        })?;
        Some(AutonomousSystem {
            number: system.number,
            name: system.name.clone(),
        })
    }

    fn vendor(&self, mac: [u8; 6]) -> Option<String> {
        let vendor = self.vendors.iter().find(|vendor| vendor.mac == mac)?;
        Some(vendor.name.clone())
    }

    fn domain_age(&self, domain: &str, _at: i64) -> Option<u32> {
        let known = self.domains.iter().find(|known| known.name == domain)?;
        Some(known.days)
    }

    fn jarm(&self, server: Endpoint) -> Option<String> {
        let known = self
            .jarms
            .iter()
            .find(|known| (known.server.ip(), known.server.port()) == (server.ip, server.port))?;
        Some(known.jarm.clone())
    }

    fn listed(&self, indicator: Indicator<'_>) -> Option<Vec<Listing>> {
        let listings = self.listed.iter().filter_map(|spec| {
            let wider = spec.matches(indicator)?;
            Some(Listing {
                feed: "case".to_owned(),
                level: level(&spec.level),
                description: spec.description.clone(),
                tags: spec.tags.clone(),
                wider,
            })
        });
        (!self.listed.is_empty()).then(|| listings.collect())
    }
}

fn level(name: &str) -> ThreatLevel {
    let levels = [
        ThreatLevel::Info,
        ThreatLevel::Low,
        ThreatLevel::Medium,
        ThreatLevel::High,
        ThreatLevel::Critical,
    ];
    levels
        .into_iter()
        .find(|level| level.name() == name)
        .expect("a threat level")
}

fn high() -> String {
    "high".to_owned()
}
