//! When a window is over, by event time.

use std::time::Duration;

use lynceus_model::time::{Timestamp, WindowPlan};

/// Event time that a sensor may lag behind the newest one before its windows count as closed without its word.
const LAG: Duration = Duration::from_secs(3600);

/// Closed by its sensor, or so old that nobody will close it.
pub(crate) fn is_at_rest(start: Timestamp, closed: bool, plan: &WindowPlan, now: Timestamp) -> bool {
    let end = start.saturating_add(plan.width);
    closed || end.saturating_add(LAG) < now
}

/// Windows that began before it are out of the accumulation: they rest, and if late records come, their evidence is
/// added up again from the store.
pub(super) fn forgotten_before(plan: &WindowPlan, now: Timestamp) -> Option<Timestamp> {
    let horizon = i64::try_from(LAG.saturating_add(plan.width.saturating_mul(2)).as_nanos()).ok()?;
    now.0.checked_sub(horizon).map(Timestamp)
}
