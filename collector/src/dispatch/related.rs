//! Which alerts belong together: those of one window of a profile, and those of its windows that follow each other.
//!
//! An alert finds its group when it is raised and keeps it, so sinks can join alerts as they come, and whoever sees a
//! part of them sees the same groups. Where late evidence raises an alert between two groups, it joins the earlier one
//! and they stay two. What is asked is the store, so a replay and a restart find the same.

use lynceus_model::alert::{Alert, AlertId};
use lynceus_model::time::WindowPlan;
use lynceus_model::window::WindowId;

use crate::rows;
use crate::store::{KeyRange, Order, Store, StoreError, Table};

/// The group of the alerts near a window, if there are any: in itself, in the one before, in the one after (which has
/// alerts already where evidence came late). `said`: alerts that are not written yet.
pub(super) fn group_near(
    window: WindowId,
    plan: &WindowPlan,
    store: &dyn Store,
    said: &[Alert],
) -> Result<Option<AlertId>, StoreError> {
    for start in std::iter::once(window.start).chain(plan.neighbors(window.start)) {
        let near = WindowId { start, ..window };
        let mut said = said.iter();
        if let Some(alert) = said.find(|alert| (alert.profile, alert.window_start) == (near.profile, start)) {
            return Ok(Some(alert.group));
        }
        let range = KeyRange::prefix(&rows::window_key(near));
        if let Some((_, value)) = store.scan(Table::Alerts, &range, Order::Ascending, 1)?.first() {
            return rows::read_alert(value).map(|alert| Some(alert.group));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lynceus_model::time::Timestamp;

    use super::*;
    use crate::json::tests::alert;
    use crate::store::{Flush, MemoryStore};

    /// An alert that is said to be in the hour, of the group.
    fn of(hour: i64, group: u8) -> Alert {
        Alert {
            group: AlertId([group; 16]),
            window_start: Timestamp::from_secs(hour * 3600),
            ..alert()
        }
    }

    #[test]
    fn an_alert_belongs_to_its_window_then_to_the_one_before_then_to_the_one_after() {
        let plan = WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_secs(3600),
        };
        let near = |written: &[Alert], said: &[Alert]| {
            let store = MemoryStore::new(1 << 20);
            let changes: Vec<_> = written.iter().flat_map(rows::put_alert).collect();
            store.write(&changes, Flush::Buffered).unwrap();
            let window = WindowId {
                profile: alert().profile,
                start: Timestamp::from_secs(5 * 3600),
            };
            let group = group_near(window, &plan, &store, said).unwrap();
            group.map(|group| group.0[0])
        };
        assert_eq!(near(&[], &[]), None);
        assert_eq!(
            near(&[of(3, 1), of(7, 2)], &[of(8, 3)]),
            None,
            "an hour lies between"
        );
        assert_eq!(near(&[of(4, 1)], &[]), Some(1));
        assert_eq!(near(&[of(6, 2)], &[]), Some(2));
        assert_eq!(near(&[of(4, 1), of(6, 2)], &[]), Some(1));
        assert_eq!(near(&[of(4, 1), of(5, 3), of(6, 2)], &[]), Some(3));
        assert_eq!(near(&[of(4, 1)], &[of(5, 4)]), Some(4), "said, not yet written");
        assert_eq!(near(&[of(6, 1)], &[of(4, 4)]), Some(4));
        let mut other = of(5, 5);
        other.profile = "10.0.0.2".parse().unwrap();
        assert_eq!(near(&[other.clone()], &[other]), None, "of another profile");
    }
}
