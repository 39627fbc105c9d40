//! Alerts by group, and what stands behind one beside the terms of its sum.

use lynceus_model::alert::Alert;
use lynceus_view::alerts::{self, groups};
use lynceus_view::human::{self, Clock};

use super::super::load::Explained;
use super::super::table::{Cell, Table, number, text};
use super::super::{link, svg};
use super::parts::kind_and_aim;

/// Community IDs that the page of an alert shows; the API has all.
const MAX_FLOWS: usize = 8;
/// Types of evidence whose numbers the page of an alert shows.
const HEAVIEST: usize = 3;

/// A row for each group of alerts, the one with the newest alert first; a group counts its alerts among these.
pub(in super::super) fn alert_rows(alerts: &[Alert], clock: &Clock, caption: &str) -> Table {
    let mut table = alert_table(caption, clock);
    let mut groups = groups(alerts);
    groups.sort_by_key(|group| std::cmp::Reverse(group.alerts.last().map(|alert| alert.last)));
    for group in &groups {
        if let (Some(first), Some(newest)) = (group.alerts.first(), group.alerts.last()) {
            let terms = group.alerts.iter().map(|alert| alert.terms.len() as u64).sum();
            alert_row(
                &mut table,
                (first, newest),
                (group.alerts.len(), group.sum(), terms),
                clock,
            );
        }
    }
    table
}

/// A row for each alert, in order of time.
pub(in super::super) fn related_rows(alerts: &[Alert], clock: &Clock) -> Table {
    let mut table = alert_table("related alerts", clock);
    for alert in alerts {
        alert_row(
            &mut table,
            (alert, alert),
            (1, alert.sum, alert.terms.len() as u64),
            clock,
        );
    }
    table
}

fn alert_table(caption: &str, clock: &Clock) -> Table {
    Table::new(
        caption,
        vec![
            text(clock.heading()),
            text("profile"),
            text("window"),
            number("alerts"),
            number("threat"),
            number("threshold"),
            number("terms"),
            text(""),
        ],
        "No alert: no window's accumulated threat reached its threshold.",
    )
}

/// `count`, `sum` and `terms` of the alerts from the first to the newest. It leads to the first, which has the others.
fn alert_row(
    table: &mut Table,
    (first, newest): (&Alert, &Alert),
    (count, sum, terms): (usize, f64, u64),
    clock: &Clock,
) {
    let window = if first.window_start == newest.window_start {
        clock.date_minute(first.window_start)
    } else {
        format!(
            "{} to {}",
            clock.date_minute(first.window_start),
            clock.date_minute(newest.window_start)
        )
    };
    table.row_of(
        "alerted",
        vec![
            Cell::Quiet(clock.date_time(newest.last)),
            Cell::link(first.profile.to_string(), link::profile(first.profile)),
            Cell::Quiet(window),
            Cell::count(count as u64),
            Cell::Number(format!("{sum:.2}"), sum),
            Cell::Number(format!("{:.2}", first.threshold), first.threshold),
            Cell::count(terms),
            Cell::link("why", link::alert(first)),
        ],
    );
}

/// The first flows behind an alert by their Community IDs, and that there are more.
pub(in super::super) fn flow_ids(alert: &Alert) -> Table {
    let mut table = Table::new(
        "flows",
        vec![text("Community ID")],
        "No flow is known to be behind it.",
    );
    for id in alert.flows.iter().take(MAX_FLOWS) {
        table.row(vec![Cell::Code(id.to_string())]);
    }
    let more = alert.flows.len().saturating_sub(MAX_FLOWS);
    if more > 0 {
        let at_least = if alert.flows.len() < Alert::MAX_FLOWS {
            ""
        } else {
            "at least "
        };
        table.note = format!("and {at_least}{} more", human::count(more as u64));
    }
    table
}

/// The heaviest evidence of an alert with its numbers, and what they were compared with.
pub(in super::super) fn compared(explained: &Explained) -> Vec<Compared> {
    let find = |id| explained.evidence.get(&id);
    let heaviest = alerts::heaviest(&explained.alert, find, HEAVIEST);
    let numbers = heaviest
        .into_iter()
        .filter(|found| !found.explanation.features.is_empty() || found.account.is_some());
    numbers
        .map(|found| Compared {
            kind: kind_and_aim(found),
            href: link::evidence(found),
            features: if found.explanation.features.is_empty() {
                String::new()
            } else {
                svg::features(&found.explanation.features)
            },
            account: human::printable(found.account.as_deref().unwrap_or_default(), 2000),
        })
        .collect()
}

/// The numbers of one evidence.
pub(in super::super) struct Compared {
    pub(in super::super) kind: String,
    pub(in super::super) href: String,
    pub(in super::super) features: String,
    pub(in super::super) account: String,
}
