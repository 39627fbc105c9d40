//! Bottom-k by hash: a bounded map that forgets the keys with the largest hashes.
//!
//! A key among the k smallest of a union is among the k smallest of every part it stands in, so the rows that are kept
//! are exact, and neither order nor cuts of merging change them. The kept keys are a uniform sample of the distinct
//! keys.

use std::cmp::Ordering;

use super::cell::Merge;
use super::key::Key;

/// Sorted by (hash, key). Two small arrays carry the order, so that an insertion moves ten bytes a row, not the row.
#[derive(Clone, Debug)]
pub(crate) struct Bottom<K, V> {
    limit: u16,
    hashes: Vec<u64>,
    /// Index into `rows` of the row with the hash at the same place.
    places: Vec<u16>,
    rows: Vec<(K, V)>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept<K, V> {
    Joined,
    Added,
    /// It, or a row with a larger hash, had no place. The row that left.
    Left(K, V),
}

impl<K: Key, V: Merge + Copy> Bottom<K, V> {
    pub(crate) const fn new(limit: u16) -> Self {
        Self {
            limit,
            hashes: Vec::new(),
            places: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, hash: u64, key: K, value: &V) -> Kept<K, V> {
        let at = match self.find(hash, &key) {
            Ok(at) => {
                self.rows[usize::from(self.places[at])].1.merge(value);
                return Kept::Joined;
            }
            Err(at) => at,
        };
        if self.rows.len() < usize::from(self.limit) {
            if self.rows.is_empty() {
                // Most profiles have one row in most tables; do not take room for four.
                self.hashes.reserve_exact(1);
                self.places.reserve_exact(1);
                self.rows.reserve_exact(1);
            }
            self.hashes.insert(at, hash);
            self.places.insert(at, self.rows.len() as u16);
            self.rows.push((key, *value));
            return Kept::Added;
        }
        if at == self.rows.len() {
            return Kept::Left(key, *value);
        }
        let (Some(_), Some(place)) = (self.hashes.pop(), self.places.pop()) else {
            return Kept::Left(key, *value);
        };
        self.hashes.insert(at, hash);
        self.places.insert(at, place);
        let (key, value) = std::mem::replace(&mut self.rows[usize::from(place)], (key, *value));
        Kept::Left(key, value)
    }

    pub(crate) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let at = self.find(hash, key).ok()?;
        Some(&self.rows[usize::from(self.places[at])].1)
    }

    fn find(&self, hash: u64, key: &K) -> Result<usize, usize> {
        let mut at = self.hashes.partition_point(|other| *other < hash);
        while self.hashes.get(at) == Some(&hash) {
            match self.rows[usize::from(self.places[at])].0.cmp(key) {
                Ordering::Less => at += 1,
                Ordering::Equal => return Ok(at),
                Ordering::Greater => break,
            }
        }
        Err(at)
    }
}

impl<K, V> Bottom<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) const fn limit(&self) -> u16 {
        self.limit
    }

    /// By hash, then key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &K, &V)> {
        self.hashes.iter().zip(&self.places).map(|(hash, place)| {
            let (key, value) = &self.rows[usize::from(*place)];
            (*hash, key, value)
        })
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
            + self.places.capacity() * size_of::<u16>()
            + self.rows.capacity() * size_of::<(K, V)>()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Bottom<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.limit == other.limit && self.iter().eq(other.iter())
    }
}
