//! Settings of all providers: one section each, Know Your IP's names where it has them, unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use super::Quota;

/// A key. Not printed, not serialized; `<<<…>>>` is a placeholder and counts as unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with("<<<") && text.ends_with(">>>") {
            return Self::default();
        }
        Self(text.to_owned())
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub const fn is_set(&self) -> bool {
        !self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_set() { "set" } else { "unset" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Keys of digits only need no quotes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(i64),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::new(&text),
            Written::Number(number) => Self(number.to_string()),
        })
    }
}

/// All providers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub network: Network,
    pub ranges: Ranges,
    pub rdap: Rdap,
    pub maxmind: MaxMind,
    pub geonames: GeoNames,
    pub abuseipdb: AbuseIpDb,
    pub virustotal: Keyed,
    pub shodan: Keyed,
    pub internetdb: Keyless,
    pub censys: Censys,
    pub apivoid: Keyed,
    pub greynoise: Keyed,
    pub crowdsec: Keyed,
    pub cymru: Zone,
    pub dnsbl: Dnsbl,
    pub ping: Ping,
    pub traceroute: Traceroute,
    pub scan: Scan,
    /// Limits of your own plans, by provider, instead of the free plans'.
    pub quotas: BTreeMap<String, Plan>,
}

/// What a plan allows; absent: as many as the pace lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    pub per_minute: Option<u32>,
    pub per_day: Option<u32>,
    pub per_month: Option<u32>,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section!(
    /// Category and reverse name; and how name servers are asked, by all providers.
    Network {
        enabled: bool = true,
        reverse_dns: bool = true,
        /// Seconds, for one question.
        dns_timeout: f64 = 5.0,
        /// `address:port`; empty: those of the system.
        dns_servers: Vec<SocketAddr> = Vec::new(),
    }
);

section!(
    /// A vendor with a key.
    Keyed {
        enabled: bool = false,
        #[serde(skip_serializing)]
        api_key: Secret = Secret::default(),
        /// Instead of the vendor's own.
        api_url: String = String::new(),
    }
);

section!(
    /// A vendor without a key.
    Keyless {
        enabled: bool = false,
        api_url: String = String::new(),
    }
);

section!(AbuseIpDb {
    enabled: bool = false,
    #[serde(skip_serializing)]
    api_key: Secret = Secret::default(),
    /// 1 to 365: how far reports go back.
    days: u32 = 180,
    api_url: String = String::new(),
});

section!(Censys {
    enabled: bool = false,
    /// Personal access token.
    #[serde(skip_serializing)]
    api_key: Secret = Secret::default(),
    /// Unset on the free tier.
    organization_id: String = String::new(),
    api_url: String = String::new(),
});

section!(GeoNames {
    enabled: bool = false,
    #[serde(skip_serializing)]
    username: Secret = Secret::default(),
    api_url: String = String::new(),
});

section!(MaxMind {
    enabled: bool = true,
    /// Folder of `GeoLite2-City.mmdb` and `GeoLite2-ASN.mmdb`, or one file.
    db_path: PathBuf = "./db".into(),
    #[serde(skip_serializing)]
    account_id: Secret = Secret::default(),
    #[serde(skip_serializing)]
    license_key: Secret = Secret::default(),
    api_url: String = String::new(),
});

section!(Rdap {
    enabled: bool = true,
    /// Instead of those that the bootstrap names.
    api_url: String = String::new(),
    /// Folder of `ipv4.json` and `ipv6.json` on a server.
    bootstrap_url: String = String::new(),
});

section!(Ranges {
    enabled: bool = true,
    /// Seconds until a list is fetched again; at least 60.
    ttl_seconds: u64 = 86_400,
    /// Instead of each publisher's own: all lists under this, by their names (`aws`, `gcp`, …).
    api_url: String = String::new(),
});

section!(
    /// A DNS service without a key.
    Zone {
        enabled: bool = false,
    }
);

