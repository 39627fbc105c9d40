//! Indicators of STIX 2.1 (OASIS, §4.7): the comparisons with `=` in their patterns.

use serde_json::Value;

use crate::feeds::read::Into;
use crate::indicator::{Indicator, Kind};

pub(super) fn is_indicator(element: &Value) -> bool {
    element.get("type").and_then(Value::as_str) == Some("indicator") && element.get("pattern").is_some()
}

/// Takes the indicators of an object; objects of other types hold none.
pub(super) fn object(element: &Value, number: u64, into: &mut Into<'_>) {
    if !is_indicator(element) {
        return;
    }
    if element.get("revoked").and_then(Value::as_bool) == Some(true) {
        into.outcome.expired += 1;
        return;
    }
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    let pattern = text("pattern").unwrap_or_default();
    let mut meta = into.meta();
    if let Some(description) = text("description").or_else(|| text("name")) {
        meta.description = description.to_owned();
    }
    for label in element
        .get("labels")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        meta.tags.extend(label.as_str().map(str::to_owned));
    }
    let mut found = false;
    for (path, value) in comparisons(pattern) {
        let kind = match path {
            "ipv4-addr:value" | "ipv6-addr:value" => Kind::Ip,
            "domain-name:value" => Kind::Domain,
            "url:value" => Kind::Url,
            "autonomous-system:number" => Kind::AutonomousSystem,
            path if path.starts_with("file:hashes") => Kind::File,
            path if path.starts_with("x509-certificate:hashes") => Kind::Certificate,
            _ => continue,
        };
        let indicator =
            Indicator::of_kind(kind, &value).or_else(|| Indicator::of_kind(Kind::Network, &value));
        if let Some(indicator) = indicator {
            into.add(&indicator, &meta);
            found = true;
        }
    }
    if !found {
        into.outcome.refuse(number, pattern);
    }
}

/// `path = 'value'` pairs of a pattern. Values in quotes with `\'` and `\\`, or numbers.
fn comparisons(pattern: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('=') {
        rest = after;
        // `!=`, `>=` and `<=` are no claims of equality.
        if before.ends_with(['!', '>', '<']) {
            continue;
        }
        let path = before.trim().rsplit(['[', ' ', '(']).next().unwrap_or_default();
        let after = after.trim_start();
        let value = match after.strip_prefix('\'') {
            Some(quoted) => {
                let mut value = String::new();
                let mut escaped = false;
                let mut end = quoted.len();
                for (at, character) in quoted.char_indices() {
                    match character {
                        '\\' if !escaped => escaped = true,
                        '\'' if !escaped => {
                            end = at + 1;
                            break;
                        }
                        _ => {
                            value.push(character);
                            escaped = false;
                        }
                    }
                }
                rest = &quoted[end..];
                value
            }
            None => after.chars().take_while(char::is_ascii_digit).collect(),
        };
        found.push((path, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::comparisons;

    #[test]
    fn patterns() {
        let found = comparisons(
            r"[file:hashes.'SHA-256' = 'ab' AND url:value = 'http://x/?a=\'b\'&c=d'] OR [autonomous-system:number = 64500]",
        );
        let found: Vec<_> = found
            .iter()
            .map(|(path, value)| (*path, value.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("file:hashes.'SHA-256'", "ab"),
                ("url:value", "http://x/?a='b'&c=d"),
                ("autonomous-system:number", "64500"),
            ]
        );
        assert!(comparisons("[ipv4-addr:value != '192.0.2.1']").is_empty());
        assert!(comparisons("=='").len() <= 2);
    }
}
