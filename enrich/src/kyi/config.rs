//! Configurations of Know Your IP as ours: defaults < file < environment.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::ini;
use crate::provider::Settings;

/// Largest file, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// What names of the environment begin with.
const PREFIX: &str = "KNOW_YOUR_IP_";

/// A configuration that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: String },
    /// Names section and key.
    #[error("{key}: {problem}")]
    Key { key: String, problem: String },
    #[error("{0}")]
    Toml(String),
}

impl ConfigError {
    pub(super) fn at(line: usize, problem: impl Into<String>) -> Self {
        Self::Line {
            line,
            problem: problem.into(),
        }
    }

    fn key(section: &str, key: &str, problem: impl Into<String>) -> Self {
        Self::Key {
            key: if key.is_empty() {
                section.to_owned()
            } else {
                format!("{section}.{key}")
            },
            problem: problem.into(),
        }
    }
}

/// Whose format it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// INI of 0.1.x.
    Ini,
    /// TOML of 0.6.x.
    Toml,
}

/// A configuration as it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub generation: Generation,
    pub settings: Settings,
    /// `[output] columns` of a TOML file.
    pub columns: Option<Vec<String>>,
    /// `[output] columns` of an INI file: the path of a `columns.txt`, as written.
    pub columns_file: Option<PathBuf>,
    /// What the user should know: keys that mean nothing here any more, unknown names in the environment.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Flag,
    Integer,
    Real,
    Text,
    List,
}

/// All keys of 0.6.2.
const KEYS: &[(&str, &str, Kind)] = &[
    ("maxmind", "enabled", Kind::Flag),
    ("maxmind", "db_path", Kind::Text),
    ("geonames", "enabled", Kind::Flag),
    ("geonames", "username", Kind::Text),
    ("abuseipdb", "enabled", Kind::Flag),
    ("abuseipdb", "api_key", Kind::Text),
    ("abuseipdb", "days", Kind::Integer),
    ("ping", "enabled", Kind::Flag),
    ("ping", "timeout", Kind::Integer),
    ("ping", "count", Kind::Integer),
    ("traceroute", "enabled", Kind::Flag),
    ("traceroute", "max_hops", Kind::Integer),
    ("timezone", "enabled", Kind::Flag),
    ("network", "enabled", Kind::Flag),
    ("network", "reverse_dns", Kind::Flag),
    ("network", "dns_timeout", Kind::Real),
    ("ranges", "enabled", Kind::Flag),
    ("ranges", "ttl_seconds", Kind::Integer),
    ("rdap", "enabled", Kind::Flag),
    ("apivoid", "enabled", Kind::Flag),
    ("apivoid", "api_key", Kind::Text),
    ("censys", "enabled", Kind::Flag),
    ("censys", "api_url", Kind::Text),
    ("censys", "api_key", Kind::Text),
    ("censys", "organization_id", Kind::Text),
    ("shodan", "enabled", Kind::Flag),
    ("shodan", "api_key", Kind::Text),
    ("virustotal", "enabled", Kind::Flag),
    ("virustotal", "api_key", Kind::Text),
    ("output", "columns", Kind::List),
];

