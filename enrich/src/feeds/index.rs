//! Ten million indicators in half a gibibyte: keys one after another in one block of bytes, found by an open-addressing
//! table of 32-bit places with 32 bits of the key's hash beside each, so that a look-up waits for memory once in the table
//! and once more where the key is. Keys are compared, never trusted to a hash.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;

use lynceus_model::evidence::ThreatLevel;
use lynceus_model::seeded::Seeded;

use crate::indicator::{Indicator, Key, Kind, MAX_KEY};

/// What a feed says of an indicator; many indicators share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    pub level: ThreatLevel,
    pub description: String,
    pub tags: Vec<String>,
}

/// Where a key stands in the block of bytes, plus one; 0 is empty. Other keys are mostly told by the mark, without a look
/// at their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    place: u32,
    mark: u32,
}

/// An inclusive range of addresses, IPv4 as its mapped IPv6 address; `parent` is the narrowest range around it.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u128,
    last: u128,
    meta: u32,
    parent: u32,
}

const NONE: u32 = u32::MAX;
/// Ranges looked at for one address. Feeds nest a few; a hostile one must not make a look-up long.
const MAX_NESTING: u32 = 256;
/// Kind, length and number of the [`Meta`] before each key.
const HEADER: usize = 7;

/// Indicators of one feed, read-only.
#[derive(Debug, Default)]
pub struct Index {
    /// A power of two, at most three quarters full.
    slots: Vec<Slot>,
    entries: usize,
    keys: Vec<u8>,
    ranges: Vec<Range>,
    metas: Vec<Meta>,
    hasher: Seeded,
    /// Bit of each [`Kind`] that is there.
    kinds: u16,
    refused: u64,
}

impl Index {
    /// Indicators, networks included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries + self.ranges.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Indicators that found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Bytes of memory, without the texts of the descriptions.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.keys.capacity()
            + self.ranges.capacity() * size_of::<Range>()
    }

    /// Whether it lists anything of this kind.
    #[must_use]
    pub const fn has(&self, kind: Kind) -> bool {
        self.kinds >> kind as u16 & 1 != 0
    }

    /// What the feed says of `key`; it may say several things.
    pub fn get(&self, key: &Key) -> impl Iterator<Item = &Meta> {
        let mask = self.slots.len().wrapping_sub(1);
        let hash = self.hash(key);
        let mut at = hash as usize & mask;
        let mut left = self.slots.len();
        std::iter::from_fn(move || {
            while left > 0 {
                let slot = self.slots[at];
                let place = slot.place.checked_sub(1)?;
                at = (at + 1) & mask;
                left -= 1;
                if slot.mark == mark(hash)
                    && let Some(meta) = self.meta_of(place, key)
                {
                    return self.metas.get(meta as usize);
                }
            }
            None
        })
    }

    /// Networks around an address, the narrowest first, as `first-last`.
    pub fn networks(&self, ip: IpAddr) -> impl Iterator<Item = (String, &Meta)> {
        let ip = bits(ip);
        let after = self.ranges.partition_point(|range| range.first <= ip);
        let mut at = after
            .checked_sub(1)
            .and_then(|place| u32::try_from(place).ok())
            .unwrap_or(NONE);
        let mut left = MAX_NESTING;
        std::iter::from_fn(move || {
            loop {
                left = left.checked_sub(1)?;
                let range = self.ranges.get(at as usize)?;
                at = range.parent;
                if range.last >= ip {
                    return Some((span(range), self.metas.get(range.meta as usize)?));
                }
            }
        })
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one((key.kind as u8, key.bytes.as_slice()))
    }

    /// Number of the word on `key`, if it is the key that stands at this place.
    fn meta_of(&self, place: u32, key: &Key) -> Option<u32> {
        let place = place as usize;
        let stored = self.keys.get(place..place + HEADER + key.bytes.len())?;
        let (header, bytes) = stored.split_first_chunk::<HEADER>()?;
        let [kind, low, high, meta @ ..] = *header;
        let length = usize::from(u16::from_le_bytes([low, high]));
        (kind == key.kind as u8 && length == key.bytes.len() && bytes == key.bytes.as_slice())
            .then(|| u32::from_le_bytes(meta))
    }

    fn key_at(&self, place: usize) -> Key {
        let kind = Kind::ALL[usize::from(self.keys[place])];
        let length = usize::from(u16::from_le_bytes([self.keys[place + 1], self.keys[place + 2]]));
        let bytes = self.keys[place + HEADER..place + HEADER + length].to_vec();
        Key { kind, bytes }
    }

    fn put(&mut self, place: u32, key: &Key) {
        let mask = self.slots.len() - 1;
        let hash = self.hash(key);
        let mut at = hash as usize & mask;
        while self.slots[at].place != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot {
            place: place + 1,
            mark: mark(hash),
        };
    }

    /// Doubles the table, or makes the first one.
    fn widen(&mut self) {
        let slots = (self.slots.len() * 2).max(16);
        self.slots = vec![Slot::default(); slots];
        let mut place = 0;
        while place < self.keys.len() {
            let key = self.key_at(place);
            self.put(place as u32, &key);
            place += HEADER + key.bytes.len();
        }
    }
}

