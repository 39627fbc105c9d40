//! Values of a dossier as people read them, with the parts that belong to them.

use super::{Dossier, Merged};
use crate::fact::{Field, Value};

/// Fields that [`Dossier::words`] tells with another one: they need no line of their own.
pub const PARTS: &[Field] = &[
    Field::ReverseDnsConfirmed,
    Field::PortsTried,
    Field::DnsblCodes,
    Field::SuspiciousCount,
    Field::HarmlessCount,
    Field::UndetectedCount,
    Field::BlacklistEngines,
    Field::PingCount,
    Field::PingMin,
    Field::PingAverage,
    Field::PingMax,
    Field::PingTtl,
    Field::RouteReached,
];

impl Dossier {
    /// The value of a field with its parts; `None`: unknown.
    #[must_use]
    pub fn words(&self, merged: &Merged<'_>) -> Option<String> {
        let value = merged.value.as_ref()?;
        let text = |field| self.value(field).map(|value| value.to_string());
        Some(match merged.field {
            Field::ReverseDns => {
                let confirmed = self.value(Field::ReverseDnsConfirmed);
                let confirmed = confirmed.and_then(|value| value.flag());
                let word = match confirmed {
                    Some(true) => "confirmed",
                    Some(false) => "not confirmed",
                    None => "confirmation unknown",
                };
                format!("{value} ({word})")
            }
            Field::Ports => self.ports(merged, value),
            Field::DnsblListed => match (is_empty(value), text(Field::DnsblCodes)) {
                (false, Some(codes)) if codes != "none" => codes,
                (true, _) => match self.count(Field::DnsblNotListed) {
                    Some(lists) => format!("none of {lists} asked"),
                    None => value.to_string(),
                },
                _ => value.to_string(),
            },
            Field::MaliciousCount => {
                let parts = [
                    (Field::SuspiciousCount, "suspicious"),
                    (Field::HarmlessCount, "harmless"),
                    (Field::UndetectedCount, "without verdict"),
                ];
                let parts = parts
                    .iter()
                    .filter_map(|(field, word)| Some(format!("{} {word}", text(*field)?)));
                joined(value.to_string(), parts)
            }
            Field::BlacklistDetections => match text(Field::BlacklistEngines) {
                Some(all) => format!("{value} of {all}"),
                None => value.to_string(),
            },
            Field::PingLoss => self.echoes(value),
            Field::Route => {
                let reached = self.value(Field::RouteReached).and_then(|value| value.flag());
                match reached {
                    Some(false) => format!("{value}, and no further"),
                    _ => value.to_string(),
                }
            }
            _ => value.to_string(),
        })
    }

    /// A scan speaks of the ports that it tried, and of no other.
    fn ports(&self, merged: &Merged<'_>, value: &Value) -> String {
        let scanned = merged.sources.iter().any(|fact| fact.source.name() == "scan");
        match self.count(Field::PortsTried).filter(|_| scanned) {
            Some(tried) if is_empty(value) => format!("none of {tried} tried"),
            Some(tried) if merged.sources.len() == 1 => format!("{value} of {tried} tried"),
            _ => value.to_string(),
        }
    }

    fn echoes(&self, loss: &Value) -> String {
        let text = |field| self.value(field).map(|value| value.to_string());
        let sent = text(Field::PingCount).map_or_else(String::new, |count| format!(" of {count}"));
        let Some(shortest) = text(Field::PingMin) else {
            return format!("no echo came back{sent}");
        };
        let parts = [
            (Field::PingAverage, "mean ", " ms"),
            (Field::PingMax, "longest ", " ms"),
        ];
        let mut parts: Vec<String> = parts
            .iter()
            .filter_map(|(field, before, after)| Some(format!("{before}{}{after}", text(*field)?)))
            .collect();
        let loss = loss.real().unwrap_or_default();
        parts.push(format!("{loss:.0} %{sent} lost"));
        parts.extend(text(Field::PingTtl).map(|ttl| format!("time to live {ttl}")));
        joined(format!("{shortest} ms"), parts)
    }

    /// Members of a set.
    fn count(&self, field: Field) -> Option<usize> {
        match self.value(field)? {
            Value::Set(items) => Some(items.len()),
            _ => None,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Set(items) if items.is_empty())
}

/// `7 (2 suspicious, 60 harmless)`
fn joined(value: String, parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    if parts.is_empty() {
        return value;
    }
    format!("{value} ({})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use lynceus_model::time::Timestamp;

    use super::*;
    use crate::fact::{Fact, Item, Source};

    fn words(field: Field, facts: &[(Field, &'static str, Value)]) -> Option<String> {
        let mut dossier = Dossier::new("192.0.2.1".parse().unwrap(), Timestamp(0));
        for (field, source, value) in facts {
            dossier.add(Fact::new(*field, value.clone(), Source::new(source)));
        }
        dossier.words(&dossier.field(field).unwrap())
    }

    fn set(ports: std::ops::Range<i64>) -> Value {
        ports.map(Item::from).collect()
    }

    #[test]
    fn a_scan_says_how_many_ports_it_tried() {
        let of = |open, source, tried| {
            words(
                Field::Ports,
                &[
                    (Field::Ports, source, set(open)),
                    (Field::PortsTried, "scan", set(tried)),
                ],
            )
            .unwrap()
        };
        assert_eq!(of(0..0, "scan", 1..17), "none of 16 tried");
        assert_eq!(of(3..5, "scan", 1..17), "3, 4 of 16 tried");
        assert_eq!(
            of(0..0, "internetdb", 1..17),
            "none",
            "who else looked says not at what"
        );
    }

    #[test]
    fn a_name_is_told_with_its_confirmation() {
        let name = (Field::ReverseDns, "reverse_dns", Value::from("h.example"));
        let confirmed = |flag: bool| (Field::ReverseDnsConfirmed, "reverse_dns", Value::Flag(flag));
        let of = |facts: &[_]| words(Field::ReverseDns, facts).unwrap();
        assert_eq!(of(&[name.clone(), confirmed(true)]), "h.example (confirmed)");
        assert_eq!(of(&[name.clone(), confirmed(false)]), "h.example (not confirmed)");
        assert_eq!(of(&[name]), "h.example (confirmation unknown)");
    }

    #[test]
    fn echoes_are_told_with_what_was_lost() {
        let lost = (Field::PingLoss, "ping", Value::Real(100.0));
        let count = (Field::PingCount, "ping", Value::Integer(3));
        assert_eq!(
            words(Field::PingLoss, &[lost, count.clone()]).unwrap(),
            "no echo came back of 3"
        );
        let some = [
            (Field::PingLoss, "ping", Value::Real(100.0 / 3.0)),
            count,
            (Field::PingMin, "ping", Value::Real(0.25)),
            (Field::PingMax, "ping", Value::Real(1.5)),
        ];
        assert_eq!(
            words(Field::PingLoss, &some).unwrap(),
            "0.25 ms (longest 1.5 ms, 33 % of 3 lost)"
        );
    }
}