/// What became of a key of 0.1.8.
enum Now {
    Is(&'static str, &'static str),
    Columns,
    Gone(&'static str),
}

/// All keys of 0.1.8, also the one that only its slides name.
const OLD_KEYS: &[(&str, &str, Now)] = &[
    ("maxmind", "enable", Now::Is("maxmind", "enabled")),
    ("maxmind", "dbpath", Now::Is("maxmind", "db_path")),
    ("geonames", "enable", Now::Is("geonames", "enabled")),
    ("geonames", "username", Now::Is("geonames", "username")),
    ("abuseipdb", "enable", Now::Is("abuseipdb", "enabled")),
    ("abuseipdb", "key", Now::Is("abuseipdb", "api_key")),
    ("abuseipdb", "days", Now::Is("abuseipdb", "days")),
    (
        "abuseipdb",
        "cat_catid",
        Now::Gone("names of AbuseIPDB's categories are built in"),
    ),
    (
        "abuseipdb",
        "user_id",
        Now::Gone("AbuseIPDB's API knows its users by their key"),
    ),
    (
        "ipvoid",
        "enable",
        Now::Gone("IPVoid's page asks for a person now; APIVoid is its service for programs"),
    ),
    ("apivoid", "enable", Now::Is("apivoid", "enabled")),
    ("apivoid", "api_key", Now::Is("apivoid", "api_key")),
    ("censys", "enable", Now::Is("censys", "enabled")),
    (
        "censys",
        "api_url",
        Now::Gone("Censys' search API is gone; the Platform API has an address of its own"),
    ),
    (
        "censys",
        "uid",
        Now::Gone("Censys' Platform takes a personal access token: censys.api_key"),
    ),
    (
        "censys",
        "secret",
        Now::Gone("Censys' Platform takes a personal access token: censys.api_key"),
    ),
    ("shodan", "enable", Now::Is("shodan", "enabled")),
    ("shodan", "api_key", Now::Is("shodan", "api_key")),
    ("virustotal", "enable", Now::Is("virustotal", "enabled")),
    ("virustotal", "api_key", Now::Is("virustotal", "api_key")),
    ("ping", "enable", Now::Is("ping", "enabled")),
    ("ping", "timeout", Now::Is("ping", "timeout")),
    ("ping", "count", Now::Is("ping", "count")),
    ("traceroute", "enable", Now::Is("traceroute", "enabled")),
    ("traceroute", "max_hops", Now::Is("traceroute", "max_hops")),
    ("tzwhere", "enable", Now::Is("timezone", "enabled")),
    ("output", "columns", Now::Columns),
];

impl Config {
    /// Without a file: 0.6.2's defaults and the environment.
    ///
    /// # Errors
    /// A value of the environment is not what its key holds.
    pub fn defaults(environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::toml("", environment)
    }

    /// Reads a file of either generation: by its ending (`.toml`; `.cfg`, `.ini`, `.conf`), else by what stands in it.
    ///
    /// # Errors
    /// The line or the key that cannot be taken.
    pub fn read(
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        match ending.to_ascii_lowercase().as_str() {
            "toml" => Self::toml(text, environment),
            "cfg" | "ini" | "conf" => Self::ini(text, environment),
            _ if toml::from_str::<Table>(text).is_ok_and(|table| looks_new(&table)) => {
                Self::toml(text, environment)
            }
            _ => Self::ini(text, environment),
        }
    }

    /// TOML of 0.6.x. Unknown sections and keys are errors, as there.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn toml(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error| ConfigError::Toml(error.to_string()))?;
        for (section, keys) in &table {
            if !KEYS.iter().any(|(known, ..)| *known == section.as_str()) {
                return Err(ConfigError::key(section, "", "there is no such section"));
            }
            let Some(keys) = keys.as_table() else {
                return Err(ConfigError::key(section, "", "is a section"));
            };
            for (key, value) in keys {
                let kind = kind(section, key)
                    .ok_or_else(|| ConfigError::key(section, key, "there is no such key"))?;
                check(section, key, kind, value)?;
            }
        }
        Self::finish(Generation::Toml, table, None, Vec::new(), environment)
    }

