//! One question to one service: breaker, budget, and tries within the patience.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Breaker, Budget, Clock, Take};
use crate::provider::{Fault, Info, Status};

/// Breakers and budget of all services.
pub struct Gate {
    budget: Budget,
    breakers: Mutex<HashMap<&'static str, Breaker>>,
    clock: Arc<dyn Clock>,
    /// The longest that one question may wait for its turn.
    patience: Duration,
}

/// Tries of one question.
const ATTEMPTS: u32 = 5;

impl Gate {
    #[must_use]
    pub fn new(budget: Budget, clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self {
            budget,
            breakers: Mutex::default(),
            clock,
            patience,
        }
    }

    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Asks until there is an answer, or nothing more to hope for within the patience.
    ///
    /// # Errors
    /// Why there is no answer, and in words.
    pub fn ask<T>(
        &self,
        info: &'static Info,
        online: impl Fn() -> bool,
        mut ask: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, (Status, String)> {
        let end = self.clock.now_ms() + i64::try_from(self.patience.as_millis()).unwrap_or(i64::MAX / 2);
        let mut attempt = 0;
        loop {
            if info.sends && !self.with_breaker(info, |breaker, now| breaker.admits(now)) {
                let text = "it failed just before; it is left alone for a while".to_owned();
                return Err((Status::CircuitOpen, text));
            }
            match self.budget.take(info).map_err(local)? {
                Take::Now => {}
                Take::Used { until } => {
                    self.with_breaker(info, |breaker, _| breaker.put_off());
                    let until = jiff::Timestamp::from_second(until)
                        .map_or_else(|_| "later".to_owned(), |time| time.to_string());
                    return Err((Status::QuotaUsed, format!("its quota is used up until {until}")));
                }
                Take::Wait(wait) => {
                    self.with_breaker(info, |breaker, _| breaker.put_off());
                    let text = format!("its turn would come in {:.0} s", wait.as_secs_f64().ceil());
                    self.wait(wait, end).map_err(|()| (Status::RateLimited, text))?;
                    continue;
                }
            }
            attempt += 1;
            let fault = match ask() {
                Ok(reply) => {
                    self.with_breaker(info, |breaker, _| breaker.success());
                    return Ok(reply);
                }
                Err(fault) => fault,
            };
            let text = fault.to_string();
            let (status, wait) = match fault {
                Fault::Limited(_, after) => {
                    self.with_breaker(info, |breaker, _| breaker.put_off());
                    let wait = after.unwrap_or_else(|| back_off(attempt));
                    self.budget.put_off(info, wait).map_err(local)?;
                    (Status::RateLimited, Some(wait))
                }
                Fault::Server(_, after) => {
                    self.with_breaker(info, |breaker, now| breaker.failure(now, false));
                    (Status::Failed, Some(after.unwrap_or_else(|| back_off(attempt))))
                }
                Fault::Unreachable(_) => {
                    // While nobody answers, there is nothing to hope for from another try.
                    let offline = !online();
                    self.with_breaker(info, |breaker, now| breaker.failure(now, offline));
                    (Status::Unreachable, (!offline).then(|| back_off(attempt)))
                }
                Fault::Denied(_) => {
                    self.with_breaker(info, |breaker, now| breaker.failure(now, true));
                    (Status::AuthFailed, None)
                }
                Fault::Unconfigured(_) => (Status::Unconfigured, None),
                Fault::Malformed(_) | Fault::Local(_) => {
                    self.with_breaker(info, |breaker, now| breaker.failure(now, false));
                    (Status::Failed, None)
                }
            };
            match wait {
                Some(wait) if attempt < ATTEMPTS => self.wait(wait, end).map_err(|()| (status, text))?,
                _ => return Err((status, text)),
            }
        }
    }

    /// Waits; an error if that would be beyond the end.
    fn wait(&self, wait: Duration, end: i64) -> Result<(), ()> {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
        if self.clock.now_ms().saturating_add(wait_ms) > end {
            return Err(());
        }
        self.clock.sleep(wait);
        Ok(())
    }

    fn with_breaker<T>(&self, info: &Info, work: impl FnOnce(&mut Breaker, i64) -> T) -> T {
        let now = self.clock.now_ms();
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        work(breakers.entry(info.name).or_default(), now)
    }
}

fn local(error: io::Error) -> (Status, String) {
    (
        Status::Failed,
        format!("not asked, because it cannot be counted: {error}"),
    )
}

/// min(2^n, 60) seconds, times 0.5 to 1 by chance, so that not all come again at once.
fn back_off(attempt: u32) -> Duration {
    let chance = f64::from(uuid::Uuid::new_v4().into_bytes()[0]) / 255.0;
    let seconds = f64::from(1_u32 << attempt.min(6)).min(60.0);
    Duration::from_secs_f64(seconds * (0.5 + chance / 2.0))
}
