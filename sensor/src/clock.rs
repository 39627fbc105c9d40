//! From the kernel's monotonic clock to Unix time.
//!
//! Kernel programs stamp packets with `CLOCK_MONOTONIC_COARSE` (one tick, 1–10 ms) or `CLOCK_MONOTONIC`; both count
//! from the same origin. What turns them into Unix time is the distance between `CLOCK_REALTIME` and `CLOCK_MONOTONIC`,
//! which moves only when somebody sets the clock or the machine was suspended: both clocks are slewed alike.

use lynceus_model::time::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Unix time of the system's clock.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(nanos(clock_gettime(ClockId::Realtime)))
}

/// Unix time minus `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    offset: i64,
}

/// A smaller change of the offset is the noise of reading two clocks one after the other, not a clock that was set.
/// With the kernel's tick it makes the promised exactness of live times: one tick plus 1 ms.
const NOISE: u64 = 1_000_000;

impl WallClock {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        // The wall clock is read between two readings of the other; of a few tries the tightest pair counts, because
        // the thread may be interrupted in between.
        let mut best = (u64::MAX, 0);
        for _ in 0..3 {
            let before = monotonic();
            let wall = nanos(clock_gettime(ClockId::Realtime));
            let after = monotonic();
            let width = after.abs_diff(before);
            if width < best.0 {
                best = (width, wall.saturating_sub(before.midpoint(after).cast_signed()));
            }
        }
        Self { offset: best.1 }
    }

    /// Reads again; takes the new offset and returns by how many nanoseconds it moved if the clock was set.
    pub fn refresh(&mut self) -> Option<i64> {
        self.follow(Self::now())
    }

    /// Unix time of a monotonic time.
    #[must_use]
    pub fn wall(self, monotonic: u64) -> Timestamp {
        Timestamp(
            i64::try_from(monotonic)
                .unwrap_or(i64::MAX)
                .saturating_add(self.offset),
        )
    }

    /// Unix time minus monotonic time, in nanoseconds.
    #[must_use]
    pub const fn offset(self) -> i64 {
        self.offset
    }

    fn follow(&mut self, newer: Self) -> Option<i64> {
        let moved = newer.offset.saturating_sub(self.offset);
        (moved.unsigned_abs() > NOISE).then(|| {
            *self = newer;
            moved
        })
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of the kernel programs' precise times.
#[must_use]
pub fn monotonic() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic)).unsigned_abs()
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn monotonic_now_is_the_wall_clock() {
        let wall = WallClock::now().wall(monotonic());
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let apart = (wall.0 as i128 - system as i128).unsigned_abs();
        assert!(apart < 50_000_000, "{apart} ns apart");
    }

    #[test]
    fn follows_a_clock_that_was_set_but_not_noise() {
        let mut clock = WallClock {
            offset: 1_000_000_000,
        };
        assert_eq!(
            clock.follow(WallClock {
                offset: 1_000_900_000
            }),
            None
        );
        assert_eq!(clock.offset(), 1_000_000_000);
        assert_eq!(clock.follow(WallClock { offset: 0 }), Some(-1_000_000_000));
        assert_eq!(clock.wall(5), Timestamp(5));
    }
}
