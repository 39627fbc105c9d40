//! Outside sources that can be asked about an address: one file each, all behind [`Provider`].
//!
//! A provider only asks and decodes. Whether it may (leaks, quotas, breakers), what is kept and what is written to the
//! probe log is decided by [`crate::discipline`] and [`crate::wire`], the same way for all.

mod abuseipdb;
mod apivoid;
mod censys;
mod crowdsec;
mod cymru;
mod dnsbl;
mod facts;
mod geonames;
mod greynoise;
mod internetdb;
pub mod maxmind;
mod network;
mod ping;
pub mod ranges;
pub mod rdap;
mod registry;
mod scan;
mod settings;
mod shodan;
mod traceroute;
mod tree;
mod virustotal;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::Response;

pub use abuseipdb::CATEGORIES as ABUSE_CATEGORIES;
pub use dnsbl::{Verdict as DnsblVerdict, decode as decode_dnsbl};
pub use facts::{facts, reason, unknowns};
pub use network::{Category, category};
pub use registry::{INFOS, info, registry};
pub(crate) use registry::{base, encoded};
pub use settings::{Secret, Settings};
pub use traceroute::{Hop, Route, trace};

pub use ping::{Echoes, echo};
pub use scan::{Open, scan as connect_scan};

/// What somebody learns from asking. The order is that of `--max-leak`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leak {
    /// Nobody learns which address is looked at. Packets may still leave, as for the lists of [`ranges`].
    None,
    /// The name servers on the way, and the operator of the zone, learn the address.
    Dns,
    /// The vendor learns the address, and who asks.
    Vendor,
    /// The address itself learns that we look at it, from where, and when.
    Target,
}

impl Leak {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dns => "dns",
            Self::Vendor => "vendor",
            Self::Target => "target",
        }
    }
}

/// What asking costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    Free,
    /// Free up to a quota.
    Freemium,
    Paid,
}

impl Cost {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Freemium => "freemium",
            Self::Paid => "paid",
        }
    }
}

/// How often a provider may be asked. Vendors' published limits where there are any; see `docs/providers.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Seconds until one more request is allowed; 0: no pace.
    pub seconds_per_request: f64,
    /// Requests that may follow one another at once.
    pub burst: u32,
    /// Requests of a UTC day.
    pub per_day: Option<u32>,
    /// Requests of a UTC month.
    pub per_month: Option<u32>,
}

impl Quota {
    pub const UNLIMITED: Self = Self {
        seconds_per_request: 0.0,
        burst: 1,
        per_day: None,
        per_month: None,
    };

    #[must_use]
    pub const fn paced(seconds_per_request: f64, burst: u32) -> Self {
        Self {
            seconds_per_request,
            burst,
            per_day: None,
            per_month: None,
        }
    }
}

/// What stands fast about a provider.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Prefix of its columns, and its section in the configuration.
    pub name: &'static str,
    pub cost: Cost,
    pub needs_key: bool,
    /// Whether asking sends packets at all.
    pub sends: bool,
    pub leak: Leak,
    /// Who learns what, for people.
    pub who: &'static str,
    pub quota: Quota,
    /// Asked again only after this; `None`: each time (as with measurements).
    pub fresh: Option<Duration>,
    /// Asked also for addresses that are not globally routable.
    pub any_address: bool,
    /// Asked in a second pass, because it needs a position.
    pub needs_position: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    pub ip: IpAddr,
    /// Latitude and longitude, degrees, where another source gave them.
    pub position: Option<(f64, f64)>,
}

impl Question {
    #[must_use]
    pub const fn about(ip: IpAddr) -> Self {
        Self { ip, position: None }
    }
}

/// First and last address that an answer holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub first: IpAddr,
    pub last: IpAddr,
}

impl Range {
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4() && self.first <= ip && ip <= self.last
    }
}

/// Raw columns, as `virustotal.harmless`, in the provider's order. A column that is absent is unknown.
pub type Columns = Vec<(String, Value)>;

/// An answer of a provider that was reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Found {
        columns: Columns,
        range: Option<Range>,
    },
    /// The provider does not know the address. An answer, and kept as one.
    NotFound,
}

impl Reply {
    #[must_use]
    pub const fn found(columns: Columns) -> Self {
        Self::Found { columns, range: None }
    }