/// The half of a hash that does not say where in the table to look.
const fn mark(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Collects the indicators of one feed.
#[derive(Debug, Default)]
pub struct Builder {
    index: Index,
    known: HashMap<Meta, u32>,
}

impl Builder {
    /// Indicators of one feed: beyond, places do not fit in the table. More are refused and counted.
    pub const MAX_ENTRIES: usize = 1 << 26;
    /// Bytes of keys of one feed: places are 32 bits.
    pub const MAX_KEY_BYTES: usize = u32::MAX as usize - MAX_KEY - HEADER;
    /// Different descriptions of one feed; indicators with further ones keep the level and lose the text.
    pub const MAX_METAS: usize = 1 << 20;

    /// Adds an indicator. The same one with the same word is kept once.
    pub fn add(&mut self, indicator: &Indicator, meta: &Meta) {
        let full = self.index.entries >= Self::MAX_ENTRIES
            || self.index.keys.len() >= Self::MAX_KEY_BYTES
            || self.index.ranges.len() >= Self::MAX_ENTRIES;
        if full {
            self.index.refused += 1;
            return;
        }
        let number = self.meta(meta);
        self.index.kinds |= 1 << indicator.kind() as u16;
        match indicator {
            Indicator::Network { first, last } => {
                grow(&mut self.index.ranges);
                self.index.ranges.push(Range {
                    first: bits(*first),
                    last: bits(*last),
                    meta: number,
                    parent: NONE,
                });
            }
            Indicator::Key(key) => self.add_key(key, number),
        }
    }

    fn add_key(&mut self, key: &Key, meta: u32) {
        let index = &mut self.index;
        let same = &index.metas[meta as usize];
        if index.get(key).any(|known| std::ptr::eq(known, same)) {
            return;
        }
        let Ok(length) = u16::try_from(key.bytes.len()) else {
            index.refused += 1;
            return;
        };
        if (index.entries + 1) * 4 > index.slots.len() * 3 {
            index.widen();
        }
        let place = index.keys.len() as u32;
        if index.keys.capacity() - index.keys.len() < HEADER + key.bytes.len() {
            // Doubling would cost more than the whole table at ten million.
            index
                .keys
                .reserve_exact((index.keys.len() / 8).max(4096) + key.bytes.len());
        }
        index.keys.push(key.kind as u8);
        index.keys.extend_from_slice(&length.to_le_bytes());
        index.keys.extend_from_slice(&meta.to_le_bytes());
        index.keys.extend_from_slice(&key.bytes);
        index.entries += 1;
        index.put(place, key);
    }

    fn meta(&mut self, meta: &Meta) -> u32 {
        if let Some(number) = self.known.get(meta) {
            return *number;
        }
        let meta = if self.known.len() < Self::MAX_METAS {
            meta.clone()
        } else {
            Meta {
                level: meta.level,
                description: String::new(),
                tags: Vec::new(),
            }
        };
        let next = self.index.metas.len() as u32;
        *self.known.entry(meta.clone()).or_insert_with(|| {
            self.index.metas.push(meta);
            next
        })
    }

    #[must_use]
    pub fn finish(mut self) -> Index {
        let index = &mut self.index;
        // Outer ranges before those in them.
        index
            .ranges
            .sort_by_key(|range| (range.first, std::cmp::Reverse(range.last), range.meta));
        index
            .ranges
            .dedup_by_key(|range| (range.first, range.last, range.meta));
        let mut open: Vec<u32> = Vec::new();
        for at in 0..index.ranges.len() {
            while let Some(&outer) = open.last() {
                // Feeds may overlap ranges without one holding the other; the walk checks each, so a parent needs only
                // to reach beyond the begin.
                if index.ranges[outer as usize].last >= index.ranges[at].first {
                    break;
                }
                open.pop();
            }
            index.ranges[at].parent = open.last().copied().unwrap_or(NONE);
            open.push(at as u32);
        }
        index.keys.shrink_to_fit();
        index.ranges.shrink_to_fit();
        self.index
    }
}

fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(64));
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn span(range: &Range) -> String {
    let text = |bits: u128| IpAddr::V6(bits.into()).to_canonical();
    format!("{}-{}", text(range.first), text(range.last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta(text: &str) -> Meta {
        Meta {
            level: ThreatLevel::High,
            description: text.to_owned(),
            tags: Vec::new(),
        }
    }

    #[test]
    fn one_indicator_may_have_several_words_and_each_stands_once() {
        let mut builder = Builder::default();
        let key = Indicator::guess("192.0.2.1").unwrap();
        for text in ["a", "b", "a"] {
            builder.add(&key, &meta(text));
        }
        let index = builder.finish();
        let Indicator::Key(key) = key else { unreachable!() };
        let said: Vec<_> = index.get(&key).map(|meta| meta.description.as_str()).collect();
        assert_eq!(said, ["a", "b"]);
        assert_eq!(index.len(), 2);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(keys in prop::collection::vec(any::<u16>(), 0..400), asked in prop::collection::vec(any::<u16>(), 50)) {
            let key = |number: u16| Key::new(Kind::Domain, &format!("h{number}.example")).unwrap();
            let mut builder = Builder::default();
            for number in &keys {
                builder.add(&Indicator::Key(key(*number)), &meta("x"));
            }
            let index = builder.finish();
            for number in asked.iter().chain(&keys) {
                prop_assert_eq!(index.get(&key(*number)).count(), usize::from(keys.contains(number)));
            }
        }

        #[test]
        fn ranges_are_found_as_by_looking_at_each(
            ranges in prop::collection::vec((any::<u8>(), any::<u8>()), 0..40),
            asked in any::<u8>(),
        ) {
            let ip = |low: u8| IpAddr::from([192, 0, 2, low]);
            let mut builder = Builder::default();
            for (a, b) in &ranges {
                let network = Indicator::Network { first: ip(*a.min(b)), last: ip(*a.max(b)) };
                builder.add(&network, &meta("x"));
            }
            let index = builder.finish();
            let distinct: std::collections::BTreeSet<_> = ranges.iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let expected = distinct.iter().filter(|(a, b)| (**a..=**b).contains(&asked)).count();
            prop_assert_eq!(index.networks(ip(asked)).count(), expected);
        }
    }
}
