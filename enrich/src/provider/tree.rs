//! Reading documented fields out of JSON, and flattening what is not named one by one.

use serde_json::Value;

use super::{Columns, Fault};

/// Deeper is cut: no vendor nests like that, a hostile answer may.
const MAX_DEPTH: usize = 12;
/// Columns of one answer.
const MAX_COLUMNS: usize = 2000;

/// Parses a body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Value, Fault> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Fault::Malformed("no JSON object".to_owned()))
    }
}

/// The value behind `a.b.c`; null is absent.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = value;
    for name in path.split('.') {
        value = match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            other => other.get(name)?,
        };
    }
    (!value.is_null()).then_some(value)
}

pub(super) fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// Collects columns of one provider.
pub(super) struct Table {
    provider: &'static str,
    columns: Columns,
}

impl Table {
    pub(super) const fn new(provider: &'static str) -> Self {
        Self {
            provider,
            columns: Vec::new(),
        }
    }

    /// An absent value makes no column: it is unknown.
    pub(super) fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value
            && self.columns.len() < MAX_COLUMNS
        {
            let value = value.into();
            if !value.is_null() {
                self.columns.push((format!("{}.{name}", self.provider), value));
            }
        }
    }

    /// `(column, path)`: values as they are.
    pub(super) fn take(&mut self, from: &Value, fields: &[(&str, &str)]) {
        for (name, path) in fields {
            self.put(name, at(from, path).cloned());
        }
    }

    /// Texts and numbers of a list, as a list of texts; an empty list is an answer.
    pub(super) fn list(&mut self, name: &str, items: impl IntoIterator<Item = String>) {
        let mut items: Vec<String> = items.into_iter().collect();
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| seen.insert(item.clone()));
        self.put(name, Some(items));
    }

    /// All leaves below, names joined with `joint`.
    pub(super) fn flatten(&mut self, value: &Value, joint: char) {
        self.leaves("", value, joint, 0);
    }

    fn leaves(&mut self, name: &str, value: &Value, joint: char, depth: usize) {
        let below = |key: &str| {
            if name.is_empty() {
                key.to_owned()
            } else {
                format!("{name}{joint}{key}")
            }
        };
        match value {
            Value::Object(fields) if depth < MAX_DEPTH => {
                for (key, value) in fields {
                    self.leaves(&below(key), value, joint, depth + 1);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) && depth < MAX_DEPTH => {
                for (place, value) in items.iter().enumerate() {
                    self.leaves(&below(&place.to_string()), value, joint, depth + 1);
                }
            }
            Value::Array(items) => self.list(name, items.iter().filter_map(word)),
            Value::Null | Value::Object(_) => {}
            leaf => self.put(name, Some(leaf.clone())),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    pub(super) fn done(self) -> Columns {
        self.columns
    }
}

/// A text, number or truth as text.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Texts of a list.
pub(super) fn words(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    items
        .map(|items| items.iter().filter_map(word).collect())
        .unwrap_or_default()
}
