//! The keyed hash that places a flow in the cache.

use crate::flow::{KEY_IPV4, KeyWords};

/// Keys of the hash, random at each load; the seventh is not used.
pub type HashKeys = [u64; 8];

/// Number below 2^32 of a flow seen at a packed point; its low bits choose the set. `keys` gives those of [`HashKeys`].
///
/// Keyed NH (as in UMAC): the sum of products of 32-bit halves with the keys added, which do not wait for each other.
/// Two flows of one point have the same sum with probability 2^-32 over the random keys, so a flood cannot aim at a set. NH alone is
/// linear, and the addresses and ports of a real network lie in rows: under some keys their sets did too. The two
/// rounds of multiplying and folding at the end take that away.
#[inline(always)]
#[must_use]
pub fn flow_hash(key: &KeyWords, point: u64, keys: impl Fn(usize) -> u64) -> u64 {
    // The point stands where the network identifier of a tunnel does; each of them alone tells two flows apart.
    let mut sum = product(key[0], keys(0))
        .wrapping_add(product(key[1] ^ point << 32, keys(1)))
        .wrapping_add(product(key[2], keys(2)));
    if key[1] & KEY_IPV4 == 0 {
        sum = sum
            .wrapping_add(product(key[3], keys(3)))
            .wrapping_add(product(key[4], keys(4)))
            .wrapping_add(product(key[5], keys(5)));
    }
    sum ^= sum >> 32;
    sum = sum.wrapping_mul(keys(7) | 1);
    sum ^= sum >> 29;
    sum.wrapping_mul(0x9fb2_1c65_1e98_df25) >> 32
}

#[inline(always)]
fn product(word: u64, key: u64) -> u64 {
    let low = (word as u32).wrapping_add(key as u32);
    let high = ((word >> 32) as u32).wrapping_add((key >> 32) as u32);
    u64::from(low).wrapping_mul(u64::from(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{FlowKey, v4_mapped};

    fn keys(seed: &mut u64) -> HashKeys {
        [0; 8].map(|_: u64| {
            // SplitMix64.
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *seed;
            word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ word >> 31
        })
    }

    fn flow(from: ([u8; 16], u16), to: ([u8; 16], u16)) -> KeyWords {
        let mut key = FlowKey {
            protocol: 6,
            ..FlowKey::default()
        };
        key.set_ends(from, to);
        key.words()
    }

    /// Flows as they lie in a real network: rows of addresses, of ports, of both.
    fn rows() -> Vec<(&'static str, Vec<KeyWords>)> {
        const FLOWS: u32 = 4096;
        let server = (v4_mapped([198, 51, 100, 7]), 443);
        let row = |flow_of: &dyn Fn(u32) -> KeyWords| (0..FLOWS).map(flow_of).collect::<Vec<_>>();
        let v4 = |number: u32| v4_mapped((0x0a00_0000 + number).to_be_bytes());
        let v6 = |number: u32| {
            let mut address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            address[12..].copy_from_slice(&number.to_be_bytes());
            address
        };
        vec![
            ("source addresses", row(&|n| flow((v4(n), 40_000), server))),
            ("source ports", row(&|n| flow((v4(1), 20_000 + n as u16), server))),
            (
                "address and port together",
                row(&|n| flow((v4(n), n as u16), server)),
            ),
            (
                "addresses, low byte last",
                row(&|n| flow((v4_mapped(n.to_le_bytes()), n as u16), server)),
            ),
            (
                "a vertical scan",
                row(&|n| flow((v4(1), 50_000), (v4_mapped([198, 51, 100, 7]), n as u16))),
            ),
            (
                "64 clients, 64 servers",
                row(&|n| {
                    flow(
                        (v4(n % 64), 40_000),
                        (v4_mapped([198, 51, 100, (n / 64) as u8]), 443),
                    )
                }),
            ),
            (
                "even ports of 16 clients",
                row(&|n| flow((v4(n % 16), 32_768 + (n / 16 * 2) as u16), server)),
            ),
            ("IPv6", row(&|n| flow((v6(n), 40_000), (v6(0xffff_0000), 443)))),
        ]
    }

    /// Flows that find no place in a table of sets of two, all of them living at the same time.
    fn without_place(flows: &[KeyWords], keys: &HashKeys, sets: u32) -> u32 {
        let mut filled = vec![0u32; sets as usize];
        for key in flows {
            filled[(flow_hash(key, 4, |at| keys[at]) as u32 & (sets - 1)) as usize] += 1;
        }
        filled.iter().map(|filled| filled.saturating_sub(2)).sum()
    }

    /// 4096 flows in 4096 sets of two: Poisson with mean 1, so 4096 × (Σ (n − 2) P(n)) = 424 find no place, with a
    /// standard deviation of about 22. Under every key each row must be as good as random placement.
    #[test]
    fn rows_of_flows_spread_as_random_ones_do() {
        let mut seed = 1;
        let rows = rows();
        for round in 0..300 {
            let keys = keys(&mut seed);
            for (name, flows) in &rows {
                let without = without_place(flows, &keys, 4096);
                assert!(
                    (424 - 6 * 22..=424 + 6 * 22).contains(&without),
                    "{name}, key {round}: {without} flows without a place"
                );
            }
        }
    }

    /// The point is hashed too: a flow seen at two interfaces does not fight with itself for a set.
    #[test]
    fn every_part_of_the_key_counts() {
        let keys = keys(&mut 9);
        let base = flow((v4_mapped([10, 0, 0, 1]), 1), (v4_mapped([10, 0, 0, 2]), 2));
        let number = |key: &KeyWords, point| flow_hash(key, point, |at| keys[at]);
        let first = number(&base, 4);
        assert_ne!(first, number(&base, 5));
        let wide = flow(([0xfd; 16], 1), ([0xfe; 16], 2));
        for (base, words) in [(base, 3), (wide, 6)] {
            for word in 0..words {
                for bit in [0, 31, 32, 63] {
                    let mut other = base;
                    other[word] ^= 1 << bit;
                    assert_ne!(number(&base, 4), number(&other, 4), "word {word}, bit {bit}");
                }
            }
        }
    }
}
