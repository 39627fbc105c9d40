//! Time as the discipline sees it, so that tests can hold it.

use std::time::Duration;

/// Wall clock and waiting.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    fn sleep(&self, time: Duration);

    /// Seconds since the Unix epoch.
    fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

/// The machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
pub(super) mod held {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// Moves only when told, or when somebody sleeps.
    #[derive(Debug, Default)]
    pub(in crate::discipline) struct HeldClock(pub(in crate::discipline) AtomicI64);

    impl HeldClock {
        pub(in crate::discipline) fn at(seconds: i64) -> Self {
            Self(AtomicI64::new(seconds * 1000))
        }

        pub(in crate::discipline) fn pass(&self, time: Duration) {
            self.0
                .fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        }
    }

    impl Clock for HeldClock {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }

        fn sleep(&self, time: Duration) {
            self.pass(time);
        }
    }
}
