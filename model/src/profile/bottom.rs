//! Bottom-k by hash: a bounded map that forgets the keys with the largest hashes.
//!
//! A key among the k smallest of a union is among the k smallest of every part it stands in, so the rows that are kept
//! are exact, and neither order nor cuts of merging change them. The kept keys are a uniform sample of the distinct
//! keys.

use std::cmp::Ordering;

use super::cell::Merge;
use super::key::Key;

/// Sorted by (hash, key).
#[derive(Clone, Debug)]
pub(crate) struct Bottom<K, V> {
    limit: u16,
    rows: Rows<K, V>,
}

#[derive(Clone, Debug)]
enum Rows<K, V> {
    /// At most [`FEW`], in order. Most tables of most profiles have one row: one small block of memory each.
    Few(Vec<(u64, K, V)>),
    Many(Box<Many<K, V>>),
}

const FEW: usize = 8;

/// Two small arrays carry the order, so that an insertion moves ten bytes a row, not the row.
#[derive(Clone, Debug)]
struct Many<K, V> {
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
            rows: Rows::Few(Vec::new()),
        }
    }

    pub(crate) fn add(&mut self, hash: u64, key: K, value: &V) -> Kept<K, V> {
        let limit = usize::from(self.limit);
        match &mut self.rows {
            Rows::Few(rows) => {
                let at = match few_at(rows, hash, &key) {
                    Ok(at) => {
                        rows[at].2.merge(value);
                        return Kept::Joined;
                    }
                    Err(at) => at,
                };
                if rows.len() < limit.min(FEW) {
                    if rows.is_empty() {
                        // Not the four that a vector begins with.
                        rows.reserve_exact(1);
                    }
                    rows.insert(at, (hash, key, *value));
                    return Kept::Added;
                }
                let mut many = Many::of(rows);
                let kept = many.put(at, limit, hash, key, value);
                self.rows = Rows::Many(Box::new(many));
                kept
            }
            Rows::Many(many) => match many.find(hash, &key) {
                Ok(at) => {
                    many.rows[usize::from(many.places[at])].1.merge(value);
                    Kept::Joined
                }
                Err(at) => many.put(at, limit, hash, key, value),
            },
        }
    }

    pub(crate) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        match &self.rows {
            Rows::Few(rows) => Some(&rows[few_at(rows, hash, key).ok()?].2),
            Rows::Many(many) => {
                let at = many.find(hash, key).ok()?;
                Some(&many.rows[usize::from(many.places[at])].1)
            }
        }
    }
}

/// Where the row is, or where it belongs.
fn few_at<K: Ord, V>(rows: &[(u64, K, V)], hash: u64, key: &K) -> Result<usize, usize> {
    for (at, (other, theirs, _)) in rows.iter().enumerate() {
        match other.cmp(&hash).then_with(|| theirs.cmp(key)) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(at),
            Ordering::Greater => return Err(at),
        }
    }
    Err(rows.len())
}

impl<K: Key, V: Copy> Many<K, V> {
    fn of(few: &[(u64, K, V)]) -> Self {
        // Room for the rows that made them too many.
        let mut many = Self {
            hashes: Vec::with_capacity(2 * FEW),
            places: Vec::with_capacity(2 * FEW),
            rows: Vec::with_capacity(2 * FEW),
        };
        for (place, (hash, key, value)) in few.iter().enumerate() {
            many.hashes.push(*hash);
            many.places.push(place as u16);
            many.rows.push((*key, *value));
        }
        many
    }

