//! A hasher for maps whose keys are addresses, ports and times.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::profile::finish;

/// Fast for short keys, and seeded anew in each process so that nobody outside can choose keys that collide. The order of
/// such a map differs from run to run: never iterate where the order shows.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

/// What [`Seeded`] builds: multiplies by a secret number and folds, as foldhash does.
#[derive(Clone, Copy, Debug)]
pub struct Mixer {
    state: u64,
    odd: u64,
}

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    #[inline]
    fn build_hasher(&self) -> Mixer {
        Mixer {
            state: self.0,
            odd: self.0.rotate_left(32) | 1,
        }
    }
}

impl Mixer {
    #[inline]
    const fn take(&mut self, word: u64) {
        let product = ((self.state ^ word) as u128).wrapping_mul(self.odd as u128);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn finish(&self) -> u64 {
        finish(self.state)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // Addresses, which are most of what is hashed.
        if let Ok(four) = <[u8; 4]>::try_from(bytes) {
            return self.take(u64::from(u32::from_le_bytes(four)));
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.take(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.take(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.take(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.take(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.take(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.take(value);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.take(value as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.take(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.take(value as u64);
    }
}
