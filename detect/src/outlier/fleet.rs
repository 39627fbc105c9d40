//! Who has yet to speak of a time: windows that began together are judged when all sensors are through with it, so that
//! it makes no difference which of them comes first.

use std::collections::BTreeMap;
use std::time::Duration;

use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;

/// The sensors that spoke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    heard: BTreeMap<SensorId, Heard>,
}

/// How far a sensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Begin of the newest window that it spoke of.
    pub newest: Timestamp,
    /// Begin of the newest window that it said is over; it said all of that time before.
    pub over: Timestamp,
}

impl Fleet {
    /// Sensors that are waited for: 256 KB, and more than one collector takes.
    pub const LIMIT: usize = 4_096;

    /// Hears a sensor speak of a window that begins at `start`. False: another one had to be forgotten for it, and is
    /// not waited for before it speaks again.
    pub fn hear(&mut self, sensor: SensorId, start: Timestamp, over: bool) -> bool {
        let mut room = true;
        if self.heard.len() >= Self::LIMIT && !self.heard.contains_key(&sensor) {
            room = false;
            let quietest = self.heard.iter().min_by_key(|(id, heard)| (heard.newest, **id));
            if let Some(quietest) = quietest.map(|(id, _)| *id) {
                self.heard.remove(&quietest);
            }
        }
        let heard = self.heard.entry(sensor).or_insert(Heard {
            newest: start,
            over: Timestamp::MIN,
        });
        heard.newest = heard.newest.max(start);
        if over {
            heard.over = heard.over.max(start);
        }
        room
    }

    /// Whether somebody is not through with windows that began at `start`. Who spoke of no window since `patience` before
    /// that is not waited for.
    #[must_use]
    pub fn awaits(&self, start: Timestamp, patience: Duration) -> bool {
        self.heard
            .values()
            .any(|heard| heard.over < start && heard.newest.saturating_add(patience) >= start)
    }

    /// For the store.
    pub fn heard(&self) -> impl Iterator<Item = (SensorId, Heard)> {
        self.heard.iter().map(|(sensor, heard)| (*sensor, *heard))
    }
}

impl FromIterator<(SensorId, Heard)> for Fleet {
    fn from_iter<I: IntoIterator<Item = (SensorId, Heard)>>(heard: I) -> Self {
        Self {
            heard: heard.into_iter().take(Self::LIMIT).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hour(number: i64) -> Timestamp {
        Timestamp::from_secs(3600 * number)
    }

    #[test]
    fn who_is_behind_is_waited_for_and_who_is_silent_is_not() {
        let (fast, slow) = (SensorId([1; 16]), SensorId([2; 16]));
        let mut fleet = Fleet::default();
        assert!(!fleet.awaits(hour(0), HOUR));
        assert!(fleet.hear(slow, hour(0), false) && fleet.hear(fast, hour(0), true));
        assert!(fleet.awaits(hour(0), HOUR), "one of two is through");
        fleet.hear(slow, hour(0), true);
        assert!(!fleet.awaits(hour(0), HOUR));
        fleet.hear(fast, hour(1), true);
        assert!(fleet.awaits(hour(1), HOUR));
        fleet.hear(fast, hour(2), true);
        assert!(
            !fleet.awaits(hour(2), HOUR),
            "silent for longer than the patience"
        );
        fleet.hear(slow, hour(2), false);
        assert!(fleet.awaits(hour(2), HOUR), "it is back");
        let again: Fleet = fleet.heard().collect();
        assert_eq!(again, fleet);
    }

    #[test]
    fn of_too_many_the_quietest_is_forgotten() {
        let id = |number: usize| SensorId((number as u128).to_be_bytes());
        let mut fleet = Fleet::default();
        for number in 0..Fleet::LIMIT {
            assert!(fleet.hear(id(number), hour(number as i64 + 1), true));
        }
        assert!(!fleet.hear(id(Fleet::LIMIT), hour(9_000), true));
        assert_eq!(fleet.heard().count(), Fleet::LIMIT);
        assert!(fleet.heard().all(|(sensor, _)| sensor != id(0)));
    }
}
