//! Configuration of the sensor daemon: a TOML file, then flags. Every value has a default; an unknown key is an error
//! that names it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lynceus_model::address::Network;
use lynceus_model::status::Position;
use lynceus_model::window::{Direction, SensorId};
use serde::{Deserialize, Serialize};

use crate::export::grpc::{SenderOptions, Transport};
use crate::export::spool::{Limits, WhenFull};
use crate::export::target::{Target, TlsFiles};
use crate::kernel::attach::HookChoice;
use crate::profiler::ProfileSettings;
use crate::units::{Size, Span};

/// The whole file; `docs/config.md` describes each key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// UUID of the sensor. Empty: the one in `state_dir/sensor-id`, made at the first start.
    pub id: String,
    /// Name for people. Empty: the host name.
    pub name: String,
    pub state_dir: PathBuf,
    /// Where the sensor stands; then its handshake times locate the servers it sees. Empty: nobody is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionConfig>,
    pub capture: CaptureConfig,
    pub profiles: ProfilesConfig,
    pub collector: CollectorConfig,
    pub spool: SpoolConfig,
    pub status: StatusConfig,
    pub block: BlockConfig,
}

/// A place on the Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionConfig {
    /// Degrees; south is negative.
    pub latitude: f64,
    /// Degrees; west is negative.
    pub longitude: f64,
    /// How far the sensor may be from there, in km.
    #[serde(default)]
    pub error_km: f64,
}

/// Whether the collector may have packets dropped here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockConfig {
    /// Do what the collector's block orders say; else it is not even asked.
    pub allow_block: bool,
    /// Networks that are never blocked, besides this machine, its gateways and name servers, and the collector.
    pub never: Vec<String>,
}

/// What is observed: interfaces or files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Interfaces to observe, by name; needs the privileges of [`crate::privilege::FOR_CAPTURE`].
    pub interfaces: Vec<String>,
    /// How to attach to them.
    pub hook: HookChoice,
    /// Log a line for each packet that the kernel programs refuse or take with less than it should have.
    pub kernel_log: bool,
    /// Captures and flow logs, read one after the other; `-` is standard input. The sensor ends after the last one.
    pub files: Vec<PathBuf>,
    /// Address that exporters send NetFlow v5, v9 and IPFIX to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netflow: Option<SocketAddr>,
    /// Directory of Zeek's logs, which are read while they grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfilesConfig {
    pub window: Span,
    pub direction: DirectionName,
    /// Networks whose addresses get a profile; empty: all.
    pub home: Vec<String>,
    /// Event time between two reports of a profile.
    pub refresh: Span,
    /// Flows and messages that travel in one refresh interval; the rest is in the numbers only, and counted.
    pub carry: Size,
    /// Windows in memory.
    pub max_windows: usize,
    /// Whitelist file; flows that it leaves out are in no profile. Read again when it changes.
    pub whitelist: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectionName {
    Out,
    All,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorConfig {
    /// `https://host:port`; `http://127.0.0.1:port` and `unix:/path` only on this machine.
    pub url: String,
    pub transport: TransportName,
    /// A batch is sent at the latest so long after its first update.
    pub batch_delay: Span,
    /// How long the end of the sensor waits for the source, and then for the collector.
    pub drain_timeout: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportName {
    Stream,
    Unary,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// On disk in `state_dir/spool`, or in memory.
    pub kind: SpoolKind,
    pub segment: Size,
    pub max: Size,
    pub max_age: Span,
    pub when_full: WhenFullName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpoolKind {
    Disk,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFullName {
    DropOldest,
    DropNew,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// Where `/metrics` and `/healthz` are served: a loopback address. Empty: nowhere.
    pub listen: String,
    /// How often the collector is told.
    pub report: Span,
}

const fn seconds(seconds: u64) -> Span {
    Span(Duration::from_secs(seconds))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            state_dir: "/var/lib/lynceus-sensor".into(),
            position: None,
            capture: CaptureConfig::default(),
            profiles: ProfilesConfig::default(),
            collector: CollectorConfig::default(),
            spool: SpoolConfig::default(),
            status: StatusConfig::default(),
            block: BlockConfig::default(),
        }
    }
}

impl Default for ProfilesConfig {
    fn default() -> Self {
        let settings = ProfileSettings::default();
        Self {
            window: settings.width.map_or(seconds(3600), Span),
            direction: DirectionName::Out,
            home: Vec::new(),
            refresh: Span(settings.refresh),
            carry: Size(settings.carry_bytes as u64),
            max_windows: settings.max_windows,
            whitelist: None,
        }
    }
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:7443".to_owned(),
            transport: TransportName::Stream,
            batch_delay: seconds(1),
            drain_timeout: seconds(10),
            tls: None,
        }
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            kind: SpoolKind::Disk,
            segment: Size(8 << 20),
            max: Size(1 << 30),
            max_age: seconds(72 * 3600),
            when_full: WhenFullName::DropOldest,
        }
    }
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9610".to_owned(),
            report: seconds(5),
        }
    }
}

