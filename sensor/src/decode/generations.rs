//! A bounded map that forgets what was not used for long: two generations, the older one is dropped as a whole.

use std::hash::Hash;
use std::time::Duration;

use lynceus_model::time::Timestamp;
use rustc_hash::FxHashMap;

/// At most `capacity` entries in all; an entry is forgotten at the latest after twice `max_age` without use.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    capacity: usize,
    max_age: Duration,
    turned: Option<Timestamp>,
}

impl<K: Eq + Hash + Copy, V> Generations<K, V> {
    pub(crate) fn new(capacity: usize, max_age: Duration) -> Self {
        Self {
            young: FxHashMap::default(),
            old: FxHashMap::default(),
            capacity: capacity.max(2),
            max_age,
            turned: None,
        }
    }

    /// The entry of `key`, made by `V::default` if there is none. Entries that had to go are given to `forget`.
    pub(crate) fn entry(&mut self, key: K, now: Timestamp, forget: impl FnMut(V)) -> &mut V
    where
        V: Default,
    {
        self.turn(now, forget);
        let old = &mut self.old;
        self.young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or_default())
    }

    pub(crate) fn insert(&mut self, key: K, value: V, now: Timestamp, forget: impl FnMut(V)) {
        self.turn(now, forget);
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn turn(&mut self, now: Timestamp, forget: impl FnMut(V)) {
        let since = *self.turned.get_or_insert(now);
        if self.young.len() < self.capacity / 2 && now.since(since) < self.max_age {
            return;
        }
        self.turned = Some(now);
        let gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        gone.into_values().for_each(forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_forgets_the_rest() {
        let mut map = Generations::<u32, u32>::new(100, Duration::from_secs(10));
        let mut forgotten = Vec::new();
        for index in 0..1000 {
            let now = Timestamp::from_secs(1);
            *map.entry(7, now, |value| forgotten.push(value)) = 7;
            map.insert(1000 + index, index, now, |value| forgotten.push(value));
            assert!(map.len() <= 102);
        }
        assert!(map.get(&7).is_some());
        assert!(forgotten.len() >= 890, "{}", forgotten.len());

        map.insert(1, 1, Timestamp::from_secs(12), |_| {});
        map.insert(2, 2, Timestamp::from_secs(30), |_| {});
        assert!(map.get(&7).is_none(), "too old");
        assert_eq!(map.remove(&2), Some(2));
    }
}
