//! Replays the seeds of every fuzz target and some thousand changes of each, the same ones on every run.

use std::fs;
use std::path::Path;

/// xorshift64*: enough to choose places and values.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

#[test]
fn seeds_and_their_neighbors() {
    for (name, target) in lynceus_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seeds: Vec<_> = fs::read_dir(&folder)
            .expect("seeds")
            .map(|file| file.expect("a seed").path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for path in seeds {
            let seed = fs::read(&path).expect("a seed");
            target(&seed);
            for _ in 0..3000 {
                let mut changed = seed.clone();
                for _ in 0..=chance.below(4) {
                    let at = chance.below(changed.len());
                    changed[at] = chance.below(256) as u8;
                }
                changed.truncate(seed.len() - chance.below(seed.len()) * chance.below(2));
                target(&changed);
            }
        }
    }
}
