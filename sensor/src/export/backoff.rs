//! Waiting times between attempts: they double, with jitter, so that a fleet does not come back all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempt: u32,
}

impl Backoff {
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            attempt: 0,
        }
    }

    /// Between half of the step and the whole step.
    pub fn next_wait(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(1 << self.attempt.min(20))
            .min(self.longest);
        self.attempt += 1;
        // A fresh RandomState is seeded by the system: enough to spread sensors.
        let random = RandomState::new().hash_one(self.attempt) as u32;
        step / 2 + (step / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// The last attempt worked.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        for attempt in 0..40 {
            let step = (100_u64 << attempt.min(10)).min(5_000);
            let wait = backoff.next_wait().as_millis();
            assert!(
                (u128::from(step / 2)..=u128::from(step)).contains(&wait),
                "{attempt}: {wait} ms"
            );
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
