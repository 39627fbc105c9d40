//! What several formats write alike.

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::{AttackerSide, Evidence, EvidenceType};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_view::alerts;
use serde_json::Value;
use std::net::IpAddr;

use super::Item;
use crate::peers;

pub(super) const VENDOR: &str = "lynceus";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// RFC 3339 in UTC with microseconds; times that no calendar holds stand at its end.
pub(crate) fn time(time: Timestamp) -> String {
    let micros = time.0.div_euclid(1_000);
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of days since 1970-01-01 in the proleptic Gregorian calendar, by counting in eras of 400 years
/// that begin in March. Nanoseconds in 64 bits reach from 1677 to 2262.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Whose the addresses are: for formats that leave room for fields of our own.
pub(super) fn peers(item: Item<'_>) -> Value {
    short_dossiers(item).iter().map(peers::to_json).collect()
}

/// The same of the public addresses, for people; empty if there is none.
pub(super) fn peers_in_words(item: Item<'_>) -> String {
    peers::in_words(&short_dossiers(item))
}

fn short_dossiers(item: Item<'_>) -> Vec<Short> {
    match item {
        Item::Evidence(evidence) => peers::of_evidence(evidence),
        Item::Alert(alert) => peers::of_alert(alert),
    }
}

pub(super) fn community_id(id: &CommunityId) -> String {
    String::from_utf8_lossy(&id.text()).into_owned()
}

/// Where the traffic came from and where it went, as flows say it.
pub(super) fn source_and_destination(evidence: &Evidence) -> (Option<IpAddr>, Option<IpAddr>) {
    match evidence.attacker_side {
        AttackerSide::Source => (Some(evidence.attacker), evidence.victim),
        AttackerSide::Destination => (evidence.victim, Some(evidence.attacker)),
    }
}

/// `tcp`, `udp`, `icmp`, or the number.
pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "ipv6-icmp".to_owned(),
        132 => "sctp".to_owned(),
        number => number.to_string(),
    }
}

/// A number that a type keeps for ever, for formats that want one. New types come at the end of the list.
pub(super) fn number(kind: EvidenceType) -> u64 {
    let place = EvidenceType::ALL.iter().position(|known| *known == kind);
    9_000_000 + place.map_or(0, |place| place as u64)
}

/// One sentence about an alert.
pub(super) fn alert(alert: &Alert) -> String {
    format!(
        "{}: accumulated threat {:.2} reached the threshold {:.2} with {} findings in window {}{}",
        alert.profile,
        alert.sum,
        alert.threshold,
        alert.terms.len(),
        alert.window,
        alerts::again(alert)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_known_days() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_763_763_000, "2025-11-21T22:10:00.000000Z"),
            (-1, "1969-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(time(Timestamp::from_secs(seconds)), text);
        }
        assert_eq!(time(Timestamp(1_500)), "1970-01-01T00:00:00.000001Z");
        assert!(time(Timestamp::MIN).starts_with("1677-") && time(Timestamp::MAX).starts_with("2262-"));
    }
}
