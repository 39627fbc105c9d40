//! What the configuration says of modules that run elsewhere, and what they are told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_detect::DetectConfig;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::dispatch::EngineOptions;
use crate::modules::Hosting;

/// `[modules]` of the collector's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModulesConfig {
    /// Detectors, or names of `groups`, that run as processes of their own and not in the collector.
    pub external: Vec<String>,
    /// Detectors that share a process, by its name.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Entries that the stream in Redis holds; older ones go, whoever has not come to them.
    pub stream_entries: u64,
    /// The same in MiB of Redis' memory.
    pub stream_mib: u64,
    /// Threads that run the modules in the collector; 0: one for each core, at most [`Hosting::MAX_THREADS`].
    pub threads: usize,
    /// Milliseconds that the others wait for a module that is not through with a group of updates.
    pub grace_ms: u64,
    /// Groups of updates that wait for a module that is behind the others.
    pub queue_groups: usize,
    /// The same in MiB.
    pub queue_mib: usize,
}

/// More would be a slip of the pen.
const MAX_THREADS: usize = 64;
/// All of them are looked at once for each group while a module is behind.
const MAX_QUEUE_GROUPS: usize = 65_536;

impl Default for ModulesConfig {
    /// Some hours of a busy sensor: what a process that takes over must find, and what one that is away may miss.
    fn default() -> Self {
        let hosting = Hosting::default();
        Self {
            external: Vec::new(),
            groups: BTreeMap::new(),
            stream_entries: 100_000,
            stream_mib: 256,
            threads: 0,
            grace_ms: u64::try_from(Hosting::DEFAULT_GRACE.as_millis()).unwrap_or(u64::MAX),
            queue_groups: hosting.queue_groups,
            queue_mib: hosting.queue_bytes >> 20,
        }
    }
}

impl ModulesConfig {
    /// Most entries and bytes of the stream.
    pub(super) const fn bounds(&self) -> (u64, u64) {
        (self.stream_entries, self.stream_mib.saturating_mul(1 << 20))
    }

    /// How modules in the collector are run.
    #[must_use]
    pub fn hosting(&self) -> Hosting {
        let usual = Hosting::default();
        Hosting {
            grace: Some(Duration::from_millis(self.grace_ms).min(usual.patience)),
            threads: if self.threads == 0 {
                usual.threads
            } else {
                self.threads
            },
            queue_groups: self.queue_groups,
            queue_bytes: self.queue_mib.saturating_mul(1 << 20),
            ..usual
        }
    }

    /// # Errors
    /// A key cannot be used; the error names it.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.threads <= MAX_THREADS,
            "modules.threads: at most {MAX_THREADS}"
        );
        ensure!(self.grace_ms >= 1, "modules.grace_ms: at least 1");
        ensure!(
            (2..=MAX_QUEUE_GROUPS).contains(&self.queue_groups),
            "modules.queue_groups: 2 to {MAX_QUEUE_GROUPS}"
        );
        ensure!(self.queue_mib >= 1, "modules.queue_mib: at least 1");
        Ok(())
    }

    /// Which process has which of the detectors that are enabled.
    ///
    /// # Errors
    /// A name is none of a detector or a group, or a detector would run twice.
    pub fn processes(&self, enabled: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        ensure!(self.stream_entries >= 1, "modules.stream_entries: at least 1");
        ensure!(self.stream_mib >= 1, "modules.stream_mib: at least 1");
        let mut processes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in &self.external {
            let members = match self.groups.get(name) {
                Some(members) => members.clone(),
                None => vec![name.clone()],
            };
            ensure!(!members.is_empty(), "modules.groups.{name}: names no detector");
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
            ensure!(
                !name.is_empty() && name.len() <= 64 && name.bytes().all(plain),
                "modules.external: {name:?}; 1 to 64 of a-z, 0-9, - and _"
            );
            for member in &members {
                ensure!(
                    enabled.contains(&member.as_str()),
                    "modules.external: {member:?} is neither a detector that is enabled nor a group"
                );
                let taken = processes.values().flatten().any(|taken| taken == member);
                ensure!(!taken, "modules.external: {member:?} would run twice");
            }
            processes.insert(name.clone(), members);
        }
        Ok(processes)
    }
}

