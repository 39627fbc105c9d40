//! Which configuration and which columns hold.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lynceus_enrich::kyi::columns::{self, NEW_DEFAULT, OLD_DEFAULT};
use lynceus_enrich::kyi::config::MAX_BYTES;
use lynceus_enrich::kyi::{Config, Generation};
use lynceus_enrich::provider::Settings;

use super::super::super::say;
use super::super::ask::Asking;

/// The configuration that is named (of Know Your IP, or our own), or else the first of those that Know Your IP 0.6.x looks
/// for, or else our own.
pub(super) fn find(asking: &Asking) -> anyhow::Result<Config> {
    let named = asking.config();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = [
        Some(PathBuf::from("know_your_ip.toml")),
        home.as_ref()
            .map(|home| home.join(".config/know-your-ip/config.toml")),
        home.as_ref().map(|home| home.join(".know-your-ip.toml")),
    ];
    let found = usual.into_iter().flatten().find(|path| path.is_file());
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let Some(path) = named.map(Path::to_owned).or(found) else {
        let mut config = Config::defaults(environment).context("environment")?;
        // Ours may say more than Know Your IP's: where there is one, it holds.
        let own = asking.settings()?;
        if own != Settings::default() {
            config.settings = own;
        }
        return Ok(config);
    };
    let text = read(&path)?;
    let mut config = match Config::read(&path, &text, environment) {
        Ok(config) => config,
        // A file of ours has sections that Know Your IP never had.
        Err(fault) => match asking.settings() {
            Ok(settings) if named.is_some() => Config {
                settings,
                ..Config::defaults(std::iter::empty())?
            },
            _ => return Err(fault).with_context(|| path.display().to_string()),
        },
    };
    // Paths in the file are seen from where the command runs, as in Know Your IP.
    if config.settings.maxmind.enabled && !config.settings.maxmind.db_path.exists() {
        let folder = config.settings.maxmind.db_path.display();
        config.notes.push(format!(
            "maxmind: no {folder}, so maxmind.* stays empty; our own tables are dbip.*, asn.* and timezone.*"
        ));
        config.settings.maxmind.enabled = false;
    }
    Ok(config)
}

/// The columns of the raw shape: of the flag, of the configuration, else the default of its generation.
pub(super) fn columns(
    named: Option<&Path>,
    config: &Config,
    beside: Option<&Path>,
) -> anyhow::Result<Vec<String>> {
    if let Some(path) = named {
        return columns::read(&read(path)?).with_context(|| path.display().to_string());
    }
    if let Some(columns) = &config.columns {
        return Ok(columns.clone());
    }
    if let Some(file) = &config.columns_file {
        // Where the command runs, else beside the configuration.
        let beside = beside.and_then(Path::parent).map(|folder| folder.join(file));
        let found = [Some(file.clone()), beside]
            .into_iter()
            .flatten()
            .find(|path| path.is_file());
        if let Some(path) = found {
            return columns::read(&read(&path)?).with_context(|| path.display().to_string());
        }
        say(&format!("no {}; the default columns of 0.1.x", file.display()));
    }
    let names = match config.generation {
        Generation::Ini => &OLD_DEFAULT[..],
        Generation::Toml => &NEW_DEFAULT[..],
    };
    Ok(names.iter().map(|name| (*name).to_owned()).collect())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    anyhow::ensure!(
        size <= MAX_BYTES,
        "{}: more than {MAX_BYTES} bytes",
        path.display()
    );
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}
