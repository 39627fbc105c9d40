//! A circuit breaker: who failed several times in a row is left alone for a while, then tried once.

use std::time::Duration;

/// State of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// Milliseconds since the Unix epoch; closed before the first opening.
    open_until: i64,
    /// Somebody is trying whether it works again.
    trying: bool,
    openings: u32,
}

/// Failures in a row.
const THRESHOLD: u32 = 3;
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(900);

impl Breaker {
    /// Whether it may be asked now; after an opening, one question tries.
    pub fn admits(&mut self, now_ms: i64) -> bool {
        if self.open_until == 0 {
            return true;
        }
        if now_ms < self.open_until || self.trying {
            return false;
        }
        self.trying = true;
        true
    }

    pub fn success(&mut self) {
        *self = Self::default();
    }

    /// `at_once`: one failure is enough, as when nobody at all can be reached, or the key is refused.
    pub fn failure(&mut self, now_ms: i64, at_once: bool) {
        self.failures = self.failures.saturating_add(1);
        if at_once || self.trying || self.failures >= THRESHOLD {
            let wait = FIRST.saturating_mul(1 << self.openings.min(8)).min(LONGEST);
            self.open_until = now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
            self.openings = self.openings.saturating_add(1);
        }
        self.trying = false;
    }

    /// It answered that it does not want to: neither a success nor a failure.
    pub const fn put_off(&mut self) {
        self.trying = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_three_failures_and_tries_once() {
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            assert!(breaker.admits(1));
            breaker.failure(1, false);
        }
        assert!(breaker.admits(1), "two failures are chance");
        breaker.failure(1, false);
        assert!(!breaker.admits(59_000));
        assert!(breaker.admits(60_002), "one may try");
        assert!(!breaker.admits(60_002), "the others wait for it");
        breaker.failure(60_002, false);
        assert!(!breaker.admits(60_002 + 119_000), "twice as long now");
        assert!(breaker.admits(60_002 + 120_000));
        breaker.success();
        assert_eq!(breaker, Breaker::default());
        assert!(breaker.admits(0) && breaker.admits(0));
    }

    #[test]
    fn one_failure_is_enough_where_nobody_can_be_reached() {
        let mut breaker = Breaker::default();
        breaker.failure(5, true);
        assert!(!breaker.admits(6));
    }
}
