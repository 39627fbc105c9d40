//! A row of a log by its columns, from TSV or JSON.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use lynceus_model::time::Timestamp;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Column;
use super::kind::Kind;
use crate::source::log::{Refusal, bad, facts, time};

/// More columns than any log has; a header with more is no header.
const MOST_COLUMNS: usize = 1024;
/// Elements that are read of a set or vector.
const MOST_ELEMENTS: usize = 256;

/// What the `#` lines of a TSV log say.
#[derive(Clone, Debug)]
pub(super) struct Header {
    separator: String,
    set_separator: String,
    empty: String,
    unset: String,
    path: Option<Kind>,
    /// Of each column whether and as what it is read.
    columns: Vec<Option<Column>>,
    /// Columns that stand in the last one, apart by spaces: the labels of some labelled logs.
    glued: usize,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            separator: "\t".to_owned(),
            set_separator: ",".to_owned(),
            empty: "(empty)".to_owned(),
            unset: "-".to_owned(),
            path: None,
            columns: Vec::new(),
            glued: 0,
        }
    }
}

impl Header {
    pub(super) const fn kind(&self) -> Option<Kind> {
        self.path
    }

    /// Takes a line that begins with `#`.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("#separator") {
            let separator = unescape(text.trim_start_matches([' ', '\t']));
            if !separator.is_empty() {
                self.separator = separator.into_owned();
            }
            return;
        }
        let Some((key, value)) = line.split_once(self.separator.as_str()) else {
            return;
        };
        match key {
            "#set_separator" if !value.is_empty() => value.clone_into(&mut self.set_separator),
            "#empty_field" => value.clone_into(&mut self.empty),
            "#unset_field" => value.clone_into(&mut self.unset),
            "#path" => self.path = Kind::of_path(value),
            "#fields" => self.fields(value),
            _ => {}
        }
    }

    fn fields(&mut self, names: &str) {
        let mut columns = Vec::new();
        self.glued = 0;
        let mut names = names.split(self.separator.as_str()).take(MOST_COLUMNS).peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                let parts: Vec<_> = name.split_whitespace().collect();
                self.glued = parts.len().saturating_sub(1);
                columns.extend(parts.into_iter().map(Column::of));
            } else {
                columns.push(Column::of(name));
            }
        }
        self.columns = columns;
    }

    /// Reads a row.
    pub(super) fn record<'a>(&'a self, line: &'a str) -> Result<Record<'a>, Refusal> {
        if self.columns.is_empty() {
            return Err(bad("a row before the #fields that name its columns"));
        }
        let mut record = Record {
            values: [None; Column::COUNT],
            style: Style::Tsv(self),
        };
        let mut count = 0;
        let mut take = |column: Option<&Option<Column>>, value: &'a str| {
            count += 1;
            if let Some(Some(column)) = column
                && value != self.unset
            {
                record.values[*column as usize] = Some(value);
            }
        };
        let apart = self.columns.len() - self.glued;
        let mut columns = self.columns.iter();
        for (place, value) in line.split(self.separator.as_str()).enumerate() {
            if place + 1 == apart && self.glued > 0 {
                for part in value.split_whitespace() {
                    take(columns.next(), part);
                }
            } else {
                take(columns.next(), value);
            }
        }
        if count != self.columns.len() {
            return Err(bad(format!(
                "{count} columns, and #fields names {}",
                self.columns.len()
            )));
        }
        Ok(record)
    }
}

#[derive(Clone, Copy)]
enum Style<'a> {
    Tsv(&'a Header),
    Json,
}

