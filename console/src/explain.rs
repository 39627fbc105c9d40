//! Why: an evidence or an alert with everything behind it, as text for terminal and screen.

use std::net::IpAddr;

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::{AttackerSide, Evidence};
use lynceus_model::flow::CommunityId;
use lynceus_model::outlier::sentence::odds;

use crate::alerts;
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
/// Types of evidence of an alert whose numbers are shown, and that a further alert names.
const HEAVIEST: usize = 3;

/// Heading line of an evidence: level, type, description.
#[must_use]
pub fn headline(evidence: &Evidence) -> Line {
    let level = evidence.threat_level;
    Line::toned(Tone::of_level(level), format!("{:<8}", level.name())).and(
        Tone::Plain,
        format!(" {}", human::printable(&evidence.description, MAX_DESCRIPTION)),
    )
}

/// Everything about one evidence; its numbers in lines of at most `width` columns.
#[must_use]
pub fn evidence(evidence: &Evidence, clock: &Clock, width: Option<usize>) -> Vec<Line> {
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
    lines.extend(features(&[evidence], false, width));
    if !evidence.explanation.text.is_empty() {
        lines.push(human::printable(&evidence.explanation.text, MAX_DESCRIPTION).into());
        lines.push(Line::default());
    }
    lines.extend(account(evidence));
    lines.extend(flows(&evidence.flows, Evidence::MAX_FLOWS));
    lines
}

/// How unusual the window is against peers and its own past.
fn account(evidence: &Evidence) -> Vec<Line> {
    let account = evidence.account.iter().flat_map(|account| {
        let account = human::printable(account, MAX_ACCOUNT);
        let line = Line::toned(Tone::Quiet, "how unusual   ").and(Tone::Plain, account);
        [line, Line::default()]
    });
    account.collect()
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

/// The numbers that the detectors looked at, next to what is usual and from where on it counts; `named`: with what each
/// row belongs to.
fn features(found: &[&Evidence], named: bool, width: Option<usize>) -> Vec<Line> {
    let mut all = found.iter().flat_map(|found| &found.explanation.features);
    if all.clone().next().is_none() {
        return Vec::new();
    }
    let compared = all.any(|feature| feature.surprisal.is_some());
    let mut columns: Vec<_> = named.then_some(("finding", Align::Left)).into_iter().collect();
    columns.extend([
        ("what was seen", Align::Left),
        ("value", Align::Right),
        ("threshold", Align::Right),
        ("usual", Align::Right),
    ]);
    columns.extend(compared.then_some(("how unusual", Align::Right)));
    let mut table = Table::new(columns);
    for evidence in found {
        for (place, feature) in evidence.explanation.features.iter().enumerate() {
            let quantity = |value: Option<f64>| {
                value.map_or_else(|| "–".to_owned(), |v| human::quantity(v, &feature.unit))
            };
            let mut cells = Vec::new();
            if named {
                let kind = alerts::kind_words(Some(evidence.kind));
                cells.push(if place == 0 { kind } else { String::new() }.into());
            }
            cells.extend([
                feature.name.replace('_', " ").into(),
                quantity(Some(feature.value)).into(),
                quantity(feature.threshold).into(),
                quantity(feature.baseline).into(),
            ]);
            if compared {
                let odds = feature.surprisal.map(|nats| odds(nats, false));
                cells.push(odds.unwrap_or_else(|| "–".to_owned()).into());
            }
            table.row(cells);
        }
    }
    let mut lines = table.folded(0, width, 1 + usize::from(named));
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

/// `most`: how many a finding keeps; where there are so many, there may be more.
fn flows(flows: &[CommunityId], most: usize) -> Vec<Line> {
    if flows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::toned(Tone::Heading, "flows (Community ID)")];
    let shown = flows.iter().take(MAX_FLOWS);
    lines.extend(shown.map(|id| Line::from(format!("  {id}"))));
    if flows.len() > MAX_FLOWS {
        let at_least = if flows.len() < most { "" } else { "at least " };
        lines.push(Line::toned(
            Tone::Quiet,
            format!("  and {at_least}{} more", flows.len() - MAX_FLOWS),
        ));
    }
    lines
}

/// Everything about one alert; `known` holds the evidence of its window. Its numbers in lines of at most `width` columns.
#[must_use]
pub fn alert(alert: &Alert, known: &[Evidence], clock: &Clock, width: Option<usize>) -> Vec<Line> {
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
    lines.extend(behind(alert, known, width));
    lines
}

/// What the heaviest evidence of an alert was compared with, and the flows behind all of it.
fn behind(alert: &Alert, known: &[Evidence], width: Option<usize>) -> Vec<Line> {
    let find = |id| known.iter().find(|evidence| evidence.id == id);
    let heaviest = alerts::heaviest(alert, find, HEAVIEST);
    let mut lines = vec![Line::default()];
    lines.extend(features(&heaviest, true, width));
    let mut accounts: Vec<Line> = Vec::new();
    for line in heaviest.iter().flat_map(|evidence| account(evidence)) {
        if !accounts.contains(&line) {
            accounts.push(line);
        }
    }
    // One account often holds for all.
    accounts.retain(|line| *line != Line::default());
    if !accounts.is_empty() {
        lines.extend(accounts);
        lines.push(Line::default());
    }
    lines.extend(flows(&alert.flows, Alert::MAX_FLOWS));
    while lines.last() == Some(&Line::default()) {
        lines.pop();
    }
    lines
}

/// What a further alert of a group added: when, how much, and of which types of evidence.
#[must_use]
pub fn further(alert: &Alert, known: &[Evidence], clock: &Clock) -> Line {
    let shares = alerts::shares(alert, |id| known.iter().find(|evidence| evidence.id == id));
    let mut words: Vec<String> = shares
        .iter()
        .take(HEAVIEST)
        .map(|share| {
            let times = if share.terms == 1 {
                String::new()
            } else {
                format!("{} × ", human::count(share.terms as u64))
            };
            format!("{times}{} ({:.2})", alerts::kind_words(share.kind), share.weight)
        })
        .collect();
    if shares.len() > HEAVIEST {
        let more = shares.len() - HEAVIEST;
        words.push(human::plural(more as u64, "other type", "other types"));
    }
    Line::toned(Tone::Quiet, format!("  {}  ", clock.date_time(alert.last)))
        .and(Tone::Heading, format!("+{:.2}  ", alert.sum))
        .and(
            Tone::Plain,
            format!("{}: {}", human::window(alert.window), words.join(", ")),
        )
}

/// What an evidence adds to the sum of its window.
#[must_use]
pub fn contribution(evidence: &Evidence) -> f64 {
    match evidence.attacker_side {
        AttackerSide::Source => evidence.threat_level.weight() * evidence.confidence.value(),
        AttackerSide::Destination => 0.0,
    }
}
