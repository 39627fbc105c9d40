//! Ranges of addresses with a number each, in blocks that are unpacked when first asked for.
//!
//! The whole space is cut: a range ends where the next one begins, and number 0 means that nothing is known. A search
//! finds the block by the index and the range by halving. What is unpacked stays; all of it is bounded by the number of
//! ranges that the index states and [`MAX_RANGES`].

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use super::bytes::{Cursor, put};
use super::container::{Container, Damaged};

/// Ranges in a table: four times what the largest of ours has.
pub const MAX_RANGES: u64 = 16 << 20;
/// Ranges in a block.
pub const BLOCK: usize = 8192;
/// A packed block, unpacked: 19 bytes of start, 5 bytes of the block's own list and 2 bytes of number a range.
const MAX_BLOCK_BYTES: usize = BLOCK * 26 + 64;

/// Addresses as numbers: IPv4, MAC, IPv6.
pub trait Key: Copy + Ord + Debug + Send + Sync + 'static {
    /// Bytes in the index.
    const BYTES: usize;
    const MAX: Self;
    fn from_le(bytes: &[u8]) -> Option<Self>;
    fn wide(self) -> u128;
    /// `None`: does not fit.
    fn narrow(wide: u128) -> Option<Self>;
}

macro_rules! key {
    ($type:ty) => {
        impl Key for $type {
            const BYTES: usize = size_of::<Self>();
            const MAX: Self = Self::MAX;

            fn from_le(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().map(|bytes| Self::from_le_bytes(*bytes))
            }

            fn wide(self) -> u128 {
                self.into()
            }

            fn narrow(wide: u128) -> Option<Self> {
                wide.try_into().ok()
            }
        }
    };
}

key!(u32);
key!(u64);
key!(u128);

/// Ranges of one family.
#[derive(Debug)]
pub struct Ranges<K> {
    container: Arc<Container>,
    /// Section of the blocks, for errors.
    name: String,
    /// First key of each block.
    firsts: Vec<K>,
    places: Vec<Place>,
    blocks: Vec<OnceLock<Result<Block<K>, Damaged>>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    checksum: u32,
    count: u32,
}

#[derive(Debug)]
struct Block<K> {
    starts: Vec<K>,
    numbers: Vec<u32>,
    /// How many starts lie before each slice of the block's span; a search halves only within its slice.
    before: Vec<u16>,
    /// Bits of a key's distance from the first start that a slice does not tell.
    shift: u32,
}

/// Slices of a block are this many bits: 2 KiB a block, so that a slice has eight starts on average.
const SLICE_BITS: u32 = 10;
const _: () = assert!(BLOCK <= u16::MAX as usize);

impl<K: Key> Block<K> {
    /// `starts` ascend, and there is at least one.
    fn new(starts: Vec<K>, numbers: Vec<u32>) -> Self {
        let first = starts[0].wide();
        let span = starts[starts.len() - 1].wide() - first;
        let shift = (u128::BITS - span.leading_zeros()).saturating_sub(SLICE_BITS);
        let slices = (span >> shift) as usize + 1;
        let mut before = Vec::with_capacity(slices + 1);
        for (index, start) in starts.iter().enumerate() {
            let slice = ((start.wide() - first) >> shift) as usize;
            before.resize((slice + 1).max(before.len()), index as u16);
        }
        before.push(starts.len() as u16);
        Self {
            starts,
            numbers,
            before,
            shift,
        }
    }

    /// How many starts are not behind `key`, which is not before the first.
    fn upto(&self, key: K) -> usize {
        let distance = key.wide().saturating_sub(self.starts[0].wide()) >> self.shift;
        let slice = distance.min(self.before.len() as u128 - 2) as usize;
        let (from, to) = (
            usize::from(self.before[slice]),
            usize::from(self.before[slice + 1]),
        );
        from + self.starts[from..to].partition_point(|start| *start <= key)
    }
}

/// What a search finds: every key from `first` to `last` has this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<K> {
    pub first: K,
    pub last: K,
    pub number: u32,
}