    /// Adds a row that is not there, at its place in the order.
    fn put(&mut self, at: usize, limit: usize, hash: u64, key: K, value: &V) -> Kept<K, V> {
        if self.rows.len() < limit {
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

    fn find(&self, hash: u64, key: &K) -> Result<usize, usize> {
        let mut at = lower_bound(&self.hashes, hash);
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

/// The first place whose hash is not smaller. Hashes are spread evenly, so the place is nearly known: a few steps from
/// there touch one or two cache lines where halving would touch each half. Where they are not, halving goes on.
fn lower_bound(hashes: &[u64], hash: u64) -> usize {
    const STEPS: usize = 16;
    let Some(last) = hashes.last().filter(|last| **last >= hash) else {
        return hashes.len();
    };
    let share = hash as f64 / *last as f64 * hashes.len() as f64;
    let guess = (share as usize).min(hashes.len() - 1);
    if hashes[guess] < hash {
        let near = &hashes[guess + 1..hashes.len().min(guess + 1 + STEPS)];
        match near.iter().position(|other| *other >= hash) {
            Some(steps) => guess + 1 + steps,
            None => {
                let from = guess + 1 + near.len();
                from + hashes[from..].partition_point(|other| *other < hash)
            }
        }
    } else {
        let from = guess.saturating_sub(STEPS);
        match hashes[from..guess].iter().rposition(|other| *other < hash) {
            Some(at) => from + at + 1,
            None => hashes[..from].partition_point(|other| *other < hash),
        }
    }
}

impl<K, V> Bottom<K, V> {
    pub(crate) const fn len(&self) -> usize {
        match &self.rows {
            Rows::Few(rows) => rows.len(),
            Rows::Many(many) => many.rows.len(),
        }
    }

    pub(crate) const fn limit(&self) -> u16 {
        self.limit
    }

    /// By hash, then key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &K, &V)> {
        (0..self.len()).map(|at| match &self.rows {
            Rows::Few(rows) => {
                let (hash, key, value) = &rows[at];
                (*hash, key, value)
            }
            Rows::Many(many) => {
                let (key, value) = &many.rows[usize::from(many.places[at])];
                (many.hashes[at], key, value)
            }
        })
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        match &self.rows {
            Rows::Few(rows) => rows.capacity() * size_of::<(u64, K, V)>(),
            Rows::Many(many) => {
                size_of::<Many<K, V>>()
                    + many.hashes.capacity() * size_of::<u64>()
                    + many.places.capacity() * size_of::<u16>()
                    + many.rows.capacity() * size_of::<(K, V)>()
            }
        }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Bottom<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.limit == other.limit && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::profile::{Counts, PortKey};

    proptest! {
        /// As halving does, however the hashes are spread.
        #[test]
        fn finds_the_place(
            mut hashes in proptest::collection::vec(prop_oneof![any::<u64>(), 0u64..100], 0..100),
            wanted in proptest::collection::vec(prop_oneof![any::<u64>(), 0u64..100], 20),
        ) {
            hashes.sort_unstable();
            for hash in wanted {
                let place = hashes.partition_point(|other| *other < hash);
                prop_assert_eq!(lower_bound(&hashes, hash), place);
            }
        }

        /// Against all rows in a map, of which the first by (hash, key) stay; hashes so poor that they collide. Limits
        /// on both sides of the change of form.
        #[test]
        fn keeps_the_smallest(limit in 1u16..24, ports in proptest::collection::vec(0u16..40, 0..120)) {
            let mut bottom = Bottom::new(limit);
            let mut all: BTreeMap<(u64, PortKey), Counts> = BTreeMap::new();
            for port in ports {
                let key = PortKey { established: false, protocol: 6, port };
                let hash = u64::from(port % 13);
                let one = Counts { flows: 1, ..Counts::default() };
                bottom.add(hash, key, &one);
                all.entry((hash, key)).or_default().merge(&one);
            }
            let kept = all.iter().take(usize::from(limit)).map(|((hash, key), counts)| (*hash, key, counts));
            prop_assert!(bottom.iter().eq(kept));
            for (hash, key) in all.keys().take(usize::from(limit)) {
                prop_assert_eq!(bottom.get(*hash, key), all.get(&(*hash, *key)));
            }
        }
    }
}
