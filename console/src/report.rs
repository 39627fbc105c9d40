//! Tables of profiles, evidence and alerts for the terminal.

use std::collections::HashMap;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceId};

use crate::explain;
use crate::human::{self, Clock};
use crate::table::{Align, Cell, Table};
use crate::text::{Line, Tone};
use crate::view::ProfileView;

/// Longest description in a table.
const MAX_DESCRIPTION: usize = 300;

/// A row for each window of each profile, the most threatening profiles first, at most `limit` rows; then what was
/// left out.
#[must_use]
pub fn profiles(profiles: &[ProfileView], clock: &Clock, limit: usize) -> Vec<Line> {
    let mut order: Vec<&ProfileView> = profiles.iter().collect();
    order.sort_by(|a, b| {
        (b.flagged().cmp(&a.flagged()))
            .then(b.threat().total_cmp(&a.threat()))
            .then(b.bytes().cmp(&a.bytes()))
            .then(a.ip.cmp(&b.ip))
    });
    let mut table = Table::new(vec![
        ("profile", Align::Left),
        ("window", Align::Right),
        (clock.heading(), Align::Left),
        ("flows", Align::Right),
        ("packets", Align::Right),
        ("bytes", Align::Right),
        ("evidence", Align::Right),
        ("threat", Align::Right),
        ("", Align::Left),
    ]);
    let mut left_out = 0;
    for (rows, (profile, window)) in order
        .iter()
        .flat_map(|profile| profile.windows.iter().map(move |window| (profile, window)))
        .enumerate()
    {
        if rows >= limit {
            left_out += 1;
            continue;
        }
        let flagged = window.alerts > 0;
        let tone = if flagged { Tone::Alert } else { Tone::Plain };
        let verdict = match window.alerts {
            0 => String::new(),
            alerts => human::plural(alerts, "alert", "alerts"),
        };
        let dash = |text: String, is_empty: bool| {
            if is_empty {
                Cell::toned(Tone::Quiet, "–")
            } else {
                Cell::toned(tone, text)
            }
        };
        table.row(vec![
            Cell::toned(
                tone,
                format!("{}{}", profile.ip, if profile.me { " (me)" } else { "" }),
            ),
            window.number.to_string().into(),
            clock.date_minute(window.start).into(),
            human::count(window.flows).into(),
            human::count(window.packets).into(),
            human::bytes(window.bytes).into(),
            dash(human::count(window.evidence), window.evidence == 0),
            dash(format!("{:.2}", window.threat), window.threat == 0.0),
            Cell::toned(Tone::Alert, verdict),
        ]);
    }
    let mut lines = table.lines(2);
    if left_out > 0 {
        let text = human::plural(left_out, "window more", "windows more");
        lines.push(Line::toned(
            Tone::Quiet,
            format!("  and {text}, less threatening"),
        ));
    }
    lines
}

/// A row for each evidence, in the order given, cut to `width` columns where there is a terminal.
#[must_use]
pub fn evidence(evidence: &[Evidence], clock: &Clock, width: Option<usize>) -> Vec<Line> {
    let mut table = Table::new(vec![
        (clock.heading(), Align::Left),
        ("level", Align::Left),
        ("conf", Align::Right),
        ("profile", Align::Left),
        ("what", Align::Left),
    ]);
    for found in evidence {
        let level = found.threat_level;
        table.row(vec![
            clock.date_time(found.last).into(),
            Cell::toned(Tone::of_level(level), level.name()),
            format!("{:.2}", found.confidence.value()).into(),
            found.profile.to_string().into(),
            human::printable(&found.description, MAX_DESCRIPTION).into(),
        ]);
    }
    table.lines_within(2, width)
}

/// Evidence, the worst first and at most `limit` of it, then alerts with their reasons, or that there is nothing.
#[must_use]
pub fn findings(
    evidence: &[Evidence],
    alerts: &[Alert],
    profiles: &[ProfileView],
    clock: &Clock,
    limit: usize,
    width: Option<usize>,
) -> Vec<Line> {
    if evidence.is_empty() {
        return vec![
            Line::toned(Tone::Good, "No evidence: nothing looked suspicious."),
            Line::default(),
        ];
    }
    let mut shown = evidence.to_vec();
    shown.sort_by(|a, b| {
        b.threat_level
            .cmp(&a.threat_level)
            .then(a.last.cmp(&b.last))
            .then(a.id.cmp(&b.id))
    });
    shown.truncate(limit);
    let mut lines = vec![Line::toned(Tone::Heading, "Evidence")];
    lines.extend(self::evidence(&shown, clock, width));
    let more = evidence.len() - shown.len();
    if more > 0 {
        lines.push(Line::toned(
            Tone::Quiet,
            format!("  and {} more", human::count(more as u64)),
        ));
    }
    lines.push(Line::default());
    if alerts.is_empty() {
        let thresholds = profiles
            .iter()
            .flat_map(|profile| &profile.windows)
            .map(|window| window.threshold);
        let threshold = thresholds.fold(0.0, f64::max);
        let text =
            format!("No alert: no window's accumulated threat reached the threshold of {threshold:.2}.");
        lines.extend([text.into(), Line::default()]);
        return lines;
    }
    lines.push(Line::toned(Tone::Heading, "Alerts"));
    lines.extend(self::alerts(alerts, evidence, clock));
    lines
}

/// Each alert with the terms of its sum.
#[must_use]
pub fn alerts(alerts: &[Alert], evidence: &[Evidence], clock: &Clock) -> Vec<Line> {
    let known: HashMap<EvidenceId, &Evidence> = evidence.iter().map(|found| (found.id, found)).collect();
    let mut lines = Vec::new();
    for alert in alerts {
        let terms: Vec<Evidence> = alert
            .terms
            .iter()
            .filter_map(|term| known.get(&term.evidence).map(|found| (*found).clone()))
            .collect();
        lines.extend(explain::alert(alert, &terms, clock));
        lines.push(Line::default());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::{detail, overview};

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|line| line.plain() + "\n").collect()
    }

    #[test]
    fn profiles_as_a_table() {
        insta::assert_snapshot!(text(&profiles(&overview().profiles, &Clock::utc(), 3)));
    }

    #[test]
    fn evidence_and_alerts_with_their_reasons() {
        let detail = detail();
        let mut lines = evidence(&detail.evidence, &Clock::utc(), Some(90));
        lines.extend(alerts(&detail.alerts, &detail.evidence, &Clock::utc()));
        lines.extend(explain::evidence(&detail.evidence[0], &Clock::utc()));
        insta::assert_snapshot!(text(&lines));
    }
}
