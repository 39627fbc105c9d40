//! What was said before.

use std::net::IpAddr;

use lynceus_enrich::discipline::{Change, Desk, changes};
use lynceus_enrich::dossier::{Dossier, dossier_json};
use lynceus_enrich::provider::{Answer, facts};
use lynceus_model::time::Timestamp;

use crate::cli::{Outcome, output, say};
use crate::text::{Line, Tone};

/// Prints all that is kept about the addresses, oldest first, and what changed each time.
///
/// # Errors
/// The history cannot be read, or standard output cannot be written.
pub(super) fn history(desk: &Desk, addresses: &[IpAddr], json: bool) -> anyhow::Result<Outcome> {
    for ip in addresses {
        let all = desk.history().of(*ip)?;
        if json {
            for observation in &all {
                let mut line = serde_json::to_vec(observation)?;
                line.push(b'\n');
                output::raw(&line)?;
            }
            continue;
        }
        let mut lines = vec![Line::toned(
            Tone::Heading,
            format!("{ip}, {} observations", all.len()),
        )];
        for (place, observation) in all.iter().enumerate() {
            let text = format!(
                "{}  {}  {}, {} columns",
                day(observation.observed),
                observation.provider,
                observation.status.name(),
                observation.columns.len()
            );
            lines.push(Line::toned(Tone::Plain, text));
            let before = all[..place]
                .iter()
                .rev()
                .find(|seen| seen.provider == observation.provider && seen.settings == observation.settings);
            if let Some(before) = before {
                let changes = changes(before, observation);
                lines.extend(
                    changes
                        .iter()
                        .map(|change| Line::toned(Tone::Warning, format!("    {}", words(change)))),
                );
            }
        }
        output::lines(&lines)?;
    }
    let damage = desk.history().damage();
    if damage.damaged > 0 {
        say(&format!(
            "{} damaged lines of the history are passed over",
            damage.damaged
        ));
    }
    Ok(Outcome::Done)
}

/// Prints dossiers of what outside sources had said by the end of a day.
///
/// # Errors
/// As [`history`].
pub(super) fn as_of(
    desk: &Desk,
    addresses: &[IpAddr],
    date: jiff::civil::Date,
    json: bool,
) -> anyhow::Result<Outcome> {
    let end = end_of(date)?;
    for ip in addresses {
        let dossier = dossier(*ip, end, &desk.recall(*ip, end)?);
        if json {
            let mut line = dossier_json(&dossier).into_bytes();
            line.push(b'\n');
            output::raw(&line)?;
        } else if dossier.facts().is_empty() {
            let nothing = format!("nothing was known on {date}: the history has no answer until then");
            output::lines(&[
                Line::toned(Tone::Heading, ip.to_string()),
                Line::toned(Tone::Plain, nothing),
            ])?;
        } else {
            output::lines(&crate::dossier::lines(&dossier, output::width()))?;
        }
    }
    Ok(Outcome::Done)
}

/// The last second of a day (UTC), since the Unix epoch.
///
/// # Errors
/// No calendar has the day after.
pub(super) fn end_of(date: jiff::civil::Date) -> anyhow::Result<i64> {
    let next = date.tomorrow()?.to_zoned(jiff::tz::TimeZone::UTC)?;
    Ok(next.timestamp().as_second() - 1)
}

/// What answers said until `end`, and nothing else: tables of today say nothing about then.
pub(super) fn dossier(ip: IpAddr, end: i64, answers: &[Answer]) -> Dossier {
    let mut dossier = Dossier::new(ip, Timestamp::from_secs(end));
    dossier.extend(answers.iter().flat_map(facts));
    dossier
}

/// Says what is different from last time, on standard error.
pub(super) fn changed(changes: &[Change]) {
    for change in changes {
        say(&alert(change));
    }
}

/// A change as one line.
pub(super) fn alert(change: &Change) -> String {
    let since = day(change.observed_before);
    format!("changed since {since}: {} {}", change.ip, words(change))
}

fn words(change: &Change) -> String {
    let value = |value: &Option<serde_json::Value>| match value {
        None => "nothing".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    format!(
        "{}: {} → {}",
        change.column,
        value(&change.before),
        value(&change.after)
    )
}

fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
