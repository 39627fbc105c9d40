//! Raw columns as facts, by the one table of [`field_of`].

use std::borrow::Cow;

use lynceus_model::time::Timestamp;

use super::{Answer, Status};
use crate::fact::{CANONICAL, Fact, Field, Item, Matched, Reason, Shape, Source, Value, field_of, speaker};

/// Steps of a way that are written down. Hardly any has half as many.
const MAX_STEPS: usize = 64;
/// Reasons that are written out; how many more there are is told.
const MAX_REASONS: usize = 8;

/// An answer with the first column and without the second one does not know this field, for this reason.
const LEFT_OUT: [(&str, &str, Field, &str); 2] = [
    (
        "network.reverse_dns",
        "network.reverse_dns_confirmed",
        Field::ReverseDnsConfirmed,
        "a name server did not answer",
    ),
    (
        "ping.percent_loss",
        "ping.min",
        Field::PingMin,
        "no echo came back",
    ),
];

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
            Fact::new(field, value, source_of(speaker(source, column)))
                .as_of(as_of)
                .matched(matched),
        )
    };
    let mut facts: Vec<Fact> = answer.columns.iter().filter_map(fact).collect();
    for (field, reason) in [
        (Field::Ports, untried(answer)),
        (Field::DnsblListed, unheard(answer)),
    ] {
        if let Some(reason) = reason {
            let doubtful = facts.iter_mut().find(|fact| fact.field == field);
            doubtful
                .into_iter()
                .for_each(|fact| fact.value = Value::Unknown(reason.clone()));
        }
    }
    let missing = LEFT_OUT
        .iter()
        .filter(|(with, without, ..)| answer.column(with).is_some() && answer.column(without).is_none());
    facts.extend(missing.map(|(with, _, field, why)| {
        let (source, column) = with.split_once('.').unwrap_or((answer.provider, ""));
        let reason = Reason::Failed((*why).to_owned());
        Fact::unknown(*field, reason, source_of(speaker(source, column))).as_of(as_of)
    }));
    facts
}

/// Why a scan that found nothing says nothing: it tried no port, or nobody answered at all.
fn untried(answer: &Answer) -> Option<Reason> {
    let count = |name: &str| Some(answer.column(name)?.as_array()?.len());
    let (tried, silent) = (count("scan.tried")?, count("scan.silent")?);
    match (tried, silent) {
        (0, _) => Some(Reason::NotAsked("no port is configured (scan.ports)".into())),
        (tried, silent) if tried == silent => {
            Some(Reason::Failed(format!("none of {tried} ports tried answered")))
        }
        _ => None,
    }
}