impl Config {
    /// # Errors
    /// The file cannot be read, is no TOML, or has a key that is not known (the error names it).
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The configuration as a file, with every key.
    ///
    /// # Errors
    /// A path is not UTF-8.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// Checks what one value alone cannot show. Nothing is opened.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> anyhow::Result<()> {
        let capture = &self.capture;
        let named = [
            ("interfaces", !capture.interfaces.is_empty()),
            ("files", !capture.files.is_empty()),
            ("netflow", capture.netflow.is_some()),
            ("watch", capture.watch.is_some()),
        ];
        let named: Vec<_> = named
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        match named[..] {
            [] => bail!("capture: nothing to observe; name interfaces, files, netflow or watch"),
            [_] => {}
            _ => bail!(
                "capture: {} at once; a sensor has one source",
                named.join(" and ")
            ),
        }
        ensure!(
            Limits::SEGMENT_BYTES.contains(&self.spool.segment.0),
            "spool.segment: {} is not within 4MiB and 16MiB",
            self.spool.segment
        );
        ensure!(
            self.spool.max.0 >= 2 * self.spool.segment.0,
            "spool.max: {} is less than two segments of {}",
            self.spool.max,
            self.spool.segment
        );
        ensure!(
            self.profiles.window.0 >= Duration::from_secs(1),
            "profiles.window: at least 1s"
        );
        ensure!(
            self.profiles.refresh.0 >= Duration::from_secs(1),
            "profiles.refresh: at least 1s"
        );
        ensure!(self.profiles.max_windows > 0, "profiles.max_windows: at least 1");
        self.home()?;
        self.never()?;
        self.position()?;
        ensure!(
            !self.block.allow_block
                || !self.capture.interfaces.is_empty() && self.collector.transport == TransportName::Stream,
            "block.allow_block: needs capture.interfaces and collector.transport = \"stream\""
        );
        self.target()?;
        self.status_address()?;
        if !self.id.is_empty() {
            parse_id(&self.id).context("id")?;
        }
        Ok(())
    }

    /// # Errors
    /// Names the network.
    pub fn home(&self) -> anyhow::Result<Vec<Network>> {
        let networks = self.profiles.home.iter().map(|text| text.parse());
        networks.collect::<Result<_, _>>().context("profiles.home")
    }

    /// # Errors
    /// Names the network.
    pub fn never(&self) -> anyhow::Result<Vec<Network>> {
        let networks = self.block.never.iter().map(|text| text.parse());
        networks.collect::<Result<_, _>>().context("block.never")
    }

    /// # Errors
    /// A number is beyond its bounds.
    pub fn position(&self) -> anyhow::Result<Option<Position>> {
        let Some(given) = self.position else {
            return Ok(None);
        };
        let position = Position::new(given.latitude, given.longitude, given.error_km);
        let position = position.context(
            "position: latitude is within ±90 and longitude within ±180 degrees, error_km at least 0",
        );
        position.map(Some)
    }

    /// # Errors
    /// The address and its certificates do not go together.
    pub fn target(&self) -> anyhow::Result<Target> {
        let tls = self.collector.tls.clone().map(|files| TlsFiles {
            ca: files.ca,
            certificate: files.certificate,
            key: files.key,
        });
        Target::new(&self.collector.url, tls).context("collector.url")
    }

    /// # Errors
    /// It is no address, or not on loopback.
    pub fn status_address(&self) -> anyhow::Result<Option<SocketAddr>> {
        if self.status.listen.is_empty() {
            return Ok(None);
        }
        let address: SocketAddr = self
            .status
            .listen
            .parse()
            .context("status.listen: write 127.0.0.1:port")?;
        ensure!(
            address.ip().is_loopback(),
            "status.listen: {address} is not on loopback"
        );
        Ok(Some(address))
    }

    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            segment_bytes: self.spool.segment.0,
            max_bytes: self.spool.max.0,
            max_age: self.spool.max_age.0,
            when_full: match self.spool.when_full {
                WhenFullName::DropOldest => WhenFull::DropOldest,
                WhenFullName::DropNew => WhenFull::DropNew,
            },
        }
    }

    #[must_use]
    pub fn sender(&self) -> SenderOptions {
        SenderOptions {
            transport: match self.collector.transport {
                TransportName::Stream => Transport::Stream,
                TransportName::Unary => Transport::Unary,
            },
            window_width: Some(self.profiles.window.0),
            ..SenderOptions::default()
        }
    }

    /// # Errors
    /// Those of [`Config::home`].
    pub fn profile_settings(&self, sensor: SensorId) -> anyhow::Result<ProfileSettings> {
        Ok(ProfileSettings {
            sensor,
            width: Some(self.profiles.window.0),
            direction: match self.profiles.direction {
                DirectionName::Out => Direction::Out,
                DirectionName::All => Direction::All,
            },
            home: self.home()?,
            refresh: self.profiles.refresh.0,
            carry_bytes: usize::try_from(self.profiles.carry.0).unwrap_or(usize::MAX),
            max_windows: self.profiles.max_windows,
            whitelist: self.profiles.whitelist.clone(),
            ..ProfileSettings::default()
        })
    }
}

/// # Errors
/// It is no UUID.
pub fn parse_id(text: &str) -> anyhow::Result<SensorId> {
    let uuid: uuid::Uuid = text
        .trim()
        .parse()
        .with_context(|| format!("`{}` is no UUID", text.trim()))?;
    Ok(SensorId(uuid.into_bytes()))
}

#[cfg(test)]
mod tests;
