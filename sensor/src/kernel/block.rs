//! The kernel's tries of what is blocked.

use std::io::ErrorKind;
use std::net::IpAddr;

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData, MapError, PerCpuArray, PerCpuValues};
use lynceus_model::address::Network;
use sensor_ebpf::block::BlockRule;
use sensor_ebpf::counters::Tally;

use crate::block::Rules;

/// See [`super::load::Kernel::take_block`].
pub struct BlockMaps {
    pub(super) v4: LpmTrie<MapData, u32, [u32; 4]>,
    pub(super) v6: LpmTrie<MapData, [u32; 4], [u32; 4]>,
    pub(super) counts: PerCpuArray<MapData, [u64; 2]>,
}

impl std::fmt::Debug for BlockMaps {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BlockMaps")
    }
}

/// Bytes in network order, as words of this machine.
enum Place {
    V4(Key<u32>),
    V6(Key<[u32; 4]>),
}

fn place(network: Network) -> Place {
    let prefix = u32::from(network.prefix());
    match network.address() {
        IpAddr::V4(ip) => Place::V4(Key::new(prefix, ip.to_bits().to_be())),
        IpAddr::V6(ip) => {
            let word = |at: u32| ((ip.to_bits() >> (96 - 32 * at)) as u32).to_be();
            Place::V6(Key::new(prefix, [word(0), word(1), word(2), word(3)]))
        }
    }
}

impl Rules for BlockMaps {
    fn set(&mut self, network: Network, rule: BlockRule) -> anyhow::Result<()> {
        match place(network) {
            Place::V4(key) => self.v4.insert(&key, rule.words(), 0)?,
            Place::V6(key) => self.v6.insert(&key, rule.words(), 0)?,
        }
        Ok(())
    }

    fn remove(&mut self, network: Network) -> anyhow::Result<()> {
        let removed = match place(network) {
            Place::V4(key) => self.v4.remove(&key),
            Place::V6(key) => self.v6.remove(&key),
        };
        match removed {
            // Gone is gone.
            Err(MapError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    fn counts(&self, slot: u32) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for [packets, bytes] in self.counts.get(&slot, 0)?.iter().copied() {
            sum.add(Tally { packets, bytes });
        }
        Ok(sum)
    }

    fn clear(&mut self, slot: u32) -> anyhow::Result<()> {
        let cpus = self.counts.get(&slot, 0)?.len();
        let zeros = PerCpuValues::try_from(vec![[0; 2]; cpus])?;
        Ok(self.counts.set(slot, zeros, 0)?)
    }
}
