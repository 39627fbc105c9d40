//! `[knowledge]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_enrich::provider::{Quota, Secret, info};
use serde::{Deserialize, Serialize};

/// Outside services; each with its section, all off by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupConfig {
    pub virustotal: VirusTotal,
    pub urlhaus: UrlHaus,
    pub hashlookup: HashLookup,
    pub rdap: Rdap,
    pub jarm: Jarm,
    /// Questions that wait for one service; more are refused and counted.
    pub queue: usize,
    /// Answers of one service that are remembered; the oldest go and are counted.
    pub answers: usize,
    /// How long an answer holds.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Folder of quotas and the probe log; absent: `knowledge` beside the store.
    pub state: Option<PathBuf>,
}

impl Default for LookupConfig {
    fn default() -> Self {
        Self {
            virustotal: VirusTotal::default(),
            urlhaus: UrlHaus::default(),
            hashlookup: HashLookup::default(),
            rdap: Rdap::default(),
            jarm: Jarm::default(),
            queue: 1024,
            answers: 65_536,
            max_age: Duration::from_secs(86_400),
            state: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VirusTotal {
    pub enabled: bool,
    /// File whose first line is the key.
    pub key_file: Option<PathBuf>,
    /// Instead of the vendor's own.
    pub url: String,
    /// Engines that must call it malicious.
    pub min_engines: u64,
    /// Requests a minute and a day that the plan allows; absent: the public plan's 4 and 500.
    pub per_minute: Option<u32>,
    pub per_day: Option<u32>,
}

impl Default for VirusTotal {
    fn default() -> Self {
        Self {
            enabled: false,
            key_file: None,
            url: String::new(),
            min_engines: 2,
            per_minute: None,
            per_day: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UrlHaus {
    pub enabled: bool,
    /// File whose first line is the `Auth-Key`.
    pub key_file: Option<PathBuf>,
    pub url: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HashLookup {
    pub enabled: bool,
    pub url: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rdap {
    pub enabled: bool,
    /// One registry for all domains.
    pub url: String,
    /// Where the bootstrap is fetched, as `https://data.iana.org/rdap`; empty: the embedded table, which knows few
    /// top-level domains.
    pub bootstrap_url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jarm {
    /// Sends ten handshakes to servers, which thereby learn of us.
    pub enabled: bool,
    /// Every TLS server that is seen, instead of those of a command-and-control finding.
    pub every_server: bool,
    /// For each handshake.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for Jarm {
    fn default() -> Self {
        Self {
            enabled: false,
            every_server: false,
            timeout: Duration::from_secs(5),
        }
    }
}

impl LookupConfig {
    /// Whether anything is on.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.virustotal.enabled
            || self.urlhaus.enabled
            || self.hashlookup.enabled
            || self.rdap.enabled
            || self.jarm.enabled
    }

    /// # Errors
    /// The key that may not be so.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!((1..=65_536).contains(&self.queue), "knowledge.queue: 1 to 65536");
        ensure!(
            (16..=16_777_216).contains(&self.answers),
            "knowledge.answers: 16 to 16777216"
        );
        ensure!(
            !self.virustotal.enabled || self.virustotal.key_file.is_some(),
            "knowledge.virustotal.key_file: needed"
        );
        ensure!(
            !self.urlhaus.enabled || self.urlhaus.key_file.is_some(),
            "knowledge.urlhaus.key_file: needed"
        );
        ensure!(
            self.virustotal.per_minute != Some(0),
            "knowledge.virustotal.per_minute: at least 1"
        );
        Ok(())
    }

    /// Quotas that are not those of the free plans.
    pub(super) fn plans(&self) -> BTreeMap<String, Quota> {
        let mut plans = BTreeMap::new();
        let VirusTotal {
            per_minute, per_day, ..
        } = self.virustotal;
        if let Some(info) = info("virustotal").filter(|_| per_minute.is_some() || per_day.is_some()) {
            let pace = per_minute.map_or(info.quota, |minute| {
                Quota::paced(60.0 / f64::from(minute), minute)
            });
            let quota = Quota {
                per_day: per_day.or(info.quota.per_day),
                per_month: per_day.map_or(info.quota.per_month, |day| Some(day.saturating_mul(31))),
                ..pace
            };
            plans.insert("virustotal".to_owned(), quota);
        }
        plans
    }
}

/// The first line of a file.
pub(super) fn key(name: &str, path: Option<&PathBuf>) -> anyhow::Result<Secret> {
    let path = path.with_context(|| format!("knowledge.{name}.key_file: needed"))?;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("knowledge.{name}.key_file: {}", path.display()))?;
    let secret = Secret::new(text.lines().next().unwrap_or_default());
    ensure!(
        secret.is_set(),
        "knowledge.{name}.key_file: {} is empty",
        path.display()
    );
    Ok(secret)
}