    /// What most say in HTTP: 404 for "not found", otherwise a document.
    fn read(response: Response, decode: fn(&[u8]) -> Result<Columns, Fault>) -> Result<Self, Fault> {
        match response.body_or_not_found()? {
            None => Ok(Self::NotFound),
            Some(body) => Ok(Self::found(decode(&body)?)),
        }
    }
}

/// Why there is no answer. Never kept as an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("asks to come later ({0})")]
    Limited(String, Option<Duration>),
    #[error("fails: {0}")]
    Server(String, Option<Duration>),
    #[error("refuses the key or the account ({0})")]
    Denied(String),
    /// Not what the provider documents.
    #[error("answers what cannot be read: {0}")]
    Malformed(String),
    #[error("needs {0}")]
    Unconfigured(&'static str),
    /// Something of ours: a file, a permission.
    #[error("{0}")]
    Local(String),
}

/// What the decoders make of any bytes, for fuzzing: they may refuse, and must not panic.
#[doc(hidden)]
pub fn decode_all(bytes: &[u8]) {
    let ip = IpAddr::from([192, 0, 2, 1]);
    let _ = abuseipdb::decode(bytes);
    let _ = apivoid::decode(bytes);
    let _ = censys::decode(bytes);
    let _ = crowdsec::decode(bytes);
    let _ = geonames::decode(bytes);
    let _ = greynoise::decode(bytes);
    let _ = internetdb::decode(bytes);
    let _ = rdap::decode(bytes, ip);
    let _ = shodan::decode(bytes);
    let _ = virustotal::decode(bytes);
    let _ = ranges::Spans::read(bytes);
    maxmind::decode_all(bytes, ip);
}

/// An outside source.
pub trait Provider: Send + Sync {
    fn info(&self) -> &'static Info;

    /// Switched on in the configuration.
    fn enabled(&self) -> bool;

    /// What must be configured before it can be asked, in words.
    fn missing(&self) -> Option<&'static str> {
        None
    }

    /// Settings that change answers, without secrets. Kept answers of other settings are not used.
    fn settings(&self) -> String {
        String::new()
    }

    /// Asks and decodes. Blocks.
    ///
    /// # Errors
    /// See [`Fault`].
    fn ask(&self, question: &Question) -> Result<Reply, Fault>;
}

/// Why an address was or was not answered; the last component of the column `<provider>.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Found,
    NotFound,
    RateLimited,
    /// The day's or month's own quota is used up.
    QuotaUsed,
    AuthFailed,
    NotGloballyRoutable,
    /// Not asked: `--active` is missing, or `--max-leak` is lower.
    NotAllowed,
    /// Not asked: it failed often just before.
    CircuitOpen,
    Unreachable,
    Failed,
    Unconfigured,
}

impl Status {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::QuotaUsed => "quota_used",
            Self::AuthFailed => "auth_failed",
            Self::NotGloballyRoutable => "not_globally_routable",
            Self::NotAllowed => "not_allowed",
            Self::CircuitOpen => "circuit_open",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::Unconfigured => "unconfigured",
        }
    }

    /// Only these are answers.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Found | Self::NotFound)
    }
}

/// What came of asking one provider about one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    pub provider: &'static str,
    pub ip: IpAddr,
    pub status: Status,
    /// What went wrong, for people.
    pub error: Option<String>,
    #[serde(skip)]
    pub columns: Columns,
    pub range: Option<Range>,
    /// When the provider said so, seconds since the Unix epoch.
    pub observed: i64,
    pub from_cache: bool,
}

impl Answer {
    /// The value of a raw column, as `virustotal.harmless`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Value> {
        let mut columns = self.columns.iter();
        columns.find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// JSON with the names that vendors use, in any arrangement.
    fn document() -> impl Strategy<Value = Value> {
        let names = [
            "data",
            "attributes",
            "result",
            "resource",
            "services",
            "port",
            "entities",
            "roles",
            "vcardArray",
            "events",
            "reports",
            "categories",
            "status",
            "value",
            "ports",
            "vulns",
            "noise",
            "riot",
            "ip",
            "scores",
            "location",
            "last_analysis_stats",
            "blacklists",
            "startAddress",
            "endAddress",
            "error",
            "tags",
            "whois",
            "dns",
            "names",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            "[a-z0-9.:é]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            let name = proptest::sample::select(names.to_vec());
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((name, inner), 0..6).prop_map(|fields| fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_decoded_or_refused(document in document(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::decode_all(document.to_string().as_bytes());
            super::decode_all(&bytes);
        }
    }
}
