//! Event time and time windows.

use core::fmt;
use core::time::Duration;

/// Event time: nanoseconds since the Unix epoch. Negative before 1970 (files may say so).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Seconds since the epoch. Exact to about 0.2 µs for times of this century.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{:09}",
            self.0.div_euclid(1_000_000_000),
            self.0.rem_euclid(1_000_000_000)
        )
    }
}

/// How event time is cut into windows: `[start, start + width)`, starts counted from an origin.
///
/// One file: the origin is its first packet, as in Slips. Live or fleet: the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    pub origin: Timestamp,
    /// At least one second.
    pub width: Duration,
}

impl WindowPlan {
    /// Default width of Slips.
    pub const DEFAULT_WIDTH: Duration = Duration::from_secs(3600);

    /// Start of the window that holds `time`.
    #[must_use]
    pub fn start_of(&self, time: Timestamp) -> Timestamp {
        let width = self.width_nanos();
        let since = time.0.saturating_sub(self.origin.0);
        Timestamp(
            self.origin
                .0
                .saturating_add(since.div_euclid(width).saturating_mul(width)),
        )
    }

    /// Number of the window for people: 1 for the first one after the origin.
    #[must_use]
    pub fn number_of(&self, start: Timestamp) -> i64 {
        start
            .0
            .saturating_sub(self.origin.0)
            .div_euclid(self.width_nanos())
            .saturating_add(1)
    }

    /// Starts of the window before and of the window after the one that starts at `start`. The ends of time have but one.
    pub fn neighbors(&self, start: Timestamp) -> impl Iterator<Item = Timestamp> {
        let both = [start.saturating_sub(self.width), start.saturating_add(self.width)];
        both.into_iter().filter(move |near| *near != start)
    }

    fn width_nanos(&self) -> i64 {
        i64::try_from(self.width.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_a_width_away_and_end_with_time() {
        let plan = WindowPlan {
            origin: Timestamp(5),
            width: Duration::from_secs(60),
        };
        let near = |start| plan.neighbors(start).collect::<Vec<_>>();
        let at = Timestamp::from_secs;
        assert_eq!(near(at(120)), [at(60), at(180)]);
        assert_eq!(near(at(-60)), [at(-120), at(0)]);
        assert_eq!(near(Timestamp::MAX).len(), 1, "nothing comes after the end");
        assert_eq!(near(Timestamp::MIN).len(), 1, "nothing comes before the begin");
    }
}
