//! A bounded table of counts: exact rows for a sample of the keys, and past its bound the heavy rows by estimate.

use super::cell::{Cell, Merge};
use super::distinct::Distinct;
use super::key::Key;
use super::sample::Sample;
use super::sums::{Estimate, Sums};

/// Below its limit every row is there and exact. Past it
/// * the rows that are kept ([`Table::rows`]) are exact and a uniform sample of the keys,
/// * [`Table::heavy`] names rows that most likely lead by bytes or by flows, with estimated sums (a row with the share
///   p of all bytes is missed with probability (1 − p)^32: 3 % at a tenth, 0.01 % at a quarter),
/// * [`Table::distinct`] is an estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<K> {
    sample: Sample<K, Cell>,
    /// There as soon as a row had to go.
    heavy: Option<Box<Heavy<K>>>,
}

/// What remains of all rows of a full table.
#[derive(Clone, Debug, PartialEq)]
pub struct Heavy<K> {
    pub sums: Sums,
    /// The smallest draws with their rows, ascending; at most [`Heavy::LIMIT`].
    pub by_bytes: Vec<(u64, K)>,
    pub by_flows: Vec<(u64, K)>,
}

impl<K> Heavy<K> {
    pub const LIMIT: usize = 32;
}

/// A row as shown to people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row<K> {
    Exact(K, Cell),
    /// Sums are upper bounds, most likely close.
    Estimated(K, Estimate),
}

impl<K: Key> Row<K> {
    #[must_use]
    pub const fn key(&self) -> &K {
        match self {
            Self::Exact(key, _) | Self::Estimated(key, _) => key,
        }
    }

    #[must_use]
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Exact(_, cell) => cell.counts.bytes(),
            Self::Estimated(_, estimate) => estimate.bytes(),
        }
    }

    #[must_use]
    pub const fn packets(&self) -> u64 {
        match self {
            Self::Exact(_, cell) => cell.counts.packets(),
            Self::Estimated(_, estimate) => estimate.packets,
        }
    }

    #[must_use]
    pub const fn flows(&self) -> u64 {
        match self {
            Self::Exact(_, cell) => cell.counts.flows,
            Self::Estimated(_, estimate) => estimate.flows,
        }
    }
}

impl<K: Key> Table<K> {
    #[must_use]
    pub const fn new(limit: u16) -> Self {
        Self {
            sample: Sample::new(limit),
            heavy: None,
        }
    }

    pub fn add(&mut self, key: K, cell: &Cell) {
        self.add_hashed(key.fixed_hash(), key, cell);
    }

    fn add_hashed(&mut self, hash: u64, key: K, cell: &Cell) {
        if let Some(heavy) = &mut self.heavy {
            heavy.add(hash, key, cell);
        }
        if let Some((left, value)) = self.sample.add_hashed(hash, key, cell)
            && self.heavy.is_none()
        {
            let mut heavy = self.heavy_of_rows();
            heavy.add(left.fixed_hash(), left, &value);
            self.heavy = Some(heavy);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        // Sums over all rows of both sides, if either has lost some; else the rows of both decide.
        if self.heavy.is_none() && other.heavy.is_some() {
            self.heavy = Some(self.heavy_of_rows());
        } else if self.heavy.is_none() {
            for (hash, key, cell) in other.sample.hashed_rows() {
                self.add_hashed(hash, *key, cell);
            }
            return;
        }
        if let Some(mine) = &mut self.heavy {
            match &other.heavy {
                Some(theirs) => mine.merge(theirs),
                // The usual case is a full table and a small delta: row by row, without sums of the delta's own.
                None => other
                    .sample
                    .hashed_rows()
                    .for_each(|(hash, key, cell)| mine.add(hash, *key, cell)),
            }
        }
        self.sample.merge(&other.sample);
    }

    /// Rows that are kept, exact, in the order of their hashes.
    pub fn rows(&self) -> impl Iterator<Item = (&K, &Cell)> {
        self.sample.rows()
    }

    /// The row, if it is kept.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Cell> {
        self.sample.get(key)
    }

    /// All rows that are known, most bytes first.
    #[must_use]
    pub fn top(&self) -> Vec<Row<K>> {
        let mut rows: Vec<Row<K>> = self.rows().map(|(key, cell)| Row::Exact(*key, *cell)).collect();
        rows.extend(self.heavy().map(|(key, estimate)| Row::Estimated(key, estimate)));
        rows.sort_by(|a, b| b.bytes().cmp(&a.bytes()).then_with(|| a.key().cmp(b.key())));
        rows
    }

