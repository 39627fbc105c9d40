//! What is remembered of one profile.

use lynceus_model::outlier::{Past, Values};
use lynceus_model::time::Timestamp;

/// Own past of a profile: 576 bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    pub past: Past,
    /// Windows that began in each hour of the day (UTC); halved when one would overflow.
    pub hours: [u8; 24],
    /// Begin of the latest window that taught.
    pub last: Timestamp,
    /// Place in the log of what taught last: a replay does not teach again. One place may teach several windows, which
    /// come in the order of time.
    pub position: u64,
    /// Not yet in the store as it is here.
    pub dirty: bool,
}

/// Windows before hours say something: a day of windows of an hour.
const MIN_HOURS: u32 = 24;

impl Own {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            past: Past::new(),
            hours: [0; 24],
            last: Timestamp::MIN,
            position: 0,
            dirty: false,
        }
    }

    /// How unusual it is that this profile is active at this hour, in nats.
    pub(super) fn hour_surprisal(&self, start: Timestamp) -> Option<f64> {
        let all: u32 = self.hours.iter().map(|count| u32::from(*count)).sum();
        let here = self.hours[hour_of(start)];
        (all >= MIN_HOURS).then(|| libm::log(f64::from(all + 24) / (f64::from(here) + 1.0)))
    }

    /// `position` 0: not out of a log.
    pub(super) fn learn(&mut self, start: Timestamp, values: &Values, position: u64) {
        let known = position == self.position && start <= self.last;
        if position != 0 && (position < self.position || known) {
            return;
        }
        self.past.learn(values);
        if self.hours[hour_of(start)] == u8::MAX {
            self.hours.iter_mut().for_each(|count| *count /= 2);
        }
        self.hours[hour_of(start)] += 1;
        self.last = self.last.max(start);
        self.position = position;
        self.dirty = true;
    }
}

impl Default for Own {
    fn default() -> Self {
        Self::new()
    }
}

/// Hour of the day, UTC.
pub(super) const fn hour_of(start: Timestamp) -> usize {
    (start.0.div_euclid(3_600_000_000_000)).rem_euclid(24) as usize
}
