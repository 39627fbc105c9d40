//! How often a provider is asked: a token bucket for the pace, and counts of the UTC day and month that stay on disk, so
//! that the next run knows what this one used.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Clock;
use crate::provider::{Info, Quota};

/// What one more question may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It is counted; ask.
    Now,
    /// Nothing is counted; come again after this.
    Wait(Duration),
    /// The day's or month's count is used up; until then, seconds since the Unix epoch.
    Used { until: i64 },
}

/// What is left; `None`: not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    pub day: Option<u32>,
    pub month: Option<u32>,
}

/// Counts of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    /// Days since the Unix epoch.
    day: i64,
    in_day: u32,
    /// Months since year 0.
    month: i64,
    in_month: u32,
    /// The provider asked to come later: milliseconds since the Unix epoch.
    not_before: i64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: i64,
}

/// Counts of all providers. Several processes may share a folder.
pub struct Budget {
    /// `None`: in memory only.
    folder: Option<PathBuf>,
    memory: Mutex<BTreeMap<String, Counts>>,
    buckets: Mutex<HashMap<&'static str, Bucket>>,
    /// Limits of the user's plan, instead of the free plan's.
    plans: BTreeMap<String, Quota>,
    clock: Arc<dyn Clock>,
}

impl Budget {
    #[must_use]
    pub fn new(folder: Option<PathBuf>, plans: BTreeMap<String, Quota>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder,
            memory: Mutex::default(),
            buckets: Mutex::default(),
            plans,
            clock,
        }
    }

    fn quota(&self, info: &Info) -> Quota {
        self.plans.get(info.name).copied().unwrap_or(info.quota)
    }

    /// Counts one more question if that is allowed.
    ///
    /// # Errors
    /// The counts cannot be read or written; then nothing may be asked.
    pub fn take(&self, info: &'static Info) -> io::Result<Take> {
        let quota = self.quota(info);
        let now = self.clock.now_ms();
        self.change(info.name, |counts| {
            let (day, month) = calendar(now);
            if counts.day != day {
                (counts.day, counts.in_day) = (day, 0);
            }
            if counts.month != month {
                (counts.month, counts.in_month) = (month, 0);
            }
            if quota.per_month.is_some_and(|limit| counts.in_month >= limit) {
                return Take::Used {
                    until: begin_of_month(month + 1),
                };
            }
            if quota.per_day.is_some_and(|limit| counts.in_day >= limit) {
                return Take::Used {
                    until: (day + 1) * 86_400,
                };
            }
            if counts.not_before > now {
                return Take::Wait(milliseconds(counts.not_before - now));
            }
            let wait = self.token(info.name, quota, now);
            if !wait.is_zero() {
                return Take::Wait(wait);
            }
            counts.in_day += 1;
            counts.in_month += 1;
            Take::Now
        })
    }

    /// The provider asked to come later.
    ///
    /// # Errors
    /// The counts cannot be written.
    pub fn put_off(&self, info: &Info, wait: Duration) -> io::Result<()> {
        let until = self.clock.now_ms() + i64::try_from(wait.as_millis()).unwrap_or(0);
        self.change(info.name, |counts| {
            counts.not_before = counts.not_before.max(until)
        })
    }

    /// What is left of day and month.
    ///
    /// # Errors
    /// The counts cannot be read.
    pub fn left(&self, info: &Info) -> io::Result<Left> {
        let quota = self.quota(info);
        let (day, month) = calendar(self.clock.now_ms());
        self.change(info.name, |counts| {
            let in_day = if counts.day == day { counts.in_day } else { 0 };
            let in_month = if counts.month == month { counts.in_month } else { 0 };
            Left {
                day: quota.per_day.map(|limit| limit.saturating_sub(in_day)),
                month: quota.per_month.map(|limit| limit.saturating_sub(in_month)),
            }
        })
    }

    /// Zero: a token was taken.
    fn token(&self, name: &'static str, quota: Quota, now: i64) -> Duration {
        if quota.seconds_per_request <= 0.0 {
            return Duration::ZERO;
        }
        let most = f64::from(quota.burst.max(1));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(name).or_insert(Bucket {
            tokens: most,
            filled: now,
        });
        let since = (now - bucket.filled).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + since / quota.seconds_per_request).min(most);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Duration::ZERO;
        }
        // Rounded up, or the waiter would come a millisecond early for ever.
        let seconds = (1.0 - bucket.tokens) * quota.seconds_per_request;
        Duration::from_millis((seconds * 1000.0).ceil() as u64 + 1)
    }

    fn change<T>(&self, name: &str, work: impl FnOnce(&mut Counts) -> T) -> io::Result<T> {
        let Some(folder) = &self.folder else {
            let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(work(all.entry(name.to_owned()).or_default()));
        };
        fs::create_dir_all(folder)?;
        // Threads of this process exclude one another by the lock in memory, processes by the file's.
        let _threads = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = File::create(folder.join("quotas.lock"))?;
        lock.lock()?;
        let path = folder.join("quotas.json");
        let mut all = read(&path)?;
        let counts = all.entry(name.to_owned()).or_default();
        let before = *counts;
        let done = work(counts);
        if *counts != before {
            let unfinished = folder.join("quotas.json.new");
            fs::write(&unfinished, serde_json::to_vec_pretty(&all)?)?;
            fs::rename(&unfinished, &path)?;
        }
        Ok(done)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Counts>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            let text = format!("{}: {error}; remove it to begin to count anew", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn milliseconds(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or(0))
}

/// Days since the Unix epoch, and months since year 0, UTC.
fn calendar(now_ms: i64) -> (i64, i64) {
    let day = now_ms.div_euclid(86_400_000);
    let date =
        jiff::Timestamp::from_millisecond(now_ms).map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date());
    let month = date.map_or(0, |date| {
        i64::from(date.year()) * 12 + i64::from(date.month()) - 1
    });
    (day, month)
}