/// What a process is told, so that it needs nothing but the address of Redis and cannot be configured otherwise than
/// the collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Of the collector.
    pub(super) version: String,
    /// UUID of the group of sensors: evidence is said in its name.
    group: String,
    /// Seconds.
    window_width: u64,
    /// MiB of windows in memory.
    memory_mib: u64,
    detect: DetectConfig,
    pub(super) processes: BTreeMap<String, Vec<String>>,
}

impl Settings {
    pub(super) fn new(config: &Config, processes: BTreeMap<String, Vec<String>>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            group: config.group().to_string(),
            window_width: config.windows.width,
            memory_mib: config.windows.memory_mib,
            detect: config.detect.clone(),
            processes,
        }
    }

    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).context("the collector's settings are of another version")
    }

    pub(super) fn write(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    pub(super) fn engine(&self) -> anyhow::Result<EngineOptions> {
        let group = SensorId(uuid::Uuid::parse_str(&self.group)?.into_bytes());
        let plan = WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_secs(self.window_width),
        };
        Ok(EngineOptions {
            detectors: self.detect.clone(),
            max_window_bytes: usize::try_from(self.memory_mib << 20).unwrap_or(usize::MAX),
            ..EngineOptions::new(group, plan)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENABLED: [&str; 3] = ["arp_scan", "icmp_scan", "beaconing"];

    fn config(external: &[&str]) -> ModulesConfig {
        let groups = [(
            "scans".to_owned(),
            vec!["arp_scan".to_owned(), "icmp_scan".to_owned()],
        )];
        ModulesConfig {
            external: external.iter().map(|&name| name.to_owned()).collect(),
            groups: groups.into(),
            ..ModulesConfig::default()
        }
    }

    #[test]
    fn names_are_detectors_or_groups() {
        let processes = config(&["scans", "beaconing"]).processes(&ENABLED).unwrap();
        assert_eq!(processes["scans"], ["arp_scan", "icmp_scan"]);
        assert_eq!(processes["beaconing"], ["beaconing"]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let refused = |external: &[&str]| config(external).processes(&ENABLED).unwrap_err().to_string();
        assert!(refused(&["arp_scna"]).contains("arp_scna"));
        assert!(refused(&["scans", "arp_scan"]).contains("twice"));
        let mut bad = config(&["Bad Name"]);
        bad.groups
            .insert("Bad Name".to_owned(), vec!["beaconing".to_owned()]);
        assert!(
            bad.processes(&ENABLED)
                .unwrap_err()
                .to_string()
                .contains("Bad Name")
        );
    }

    #[test]
    fn keys_tell_how_modules_are_run() {
        let of = |text: &str| Config::parse(&format!("[modules]\n{text}"));
        let usual = of("").unwrap().engine().hosting;
        assert_eq!(usual.grace, Some(Hosting::DEFAULT_GRACE));
        assert!((1..=Hosting::MAX_THREADS).contains(&usual.threads));
        let text = "threads = 3\ngrace_ms = 250\nqueue_groups = 9\nqueue_mib = 2";
        let set = of(text).unwrap().engine().hosting;
        assert_eq!(
            set,
            Hosting {
                patience: usual.patience,
                grace: Some(Duration::from_millis(250)),
                threads: 3,
                queue_groups: 9,
                queue_bytes: 2 << 20,
            }
        );
        let long = of("grace_ms = 99999").unwrap().engine().hosting;
        assert_eq!(long.grace, Some(usual.patience), "after it the module is left");
        for bad in [
            "threads = 65",
            "grace_ms = 0",
            "queue_groups = 1",
            "queue_mib = 0",
        ] {
            let key = bad.split(' ').next().unwrap();
            assert!(of(bad).unwrap_err().to_string().contains(key), "{bad}");
        }
    }

    #[test]
    fn settings_come_back_as_they_were_written() {
        let config = Config::default();
        let settings = Settings::new(&config, [("a".to_owned(), vec!["arp_scan".to_owned()])].into());
        assert_eq!(Settings::read(&settings.write().unwrap()).unwrap(), settings);
        let engine = settings.engine().unwrap();
        assert_eq!(
            (engine.group, engine.plan),
            (config.group(), config.engine().plan)
        );
    }
}
