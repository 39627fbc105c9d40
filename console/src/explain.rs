//! Why: an evidence or an alert with everything behind it, as text for terminal and screen.

use std::net::IpAddr;

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::{AttackerSide, Evidence};
use lynceus_model::outlier::sentence::odds;

use crate::human::{self, Clock};
use crate::service;
use crate::table::{Align, Table};
use crate::text::{Line, Tone};

/// Longest description that is printed; detectors write one sentence.
const MAX_DESCRIPTION: usize = 400;
/// Longest account of a window: four features against two baselines.
const MAX_ACCOUNT: usize = 1_000;
/// Community IDs that are printed; the whole list is in the JSON output.
const MAX_FLOWS: usize = 8;

/// Heading line of an evidence: level, type, description.
#[must_use]
pub fn headline(evidence: &Evidence) -> Line {
    let level = evidence.threat_level;
    Line::toned(Tone::of_level(level), format!("{:<8}", level.name())).and(
        Tone::Plain,
        format!(" {}", human::printable(&evidence.description, MAX_DESCRIPTION)),
    )
}

/// Everything about one evidence.
#[must_use]
pub fn evidence(evidence: &Evidence, clock: &Clock) -> Vec<Line> {
    let level = evidence.threat_level;
    let weight = match evidence.attacker_side {
        AttackerSide::Source => {
            format!(
                "adds {} to the sum of its window",
                human::number(contribution(evidence))
            )
        }
        AttackerSide::Destination => "adds nothing: the attacker is the other side".to_owned(),
    };
    let mut lines = vec![
        Line::toned(Tone::Heading, evidence.kind.name()),
        human::printable(&evidence.description, MAX_DESCRIPTION).into(),
        Line::default(),
        Line::toned(Tone::Quiet, "threat level  ")
            .and(Tone::of_level(level), level.name())
            .and(
                Tone::Plain,
                format!(" × confidence {:.2}: {weight}", evidence.confidence.value()),
            ),
        Line::toned(Tone::Quiet, "who           ").and(Tone::Plain, who(evidence)),
        Line::toned(Tone::Quiet, "when          ").and(
            Tone::Plain,
            format!(
                "{} to {} {}, {} long",
                clock.date_time(evidence.first),
                clock.date_time(evidence.last),
                clock.label(),
                human::duration(evidence.last.since(evidence.first))
            ),
        ),
        Line::toned(Tone::Quiet, "id            ").and(Tone::Plain, evidence.id.to_string()),
        Line::default(),
    ];
    let at = lines.len().saturating_sub(3);
    lines.splice(
        at..at,
        whose([Some(evidence.attacker), evidence.victim].into_iter().flatten()),
    );
    // First what would have to be otherwise: on a small screen the numbers go on below it.
    lines.extend(counterfactual(evidence));
    lines.extend(features(evidence));
    if !evidence.explanation.text.is_empty() {
        lines.push(human::printable(&evidence.explanation.text, MAX_DESCRIPTION).into());
        lines.push(Line::default());
    }
    if let Some(account) = &evidence.account {
        let account = human::printable(account, MAX_ACCOUNT);
        lines.push(Line::toned(Tone::Quiet, "how unusual   ").and(Tone::Plain, account));
        lines.push(Line::default());
    }
    lines.extend(flows(evidence));
    lines
}

fn who(evidence: &Evidence) -> String {
    let mut who = format!("attacker {}", evidence.attacker);
    if let Some(victim) = evidence.victim {
        who.push_str(&format!(", victim {victim}"));
    }
    if let (Some(port), Some(protocol)) = (evidence.dst_port, evidence.protocol) {
        let name = service::name(port, protocol).map_or_else(String::new, |name| format!(" ({name})"));
        who.push_str(&format!(", port {}{name}", service::port(port, protocol)));
    }
    who
}

/// Whose the public addresses are, by the program's tables.
fn whose(addresses: impl Iterator<Item = IpAddr>) -> Vec<Line> {
    addresses
        .map(Short::of)
        .filter(Short::is_routable)
        .map(|short| {
            let text = format!("{}: {short}", short.ip);
            Line::toned(Tone::Quiet, "whose         ")
                .and(Tone::Plain, human::printable(&text, MAX_DESCRIPTION))
        })
        .collect()
}

/// The numbers that the detector looked at, next to what is usual and from where on it counts.
fn features(evidence: &Evidence) -> Vec<Line> {
    let features = &evidence.explanation.features;
    if features.is_empty() {
        return Vec::new();
    }
    let compared = features.iter().any(|feature| feature.surprisal.is_some());
    let mut columns = vec![
        ("what was seen", Align::Left),
        ("value", Align::Right),
        ("threshold", Align::Right),
        ("usual", Align::Right),
    ];
    columns.extend(compared.then_some(("how unusual", Align::Right)));
    let mut table = Table::new(columns);
    for feature in features {
        let quantity =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| human::quantity(v, &feature.unit));
        let mut cells = vec![
            feature.name.replace('_', " ").into(),
            quantity(Some(feature.value)).into(),
            quantity(feature.threshold).into(),
            quantity(feature.baseline).into(),
        ];
        if compared {
            let odds = feature.surprisal.map(|nats| odds(nats, false));
            cells.push(odds.unwrap_or_else(|| "–".to_owned()).into());
        }
        table.row(cells);
    }
    let mut lines = table.lines(0);
    lines.push(Line::default());
    lines
}

