//! From a flow key to its place: open addressing with linear probing, eight bytes a cell.
//!
//! A cell holds the upper half of the key's hash and the place, so a probe touches a flow only if 32 bits agree, and
//! growing needs no keys. Deletion shifts back instead of leaving marks, so look-ups never get slower with age.

use sensor_ebpf::flow::FlowKey;
use std::hash::{BuildHasher, RandomState};

/// Hash tag in the upper, place + 1 in the lower half; 0 is free.
type Cell = u64;

pub(super) struct Index {
    cells: Vec<Cell>,
    used: usize,
    seeds: [u64; 4],
}

/// Position and tag of a key.
#[derive(Clone, Copy, Default)]
pub(super) struct Hash(u32);

impl Index {
    pub(super) fn new() -> Self {
        // Seeds per table: nobody can aim keys at one cell. The order of output does not depend on them.
        let random = RandomState::new();
        Self {
            cells: vec![0; 1024],
            used: 0,
            seeds: std::array::from_fn(|number| random.hash_one(number)),
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.cells.len() * size_of::<Cell>()
    }

    #[inline]
    pub(super) fn hash(&self, key: &FlowKey) -> Hash {
        let half = |bytes: &[u8; 16], at: usize| {
            u64::from_ne_bytes(std::array::from_fn(|offset| bytes[at + offset]))
        };
        let ports_and_vlans = u64::from(key.low_port)
            | u64::from(key.high_port) << 16
            | u64::from(key.vlan[0]) << 32
            | u64::from(key.vlan[1]) << 48;
        let rest = u64::from(key.protocol)
            | u64::from(key.tunnel) << 8
            | u64::from(key.one_way) << 16
            | u64::from(key.vni) << 32;
        let [a, b, c, d] = self.seeds;
        let low = fold(half(&key.low, 0) ^ a, half(&key.low, 8) ^ b);
        let high = fold(half(&key.high, 0) ^ c, half(&key.high, 8) ^ d);
        let ends = fold(ports_and_vlans ^ b, rest ^ c);
        Hash((fold(low ^ ends, high.rotate_left(32) ^ d) >> 32) as u32)
    }

    /// The place for which `is_it` holds, among those with this hash.
    #[inline]
    pub(super) fn find(&self, hash: Hash, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.cells.len() - 1;
        let mut at = hash.0 as usize & mask;
        loop {
            let cell = self.cells[at];
            if cell == 0 {
                return None;
            }
            if (cell >> 32) as u32 == hash.0 {
                let slot = cell as u32 - 1;
                if is_it(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Brings the cell where a search begins near.
    #[inline]
    pub(super) fn touch(&self, hash: Hash) -> u64 {
        self.cells[hash.0 as usize & (self.cells.len() - 1)]
    }

    /// Adds a place that is not in the index.
    pub(super) fn insert(&mut self, hash: Hash, slot: u32) {
        if (self.used + 1) * 4 > self.cells.len() * 3 {
            self.grow();
        }
        self.used += 1;
        self.put(u64::from(hash.0) << 32 | u64::from(slot + 1));
    }

    /// Takes a place out.
    pub(super) fn remove(&mut self, hash: Hash, slot: u32) {
        let mask = self.cells.len() - 1;
        let wanted = u64::from(hash.0) << 32 | u64::from(slot + 1);
        let mut hole = hash.0 as usize & mask;
        while self.cells[hole] != wanted {
            if self.cells[hole] == 0 {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let cell = self.cells[at];
            if cell == 0 {
                break;
            }
            let home = (cell >> 32) as usize & mask;
            // The cell may move into the hole unless its home lies behind the hole.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.cells[hole] = cell;
                hole = at;
            }
        }
        self.cells[hole] = 0;
    }

    fn put(&mut self, cell: Cell) {
        let mask = self.cells.len() - 1;
        let mut at = (cell >> 32) as usize & mask;
        while self.cells[at] != 0 {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    fn grow(&mut self) {
        let bigger = vec![0; self.cells.len() * 2];
        for cell in std::mem::replace(&mut self.cells, bigger) {
            if cell != 0 {
                self.put(cell);
            }
        }
    }
}

/// Both halves of the 128-bit product, mixed.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map of the standard library, with hashes so poor that chains overlap and wrap around.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((any::<bool>(), 0u32..400), 1..3000)) {
            let mut index = Index::new();
            let mut model = HashMap::new();
            let hash = |slot: u32| Hash((slot % 7).wrapping_mul(u32::MAX / 6));
            for (add, slot) in steps {
                if add && model.insert(slot, ()).is_none() {
                    index.insert(hash(slot), slot);
                } else if !add && model.remove(&slot).is_some() {
                    index.remove(hash(slot), slot);
                }
            }
            for slot in 0..400 {
                let found = index.find(hash(slot), |candidate| candidate == slot);
                prop_assert_eq!(found.is_some(), model.contains_key(&slot));
            }
        }
    }

    #[test]
    fn grows_past_its_first_cells() {
        let mut index = Index::new();
        let key = |number: u32| FlowKey {
            vni: number,
            ..FlowKey::default()
        };
        for number in 0..10_000 {
            index.insert(index.hash(&key(number)), number);
        }
        for number in 0..10_000 {
            assert_eq!(
                index.find(index.hash(&key(number)), |slot| slot == number),
                Some(number)
            );
        }
    }
}
