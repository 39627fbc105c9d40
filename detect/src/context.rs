//! What detectors know beside the traffic: the own network, and facts about others.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::address::Network as Prefix;
use lynceus_model::evidence::ThreatLevel;
use lynceus_model::flow::Endpoint;
use serde::{Deserialize, Serialize};

/// Shared by all detectors.
#[derive(Clone)]
pub struct Context {
    pub network: Arc<Network>,
    pub knowledge: Arc<dyn Knowledge>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Context")
    }
}

impl Context {
    /// Knows the network and nothing else.
    #[must_use]
    pub fn offline(network: Network) -> Self {
        Self {
            network: Arc::new(network),
            knowledge: Arc::new(Nothing),
        }
    }
}

/// What the administrator says of the own network.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Routers: their ARP requests, neighbour solicitations and uploads to them are not looked at.
    pub gateways: Vec<IpAddr>,
    /// The local network, as `address/prefix`; empty: the first private range of `clients`, else that of the first private
    /// source.
    #[serde(with = "prefixes")]
    pub local: Vec<Prefix>,
    /// Our own hosts, as `address/prefix`; needed where they are outside the private ranges.
    #[serde(with = "prefixes")]
    pub clients: Vec<Prefix>,
    /// Our own scanners and monitors, as `address/prefix`: what they try is no scan.
    #[serde(with = "prefixes")]
    pub scanners: Vec<Prefix>,
    /// Name servers and DHCP servers that may be asked outside the local network.
    pub dns_servers: Vec<IpAddr>,
    pub dhcp_servers: Vec<IpAddr>,
}

impl Network {
    /// It scans by order of the administrator.
    pub(crate) fn is_scanner(&self, ip: IpAddr) -> bool {
        self.scanners.iter().any(|scanner| scanner.contains(ip))
    }
}

/// Facts about others. Every answer may be "not known", which is never "no".
pub trait Knowledge: std::fmt::Debug + Send + Sync {
    /// Autonomous system that announces the address.
    fn autonomous_system(&self, _ip: IpAddr) -> Option<AutonomousSystem> {
        None
    }

    /// Its number alone.
    fn system_number(&self, ip: IpAddr) -> Option<u32> {
        Some(self.autonomous_system(ip)?.number)
    }

    /// Country of the address, two letters.
    fn country(&self, _ip: IpAddr) -> Option<String> {
        None
    }

    /// Whether the address is in a range that one of three clouds publishes (AWS, Google Cloud, Oracle Cloud). A fact about
    /// these lists: *no* does not say that nobody hosts it.
    fn in_clouds(&self, _ip: IpAddr) -> Option<bool> {
        None
    }

    /// Maker of a network card.
    fn vendor(&self, _mac: [u8; 6]) -> Option<String> {
        None
    }

    /// Days between the registration of a domain and `at` (seconds since the Unix epoch).
    fn domain_age(&self, _domain: &str, _at: i64) -> Option<u32> {
        None
    }

    /// JARM of a TLS server that somebody probed: 62 hexadecimal digits.
    fn jarm(&self, _server: Endpoint) -> Option<String> {
        None
    }

    /// Feeds that list this. `None`: no feed that could list it is loaded.
    fn listed(&self, _indicator: Indicator<'_>) -> Option<Vec<Listing>> {
        None
    }
}

/// Knows nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Knowledge for Nothing {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutonomousSystem {
    pub number: u32,
    pub name: String,
}

/// What a feed may list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Indicator<'a> {
    /// Also found by a network that contains it.
    Ip(IpAddr),
    /// Also found by a parent domain.
    Domain(&'a str),
    Url(&'a str),
    AutonomousSystem(u32),
    Ja3(&'a str),
    Ja3s(&'a str),
    Ja4(&'a str),
    /// SHA-1 of a certificate.
    Certificate(&'a str),
    /// MD5, SHA-1 or SHA-256 of a file.
    File(&'a str),
    Jarm(&'a str),
    TorExit(IpAddr),
}

/// One feed's word on an indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    pub feed: String,
    pub level: ThreatLevel,
    pub description: String,
    pub tags: Vec<String>,
    /// The entry itself, where it is wider than what was asked: a network or a parent domain.
    pub wider: Option<String>,
}

pub(crate) mod prefixes {
    use lynceus_model::address::Network as Prefix;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(prefixes: &[Prefix], serializer: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
        texts.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Prefix>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts
            .iter()
            .map(|text| text.parse().map_err(|error| D::Error::custom(format!("{error}"))))
            .collect()
    }
}
