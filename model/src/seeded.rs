//! A hasher for maps whose keys are addresses, ports and times.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::profile::mix;

/// Fast for short keys, and seeded anew in each process so that nobody outside can choose keys that collide. The order of
/// such a map differs from run to run: never iterate where the order shows.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

/// What [`Seeded`] builds.
#[derive(Clone, Copy, Debug)]
pub struct Mixer(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix(self.0, u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.0 = mix(self.0, u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.0 = mix(self.0, u64::from(value));
    }

    fn write_i64(&mut self, value: i64) {
        self.0 = mix(self.0, value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = mix(self.0, value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.0 = mix(self.0, value as u64);
    }
}