    /// Rows that lead by bytes or flows and are not among [`Table::rows`], with their sums by estimate.
    pub fn heavy(&self) -> impl Iterator<Item = (K, Estimate)> {
        let mut keys: Vec<K> = self
            .heavy
            .iter()
            .flat_map(|heavy| heavy.by_bytes.iter().chain(&heavy.by_flows))
            .map(|(_, key)| *key)
            .filter(|key| self.sample.get(key).is_none())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter_map(|key| {
            let heavy = self.heavy.as_ref()?;
            Some((key, heavy.sums.estimate(key.fixed_hash())))
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.sample.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sample.is_empty()
    }

    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.heavy.is_some()
    }

    /// Distinct keys: exact below the limit, then estimated (standard error 3.3 %).
    #[must_use]
    pub fn distinct(&self) -> f64 {
        self.sample.distinct()
    }

    /// Distinct keys behind one row that is kept: 1 below the limit.
    #[must_use]
    pub fn weight_of_row(&self) -> f64 {
        self.sample.weight_of_row()
    }

    /// Sketches of the rows that had to go, for the wire and the store.
    #[must_use]
    pub fn overflow(&self) -> Option<(&Distinct, &Heavy<K>)> {
        Some((self.sample.distinct_sketch()?, self.heavy.as_deref()?))
    }

    /// Puts together what [`Table::rows`] and [`Table::overflow`] gave. Rows or draws beyond the limits are treated as
    /// an overflow, so that a hostile peer gains nothing.
    #[must_use]
    pub fn from_parts(
        limit: u16,
        rows: impl IntoIterator<Item = (K, Cell)>,
        overflow: Option<(Distinct, Heavy<K>)>,
    ) -> Self {
        let Some((distinct, mut heavy)) = overflow else {
            let mut table = Self::new(limit);
            for (key, cell) in rows {
                table.add(key, &cell);
            }
            return table;
        };
        tidy(&mut heavy.by_bytes);
        tidy(&mut heavy.by_flows);
        Self {
            sample: Sample::from_parts(limit, rows, Some(distinct)),
            heavy: Some(Box::new(heavy)),
        }
    }

    pub(crate) fn heap(&self) -> usize {
        let heavy = self.heavy.as_ref().map_or(0, |heavy| {
            size_of::<Heavy<K>>()
                + size_of_val(heavy.sums.cells())
                + (heavy.by_bytes.capacity() + heavy.by_flows.capacity()) * size_of::<(u64, K)>()
        });
        self.sample.heap() + heavy
    }

    fn heavy_of_rows(&self) -> Box<Heavy<K>> {
        let mut heavy = Box::new(Heavy {
            sums: Sums::default(),
            by_bytes: Vec::new(),
            by_flows: Vec::new(),
        });
        for (hash, key, cell) in self.sample.hashed_rows() {
            heavy.add(hash, *key, cell);
        }
        heavy
    }
}

impl<K: Key> Heavy<K> {
    fn add(&mut self, hash: u64, key: K, cell: &Cell) {
        self.sums.add(hash, &cell.counts);
        draw(&mut self.by_bytes, cell.draws.bytes, key);
        draw(&mut self.by_flows, cell.draws.flows, key);
    }

    fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        other
            .by_bytes
            .iter()
            .for_each(|(number, key)| draw(&mut self.by_bytes, *number, *key));
        other
            .by_flows
            .iter()
            .for_each(|(number, key)| draw(&mut self.by_flows, *number, *key));
    }
}

/// Keeps each key with its smallest draw, and of these the smallest.
fn draw<K: Key>(winners: &mut Vec<(u64, K)>, number: u64, key: K) {
    if number == u64::MAX || (winners.len() == Heavy::<K>::LIMIT && winners.last() <= Some(&(number, key))) {
        return;
    }
    if let Some(at) = winners.iter().position(|(_, other)| *other == key) {
        if winners[at].0 <= number {
            return;
        }
        winners.remove(at);
    }
    let at = winners.partition_point(|other| *other < (number, key));
    winners.insert(at, (number, key));
    winners.truncate(Heavy::<K>::LIMIT);
}

fn tidy<K: Key>(winners: &mut Vec<(u64, K)>) {
    let mut tidied = Vec::new();
    winners
        .iter()
        .for_each(|(number, key)| draw(&mut tidied, *number, *key));
    *winners = tidied;
}
