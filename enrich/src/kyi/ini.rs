//! The INI of Know Your IP 0.1.8, as Python's `configparser` reads it: `key = value` or `key: value` under `[section]`,
//! comments on lines of their own, continued values indented, `%%` for a percent sign.

use super::ConfigError;

/// Most keys of a file: Know Your IP has twenty-five.
const MAX_KEYS: usize = 1000;
/// Longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) section: String,
    /// In lower case.
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads all keys in their order. A key that comes twice counts with its last value, as it stands last.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, ConfigError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section: Option<String> = None;
    let mut continues = false;
    for (number, raw) in text.lines().enumerate() {
        let line = number + 1;
        let fault = |problem: &str| ConfigError::at(line, problem);
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continues &= !trimmed.is_empty();
            continue;
        }
        if raw.starts_with([' ', '\t']) && continues {
            if let Some(entry) = entries.last_mut() {
                if entry.value.len() + trimmed.len() > MAX_VALUE {
                    return Err(fault("the value is longer than 4096 bytes"));
                }
                entry.value.push('\n');
                entry.value.push_str(trimmed);
            }
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let name = name.strip_suffix(']').filter(|name| !name.is_empty());
            section = Some(
                name.ok_or_else(|| fault("a section is written [name]"))?
                    .to_owned(),
            );
            continues = false;
            continue;
        }
        let Some(section) = &section else {
            return Err(fault("a key before the first [section]"));
        };
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return Err(fault("neither a [section] nor key = value"));
        };
        if entries.len() == MAX_KEYS {
            return Err(fault("more than 1000 keys"));
        }
        if value.len() > MAX_VALUE {
            return Err(fault("the value is longer than 4096 bytes"));
        }
        entries.push(Entry {
            line,
            section: section.clone(),
            key: key.trim().to_lowercase(),
            value: value.trim().replace("%%", "%"),
        });
        continues = true;
    }
    Ok(entries)
}