fn begin_of_month(month: i64) -> i64 {
    let year = i16::try_from(month.div_euclid(12)).unwrap_or(i16::MAX);
    let number = i8::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
    let date = jiff::civil::Date::new(year, number, 1);
    let start = date
        .ok()
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    start.map_or(i64::MAX, |start| start.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::super::clock::held::HeldClock;
    use super::*;
    use crate::provider::info;

    /// 2026-11-30 23:59:00 UTC.
    const LATE: i64 = 1_796_083_140;

    fn budget(folder: &Path, clock: &Arc<HeldClock>, quota: Quota) -> Budget {
        let clock: Arc<dyn Clock> = Arc::<HeldClock>::clone(clock);
        Budget::new(
            Some(folder.to_owned()),
            [("virustotal".to_owned(), quota)].into(),
            clock,
        )
    }

    #[test]
    fn the_pace_is_kept_with_its_burst() {
        let clock = Arc::new(HeldClock::at(LATE));
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), &clock, Quota::paced(15.0, 4));
        let virustotal = info("virustotal").unwrap();
        for _ in 0..4 {
            assert_eq!(budget.take(virustotal).unwrap(), Take::Now);
        }
        let Take::Wait(wait) = budget.take(virustotal).unwrap() else {
            panic!("the bucket is empty");
        };
        assert!((14_000..=15_100).contains(&wait.as_millis()), "{wait:?}");
        clock.pass(wait);
        assert_eq!(budget.take(virustotal).unwrap(), Take::Now);
        assert!(matches!(budget.take(virustotal).unwrap(), Take::Wait(_)));
    }

    #[test]
    fn days_and_months_are_counted_across_runs_and_begin_anew() {
        let clock = Arc::new(HeldClock::at(LATE));
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota {
            per_day: Some(2),
            per_month: Some(3),
            ..Quota::UNLIMITED
        };
        let virustotal = info("virustotal").unwrap();
        let open = || budget(folder.path(), &clock, quota);
        assert_eq!(open().take(virustotal).unwrap(), Take::Now);
        assert_eq!(open().take(virustotal).unwrap(), Take::Now);
        assert_eq!(open().take(virustotal).unwrap(), Take::Used { until: LATE + 60 });
        assert_eq!(
            open().left(virustotal).unwrap(),
            Left {
                day: Some(0),
                month: Some(1)
            }
        );
        // The day after is another month as well.
        clock.pass(Duration::from_secs(60));
        for _ in 0..2 {
            assert_eq!(open().take(virustotal).unwrap(), Take::Now);
        }
        clock.pass(Duration::from_secs(86_400));
        assert_eq!(open().take(virustotal).unwrap(), Take::Now);
        let january = LATE + 60 + 31 * 86_400;
        assert_eq!(open().take(virustotal).unwrap(), Take::Used { until: january });
    }

    #[test]
    fn retry_after_holds_for_the_next_run_too() {
        let clock = Arc::new(HeldClock::at(LATE));
        let folder = tempfile::tempdir().unwrap();
        let virustotal = info("virustotal").unwrap();
        budget(folder.path(), &clock, Quota::UNLIMITED)
            .put_off(virustotal, Duration::from_secs(30))
            .unwrap();
        let next = budget(folder.path(), &clock, Quota::UNLIMITED);
        assert_eq!(
            next.take(virustotal).unwrap(),
            Take::Wait(Duration::from_secs(30))
        );
        clock.pass(Duration::from_secs(30));
        assert_eq!(next.take(virustotal).unwrap(), Take::Now);
    }

    #[test]
    fn damaged_counts_allow_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("quotas.json"), "{\"virustotal\": 7").unwrap();
        let clock = Arc::new(HeldClock::at(LATE));
        let error = budget(folder.path(), &clock, Quota::UNLIMITED)
            .take(info("virustotal").unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("quotas.json"), "{error}");
    }

    #[test]
    fn several_threads_never_take_more_than_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(HeldClock::at(LATE));
        let quota = Quota {
            per_day: Some(40),
            ..Quota::UNLIMITED
        };
        let budgets = [
            budget(folder.path(), &clock, quota),
            budget(folder.path(), &clock, quota),
        ];
        let taken = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (budget, taken) = (&budgets[thread % 2], &taken);
                scope.spawn(move || {
                    for _ in 0..20 {
                        if budget.take(info("virustotal").unwrap()).unwrap() == Take::Now {
                            taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 40);
    }
}