/// Why no list says *listed*, where one that did not answer might have.
fn unheard(answer: &Answer) -> Option<Reason> {
    let items = |name: &str| answer.column(name)?.as_array();
    let (listed, unknown) = (items("dnsbl.listed_in")?, items("dnsbl.unknown")?);
    if !listed.is_empty() || unknown.is_empty() {
        return None;
    }
    let told: Vec<&str> = unknown
        .iter()
        .filter_map(serde_json::Value::as_str)
        .take(MAX_REASONS)
        .collect();
    let more = match unknown.len() - told.len() {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    Some(Reason::Failed(format!("{}{more}", told.join("; "))))
}

/// Every field that the provider would feed, as unknown with the reason; none for answers.
#[must_use]
pub fn unknowns(answer: &Answer) -> Vec<Fact> {
    let Some(reason) = reason(answer) else {
        return Vec::new();
    };
    let feeds = |(from, column): &(&str, &str)| speaker(from, column) == answer.provider;
    let fed = CANONICAL.iter().filter(|(_, columns)| columns.iter().any(feeds));
    fed.map(|(field, _)| Fact::unknown(*field, reason.clone(), source_of(answer.provider)))
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
        (Shape::Vote, Field::Route) => Value::from(way(value)?),
        // Their word for having no opinion.
        (Shape::Vote, Field::Reputation | Field::Actor) if value.as_str() == Some("unknown") => {
            Value::Unknown(Reason::NoEntry)
        }
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

/// Hops as one line: who answered first of all and how fast, `*` for nobody, `+1` for one more at the same distance.
fn way(hops: &serde_json::Value) -> Option<String> {
    let hops = hops.as_array()?;
    let step = |hop: &serde_json::Value| {
        let addresses = hop.get("addresses")?.as_array()?;
        let Some(first) = addresses.first() else {
            return Some("*".to_owned());
        };
        let first: std::net::IpAddr = first.as_str()?.parse().ok()?;
        let others = match addresses.len() {
            1 => String::new(),
            all => format!(" +{}", all - 1),
        };
        let time = hop.get("best_ms").and_then(serde_json::Value::as_f64);
        let time = time.map_or_else(String::new, |ms| format!(" {ms:.1} ms"));
        Some(format!("{first}{others}{time}"))
    };
    let mut steps: Vec<String> = hops.iter().take(MAX_STEPS).filter_map(step).collect();
    if hops.len() > MAX_STEPS {
        steps.push(format!("{} more", hops.len() - MAX_STEPS));
    }
    (!steps.is_empty()).then(|| steps.join(" → "))
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
            ("virustotal.timeout", json!(2)),
            ("network.reverse_dns_confirmed", json!(false)),
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
                (Field::HarmlessCount, "60".to_owned()),
                (Field::ReverseDnsConfirmed, "no".to_owned()),
            ]
        );
        assert_eq!(found[5].source.name(), "reverse_dns");
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

    /// Name and value of each fact.
    fn said(columns: &[(&str, serde_json::Value)]) -> Vec<String> {
        let found = facts(&answer(columns));
        let words = found
            .iter()
            .map(|fact| format!("{}: {}", fact.field.name(), fact.value));
        words.collect()
    }

    #[test]
    fn a_list_that_did_not_answer_might_have_listed_it() {
        let lists = |listed: &[&str], unknown: &[&str]| {
            said(&[
                ("dnsbl.listed_in", json!(listed)),
                ("dnsbl.not_listed_in", json!(["c.example"])),
                ("dnsbl.unknown", json!(unknown)),
            ])
        };
        assert_eq!(
            lists(&[], &["b.example fails"])[0],
            "dnsbl_listed: unknown (b.example fails)"
        );
        assert_eq!(
            lists(&["a.example"], &["b.example fails"]),
            [
                "dnsbl_listed: a.example",
                "dnsbl_not_listed: c.example",
                "dnsbl_unknown: b.example fails"
            ]
        );
        assert_eq!(lists(&[], &[])[0], "dnsbl_listed: none");
        let many = lists(&[], &["x"; 64]);
        assert!(many[0].ends_with("; 56 more)"), "{many:?}");
    }

    #[test]
    fn ports_that_nobody_tried_are_not_closed() {
        let scan = |tried: &[&str], silent: &[&str]| {
            said(&[
                ("scan.ports", json!([])),
                ("scan.silent", json!(silent)),
                ("scan.tried", json!(tried)),
            ])
            .remove(0)
        };
        assert!(scan(&[], &[]).starts_with("ports: unknown (not asked: no port"));
        assert_eq!(
            scan(&["80", "443"], &["80", "443"]),
            "ports: unknown (none of 2 ports tried answered)"
        );
        assert_eq!(scan(&["80", "443"], &["80"]), "ports: none");
    }

    #[test]
    fn what_an_answer_leaves_out_is_unknown() {
        assert_eq!(
            said(&[("ping.percent_loss", json!(100.0))]),
            [
                "ping_loss_percent: 100",
                "ping_min_ms: unknown (no echo came back)"
            ]
        );
        assert_eq!(
            said(&[("network.reverse_dns", json!("h.example"))])[1],
            "reverse_dns_confirmed: unknown (a name server did not answer)"
        );
    }

    #[test]
    fn no_opinion_is_unknown() {
        let found = said(&[
            ("greynoise.classification", json!("unknown")),
            ("crowdsec.reputation", json!("malicious")),
            ("greynoise.name", json!("unknown")),
        ]);
        assert_eq!(
            found,
            [
                "reputation: unknown (no entry)",
                "reputation: malicious",
                "actor: unknown (no entry)"
            ]
        );
    }

    #[test]
    fn a_way_is_told_step_by_step_and_ends() {
        let hop =
            |addresses: &[&str], ms: Option<f64>| json!({"ttl": 1, "addresses": addresses, "best_ms": ms});
        let hops = json!([
            hop(&["192.0.2.1", "192.0.2.2"], Some(0.25)),
            hop(&[], None),
            hop(&["2001:db8::9"], Some(8.04))
        ]);
        assert_eq!(
            way(&hops).unwrap(),
            "192.0.2.1 +1 0.2 ms → * → 2001:db8::9 8.0 ms"
        );
        let long = vec![hop(&["2001:db8:1111:2222:3333:4444:5555:6666"], Some(1234.5)); 254];
        let long = way(&json!(long)).unwrap();
        assert!(long.len() < 4096 && long.ends_with(" → 190 more"), "{long}");
        assert_eq!((way(&json!([])), way(&json!("x"))), (None, None));
    }
}
