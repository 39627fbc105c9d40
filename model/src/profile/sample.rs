//! A bounded table that keeps exact rows for a uniform sample of its keys, and the number of distinct keys.

use super::bottom::{Bottom, Kept};
use super::cell::Merge;
use super::distinct::Distinct;
use super::key::Key;

/// Below its limit every row is there and exact. Past it, the rows that are kept are still exact and a uniform sample
/// of the keys, and [`Sample::distinct`] is an estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<K, V> {
    rows: Bottom<K, V>,
    /// There as soon as a row had to go.
    distinct: Option<Distinct>,
}

impl<K: Key, V: Merge + Copy> Sample<K, V> {
    /// `limit`: rows that are kept.
    #[must_use]
    pub const fn new(limit: u16) -> Self {
        Self {
            rows: Bottom::new(limit),
            distinct: None,
        }
    }

    pub fn add(&mut self, key: K, value: &V) {
        self.add_hashed(key.fixed_hash(), key, value);
    }

    /// True if this was the addition that made the table forget a row for the first time. The row is handed back.
    pub(crate) fn add_hashed(&mut self, hash: u64, key: K, value: &V) -> Option<(K, V)> {
        let kept = self.rows.add(hash, key, value);
        if let Some(distinct) = &mut self.distinct {
            distinct.insert(hash);
        }
        let Kept::Left(left, value) = kept else {
            return None;
        };
        if self.distinct.is_some() {
            return None;
        }
        let mut distinct = Distinct::default();
        distinct.insert(left.fixed_hash());
        self.rows.iter().for_each(|(hash, ..)| distinct.insert(hash));
        self.distinct = Some(distinct);
        Some((left, value))
    }

    pub fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.distinct {
            let mine = self.distinct.get_or_insert_with(Distinct::default);
            self.rows.iter().for_each(|(hash, ..)| mine.insert(hash));
            mine.merge(theirs);
        }
        for (hash, key, value) in other.rows.iter() {
            self.add_hashed(hash, *key, value);
        }
    }

    /// Rows that are kept, in the order of their hashes.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter().map(|(_, key, value)| (key, value))
    }

    pub(crate) fn hashed_rows(&self) -> impl Iterator<Item = (u64, &K, &V)> {
        self.rows.iter()
    }

    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key.fixed_hash(), key)
    }

    /// Rows that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    #[must_use]
    pub const fn limit(&self) -> u16 {
        self.rows.limit()
    }

    /// Rows had to go.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.distinct.is_some()
    }

    /// Distinct keys: exact below the limit, then estimated (standard error 3.3 %), never less than the rows kept.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        let kept = self.rows.len() as f64;
        self.distinct
            .as_ref()
            .map_or(kept, |distinct| distinct.estimate().max(kept))
    }

    /// Distinct keys behind one row that is kept: 1 below the limit.
    #[must_use]
    pub fn weight_of_row(&self) -> f64 {
        if self.truncated() {
            self.distinct() / self.rows.len().max(1) as f64
        } else {
            1.0
        }
    }

    /// The registers of the distinct count, where rows had to go.
    #[must_use]
    pub const fn distinct_sketch(&self) -> Option<&Distinct> {
        self.distinct.as_ref()
    }

    /// Puts together what [`Sample::rows`] and [`Sample::distinct_sketch`] gave. Too many rows are treated as an
    /// overflow, so that a hostile peer gains nothing.
    #[must_use]
    pub fn from_parts(
        limit: u16,
        rows: impl IntoIterator<Item = (K, V)>,
        distinct: Option<Distinct>,
    ) -> Self {
        let mut sample = Self {
            rows: Bottom::new(limit),
            distinct,
        };
        for (key, value) in rows {
            sample.add_hashed(key.fixed_hash(), key, &value);
        }
        sample
    }

    pub(crate) fn heap(&self) -> usize {
        self.rows.heap()
            + self
                .distinct
                .as_ref()
                .map_or(0, |distinct| distinct.registers().len())
    }
}
