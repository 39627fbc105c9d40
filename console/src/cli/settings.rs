//! How traffic is cut into profiles and windows: flags and configuration file of `analyze` and `live`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use lynceus_collector::config::Alerts;
use lynceus_collector::feeds::{FeedConfig, Keeper};
use lynceus_collector::knowledge::Facts;
use lynceus_collector::lookups::{LookupConfig, Lookups};
use lynceus_detect::DetectConfig;
use lynceus_model::address::Network;
use lynceus_model::alert::AlertPolicy;
use lynceus_model::time::WindowPlan;
use lynceus_model::whitelist::Whitelist;
use lynceus_model::window::{Direction, SensorId};
use lynceus_sensor::profiler::ProfileSettings;
use serde::Deserialize;

use super::{feeds, say};
use crate::local::Judging;

#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Width of a time window, as 1h, 5m, 30s, or only-one for all time in one window (default: 1h)
    #[arg(long, value_name = "WIDTH", value_parser = width)]
    window: Option<Width>,
    /// Profiles of originators only, or of both sides of each flow (default: out)
    #[arg(long, value_enum)]
    direction: Option<Side>,
    /// Only addresses in this network get a profile; may be given several times (default: all)
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    home: Vec<Network>,
    /// Whitelist: lines of type,value,direction,ignore; read again when it changes
    #[arg(long, value_name = "FILE")]
    whitelist: Option<PathBuf>,
    /// Threat feed: a file of indicators (plain, CSV, JSON, STIX, MISP); may be given several times
    #[arg(long = "feed", value_name = "FILE")]
    feeds: Vec<PathBuf>,
    /// TOML file with window, direction, home, whitelist, [[feeds]], [knowledge], [alerts] and [detect]; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fixed(Duration),
    OnlyOne,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Out,
    All,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    window: Option<String>,
    direction: Option<Side>,
    home: Vec<String>,
    whitelist: Option<PathBuf>,
    feeds: Vec<FeedConfig>,
    knowledge: LookupConfig,
    alerts: Alerts,
    detect: DetectConfig,
}

/// The settings as they hold, after file and flags.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    window: Width,
    direction: Side,
    home: Vec<Network>,
    whitelist: Option<PathBuf>,
    feeds: Vec<FeedConfig>,
    knowledge: LookupConfig,
    alerts: Alerts,
    detect: DetectConfig,
}

impl Settings {
    /// # Errors
    /// The configuration file cannot be read; the error names the file and the key.
    pub(super) fn effective(&self) -> anyhow::Result<Effective> {
        let Some(path) = &self.config else {
            return self.over(File::default());
        };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = toml::from_str(&text).map_err(anyhow::Error::from);
        file.and_then(|file| self.over(file))
            .with_context(|| path.display().to_string())
    }

    /// # Errors
    /// A value of the file is wrong; the error names the key.
    fn over(&self, file: File) -> anyhow::Result<Effective> {
        let fault = |error: String| anyhow::anyhow!(error);
        let from_file = file
            .window
            .as_deref()
            .map(width)
            .transpose()
            .map_err(fault)
            .context("window")?;
        let home: Vec<Network> = file
            .home
            .iter()
            .map(|text| network(text))
            .collect::<Result<_, _>>()
            .map_err(fault)
            .context("home")?;
        let mut feeds = file.feeds;
        file.alerts.check()?;
        feeds.extend(self.feeds.iter().map(|path| feeds::of_file(path)));
        Ok(Effective {
            whitelist: self.whitelist.clone().or(file.whitelist),
            feeds,
            knowledge: file.knowledge,
            alerts: file.alerts,
            detect: file.detect,
            window: self
                .window
                .or(from_file)
                .unwrap_or(Width::Fixed(WindowPlan::DEFAULT_WIDTH)),
            direction: self.direction.or(file.direction).unwrap_or(Side::Out),
            home: if self.home.is_empty() {
                home
            } else {
                self.home.clone()
            },
        })
    }
}

impl Effective {
    /// Starts the outside services that are on; `None` if none is. `state`: where their quotas and the probe log are, unless
    /// the configuration says it.
    ///
    /// # Errors
    /// A setting is wrong, a key cannot be read, or a thread cannot be started.
    pub(super) fn lookups(&self, state: Option<&Path>) -> anyhow::Result<Option<Arc<Lookups>>> {
        let own = || state.map_or_else(|| own_cache("knowledge"), Path::to_owned);
        Lookups::start(&self.knowledge, &self.knowledge.state.clone().unwrap_or_else(own))
    }

