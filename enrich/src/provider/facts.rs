//! Raw columns as facts, by the one table of [`field_of`].

use std::borrow::Cow;

use lynceus_model::time::Timestamp;

use super::{Answer, Status};
use crate::fact::{CANONICAL, Fact, Field, Item, Matched, Reason, Shape, Source, Value, field_of};

/// The facts of an answer. Columns without a field stay columns; a value of another kind than its field's is passed over.
#[must_use]
pub fn facts(answer: &Answer) -> Vec<Fact> {
    let as_of = Timestamp(answer.observed.saturating_mul(1_000_000_000));
    let matched = answer.range.map(|range| Matched {
        first: range.first,
        last: range.last,
    });
    let fact = |(name, value): &(String, serde_json::Value)| {
        let (source, column) = name.split_once('.')?;
        let field = field_of(source, column)?;
        let value = value_of(field, value)?;
        Some(
            Fact::new(field, value, source_of(source))
                .as_of(as_of)
                .matched(matched),
        )
    };
    answer.columns.iter().filter_map(fact).collect()
}

/// Every field that the provider would feed, as unknown with the reason; none for answers.
#[must_use]
pub fn unknowns(answer: &Answer) -> Vec<Fact> {
    let Some(reason) = reason(answer) else {
        return Vec::new();
    };
    // Reverse names stand under the address itself.
    let source = if answer.provider == "reverse_dns" {
        "network"
    } else {
        answer.provider
    };
    let reverse_only = |field: Field| answer.provider != "reverse_dns" || field == Field::ReverseDns;
    let fed = CANONICAL
        .iter()
        .filter(|(field, columns)| reverse_only(*field) && columns.iter().any(|(from, _)| *from == source));
    fed.map(|(field, _)| Fact::unknown(*field, reason.clone(), source_of(source)))
        .collect()
}

/// Why a provider has no answer, as a dossier says it; `None` for answers.
#[must_use]
pub fn reason(answer: &Answer) -> Option<Reason> {
    let error = || {
        answer
            .error
            .clone()
            .unwrap_or_else(|| answer.status.name().to_owned())
    };
    Some(match answer.status {
        Status::Found => return None,
        Status::NotFound => Reason::NoEntry,
        Status::NotGloballyRoutable => Reason::NotRoutable,
        Status::NotAllowed | Status::Unconfigured => Reason::NotAsked(Cow::Owned(error())),
        _ => Reason::Failed(error()),
    })
}

fn source_of(name: &str) -> Source {
    Source(Cow::Owned(name.to_owned()))
}

fn value_of(field: Field, value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    let number = |value: &Json| -> Option<i64> {
        let text = |text: &str| text.trim().trim_start_matches("AS").parse().ok();
        value.as_i64().or_else(|| value.as_str().and_then(text))
    };
    let real = |value: &Json| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    Some(match (field.shape(), field) {
        (Shape::Position, _) | (_, Field::ErrorRadius) => Value::from(real(value)?),
        (Shape::Set, _) => {
            let item = |value: &Json| match value {
                Json::Number(_) => number(value).map(Item::from),
                Json::String(text) => Some(
                    text.parse::<i64>()
                        .map_or_else(|_| Item::from(text.as_str()), Item::from),
                ),
                _ => None,
            };
            value.as_array()?.iter().filter_map(item).collect()
        }
        (Shape::Vote, Field::Asn | Field::AbuseScore | Field::MaliciousCount) => Value::from(number(value)?),
        (Shape::Vote, Field::PostalCode) if value.is_number() => Value::from(value.to_string()),
        (Shape::Vote, _) => match value {
            Json::String(text) if !text.trim().is_empty() => Value::from(text.clone()),
            Json::Bool(flag) => Value::from(*flag),
            Json::Number(_) => number(value)
                .map(Value::from)
                .or_else(|| real(value).map(Value::from))?,
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(columns: &[(&str, serde_json::Value)]) -> Answer {
        Answer {
            provider: "virustotal",
            ip: "192.0.2.1".parse().unwrap(),
            status: Status::Found,
            error: None,
            columns: columns
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            range: None,
            observed: 1_700_000_000,
            from_cache: false,
        }
    }

    #[test]
    fn columns_become_facts_of_their_fields_shape() {
        let found = facts(&answer(&[
            ("virustotal.asn", json!(64500)),
            ("shodan.asn", json!("AS64500")),
            ("internetdb.ports", json!(["443", "80"])),
            ("abuseipdb.is_tor", json!(false)),
            ("virustotal.harmless", json!(60)),
            ("virustotal.country", json!("")),
        ]));
        let said: Vec<(Field, String)> = found
            .iter()
            .map(|fact| (fact.field, fact.value.to_string()))
            .collect();
        assert_eq!(
            said,
            [
                (Field::Asn, "64500".to_owned()),
                (Field::Asn, "64500".to_owned()),
                (Field::Ports, "80, 443".to_owned()),
                (Field::IsTor, "no".to_owned()),
            ]
        );
        assert_eq!(found[0].as_of, Some(Timestamp(1_700_000_000_000_000_000)));
        assert_eq!((found[1].source.name(), reason(&answer(&[]))), ("shodan", None));
    }

    #[test]
    fn what_is_no_answer_has_a_reason_and_no_facts() {
        let mut limited = answer(&[]);
        limited.status = Status::RateLimited;
        limited.error = Some("asks to come later".to_owned());
        assert_eq!(
            reason(&limited),
            Some(Reason::Failed("asks to come later".to_owned()))
        );
        assert_eq!(facts(&limited), []);
    }
}
