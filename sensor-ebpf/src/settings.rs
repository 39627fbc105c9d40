//! What user space tells the kernel programs at load: read-only globals, patched into the object by name. The verifier
//! knows their values, so what is switched off is not even in the loaded program.

/// Names of the globals. Sizes are powers of two; the programs trust them, the loader checks them.
pub mod global {
    /// `u32`: sets of the flow cache per CPU, minus 1.
    pub const SET_MASK: &str = "SET_MASK";
    /// `u32`: slots of the record ring per CPU.
    pub const RING_SLOTS: &str = "RING_SLOTS";
    /// `[u64; 8]`: keys of the flow hash.
    pub const HASH_KEYS: &str = "HASH_KEYS";
    /// `u8`: 1 = the flow is that of the outer IP header.
    pub const OUTER_LAYER: &str = "OUTER_LAYER";
    /// `u8`: 1 = payload heads go up.
    pub const HEADS_ON: &str = "HEADS_ON";
    /// [`crate::heads::HeadLimits`]
    pub const HEAD_LIMITS: &str = "HEAD_LIMITS";
    /// `u32`: precise clock reads per CPU and period of 16.8 ms.
    pub const CLOCK_READS: &str = "CLOCK_READS";
    /// `u8`: 1 = the CPU orders stores weakly (not x86), so publishing needs a real barrier.
    pub const WEAK_ORDER: &str = "WEAK_ORDER";
    /// `u8`: 1 = packets are held against the rules of [`crate::block`].
    pub const BLOCK: &str = "BLOCK";
    /// `u8`: 1 = a line for each refused and each degraded packet, by `aya-log`.
    pub const LOG: &str = "LOG";
}

/// Names of the maps.
pub mod map {
    pub const CACHE: &str = "CACHE";
    pub const COLD: &str = "COLD";
    pub const FLOW_HEADS: &str = "FLOW_HEADS";
    pub const RING: &str = "RING";
    pub const CPUS: &str = "CPUS";
    pub const COUNTERS: &str = "COUNTERS";
    pub const POINTS: &str = "POINTS";
    pub const HEADS: &str = "HEADS";
    pub const XDP_NEXT: &str = "XDP_NEXT";
    pub const TC_NEXT: &str = "TC_NEXT";
    pub const BLOCK_V4: &str = "BLOCK_V4";
    pub const BLOCK_V6: &str = "BLOCK_V6";
    pub const BLOCK_COUNTS: &str = "BLOCK_COUNTS";
    /// The ring of lines; the name is `aya-log`'s.
    pub const LOG: &str = "AYA_LOGS";
}

/// Places in the program arrays `XDP_NEXT` and `TC_NEXT`.
pub mod next {
    pub const PARSE: u32 = 0;
    pub const COUNT: u32 = 1;
    pub const SEND: u32 = 2;
    /// Loaded only where the log was asked for.
    pub const LOG: u32 = 3;
}

/// Observation points that are told apart; slot 0 is for what no one registered.
pub const POINT_SLOTS: u32 = 256;