    /// INI of 0.1.x. Keys that it does not know are told, not refused, as `configparser` takes any.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn ini(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (mut table, mut notes, mut columns_file) = (Table::new(), Vec::new(), None);
        // Switched on there unless the file says otherwise.
        put(&mut table, "timezone", "enabled", Value::Boolean(true));
        for entry in ini::parse(text)? {
            let (section, key) = (entry.section.as_str(), entry.key.as_str());
            let known = OLD_KEYS.iter().find(|(s, k, _)| *s == section && *k == key);
            match known.map(|(.., now)| now) {
                None => notes.push(format!("line {}: {section}.{key} is not known", entry.line)),
                // An unused key is no news.
                Some(Now::Gone(why)) => {
                    let used = !is_placeholder(&entry.value) && !entry.value.is_empty() && entry.value != "0";
                    if used {
                        notes.push(format!("{section}.{key}: {why}"));
                    }
                }
                Some(Now::Columns) => columns_file = Some(PathBuf::from(&entry.value)),
                Some(Now::Is(section, key)) => {
                    let kind = kind(section, key).unwrap_or(Kind::Text);
                    let value = value_of(&entry.value, kind).ok_or_else(|| {
                        ConfigError::at(entry.line, format!("{}: {}", entry.key, wanted(kind)))
                    })?;
                    put(&mut table, section, key, value);
                }
            }
        }
        Self::finish(Generation::Ini, table, columns_file, notes, environment)
    }

    fn finish(
        generation: Generation,
        mut table: Table,
        columns_file: Option<PathBuf>,
        mut notes: Vec<String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut set: Vec<(String, String)> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        set.sort();
        for (name, text) in set {
            let lower = name[PREFIX.len()..].to_lowercase();
            let known = KEYS.iter().find(|(section, key, _)| {
                lower
                    .strip_prefix(section)
                    .and_then(|rest| rest.strip_prefix('_'))
                    == Some(*key)
            });
            let Some((section, key, kind)) = known else {
                notes.push(format!("{name} in the environment is not known"));
                continue;
            };
            let value = value_of(&text, *kind).ok_or_else(|| ConfigError::key(&name, "", wanted(*kind)))?;
            put(&mut table, section, key, value);
        }
        // Placeholders count as unset everywhere, not only where a key is a secret.
        for keys in table.iter_mut().filter_map(|(_, keys)| keys.as_table_mut()) {
            keys.retain(|_, value| !value.as_str().is_some_and(is_placeholder));
        }
        let columns = table.remove("output").and_then(|mut output| {
            let columns = output.as_table_mut()?.remove("columns")?;
            let names = columns.as_array()?.iter().filter_map(Value::as_str);
            Some(names.map(str::to_owned).collect())
        });
        // Time zones come from a table of our own, always.
        table.remove("timezone");
        let settings = Settings::deserialize(Value::Table(table))
            .map_err(|error| ConfigError::Toml(error.to_string()))?;
        settings.check().map_err(ConfigError::Toml)?;
        Ok(Self {
            generation,
            settings,
            columns,
            columns_file,
            notes,
        })
    }
}

/// A file without a known ending is 0.6.x's if it is TOML and has no key that only 0.1.x had.
fn looks_new(table: &Table) -> bool {
    table.iter().all(|(section, keys)| {
        keys.as_table().is_some_and(|keys| {
            keys.keys().all(|key| {
                kind(section, key).is_some()
                    || !OLD_KEYS
                        .iter()
                        .any(|(s, k, _)| *s == section.as_str() && *k == key.as_str())
            })
        })
    })
}

fn kind(section: &str, key: &str) -> Option<Kind> {
    let known = KEYS.iter().find(|(s, k, _)| *s == section && *k == key);
    known.map(|(.., kind)| *kind)
}

fn check(section: &str, key: &str, kind: Kind, value: &Value) -> Result<(), ConfigError> {
    let good = match kind {
        Kind::Flag => value.is_bool(),
        Kind::Integer => value.is_integer(),
        Kind::Real => value.is_integer() || value.is_float(),
        // Keys of digits only are written without quotes now and then.
        Kind::Text => value.is_str() || value.is_integer(),
        Kind::List => value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_str)),
    };
    if good {
        Ok(())
    } else {
        Err(ConfigError::key(section, key, wanted(kind)))
    }
}

const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "is yes or no",
        Kind::Integer => "is a whole number",
        Kind::Real => "is a number",
        Kind::Text => "is a text",
        Kind::List => "is a list of names",
    }
}

/// A value of INI or environment. Texts stay texts, also those of digits only.
fn value_of(text: &str, kind: Kind) -> Option<Value> {
    let text = text.trim();
    Some(match kind {
        Kind::Flag => Value::Boolean(match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => true,
            "0" | "false" | "no" | "off" => false,
            _ => return None,
        }),
        Kind::Integer => Value::Integer(text.parse().ok()?),
        Kind::Real => Value::Float(text.parse().ok().filter(|number: &f64| number.is_finite())?),
        Kind::Text => Value::String(text.to_owned()),
        Kind::List => {
            let text = text.trim_start_matches('[').trim_end_matches(']');
            let items = text.split(',').map(|item| item.trim().trim_matches(['"', '\'']));
            Value::Array(
                items
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::String(item.to_owned()))
                    .collect(),
            )
        }
    })
}

fn is_placeholder(text: &str) -> bool {
    text.trim().starts_with("<<<") && text.trim().ends_with(">>>")
}

fn put(table: &mut Table, section: &str, key: &str, value: Value) {
    let keys = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Some(keys) = keys.as_table_mut() {
        keys.insert(key.to_owned(), value);
    }
}
