//! A mergeable sketch of the distribution of non-negative numbers.

use std::cmp::Ordering;

/// Counts in buckets whose bounds are floating point numbers with few mantissa bits, so that a bucket is an integer and
/// a count is an integer: merging adds them, in any order, and `merge(a, b)` *is* the sketch of both inputs. (The idea
/// of DDSketch, Masson et al. 2019, with the bits of the number instead of its logarithm, and the uniform collapse of
/// UDDSketch, Epicoco et al. 2020.)
///
/// The precision is the finest with which the buckets fit into [`Quantiles::LIMIT`]: from 12 mantissa bits (0.02 %) on,
/// one bit less whenever there are too many. What had to be collapsed for some numbers had to be for all, so the
/// precision does not depend on the order either.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// Mantissa bits of a bucket's bounds.
    bits: u8,
    /// Bucket and how many numbers fell into it, ascending; no bucket is empty.
    buckets: Vec<(u32, u32)>,
    count: u64,
    /// Infinite while empty.
    min: f64,
    max: f64,
}

impl Quantiles {
    /// Mantissa bits at first.
    pub const MAX_BITS: u8 = 12;
    /// Buckets: 8 KiB. Numbers over 20 powers of two then have 5 mantissa bits, 3 %, and no bucket holds many of them.
    pub const LIMIT: usize = 1024;

    #[must_use]
    pub const fn new() -> Self {
        Self {
            bits: Self::MAX_BITS,
            buckets: Vec::new(),
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Counts a number. Negative ones and what is no finite number change nothing and give false.
    pub fn add(&mut self, value: f64) -> bool {
        if !(value.is_finite() && value >= 0.0) {
            return false;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.count += 1;
        let bucket = self.bucket(value);
        match self.buckets.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(1),
            Err(at) => {
                self.buckets.insert(at, (bucket, 1));
                self.fit();
            }
        }
        true
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        while self.bits > other.bits {
            self.collapse();
        }
        let shift = other.bits - self.bits;
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let mut mine = self.buckets.iter().copied().peekable();
        let mut theirs = other
            .buckets
            .iter()
            .map(|(bucket, count)| (bucket >> shift, *count))
            .peekable();
        while let Some(next) = match (mine.peek(), theirs.peek()) {
            (Some(a), Some(b)) if a.0 <= b.0 => mine.next(),
            (Some(_), None) => mine.next(),
            _ => theirs.next(),
        } {
            push(&mut merged, next);
        }
        self.buckets = merged;
        self.fit();
    }

    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Smallest number, exact; `None` while empty.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest number, exact; `None` while empty.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Numbers in buckets up to and including that of `value`, and in that bucket.
    #[must_use]
    pub fn up_to(&self, value: f64) -> (u64, u64) {
        let bucket = self.bucket(value.max(0.0));
        let at = self.buckets.partition_point(|entry| entry.0 <= bucket);
        let all = self.buckets[..at].iter().map(|entry| u64::from(entry.1)).sum();
        let same = at
            .checked_sub(1)
            .map(|at| self.buckets[at])
            .filter(|entry| entry.0 == bucket)
            .map_or(0, |entry| u64::from(entry.1));
        (all, same)
    }

    /// The quantile `q` (0 to 1): a number of its bucket, exact for the smallest and the largest and where the bucket's
    /// lower bound is a whole number below 2^12; `None` while empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count.checked_sub(1)? as f64).round() as u64;
        let mut below = 0;
        let (bucket, _) = self.buckets.iter().find(|(_, count)| {
            below += u64::from(*count);
            below > rank
        })?;
        if rank + 1 == self.count {
            return self.max();
        }
        Some(self.lower_bound(*bucket).clamp(self.min, self.max))
    }

    /// Mantissa bits and buckets, for the store and for [`super::Reference`].
    #[must_use]
    pub fn parts(&self) -> (u8, &[(u32, u32)]) {
        (self.bits, &self.buckets)
    }

    /// Puts together what [`Quantiles::parts`], [`Quantiles::min`] and [`Quantiles::max`] gave; `None` for what no
    /// sketch has.
    #[must_use]
    pub fn from_parts(bits: u8, buckets: Vec<(u32, u32)>, min: f64, max: f64) -> Option<Self> {
        let ascending = buckets.is_sorted_by(|a, b| a.0 < b.0);
        let counted = buckets.iter().all(|(_, count)| *count > 0);
        if bits > Self::MAX_BITS || buckets.len() > Self::LIMIT || !ascending || !counted {
            return None;
        }
        let count = buckets.iter().map(|(_, count)| u64::from(*count)).sum();
        let mut sketch = Self {
            bits,
            buckets,
            count,
            min,
            max,
        };
        match (sketch.buckets.first(), sketch.buckets.last()) {
            (Some((first, _)), Some((last, _))) => {
                let sane = |value: f64| value.is_finite() && value >= 0.0;
                let fits = sane(min)
                    && sane(max)
                    && sketch.bucket(min) == *first
                    && sketch.bucket(max) == *last
                    && min <= max;
                fits.then_some(sketch)
            }
            _ => {
                (sketch.min, sketch.max) = (f64::INFINITY, f64::NEG_INFINITY);
                Some(sketch)
            }
        }
    }

    /// Memory, struct and heap.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * size_of::<(u32, u32)>()
    }

