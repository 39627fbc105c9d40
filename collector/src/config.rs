//! The configuration file of `lynceus-collector`: TOML, every key with a default, unknown keys are errors.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lynceus_detect::{DetectConfig, Maker};
use lynceus_model::alert::AlertPolicy;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use serde::{Deserialize, Serialize};

use crate::auth::plaintext_is_safe;
use crate::control::ControlOptions;
use crate::dispatch::EngineOptions;
use crate::external::ModulesConfig;
use crate::feeds::FeedConfig;
use crate::lookups::LookupConfig;
use crate::output::OutputConfig;
use crate::retention::Retention;
use crate::store::{EmbeddedOptions, LogRetention, RedisOptions};
use crate::web::WebConfig;

/// Everything that can be set. [`Config::default`] is what an empty file means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Sensors and readers: `host:port`, or `unix:/path`. Beyond loopback only with `[tls]`.
    pub listen: String,
    /// `/metrics`, `/healthz`, `/readyz`; empty: off. Plain HTTP, so keep it on loopback or behind something.
    pub http_listen: String,
    /// Name of the group of sensors whose profiles are merged; part of the ids of evidence.
    pub group: String,
    pub tls: Option<Tls>,
    pub store: Store,
    pub windows: Windows,
    pub alerts: Alerts,
    /// What detectors must know of the network, and a section for each with its constants.
    pub detect: DetectConfig,
    /// How detectors are run, and which of them as processes of their own.
    pub modules: ModulesConfig,
    pub intake: Intake,
    /// The page and the HTTP API.
    pub web: WebConfig,
    pub sinks: Sinks,
    pub block: Block,
    /// Formats and receivers besides.
    pub outputs: Vec<OutputConfig>,
    /// Whitelist file; read again when it changes.
    pub whitelist: Option<PathBuf>,
    /// Copies of fetched feeds; absent: `feeds` beside the embedded store.
    pub feed_cache: Option<PathBuf>,
    pub feeds: Vec<FeedConfig>,
    /// Outside services behind detectors; all off by default.
    pub knowledge: LookupConfig,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of sensors and readers; both must show one.
    pub client_ca: PathBuf,
}

/// Where things are kept and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub engine: Engine,
    /// Of the embedded store, and of the JSON Lines files unless `[sinks]` says otherwise.
    pub directory: PathBuf,
    /// Of Redis: `redis://host:port/db` or `redis+unix:///path`.
    pub redis_url: String,
    /// Begin of all keys in Redis.
    pub redis_prefix: String,
    /// Days that flows and messages are kept.
    pub log_days: u32,
    /// MiB of flows and messages, as stored; the oldest go.
    pub log_mib: u64,
    /// Days that windows, evidence and alerts are kept.
    pub window_days: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    #[default]
    Embedded,
    Redis,
}

/// Time windows of profiles; must be what the sensors have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Windows {
    /// Seconds.
    pub width: u64,
    /// MiB of windows in memory; beyond, those untouched for longest wait in the store.
    pub memory_mib: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Accumulated threat per minute of window that is an alert.
    pub threshold_per_minute: f64,
    /// A critical evidence with a high confidence (0.8 or more) is an alert at once.
    pub single_critical: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intake {
    /// MiB of batches of all sensors between network and tables.
    pub memory_mib: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sinks {
    /// Directory of `evidence.jsonl` and `alerts.jsonl`; absent: none.
    pub jsonl: Option<PathBuf>,
}

/// Packets that sensors drop on request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Block {
    /// Take and pass on blocks at all.
    pub enabled: bool,
    /// Sensors count what they would drop.
    pub dry_run: bool,
    /// Block the profile of each alert on probation.
    pub on_alert: bool,
    /// Seconds that a sensor keeps a block without hearing of it again.
    pub lease: u64,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            enabled: false,
            dry_run: true,
            on_alert: false,
            lease: 60,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7443".to_owned(),
            http_listen: "127.0.0.1:7480".to_owned(),
            group: "default".to_owned(),
            tls: None,
            store: Store::default(),
            windows: Windows::default(),
            alerts: Alerts::default(),
            detect: DetectConfig::default(),
            modules: ModulesConfig::default(),
            intake: Intake::default(),
            web: WebConfig::default(),
            sinks: Sinks::default(),
            block: Block::default(),
            outputs: Vec::new(),
            whitelist: None,
            feed_cache: None,
            feeds: Vec::new(),
            knowledge: LookupConfig::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            directory: "/var/lib/lynceus/collector".into(),
            redis_url: "redis://127.0.0.1:6379/0".to_owned(),
            redis_prefix: "lynceus".to_owned(),
            log_days: 7,
            log_mib: 20 << 10,
            window_days: 90,
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            width: WindowPlan::DEFAULT_WIDTH.as_secs(),
            memory_mib: (EngineOptions::DEFAULT_WINDOW_BYTES >> 20) as u64,
        }
    }
}

