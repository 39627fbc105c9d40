//! The one hash that decides what a bounded table keeps. Fixed for ever: every sensor, collector and version must
//! choose the same keys, or merging would depend on who merged.

/// Joins two words to a well mixed third (multiply and fold, as in wyhash; constants are the digits of π).
#[inline]
#[must_use]
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let product = ((a ^ 0x243f_6a88_85a3_08d3) as u128).wrapping_mul((b ^ 0x1319_8a2e_0370_7344) as u128);
    finish((product as u64) ^ ((product >> 64) as u64))
}

/// Bijective finisher of SplitMix64: every input bit reaches every output bit.
#[inline]
#[must_use]
pub(crate) const fn finish(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_changes_about_half_of_the_output() {
        for bit in 0..64 {
            let changed = (mix(7, 9) ^ mix(7 ^ (1 << bit), 9)).count_ones();
            assert!((12..=52).contains(&changed), "bit {bit} changes {changed}");
        }
    }

    #[test]
    fn values_are_part_of_the_format() {
        assert_eq!(
            mix(0, 0),
            MIX_OF_ZEROS,
            "changing the hash breaks merging with older sensors"
        );
    }

    const MIX_OF_ZEROS: u64 = 13_160_646_864_817_445_766;
}
