//! Distribution of a non-negative integer in powers of two.

use super::cell::Merge;

/// Bucket 0 counts zeros, bucket n counts values of `[2^(n-1), 2^n)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    pub buckets: [u32; Self::BUCKETS],
}

impl Histogram {
    /// Values from 2^46 on (about 70 TB, 2 years in microseconds) share the last one.
    pub const BUCKETS: usize = 48;

    pub fn add(&mut self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        let bucket = &mut self.buckets[bucket.min(Self::BUCKETS - 1)];
        *bucket = bucket.saturating_add(1);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| u64::from(*bucket)).sum()
    }

    /// Geometric middle of the bucket that holds the quantile `q` (0 to 1); `None` if nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count().checked_sub(1)? as f64) as u64;
        let mut below = 0;
        let bucket = self.buckets.iter().position(|bucket| {
            below += u64::from(*bucket);
            below > rank
        })?;
        Some(if bucket == 0 {
            0.0
        } else {
            (bucket as f64 - 0.5).exp2()
        })
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; Self::BUCKETS],
        }
    }
}

impl Merge for Histogram {
    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*theirs);
        }
    }
}
