//! Threat feeds: files and URLs, loaded at the start, looked at again while running.
//!
//! A feed that cannot be read now keeps its last good copy and says how old it is; one that never could be read is
//! *unknown* to detectors, not empty. Nothing is fetched unless a URL is configured.

mod cache;
mod fetch;
mod keeper;
mod taxii;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_enrich::feeds::read::{Format, Options};
use lynceus_enrich::indicator::Kind;
use lynceus_model::evidence::ThreatLevel;
use serde::{Deserialize, Serialize};

pub use keeper::{Keeper, Loaded, load, load_once};

/// One feed in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// In evidence, and the name of its cached copy: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// A local file; read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `https://` or `http://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The URL is the `objects` end point of a TAXII 2.1 collection.
    #[serde(default)]
    pub taxii: bool,
    /// File whose first line is sent as `Authorization`, as `Bearer …` or `Basic …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
    /// `auto`, `plain`, `csv`, `json` (also `stix`, `misp`).
    #[serde(default = "auto")]
    pub format: String,
    /// `auto`, or what all its indicators are: `ip`, `domain`, `url`, `asn`, `ja3`, `ja3s`, `ja4`, `certificate`, `file`,
    /// `jarm`, `tor-exit`.
    #[serde(default = "auto")]
    pub kind: String,
    /// Level where the feed states none.
    #[serde(default = "medium")]
    pub level: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Between two fetches of a URL.
    #[serde(default = "day", with = "humantime_serde")]
    pub refresh: Duration,
    /// MiB, unpacked; longer is an error.
    #[serde(default = "megabytes")]
    pub max_mib: u64,
}

fn auto() -> String {
    "auto".to_owned()
}

fn medium() -> String {
    "medium".to_owned()
}

const fn day() -> Duration {
    Duration::from_secs(86_400)
}

const fn megabytes() -> u64 {
    512
}

impl FeedConfig {
    /// A local file of which nothing else is said.
    #[must_use]
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: Some(path.into()),
            url: None,
            taxii: false,
            authorization_file: None,
            format: auto(),
            kind: auto(),
            level: medium(),
            description: String::new(),
            tags: Vec::new(),
            refresh: day(),
            max_mib: megabytes(),
        }
    }

    /// # Errors
    /// A value is not known, or there is not exactly one of path and URL; the error names the key.
    pub fn options(&self) -> anyhow::Result<Options> {
        let name = &self.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        ensure!(
            !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(plain),
            "feeds.name: {name:?} may have letters, digits, '-', '_' and '.', at most 64"
        );
        ensure!(
            self.path.is_some() != self.url.is_some(),
            "feeds.{name}: needs either path or url"
        );
        if let Some(url) = &self.url {
            ensure!(
                url.starts_with("https://") || url.starts_with("http://"),
                "feeds.{name}.url: {url:?} begins neither with https:// nor http://"
            );
        }
        ensure!(
            self.refresh >= Duration::from_secs(60),
            "feeds.{name}.refresh: at least a minute"
        );
        let kind = match self.kind.as_str() {
            "auto" => None,
            kind => Some(
                Kind::from_name(kind).with_context(|| format!("feeds.{name}.kind: {kind:?} is not known"))?,
            ),
        };
        Ok(Options {
            format: Format::from_name(&self.format)
                .with_context(|| format!("feeds.{name}.format: {:?} is not known", self.format))?,
            kind,
            level: level(&self.level)
                .with_context(|| format!("feeds.{name}.level: {:?} is not known", self.level))?,
            description: self.description.clone(),
            tags: self.tags.clone(),
            max_bytes: self.max_mib << 20,
        })
    }
}

pub(crate) fn level(name: &str) -> Option<ThreatLevel> {
    use ThreatLevel::{Critical, High, Info, Low, Medium};
    [Info, Low, Medium, High, Critical]
        .into_iter()
        .find(|level| level.name() == name)
}
