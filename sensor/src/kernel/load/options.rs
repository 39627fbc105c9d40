//! What the kernel programs are asked to do.

use sensor_ebpf::heads::HeadLimits;
use sensor_ebpf::parse::Layer;

/// What the kernel programs are to do, and how much memory they may use.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Entries of the flow cache per CPU: a power of two. 2^13 of them (1 MiB, and 1 MiB that is rarely touched) stay in
    /// the second-level cache; more of them spill less and cost more (`docs/decisions/0010`).
    pub cache_entries: u32,
    /// Slots of 64 bytes of the record ring per CPU: a power of two. 2^16 of them (4 MiB) hold 6 ms of a flood of 10 M
    /// new flows a second, whose records take one slot each.
    pub ring_slots: u32,
    /// Which IP header makes the flow where there is a tunnel.
    pub layer: Layer,
    /// Bounds of payload heads; `None`: no heads.
    pub heads: Option<HeadLimits>,
    /// Handshake packets per second and CPU that get the precise clock (about 30 ns each in a virtual machine).
    pub precise_times: u32,
    /// Packets are held against block rules ([`super::Kernel::take_block`]). Where this is false nothing of it is in the loaded
    /// programs.
    pub block: bool,
    /// A line for each refused and each degraded packet ([`super::Readers::log`]), for who looks for a fault. What it costs is
    /// paid off the usual packet's way, and nothing of it is loaded where this is false.
    pub log: bool,
    /// Seed of the flow hash; `None` takes a random one, which keeps a flood from aiming at one set.
    pub seed: Option<[u64; 8]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_entries: 1 << 13,
            ring_slots: 1 << 16,
            layer: Layer::Inner,
            heads: Some(HeadLimits::DEFAULT),
            precise_times: 20_000,
            block: false,
            log: false,
            seed: None,
        }
    }
}
