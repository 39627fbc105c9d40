//! A Bloom filter over the addresses and Community IDs of a block, so that a query reads few blocks.

/// Bits a key. With 4 probes about 2.5 % of the blocks without a key are read in vain.
const BITS_PER_KEY: usize = 8;
const PROBES: u32 = 4;
/// Bound of a filter: a block that holds more different keys than this gets a filter that errs more often.
const MAX_BYTES: usize = 1 << 16;

/// Hash of a key (address bytes, Community ID bytes); the same in every version and on every machine, as it is stored.
#[must_use]
pub fn key_hash(bytes: &[u8]) -> u64 {
    // FNV-1a, then the finalizer of MurmurHash3 for the upper bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The filter of these keys (any order, repetitions allowed). No keys, no bytes.
pub(super) fn build(keys: &mut Vec<u64>) -> Vec<u8> {
    keys.sort_unstable();
    keys.dedup();
    let bytes = (keys.len() * BITS_PER_KEY).div_ceil(8).min(MAX_BYTES);
    let mut filter = vec![0_u8; bytes];
    for key in keys {
        for bit in probes(*key, bytes * 8) {
            filter[bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

/// Whether the filter may hold the key. False answers are never wrong.
pub(super) fn may_hold(filter: &[u8], key: u64) -> bool {
    !filter.is_empty() && probes(key, filter.len() * 8).all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0)
}

fn probes(key: u64, bits: usize) -> impl Iterator<Item = usize> {
    let (low, high) = (key & 0xffff_ffff, (key >> 32) | 1);
    (0..u64::from(PROBES))
        .map(move |probe| (low.wrapping_add(probe.wrapping_mul(high)) % bits as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_little_else() {
        let mut keys: Vec<u64> = (0..1000_u32).map(|n| key_hash(&n.to_be_bytes())).collect();
        let filter = build(&mut keys);
        assert!(keys.iter().all(|key| may_hold(&filter, *key)));
        let wrong = (1000..11_000_u32)
            .filter(|n| may_hold(&filter, key_hash(&n.to_be_bytes())))
            .count();
        assert!(wrong < 500, "{wrong} of 10,000");
    }

    #[test]
    fn a_filter_of_nothing_holds_nothing() {
        assert!(!may_hold(&build(&mut Vec::new()), 7));
    }

    #[test]
    fn the_hash_is_the_stored_one() {
        assert_eq!(key_hash(b"lynceus"), key_hash(b"lynceus"));
        assert_eq!(key_hash(b""), 0xefd0_1f60_ba99_2926);
    }
}
