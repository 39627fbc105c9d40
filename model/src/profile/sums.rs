//! Sums by key in fixed space: count-min (Cormode and Muthukrishnan, 2005) with fixed seeds.

use super::cell::{Counts, Merge};
use super::hash::mix;

/// Four rows of 128 columns of (flows, packets, bytes sent, bytes received): an estimate is never too small, and with probability 98 %
/// too large by less than e/128 = 2.1 % of the sum over all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    cells: Box<[u64]>,
}

/// Sums of one key, never too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub flows: u64,
    pub packets: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

impl Estimate {
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }
}

impl Sums {
    const ROWS: usize = 4;
    const COLUMNS: usize = 128;
    const VALUES: usize = 4;
    /// Numbers that [`Sums::cells`] gives.
    pub const CELLS: usize = Self::ROWS * Self::COLUMNS * Self::VALUES;

    pub(crate) fn add(&mut self, hash: u64, counts: &Counts) {
        let values = [
            counts.flows,
            counts.packets(),
            counts.bytes_sent,
            counts.bytes_received,
        ];
        for row in 0..Self::ROWS {
            let at = Self::place(hash, row);
            for (cell, value) in self.cells[at..at + Self::VALUES].iter_mut().zip(values) {
                *cell = cell.saturating_add(value);
            }
        }
    }

    #[must_use]
    pub(crate) fn estimate(&self, hash: u64) -> Estimate {
        let mut least = [u64::MAX; Self::VALUES];
        for row in 0..Self::ROWS {
            let at = Self::place(hash, row);
            for (least, cell) in least.iter_mut().zip(&self.cells[at..at + Self::VALUES]) {
                *least = (*least).min(*cell);
            }
        }
        let [flows, packets, bytes_sent, bytes_received] = least;
        Estimate {
            flows,
            packets,
            bytes_sent,
            bytes_received,
        }
    }

    #[must_use]
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// `None` unless there are [`Sums::CELLS`] numbers.
    #[must_use]
    pub fn from_cells(cells: &[u64]) -> Option<Self> {
        (cells.len() == Self::CELLS).then(|| Self { cells: cells.into() })
    }

    fn place(hash: u64, row: usize) -> usize {
        let column = mix(hash, row as u64) as usize % Self::COLUMNS;
        (row * Self::COLUMNS + column) * Self::VALUES
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            cells: vec![0; Self::CELLS].into(),
        }
    }
}

impl Merge for Sums {
    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine = mine.saturating_add(*theirs);
        }
    }
}
