//! One line for people, in the shape of Slips' `alerts.log`: time, window, address, what was found, level.

use super::Item;
use super::text::{self, time};

pub(super) fn encode(item: Item<'_>) -> String {
    let line = match item {
        Item::Evidence(evidence) => format!(
            "{} (TW {}): Src IP {:26}. Detected {} Threat level: {}.",
            time(evidence.last),
            evidence.window,
            evidence.profile.to_string(),
            evidence.description,
            evidence.threat_level.name()
        ),
        Item::Alert(alert) => format!(
            "{}: Src IP {:26}. Alert on window {}: {}",
            time(alert.last),
            alert.profile.to_string(),
            alert.window,
            text::alert(alert)
        ),
    };
    line.replace(['\n', '\r'], " ")
}
