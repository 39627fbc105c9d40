//! What the threads of the daemon tell each other: stop, and how it is going.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lynceus_model::status::SensorStatus;

#[derive(Debug)]
pub struct Board {
    stop: AtomicBool,
    status: Mutex<(SensorStatus, Instant)>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            stop: AtomicBool::new(false),
            status: Mutex::new((SensorStatus::default(), Instant::now())),
        }
    }
}

impl Board {
    /// Asks the pipeline to end its intake.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Puts up the newest status.
    pub fn put(&self, status: SensorStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = (status, Instant::now());
    }

    /// The newest status and its age.
    #[must_use]
    pub fn status(&self) -> (SensorStatus, Duration) {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.0.clone(), status.1.elapsed())
    }
}
