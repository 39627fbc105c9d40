//! What is to be blocked, as user space tells the kernel programs: two tries of prefixes (IPv4 and IPv6) and, for each
//! rule, counters of every CPU. Used only where the global `BLOCK` is 1.

/// Rules of all kinds in one trie; the sensor refuses what is beyond.
pub const BLOCK_RULES: u32 = 8192;
/// Slots of counters, and so blocks that a sensor holds at once: 64 KiB a CPU.
pub const BLOCK_SLOTS: u32 = 4096;

/// What happens to packets from and to the addresses of a prefix. The longest prefix that holds an address decides.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRule {
    /// Coarse `CLOCK_MONOTONIC`, nanoseconds, low half first: from then on the rule is void, whoever forgot to take it
    /// away. In halves because the values of an IPv4 trie lie at multiples of 4.
    pub expires: [u32; 2],
    /// Where its packets count; below [`BLOCK_SLOTS`].
    pub slot: u32,
    /// [`ALLOW`], [`COUNT`] or [`DROP`]
    pub action: u32,
}

/// The addresses are never blocked, whatever wider prefix holds them. Does not expire.
pub const ALLOW: u32 = 0;
/// Packets are counted and pass.
pub const COUNT: u32 = 1;
/// Packets are counted and dropped.
pub const DROP: u32 = 2;

impl BlockRule {
    /// `expires`: nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn new(expires: u64, slot: u32, action: u32) -> Self {
        Self {
            expires: [expires as u32, (expires >> 32) as u32],
            slot,
            action,
        }
    }

    #[inline(always)]
    #[must_use]
    pub const fn expires(&self) -> u64 {
        self.expires[0] as u64 | (self.expires[1] as u64) << 32
    }

    /// The rule as the tries hold it.
    #[must_use]
    pub const fn words(self) -> [u32; 4] {
        [self.expires[0], self.expires[1], self.slot, self.action]
    }
}

const _: () = assert!(size_of::<BlockRule>() == 16 && BLOCK_SLOTS.is_power_of_two());