    pub(super) const fn bucket(&self, value: f64) -> u32 {
        bucket_of(value, self.bits)
    }

    pub(super) const fn lower_bound(&self, bucket: u32) -> f64 {
        f64::from_bits((bucket as u64) << (52 - self.bits))
    }

    fn fit(&mut self) {
        while self.buckets.len() > Self::LIMIT && self.bits > 0 {
            self.collapse();
        }
    }

    fn collapse(&mut self) {
        self.bits -= 1;
        let mut joined = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for (bucket, count) in &self.buckets {
            push(&mut joined, (bucket >> 1, *count));
        }
        self.buckets = joined;
    }
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers below are in the bucket of zero, numbers above in the last one: without mantissa bits all fit.
const SMALLEST: f64 = 1.0 / (1_u64 << 40) as f64;
const LARGEST: f64 = (1_u64 << 63) as f64;

/// The upper bits of a non-negative number, which sort as the numbers do.
pub(super) const fn bucket_of(value: f64, bits: u8) -> u32 {
    let value = if value < SMALLEST {
        0.0
    } else if value > LARGEST {
        LARGEST
    } else {
        value
    };
    (value.to_bits() >> (52 - bits)) as u32
}

/// Appends in ascending order, joining equal buckets.
fn push(buckets: &mut Vec<(u32, u32)>, (bucket, count): (u32, u32)) {
    match buckets.last_mut() {
        Some(last) if last.0.cmp(&bucket) == Ordering::Equal => last.1 = last.1.saturating_add(count),
        _ => buckets.push((bucket, count)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> Quantiles {
        let mut sketch = Quantiles::new();
        values.iter().for_each(|value| assert!(sketch.add(*value)));
        sketch
    }

    #[test]
    fn whole_numbers_are_exact() {
        let values: Vec<f64> = (0..500).map(f64::from).collect();
        let sketch = sketch(&values);
        for number in 0..500 {
            assert_eq!(sketch.up_to(f64::from(number)), (number as u64 + 1, 1));
        }
        assert_eq!(sketch.quantile(0.5), Some(250.0));
        assert_eq!((sketch.min(), sketch.max()), (Some(0.0), Some(499.0)));
        assert_eq!(Quantiles::new().quantile(0.5), None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut sketch = Quantiles::new();
        for wrong in [f64::NAN, -1.0, f64::INFINITY] {
            assert!(!sketch.add(wrong));
        }
        assert_eq!(sketch, Quantiles::new());
    }

    #[test]
    fn parts_that_no_sketch_has_are_refused() {
        let sketch = sketch(&[1.0, 2.0, 3.0]);
        let (bits, buckets) = sketch.parts();
        let again =
            |buckets: &[(u32, u32)], min, max| Quantiles::from_parts(bits, buckets.to_vec(), min, max);
        assert_eq!(again(buckets, 1.0, 3.0), Some(sketch.clone()));
        let mut reversed = buckets.to_vec();
        reversed.reverse();
        assert_eq!(again(&reversed, 1.0, 3.0), None);
        assert_eq!(again(buckets, 2.0, 3.0), None);
        assert_eq!(again(buckets, 1.0, f64::NAN), None);
        assert_eq!(Quantiles::from_parts(13, Vec::new(), 0.0, 0.0), None);
        assert_eq!(
            again(&[], f64::INFINITY, f64::NEG_INFINITY),
            Some(Quantiles::new())
        );
    }

    /// Numbers of all sizes, many of them equal, too many for the finest precision.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            Just(0.0),
            (0_u32..20).prop_map(f64::from),
            0.0..1.0_f64,
            (-30.0..60.0_f64).prop_map(f64::exp2),
        ];
        prop::collection::vec(value, 0..1_800)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn merged_is_the_sketch_of_both(a in values(), b in values(), c in values()) {
            let mut left = sketch(&a);
            left.merge(&sketch(&b));
            left.merge(&sketch(&c));
            let mut right = sketch(&c);
            let mut other = sketch(&b);
            other.merge(&sketch(&a));
            right.merge(&other);
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &sketch(&[a, b, c].concat()));
            prop_assert!(left.buckets.len() <= Quantiles::LIMIT);
            let (bits, buckets) = left.parts();
            let again = Quantiles::from_parts(bits, buckets.to_vec(), left.min, left.max);
            prop_assert_eq!(again, Some(left));
        }

        #[test]
        fn ranks_include_all_smaller_numbers(values in values(), probe in 0.0..50.0_f64) {
            let sketch = sketch(&values);
            let (all, same) = sketch.up_to(probe);
            let below = values.iter().filter(|value| **value < probe).count() as u64;
            let up_to = values.iter().filter(|value| **value <= probe).count() as u64;
            prop_assert!(all >= up_to && all - same <= below);
        }
    }
}