impl<K: Key> Ranges<K> {
    /// Reads the index; no block is unpacked.
    ///
    /// # Errors
    /// The index is cut, not in order, or states more than the bounds allow.
    pub fn open(container: Arc<Container>, family: &str) -> Result<Self, Damaged> {
        let name = format!("{family}.blocks");
        let blocks = container.section(&name);
        let index_name = format!("{family}.index");
        let fault = |offset, what| Damaged::at(index_name.clone(), offset, what);
        let index = &container.bytes()[container.section(&index_name)];
        let entry = K::BYTES + 12;
        if !index.len().is_multiple_of(entry) {
            return Err(fault(index.len(), "cut"));
        }
        let (mut firsts, mut places): (Vec<K>, Vec<Place>) = (Vec::new(), Vec::new());
        let (mut start, mut ranges) = (blocks.start, 0_u64);
        for (position, entry) in index.chunks_exact(entry).enumerate() {
            let offset = position * (K::BYTES + 12);
            let number = |at: usize| {
                let bytes = entry.get(K::BYTES + at..).and_then(<[u8]>::first_chunk);
                bytes.map(|bytes| u32::from_le_bytes(*bytes))
            };
            let (Some(first), Some(length), Some(checksum), Some(count)) =
                (K::from_le(entry), number(0), number(4), number(8))
            else {
                return Err(fault(offset, "cut"));
            };
            if count == 0 || count as usize > BLOCK {
                return Err(fault(offset, "a block of more ranges than a block may have"));
            }
            ranges += u64::from(count);
            if ranges > MAX_RANGES {
                return Err(fault(offset, "too many ranges"));
            }
            let ascending = match firsts.last() {
                Some(last) => *last < first,
                None => first.wide() == 0,
            };
            if !ascending {
                return Err(fault(offset, "blocks are not in order"));
            }
            let end = start
                .checked_add(length as usize)
                .filter(|end| *end <= blocks.end)
                .ok_or_else(|| fault(offset, "a block ends behind its section"))?;
            firsts.push(first);
            places.push(Place {
                start,
                end,
                checksum,
                count,
            });
            start = end;
        }
        Ok(Self {
            blocks: firsts.iter().map(|_| OnceLock::new()).collect(),
            container,
            name,
            firsts,
            places,
        })
    }

    /// The range that holds `key`; `None`: the table has no ranges at all.
    ///
    /// # Errors
    /// The block that holds it is damaged.
    pub fn find(&self, key: K) -> Result<Option<Found<K>>, Damaged> {
        let after = self.firsts.partition_point(|first| *first <= key);
        let Some(at) = after.checked_sub(1) else {
            return Ok(None);
        };
        let block = match self.blocks[at].get_or_init(|| self.unpack(at)) {
            Ok(block) => block,
            Err(damaged) => return Err(damaged.clone()),
        };
        let next = block.upto(key);
        // The block begins at its first key, which is not behind `key`.
        let own = next.saturating_sub(1);
        let until = block.starts.get(next).or_else(|| self.firsts.get(after));
        Ok(Some(Found {
            first: block.starts[own],
            last: until
                .and_then(|next| K::narrow(next.wide() - 1))
                .unwrap_or(K::MAX),
            number: block.numbers[own],
        }))
    }

    /// All ranges in order.
    ///
    /// # Errors
    /// A block is damaged.
    pub fn each(&self, mut visit: impl FnMut(K, u32)) -> Result<(), Damaged> {
        for at in 0..self.places.len() {
            let block = self.unpack(at)?;
            for (start, number) in block.starts.iter().zip(&block.numbers) {
                visit(*start, *number);
            }
        }
        Ok(())
    }

    /// Ranges, those that say nothing included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.count)).sum()
    }

    fn unpack(&self, at: usize) -> Result<Block<K>, Damaged> {
        let place = self.places[at];
        let begin = place.start - self.container.section(&self.name).start;
        let fault = |what| Damaged::at(self.name.clone(), begin, what);
        let packed = &self.container.bytes()[place.start..place.end];
        if crc32c::crc32c(packed) != place.checksum {
            return Err(fault("checksum of a block"));
        }
        let bytes = zstd::bulk::decompress(packed, MAX_BLOCK_BYTES)
            .map_err(|_| fault("a block that does not unpack to its bound"))?;
        let last = self.firsts.get(at + 1).copied();
        unpack(&bytes, self.firsts[at], last, place.count as usize)
            .ok_or_else(|| fault("a block that is not as its index says"))
    }
}

