//! A map that forgets what was not touched for longest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use lynceus_model::seeded::Seeded;

/// At most twice `limit` entries: when the young ones are `limit`, the old ones are forgotten and the young ones become
/// old; a touched entry is young again. Cheaper than an order of all entries, and as good for this.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    limit: usize,
    young: HashMap<K, V, Seeded>,
    old: HashMap<K, V, Seeded>,
    forgotten: u64,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            young: HashMap::default(),
            old: HashMap::default(),
            forgotten: 0,
        }
    }

    /// The entry, which is young then.
    pub(crate) fn touch(&mut self, key: K) -> Option<&mut V> {
        if self.young.len() >= self.limit {
            if self.young.contains_key(&key) {
                return self.young.get_mut(&key);
            }
            let value = self.old.remove(&key)?;
            return Some(self.insert(key, value));
        }
        match self.young.entry(key) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                if self.old.is_empty() {
                    return None;
                }
                let value = self.old.remove(entry.key())?;
                Some(entry.insert(value))
            }
        }
    }

    /// Puts an entry that is not there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> &mut V {
        if self.young.len() >= self.limit {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.entry(key).or_insert(value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Shows every entry, in no order.
    pub(crate) fn each(&mut self, mut each: impl FnMut(&K, &mut V)) {
        let all = self.young.iter_mut().chain(self.old.iter_mut());
        all.for_each(|(key, value)| each(key, value));
    }

    /// Entries that had to go.
    pub(crate) const fn refused(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_stays_and_memory_is_bounded() {
        let mut map = Generations::new(10);
        for n in 0..1_000 {
            if map.touch(0).is_none() {
                assert_eq!(n, 0);
                map.insert(0, "kept");
            }
            map.insert(n + 1, "other");
            assert!(map.young.len() + map.old.len() <= 20);
        }
        assert_eq!(map.touch(0), Some(&mut "kept"));
        assert_eq!(map.touch(5), None);
        assert!(map.refused() >= 980);
        assert_eq!(map.remove(&0), Some("kept"));
        assert_eq!(map.touch(0), None);
    }
}
