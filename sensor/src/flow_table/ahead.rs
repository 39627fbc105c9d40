//! Packets and records in batches: what they will need is asked for before it is used.
//!
//! In a table of a million flows each look-up waits for memory, several times in a row. Here all look-ups of a batch
//! wait together: a first pass loads the cells of the index, a second one the cache lines of the flows, and only the
//! third one counts. The loads are plain ones; the processor runs ahead through them because none needs another's
//! result. The passes change nothing, so what comes out is what one call a packet would give.

use std::hint::black_box;

use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowKey, FlowRecord};
use sensor_ebpf::parse::{Fragment, Packet};

use super::index::Hash;
use super::{FlowTable, TableFull};
use crate::clock::WallClock;

/// Packets or records whose loads run at the same time: more than a core has loads under way, few enough that the lines
/// are still in the first-level cache when they are used.
pub const BATCH: usize = 32;

/// Flows that the second-level cache holds, about: with fewer the passes cost more than they save.
const NEAR: usize = 1 << 14;

/// A packet with what the capture says about it.
#[derive(Clone, Copy, Debug)]
pub struct TimedPacket {
    pub packet: Packet,
    pub time: Timestamp,
    pub wire_len: u32,
}

impl FlowTable {
    /// As [`FlowTable::packet`] for each of them in turn.
    ///
    /// # Errors
    /// As there; the packets behind the first that found no place were not counted either.
    pub fn packets(&mut self, packets: &[TimedPacket], ended: &mut Vec<FlowUpdate>) -> Result<(), TableFull> {
        let mut hashes = [Hash::default(); BATCH];
        for batch in packets.chunks(BATCH) {
            self.look_ahead(&mut hashes, batch.iter().map(|timed| &timed.packet.key), false);
            for (timed, hash) in batch.iter().zip(hashes) {
                if timed.packet.fragment == Fragment::Whole {
                    self.whole_packet(hash, &timed.packet, timed.time, timed.wire_len, ended)?;
                } else {
                    self.packet(&timed.packet, timed.time, timed.wire_len, ended)?;
                }
            }
        }
        Ok(())
    }

    /// As [`FlowTable::record`] for each of them in turn.
    ///
    /// # Errors
    /// As there; the records behind the first that found no place were not added either.
    pub fn records(
        &mut self,
        records: &[FlowRecord],
        clock: WallClock,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<(), TableFull> {
        let mut hashes = [Hash::default(); BATCH];
        for batch in records.chunks(BATCH) {
            self.look_ahead(&mut hashes, batch.iter().map(|record| &record.key), true);
            for (record, hash) in batch.iter().zip(hashes) {
                self.hashed_record(hash, record, clock, ended)?;
            }
        }
        Ok(())
    }

    /// Hashes the keys and loads what a look-up of each will need.
    fn look_ahead<'a>(
        &self,
        hashes: &mut [Hash; BATCH],
        keys: impl ExactSizeIterator<Item = &'a FlowKey>,
        live: bool,
    ) {
        let count = keys.len();
        if self.stats.flows < NEAR {
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.index.hash(key);
            }
            return;
        }
        let mut cells = 0;
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = self.index.hash(key);
            cells ^= self.index.touch(*hash);
        }
        let mut lines = 0;
        for hash in &hashes[..count] {
            // The first place whose 32 bits of hash agree: nearly always the right one, and only a guess.
            if let Some(slot) = self.index.find(*hash, |_| true) {
                lines ^= self.entries[slot].touch();
                if live {
                    lines ^= self.live.touch(slot);
                }
            }
        }
        // Loads whose result nobody uses would be left out.
        black_box((cells, lines));
    }
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::flow::v4_mapped;

    use super::*;
    use crate::flow_table::{Expiry, FlowTableConfig, Timeouts, WhenFull};

    fn packet(number: u32) -> TimedPacket {
        let mut key = FlowKey {
            protocol: 17,
            ..FlowKey::default()
        };
        let host = number.wrapping_mul(2_654_435_761) % 30_000;
        let sender = key.set_ends(
            (v4_mapped(host.to_be_bytes()), 5000),
            (v4_mapped([192, 0, 2, 1]), 53),
        );
        TimedPacket {
            packet: Packet {
                key,
                sender,
                ip_len: 100,
                // A later fragment in each batch: its flow is found on another way.
                fragment: if number.is_multiple_of(37) {
                    Fragment::Later { id: number }
                } else {
                    Fragment::Whole
                },
                ..Packet::default()
            },
            time: Timestamp(i64::from(number) * 1_000_000),
            wire_len: 114,
        }
    }

    /// More flows than [`NEAR`], timeouts and evictions: the same reports in the same order.
    #[test]
    fn a_batch_is_its_packets_one_by_one() {
        let config = FlowTableConfig {
            expiry: Expiry::Timeouts(Timeouts::default()),
            max_flows: 18_000,
            when_full: WhenFull::Evict,
        };
        let packets: Vec<TimedPacket> = (0..40_000).map(packet).collect();
        let (mut one, mut many) = (FlowTable::new(config), FlowTable::new(config));
        let (mut by_one, mut by_many) = (Vec::new(), Vec::new());
        for timed in &packets {
            one.packet(&timed.packet, timed.time, timed.wire_len, &mut by_one)
                .unwrap();
        }
        for chunk in packets.chunks(77) {
            many.packets(chunk, &mut by_many).unwrap();
        }
        while one.finish(1000, &mut by_one) {}
        while many.finish(1000, &mut by_many) {}
        assert_eq!(one.stats(), many.stats());
        assert!(one.stats().evicted > 0);
        assert_eq!(by_one, by_many);
    }
}