/// A row. Values are as in the log; `None` where the log says that there is none.
pub(super) struct Record<'a> {
    values: [Option<&'a str>; Column::COUNT],
    style: Style<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn of_json(line: &'a str) -> Result<Self, Refusal> {
        let mut record = Record {
            values: [None; Column::COUNT],
            style: Style::Json,
        };
        record.object(line, "")?;
        Ok(record)
    }

    /// Takes the members of an object, and of objects in it one level deep (`"id": {"orig_h": …}`).
    fn object(&mut self, json: &'a str, prefix: &str) -> Result<(), Refusal> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let members = reader
            .deserialize_map(Members)
            .map_err(|error| bad(error.to_string()))?;
        reader.end().map_err(|error| bad(error.to_string()))?;
        for (key, value) in members {
            let value = value.get();
            let key = if prefix.is_empty() {
                key
            } else {
                format!("{prefix}.{key}").into()
            };
            if value.starts_with('{') {
                if prefix.is_empty() {
                    self.object(value, &key)?;
                }
            } else if value != "null"
                && let Some(column) = Column::of(&key)
            {
                self.values[column as usize] = Some(value);
            }
        }
        Ok(())
    }

    /// The value as it stands in the log.
    pub(super) const fn raw(&self, column: Column) -> Option<&'a str> {
        self.values[column as usize]
    }

    /// A text; `None` where it is empty.
    pub(super) fn text(&self, column: Column) -> Option<Cow<'a, str>> {
        let raw = self.raw(column)?;
        let text = match self.style {
            Style::Tsv(header) if raw == header.empty => return None,
            Style::Tsv(_) => unescape(raw),
            Style::Json => json_text(raw)?,
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn owned(&self, column: Column) -> Option<String> {
        self.text(column).map(Cow::into_owned)
    }

    /// The elements of a set or vector.
    pub(super) fn list(&self, column: Column) -> Vec<Cow<'a, str>> {
        let Some(raw) = self.raw(column) else {
            return Vec::new();
        };
        match self.style {
            Style::Tsv(header) if raw == header.empty => Vec::new(),
            Style::Tsv(header) => {
                let parts = raw.split(header.set_separator.as_str());
                parts.take(MOST_ELEMENTS).map(unescape).collect()
            }
            Style::Json if raw.starts_with('[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
                let elements = elements.into_iter().take(MOST_ELEMENTS);
                elements.filter_map(|element| json_text(element.get())).collect()
            }
            Style::Json => json_text(raw).into_iter().collect(),
        }
    }

    /// A number. `None` where there is none, or where it is too large for its type.
    pub(super) fn number<T: FromStr>(&self, column: Column) -> Option<T> {
        let text = self.text(column)?;
        // Zeek's JSON may write whole numbers as 3600.0.
        text.strip_suffix(".0").unwrap_or(&text).parse().ok()
    }

    pub(super) fn flag(&self, column: Column) -> Option<bool> {
        match self.raw(column)? {
            "T" | "true" => Some(true),
            "F" | "false" => Some(false),
            _ => None,
        }
    }

    pub(super) fn address(&self, column: Column) -> Option<IpAddr> {
        let address: IpAddr = self.text(column)?.parse().ok()?;
        Some(address.to_canonical())
    }

    pub(super) fn mac(&self, column: Column) -> Option<[u8; 6]> {
        facts::mac(&self.text(column)?)
    }

    pub(super) fn time(&self, column: Column) -> Option<Timestamp> {
        time::time(&self.text(column)?)
    }

    pub(super) fn duration(&self, column: Column) -> Option<Duration> {
        time::duration(&self.text(column)?)
    }

    /// The row's time, which every log has.
    pub(super) fn ts(&self) -> Result<Timestamp, Refusal> {
        self.time(Column::Ts)
            .ok_or_else(|| self.wrong(Column::Ts, "a time"))
    }

    /// A refusal that names the column.
    pub(super) fn wrong(&self, column: Column, what: &str) -> Refusal {
        match self.raw(column) {
            Some(raw) => {
                let shown: String = raw.chars().take(60).collect();
                bad(format!("`{}` is `{shown}`, not {what}", column.name()))
            }
            None => bad(format!("`{}` is missing", column.name())),
        }
    }
}

/// The members of an object in their order.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(32);
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            if members.len() < MOST_COLUMNS {
                members.push((key, value));
            }
        }
        Ok(members)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string without its quotes, or of another scalar as it stands.
fn json_text(raw: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = raw.strip_prefix('"') else {
        return (!raw.starts_with(['[', '{']) && raw != "null").then_some(Cow::Borrowed(raw));
    };
    if inner.contains('\\') {
        return serde_json::from_str::<String>(raw).ok().map(Cow::Owned);
    }
    inner.strip_suffix('"').map(Cow::Borrowed)
}

/// Zeek writes bytes that would break a line as `\xHH`.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains("\\x") {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let value = escaped
            .filter(|_| byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
