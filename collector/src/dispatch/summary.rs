//! The row of a window in lists: its numbers without its tables.

use lynceus_model::alert::Accumulator;
use lynceus_model::time::WindowPlan;
use lynceus_proto::v1;

use super::hot::Hot;

pub(super) fn summary(
    hot: &Hot,
    plan: &WindowPlan,
    accumulator: &Accumulator,
    threshold: f64,
) -> v1::WindowSummary {
    let profile = &hot.row.profile;
    let totals = &profile.totals;
    let counts = [
        &totals.client_established,
        &totals.client_not_established,
        &totals.server_established,
        &totals.server_not_established,
    ];
    v1::WindowSummary {
        start: profile.window.start.0,
        end: profile.window.start.saturating_add(plan.width).0,
        number: plan.number_of(profile.window.start),
        seen: profile.span.map(|(first, last)| v1::Span {
            first: first.0,
            last: last.0,
        }),
        flows: totals.flows(),
        packets: counts.iter().map(|counts| counts.packets()).sum(),
        bytes: counts.iter().map(|counts| counts.bytes()).sum(),
        evidence: hot.row.evidence,
        alerts: hot.row.alerts,
        threat: hot.row.alerted + accumulator.sum(profile.window),
        threshold,
        truncated: profile.truncated(),
        closed: hot.row.closed,
    }
}