section!(
    Dnsbl {
        enabled: bool = false,
        zones: Vec<String> = vec!["zen.spamhaus.org".to_owned()],
    }
);

section!(Ping {
    enabled: bool = false,
    /// Milliseconds, for one echo.
    timeout: u64 = 3000,
    count: u16 = 3,
});

section!(Traceroute {
    enabled: bool = false,
    max_hops: u8 = 30,
    /// Milliseconds to wait for answers of a round.
    timeout: u64 = 2000,
});

section!(
    /// TCP connections, with what the server says first.
    Scan {
        enabled: bool = false,
        ports: Vec<u16> = vec![21, 22, 23, 25, 53, 80, 110, 143, 443, 445, 993, 3306, 3389, 5432, 6379, 8080, 8443],
        /// Milliseconds, for one connection.
        timeout: u64 = 2000,
        /// Milliseconds to wait for a banner.
        banner: u64 = 1000,
    }
);

impl Settings {
    /// Quotas that are not those of the free plans.
    #[must_use]
    pub fn plans(&self) -> BTreeMap<String, Quota> {
        let quota = |plan: &Plan| {
            let pace = plan.per_minute.filter(|minute| *minute > 0);
            Quota {
                per_day: plan.per_day,
                per_month: plan.per_month,
                ..pace.map_or(Quota::UNLIMITED, |minute| {
                    Quota::paced(60.0 / f64::from(minute), minute.min(10))
                })
            }
        };
        self.quotas
            .iter()
            .map(|(name, plan)| (name.clone(), quota(plan)))
            .collect()
    }

    /// # Errors
    /// The key whose value may not be, and why.
    pub fn check(&self) -> Result<(), String> {
        let need = |holds: bool, text: &str| if holds { Ok(()) } else { Err(text.to_owned()) };
        for (name, plan) in &self.quotas {
            if super::info(name).is_none() {
                return Err(format!("quotas.{name}: there is no such provider"));
            }
            need(plan.per_minute != Some(0), "quotas: per_minute is at least 1")?;
        }
        need(
            (1..=365).contains(&self.abuseipdb.days),
            "abuseipdb.days: 1 to 365",
        )?;
        need(self.ranges.ttl_seconds >= 60, "ranges.ttl_seconds: at least 60")?;
        let seconds = self.network.dns_timeout;
        need(
            seconds > 0.0 && seconds <= 60.0,
            "network.dns_timeout: above 0, at most 60",
        )?;
        need(
            self.ping.timeout >= 1 && self.ping.timeout <= 60_000,
            "ping.timeout: 1 to 60000",
        )?;
        need((1..=100).contains(&self.ping.count), "ping.count: 1 to 100")?;
        need(self.traceroute.max_hops >= 1, "traceroute.max_hops: 1 to 255")?;
        need(self.scan.ports.len() <= 1024, "scan.ports: at most 1024")?;
        need(self.dnsbl.zones.len() <= 64, "dnsbl.zones: at most 64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed_and_placeholders_are_unset() {
        let text = "[virustotal]\nenabled = true\napi_key = \"top secret\"\n[shodan]\napi_key = \"<<<key>>>\"\n[apivoid]\napi_key = 123";
        let settings: Settings = toml::from_str(text).unwrap();
        assert!(settings.virustotal.api_key.is_set());
        assert!(!settings.shodan.api_key.is_set());
        assert_eq!(settings.apivoid.api_key.text(), "123");
        let shown = format!("{settings:?}{}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("top secret"));
    }

    #[test]
    fn unknown_keys_and_values_out_of_bounds_are_named() {
        let error = toml::from_str::<Settings>("[shodan]\nkey = \"x\"").unwrap_err();
        assert!(error.to_string().contains("key"));
        let mut settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        settings.abuseipdb.days = 0;
        assert!(settings.check().unwrap_err().contains("abuseipdb.days"));
    }
}
