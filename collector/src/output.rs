//! Outputs: evidence and alerts in the formats and over the ways that others understand.
//!
//! ```text
//! dispatch → encode → spool on disk → thread of the output → file, HTTP, syslog, TAXII
//! ```
//! Dispatch only appends to the spool, so a dead receiver never holds detection up. What is delivered is delivered at
//! least once; each message carries the id by which a receiver knows it again.

mod deliver;
pub mod encode;
pub mod logs;
mod send;
mod spool;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use lynceus_model::evidence::ThreatLevel;
use serde::{Deserialize, Serialize};

pub use deliver::{Output, OutputCounters};
pub use encode::Format;
use send::Target;

/// One output in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// In metrics, and the name of its spool: letters, digits, `-`, `_`.
    pub name: String,
    /// `eve`, `idmef`, `ecs`, `ocsf`, `stix`, `cef`, `slack`, `alerts-log`, `json`.
    pub format: String,
    /// `file:/path`, `https://…`, `syslog+udp://host:514`, `syslog+tcp://…`, `syslog+tls://…`, `syslog+unix:/dev/log`,
    /// `taxii+https://…/objects/`.
    pub to: String,
    /// Less is not sent.
    #[serde(default = "info")]
    pub min_level: String,
    /// Evidence is sent too, not only alerts.
    #[serde(default = "yes")]
    pub evidence: bool,
    /// File whose first line is sent as `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
    /// PEM file of the authority that vouches for the receiver; absent: the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// MiB that wait for a receiver that is away; more is refused and counted.
    #[serde(default = "megabytes")]
    pub spool_mib: u64,
}

fn info() -> String {
    "info".to_owned()
}

const fn yes() -> bool {
    true
}

const fn megabytes() -> u64 {
    64
}

/// An output as it was understood.
#[derive(Clone, Debug)]
struct Understood {
    format: Format,
    target: Target,
    min_level: ThreatLevel,
}

impl OutputConfig {
    /// # Errors
    /// A value is not known; the error names the key.
    pub fn check(&self) -> anyhow::Result<()> {
        self.understand().map(drop)
    }

    /// Starts the output; its spool stands in `directory`.
    ///
    /// # Errors
    /// A value is not known, or the spool cannot be used.
    pub fn start(&self, directory: &Path) -> anyhow::Result<Output> {
        let understood = self.understand()?;
        let spool = directory.join(&self.name);
        Output::start(self, understood, &spool).with_context(|| format!("outputs.{}", self.name))
    }

    fn understand(&self) -> anyhow::Result<Understood> {
        let name = &self.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        ensure!(
            !name.is_empty() && name.len() <= 64 && name.bytes().all(plain),
            "outputs.name: {name:?} may have letters, digits, '-' and '_', at most 64"
        );
        ensure!(self.spool_mib >= 1, "outputs.{name}.spool_mib: at least 1");
        let format = Format::from_name(&self.format).with_context(|| {
            format!(
                "outputs.{name}.format: {:?} is none of {}",
                self.format,
                Format::names()
            )
        })?;
        let target = Target::parse(&self.to).with_context(|| format!("outputs.{name}.to: {:?}", self.to))?;
        let min_level = crate::feeds::level(&self.min_level)
            .with_context(|| format!("outputs.{name}.min_level: {:?} is not known", self.min_level))?;
        Ok(Understood {
            format,
            target,
            min_level,
        })
    }
}
