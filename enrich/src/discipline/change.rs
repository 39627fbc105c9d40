//! What a provider says differently from last time.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::Observation;
use crate::provider::Status;

/// A column that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub ip: IpAddr,
    pub provider: String,
    /// As `virustotal.malicious`; or `virustotal.status` where it is or is no longer known.
    pub column: String,
    /// `None`: it was not said.
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// Seconds since the Unix epoch.
    pub observed_before: i64,
    pub observed: i64,
}

/// Columns that change by themselves: dates of looking, measurements, counts of those that have no opinion.
const VOLATILE: [&str; 19] = [
    "abuseipdb.last_reported_at",
    "apivoid.blacklists.scantime",
    "censys.last_scan_time",
    "crowdsec.last_seen",
    "geonames.sunrise",
    "geonames.sunset",
    "geonames.time",
    "greynoise.last_seen",
    "ping.avg",
    "ping.max",
    "ping.min",
    "ping.percent_loss",
    "shodan.last_update",
    "traceroute.hops",
    "virustotal.harmless",
    "virustotal.last_analysis_date",
    "virustotal.timeout",
    "virustotal.undetected",
    "virustotal.whois_date",
];

/// Differences of two observations of one provider, in the order of the later one's columns.
#[must_use]
pub fn changes(before: &Observation, after: &Observation) -> Vec<Change> {
    let change = |column: &str, old: Option<Value>, new: Option<Value>| Change {
        ip: after.ip,
        provider: after.provider.clone(),
        column: column.to_owned(),
        before: old,
        after: new,
        observed_before: before.observed,
        observed: after.observed,
    };
    if before.status != after.status {
        let word = |status: Status| Some(Value::from(status.name()));
        let column = format!("{}.status", after.provider);
        return vec![change(&column, word(before.status), word(after.status))];
    }
    let of = |observation: &Observation, name: &str| {
        let mut columns = observation.columns.iter();
        columns
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let gone = before
        .columns
        .iter()
        .filter(|(name, _)| of(after, name).is_none());
    let names = after.columns.iter().chain(gone).map(|(name, _)| name.as_str());
    names
        .filter(|name| !VOLATILE.contains(name))
        .filter_map(|name| {
            let (old, new) = (of(before, name), of(after, name));
            (old != new).then(|| change(name, old, new))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(status: Status, columns: &[(&str, Value)]) -> Observation {
        Observation {
            ip: "192.0.2.1".parse().unwrap(),
            provider: "virustotal".to_owned(),
            settings: String::new(),
            observed: 1,
            status,
            range: None,
            columns: columns
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }

    #[test]
    fn opinions_that_change_are_told_and_dates_are_not() {
        let before = seen(
            Status::Found,
            &[
                ("virustotal.malicious", json!(2)),
                ("virustotal.last_analysis_date", json!(1)),
                ("virustotal.asn", json!(64500)),
                ("virustotal.jarm", json!("x")),
            ],
        );
        let after = seen(
            Status::Found,
            &[
                ("virustotal.malicious", json!(47)),
                ("virustotal.last_analysis_date", json!(2)),
                ("virustotal.asn", json!(64500)),
                ("virustotal.tags", json!(["tor"])),
            ],
        );
        let found = changes(&before, &after);
        let said: Vec<(&str, bool, bool)> = found
            .iter()
            .map(|change| {
                (
                    change.column.as_str(),
                    change.before.is_some(),
                    change.after.is_some(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                ("virustotal.malicious", true, true),
                ("virustotal.tags", false, true),
                ("virustotal.jarm", true, false)
            ]
        );
        assert_eq!(changes(&before, &before), []);
        let lost = changes(&before, &seen(Status::NotFound, &[]));
        assert_eq!((lost.len(), lost[0].column.as_str()), (1, "virustotal.status"));
    }
}