/// What would have to be otherwise: one sentence for each number that reached its threshold.
fn counterfactual(evidence: &Evidence) -> Vec<Line> {
    let mut lines: Vec<Line> = evidence
        .explanation
        .features
        .iter()
        .filter_map(|feature| {
            // A number below its threshold is not why it was raised.
            let threshold = feature
                .threshold
                .filter(|threshold| feature.value >= *threshold)?;
            let line = Line::toned(Tone::Quiet, "without it    ").and(
                Tone::Plain,
                format!(
                    "{} below {} (seen: {}) would not have counted",
                    feature.name.replace('_', " "),
                    human::quantity(threshold, &feature.unit),
                    human::quantity(feature.value, &feature.unit)
                ),
            );
            Some(line)
        })
        .collect();
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines
}

/// The fewest of the heaviest terms without which there would be no alert.
fn without(alert: &Alert) -> Option<Line> {
    let mut left = alert.sum;
    let mut taken = 0;
    for term in &alert.terms {
        if left < alert.threshold {
            break;
        }
        left -= term.weight;
        taken += 1;
    }
    let text = match taken {
        0 => return None,
        1 => "without the heaviest one".to_owned(),
        n if n == alert.terms.len() => "only without all of them".to_owned(),
        n => format!("without the {n} heaviest"),
    };
    let line = Line::toned(Tone::Quiet, "without it    ");
    Some(line.and(
        Tone::Plain,
        format!(
            "{text} the sum would be {:.2}, below the threshold of {:.2}",
            left.max(0.0),
            alert.threshold
        ),
    ))
}

fn flows(evidence: &Evidence) -> Vec<Line> {
    if evidence.flows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::toned(Tone::Heading, "flows (Community ID)")];
    lines.extend(
        evidence
            .flows
            .iter()
            .take(MAX_FLOWS)
            .map(|id| Line::from(format!("  {id}"))),
    );
    if evidence.flows.len() > MAX_FLOWS {
        lines.push(Line::toned(
            Tone::Quiet,
            format!("  and {} more", evidence.flows.len() - MAX_FLOWS),
        ));
    }
    lines
}

/// Everything about one alert; `known` holds the evidence of its window.
#[must_use]
pub fn alert(alert: &Alert, known: &[Evidence], clock: &Clock) -> Vec<Line> {
    let mut lines = vec![
        Line::toned(Tone::Alert, format!("ALERT for {}", alert.profile)).and(
            Tone::Plain,
            format!(
                ", {} from {} {}",
                human::window(alert.window),
                clock.date_minute(alert.window_start),
                clock.label()
            ),
        ),
        format!(
            "The accumulated threat reached {:.2} at {}; the threshold is {:.2}.",
            alert.sum,
            clock.date_time(alert.last),
            alert.threshold
        )
        .into(),
        Line::default(),
        Line::toned(Tone::Heading, "terms of the sum")
            .and(Tone::Quiet, " (weight of the threat level × confidence)"),
    ];
    let at = lines.len().saturating_sub(2);
    lines.splice(
        at..at,
        whose([alert.profile].into_iter().chain(alert.peers.iter().copied())),
    );
    for term in alert.terms.iter().filter(|term| term.weight != 0.0) {
        let weight = format!("{:>7} ", format!("{:.2}", term.weight));
        let line = Line::toned(Tone::Heading, weight);
        lines.push(match known.iter().find(|evidence| evidence.id == term.evidence) {
            Some(evidence) => line
                .and(
                    Tone::of_level(evidence.threat_level),
                    format!(" {:<8}", evidence.threat_level.name()),
                )
                .and(Tone::Quiet, format!(" × {:.2}", evidence.confidence.value()))
                .and(
                    Tone::Plain,
                    format!("  {}", human::printable(&evidence.description, MAX_DESCRIPTION)),
                ),
            None => line.and(Tone::Quiet, format!(" evidence {}", term.evidence)),
        });
    }
    let nothing = alert.terms.iter().filter(|term| term.weight == 0.0).count() as u64;
    if nothing > 0 {
        let what = human::plural(nothing, "piece", "pieces");
        lines.push(
            Line::toned(Tone::Heading, "   0.00 ")
                .and(Tone::Quiet, format!(" {what} of evidence that only tells")),
        );
    }
    lines.push(
        Line::toned(Tone::Heading, format!("{:>7} ", format!("{:.2}", alert.sum))).and(Tone::Plain, " sum"),
    );
    if let Some(line) = without(alert) {
        lines.extend([Line::default(), line]);
    }
    lines
}

/// What an evidence adds to the sum of its window.
#[must_use]
pub fn contribution(evidence: &Evidence) -> f64 {
    match evidence.attacker_side {
        AttackerSide::Source => evidence.threat_level.weight() * evidence.confidence.value(),
        AttackerSide::Destination => 0.0,
    }
}