impl Default for Alerts {
    fn default() -> Self {
        let policy = AlertPolicy::default();
        Self {
            threshold_per_minute: policy.threshold_per_minute,
            single_critical: policy.single_critical,
        }
    }
}

impl Alerts {
    /// `width`: of a window; `None` where all time is one.
    #[must_use]
    pub const fn policy(&self, width: Option<Duration>) -> AlertPolicy {
        AlertPolicy {
            threshold_per_minute: self.threshold_per_minute,
            width,
            single_critical: self.single_critical,
        }
    }

    /// # Errors
    /// A key cannot be used; the error names it.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.threshold_per_minute.is_finite() && self.threshold_per_minute > 0.0,
            "alerts.threshold_per_minute: must be above 0"
        );
        Ok(())
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self { memory_mib: 64 }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file cannot be read, or a key is unknown or holds something it may not.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// # Errors
    /// A key is unknown or holds something it may not.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// As a file that means the same.
    ///
    /// # Errors
    /// Never in practice; the types fit TOML.
    pub fn print(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// # Errors
    /// The address is not one, or plain text would leave the machine.
    pub fn listen(&self) -> anyhow::Result<Listen> {
        if let Some(path) = self.listen.strip_prefix("unix:") {
            ensure!(path.starts_with('/'), "listen: write unix:/path/to/socket");
            ensure!(
                self.tls.is_none(),
                "listen: a unix socket has no TLS; leave [tls] out"
            );
            return Ok(Listen::Unix(path.into()));
        }
        let address: SocketAddr = self
            .listen
            .parse()
            .with_context(|| format!("listen: {:?}", self.listen))?;
        if self.tls.is_none() && !plaintext_is_safe(address) {
            bail!("listen: {address} is reachable by others; that needs [tls]");
        }
        Ok(Listen::Tcp(address))
    }

    /// # Errors
    /// The address is not one.
    pub fn http_listen(&self) -> anyhow::Result<Option<SocketAddr>> {
        if self.http_listen.is_empty() {
            return Ok(None);
        }
        let address = self.http_listen.parse();
        Ok(Some(address.with_context(|| {
            format!("http_listen: {:?}", self.http_listen)
        })?))
    }

    /// Identity of the group: UUIDv5 of its name.
    #[must_use]
    pub fn group(&self) -> SensorId {
        let name = format!("lynceus group {}", self.group);
        SensorId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes())
    }

    #[must_use]
    pub fn engine(&self) -> EngineOptions {
        let width = Duration::from_secs(self.windows.width);
        let plan = WindowPlan {
            origin: Timestamp(0),
            width,
        };
        EngineOptions {
            policy: self.alerts.policy(Some(width)),
            detectors: self.detect.clone(),
            max_window_bytes: usize::try_from(self.windows.memory_mib << 20).unwrap_or(usize::MAX),
            hosting: self.modules.hosting(),
            ..EngineOptions::new(self.group(), plan)
        }
    }

    /// Which detectors run as processes of their own, by the name of the process.
    ///
    /// # Errors
    /// A name is none of a detector that is enabled or a group.
    pub fn processes(&self) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let makers = self.engine().makers();
        let enabled: Vec<&str> = makers.iter().map(Maker::name).collect();
        self.modules.processes(&enabled)
    }

    #[must_use]
    pub fn control(&self) -> ControlOptions {
        ControlOptions {
            enabled: self.block.enabled,
            dry_run: self.block.dry_run,
            on_alert: self.block.on_alert,
            lease: Duration::from_secs(self.block.lease),
            plan: self.engine().plan,
        }
    }

    #[must_use]
    pub fn retention(&self) -> Retention {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        Retention {
            log: LogRetention {
                max_age: days(self.store.log_days),
                max_bytes: self.store.log_mib.saturating_mul(1 << 20),
            },
            rows_max_age: days(self.store.window_days),
        }
    }

    /// Folder of copies of fetched feeds.
    #[must_use]
    pub fn feed_cache(&self) -> PathBuf {
        self.feed_cache
            .clone()
            .unwrap_or_else(|| self.store.directory.join("feeds"))
    }

    /// Folder of quotas and the probe log of outside services.
    #[must_use]
    pub fn knowledge_state(&self) -> PathBuf {
        let own = || self.store.directory.join("knowledge");
        self.knowledge.state.clone().unwrap_or_else(own)
    }

    /// Folder of what waits for receivers.
    #[must_use]
    pub fn spools(&self) -> PathBuf {
        self.store.directory.join("outputs")
    }

    #[must_use]
    pub fn embedded(&self) -> EmbeddedOptions {
        EmbeddedOptions::new(&self.store.directory)
    }

    #[must_use]
    pub fn redis(&self) -> RedisOptions {
        RedisOptions {
            prefix: self.store.redis_prefix.clone(),
            ..RedisOptions::new(&self.store.redis_url)
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.listen()?;
        self.http_listen()?;
        self.web.address()?;
        ensure!(self.windows.width >= 1, "windows.width: at least 1 second");
        ensure!(self.windows.width <= 31_536_000, "windows.width: at most a year");
        ensure!(self.windows.memory_mib >= 16, "windows.memory_mib: at least 16");
        ensure!(self.intake.memory_mib >= 8, "intake.memory_mib: at least 8");
        ensure!(
            (3..=3600).contains(&self.block.lease),
            "block.lease: between 3 seconds and an hour"
        );
        ensure!(self.store.log_mib >= 1, "store.log_mib: at least 1");
        self.alerts.check()?;
        self.modules.check()?;
        for feed in &self.feeds {
            feed.options()?;
        }
        self.processes()?;
        self.knowledge.check()?;
        for (place, output) in self.outputs.iter().enumerate() {
            output.check()?;
            let twice = self.outputs[..place]
                .iter()
                .any(|other| other.name == output.name);
            ensure!(!twice, "outputs.name: {:?} is there twice", output.name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", Config::parse(text).unwrap_err())
    }

    #[test]
    fn an_empty_file_is_the_default_and_what_is_printed_reads_the_same() {
        let config = Config::parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(Config::parse(&config.print().unwrap()).unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_named() {
        assert!(refused("lisen = \"x\"").contains("lisen"));
        assert!(refused("[store]\nengin = \"redis\"").contains("engin"));
        assert!(refused("[detect.portscan]\nenabled = false").contains("portscan"));
        assert!(refused("[detect.arp_scan]\nwithn = \"30s\"").contains("withn"));
    }

    #[test]
    fn plain_text_stays_on_the_machine() {
        assert!(refused("listen = \"0.0.0.0:7443\"").contains("needs [tls]"));
        assert!(Config::parse("listen = \"[::1]:7443\"").is_ok());
        assert!(Config::parse("listen = \"unix:/run/lynceus.sock\"").is_ok());
        let tls = "listen = \"0.0.0.0:7443\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"";
        assert!(Config::parse(tls).is_ok());
    }

    #[test]
    fn a_detector_is_switched_off_by_its_own_section() {
        let off =
            Config::parse("[detect.arp_scan]\nenabled = false\n[detect.network]\nlocal = [\"10.0.0.0/8\"]")
                .unwrap();
        assert!(!off.engine().detectors.arp_scan.enabled);
        assert!(off.engine().detectors.icmp_scan.enabled);
        assert_eq!(off.engine().detectors.network.local.len(), 1);
    }
}
