//! Feature vectors with the shapes that traffic gives: heavy tails, shares, many zeros.

use lynceus_model::outlier::{COUNT, FEATURES, Values};

/// SplitMix64.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// So many windows, the same for the same seed.
pub(crate) fn windows(seed: u64, count: usize) -> Vec<Values> {
    let mut random = Random(seed);
    (0..count).map(|_| window(&mut random)).collect()
}

fn window(random: &mut Random) -> Values {
    let mut values = Values::default();
    for (feature, info) in FEATURES.iter().enumerate().take(COUNT) {
        let value = match info.unit {
            "ratio" => {
                let (a, b) = (random.unit(), random.unit());
                a * b
            }
            "bits" | "nats" => (3.0 + 0.5 * random.normal()).max(0.0),
            "seconds" => (0.8 * random.normal()).exp(),
            "bytes" => (11.0 + 1.8 * random.normal()).exp().round(),
            // Many windows have none.
            _ if random.unit() < 0.3 => 0.0,
            _ => (2.5 + 1.2 * random.normal()).exp().round(),
        };
        values.set(feature, Some(value));
    }
    values
}