    /// How findings are judged. Loads feeds and whitelist. With `cache` they stay fresh while the program runs, and copies
    /// of fetched feeds stand there; without, they are read once. `lookups`: services that are asked.
    ///
    /// # Errors
    /// A feed's settings are wrong, a feed cannot be read, or the whitelist cannot be read.
    pub(super) fn judging(
        &self,
        cache: Option<&Path>,
        lookups: Option<&Arc<Lookups>>,
    ) -> anyhow::Result<Judging> {
        let facts = Arc::new(Facts::default());
        facts.set_published();
        if let Some(lookups) = lookups {
            facts.set_lookups(Arc::clone(lookups));
        }
        if let Some(path) = &self.whitelist {
            let text = std::fs::read(path).with_context(|| format!("whitelist: {}", path.display()))?;
            for bad in Whitelist::parse(&String::from_utf8_lossy(&text)).1 {
                say(&format!("{}, {bad}", path.display()));
            }
        }
        let (feeds, whitelist) = (self.feeds.clone(), self.whitelist.clone());
        let keeper = match cache {
            // While running, a feed that does not answer yet is only told.
            Some(cache) => {
                let keeper = Keeper::start(feeds, whitelist, cache, Arc::clone(&facts), None)?;
                feeds::tell(&self.feeds, keeper.loaded());
                for error in facts.known().iter().filter_map(|feed| feed.error.as_ref()) {
                    say(error);
                }
                Some(keeper)
            }
            None => {
                feeds::read_once(feeds, whitelist, &facts)?;
                None
            }
        };
        Ok(Judging {
            policy: self.policy(),
            detect: self.detect.clone(),
            facts,
            keeper,
            grace: None,
        })
    }

    #[must_use]
    pub(super) const fn policy(&self) -> AlertPolicy {
        self.alerts.policy(self.fixed_width())
    }

    #[must_use]
    pub(super) fn profiles(&self, sensor: SensorId) -> ProfileSettings {
        let direction = match self.direction {
            Side::Out => Direction::Out,
            Side::All => Direction::All,
        };
        ProfileSettings {
            sensor,
            width: self.fixed_width(),
            direction,
            home: self.home.clone(),
            whitelist: self.whitelist.clone(),
            ..ProfileSettings::default()
        }
    }

    /// Width of a window; wider than any event time where there is only one.
    pub(super) fn width(&self) -> Duration {
        self.fixed_width().unwrap_or(Duration::MAX)
    }

    const fn fixed_width(&self) -> Option<Duration> {
        match self.window {
            Width::Fixed(width) => Some(width),
            Width::OnlyOne => None,
        }
    }
}

/// The user's own cache, never a folder that others may write to.
pub(super) fn own_cache(name: &str) -> PathBuf {
    let set = |variable: &str| {
        std::env::var_os(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    cache
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("lynceus")
        .join(name)
}

fn width(text: &str) -> Result<Width, String> {
    if matches!(text, "only-one" | "only_one_tw") {
        return Ok(Width::OnlyOne);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let seconds_per_unit = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(format!("`{text}`: a width is written as 1h, 5m, 30s or only-one")),
    };
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds_per_unit));
    match seconds {
        Some(seconds @ 1..=3_155_760_000) => Ok(Width::Fixed(Duration::from_secs(seconds))),
        _ => Err(format!(
            "`{text}`: a window is between one second and a hundred years wide"
        )),
    }
}

fn network(text: &str) -> Result<Network, String> {
    text.parse()
        .map_err(|error: lynceus_model::address::NotANetwork| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_read_with_their_units() {
        for (text, seconds) in [("1h", 3600), ("90", 90), ("5m", 300), ("2d", 172_800)] {
            assert_eq!(width(text), Ok(Width::Fixed(Duration::from_secs(seconds))));
        }
        assert_eq!(width("only-one"), Ok(Width::OnlyOne));
        for bad in ["", "0s", "h", "1y", "-1h", "99999999999999999999d"] {
            assert!(width(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_key() {
        let error = toml::from_str::<File>("windows = \"1h\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("windows"), "{error}");
    }

    #[test]
    fn a_bad_value_is_blamed_on_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, key) in [
            ("window = \"1x\"", "window: "),
            ("home = [\"x\"]", "home: "),
            ("windows = \"1h\"", "windows"),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let settings = Settings {
                window: None,
                direction: None,
                home: Vec::new(),
                whitelist: None,
                feeds: Vec::new(),
                config: Some(file.path().to_owned()),
            };
            let error = format!("{:#}", settings.effective().unwrap_err());
            assert!(error.starts_with(&file.path().display().to_string()), "{error}");
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn the_only_window_holds_all_time_and_alerts_as_an_hour() {
        let settings = Effective {
            alerts: Alerts::default(),
            window: Width::OnlyOne,
            direction: Side::Out,
            home: Vec::new(),
            whitelist: None,
            feeds: Vec::new(),
            knowledge: LookupConfig::default(),
            detect: DetectConfig::default(),
        };
        assert_eq!(settings.profiles(SensorId::default()).width, None);
        assert!((settings.policy().threshold() - 15.0).abs() < 1e-9);
    }
}