/// Shift, starts as differences, the block's own list of numbers as differences, and where each range stands in it.
fn unpack<K: Key>(bytes: &[u8], first: K, next: Option<K>, count: usize) -> Option<Block<K>> {
    let mut cursor = Cursor::new(bytes);
    let shift = u32::from(cursor.byte()?);
    if shift >= 128 {
        return None;
    }
    let mut starts = Vec::with_capacity(count);
    starts.push(first);
    let mut start = first.wide();
    for _ in 1..count {
        let step = cursor.wide()?;
        if step == 0 || step.leading_zeros() < shift {
            return None;
        }
        start = start.checked_add(step << shift)?;
        let key = K::narrow(start)?;
        if next.is_some_and(|next| key >= next) {
            return None;
        }
        starts.push(key);
    }
    let list = usize::try_from(cursor.number()?).ok()?;
    if list == 0 || list > count {
        return None;
    }
    let mut own = Vec::with_capacity(list);
    let mut number = 0_u64;
    for _ in 0..list {
        number = number.checked_add(cursor.number()?)?;
        own.push(u32::try_from(number).ok()?);
    }
    let low = cursor.take(count)?;
    let high = if list > 256 {
        Some(cursor.take(count)?)
    } else {
        None
    };
    let mut numbers = Vec::with_capacity(count);
    for index in 0..count {
        let high = high.map_or(0, |high| usize::from(high[index]) << 8);
        numbers.push(*own.get(high | usize::from(low[index]))?);
    }
    Some(Block::new(starts, numbers))
}

/// The inverse: one packed block.
pub(super) fn pack<K: Key>(ranges: &[(K, u32)]) -> Vec<u8> {
    let steps: Vec<u128> = ranges
        .windows(2)
        .map(|pair| pair[1].0.wide() - pair[0].0.wide())
        .collect();
    let shift = steps
        .iter()
        .map(|step| step.trailing_zeros())
        .min()
        .unwrap_or(0)
        .min(127);
    let mut out = vec![shift as u8];
    for step in steps {
        put(&mut out, step >> shift);
    }
    let mut own: Vec<u32> = ranges.iter().map(|(_, number)| *number).collect();
    own.sort_unstable();
    own.dedup();
    put(&mut out, own.len() as u128);
    let mut before = 0;
    for number in &own {
        put(&mut out, u128::from(number - before));
        before = *number;
    }
    let places: Vec<usize> = ranges
        .iter()
        .map(|(_, number)| own.partition_point(|own| own < number))
        .collect();
    out.extend(places.iter().map(|place| *place as u8));
    if own.len() > 256 {
        out.extend(places.iter().map(|place| (place >> 8) as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Block;

    proptest! {
        #[test]
        fn slices_find_what_halving_finds(
            starts in proptest::collection::btree_set(any::<u32>(), 1..300),
            narrow in 0_u32..32,
            keys in proptest::collection::vec(any::<u32>(), 50),
        ) {
            // Also blocks whose starts lie close together.
            let starts: Vec<u32> = starts.into_iter().map(|start| start >> narrow).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let numbers = vec![0; starts.len()];
            let block = Block::new(starts.clone(), numbers);
            for key in keys.iter().map(|key| key >> narrow).chain(starts.iter().copied()).filter(|key| *key >= starts[0]) {
                prop_assert_eq!(block.upto(key), starts.partition_point(|start| *start <= key));
            }
        }

        #[test]
        fn wide_keys_too(starts in proptest::collection::btree_set(any::<u128>(), 1..100), keys in proptest::collection::vec(any::<u128>(), 50)) {
            let starts: Vec<u128> = starts.into_iter().collect();
            let block = Block::new(starts.clone(), vec![0; starts.len()]);
            for key in keys.into_iter().chain(starts.iter().copied()).filter(|key| *key >= starts[0]) {
                prop_assert_eq!(block.upto(key), starts.partition_point(|start| *start <= key));
            }
        }
    }
}
