//! Gaps in the exporters' sequence numbers.

use std::net::SocketAddr;
use std::time::Duration;

use lynceus_model::time::Timestamp;

use crate::decode::Generations;

/// Exporter, version, and its engine, source or domain.
pub(super) type Exporter = (SocketAddr, u16, u32);

/// A larger step is no gap but an exporter that began anew, or a datagram that came late.
const LARGEST_GAP: u32 = 1 << 20;

/// The last number of an exporter, and by how much the next one is larger.
type Last = (u32, u32);

/// What each exporter sent last; bounded, the ones silent for longest are forgotten.
pub(super) struct Sequences {
    last: Generations<Exporter, Last>,
    missing_records: u64,
    missing_datagrams: u64,
}

impl Sequences {
    pub(super) fn new(exporters: usize) -> Self {
        Self {
            // Only numbers push out numbers.
            last: Generations::new(exporters * 2, Duration::MAX),
            missing_records: 0,
            missing_datagrams: 0,
        }
    }

    /// Versions 5 and 10: the number is that of the first record in the datagram. `count`: records in it, where known.
    /// Some exporters (softflowd's IPFIX) count the datagram's own records in; a step that is right in this way is no gap.
    pub(super) fn records(&mut self, exporter: Exporter, number: u32, count: Option<u32>) {
        let last = self.last.get(&exporter);
        let counts_own = last.is_some_and(|(last, _)| count == Some(number.wrapping_sub(*last)));
        if !counts_own {
            self.missing_records += self.gap(&exporter, number);
        }
        match count {
            Some(count) => self.note(exporter, (number, count)),
            None => drop(self.last.remove(&exporter)),
        }
    }

    /// Version 9 numbers its datagrams.
    pub(super) fn datagram(&mut self, exporter: Exporter, number: u32) {
        self.missing_datagrams += self.gap(&exporter, number);
        self.note(exporter, (number, 1));
    }

    fn gap(&self, exporter: &Exporter, number: u32) -> u64 {
        let Some((last, step)) = self.last.get(exporter) else {
            return 0;
        };
        let gap = number.wrapping_sub(last.wrapping_add(*step));
        if gap <= LARGEST_GAP { gap.into() } else { 0 }
    }

    fn note(&mut self, exporter: Exporter, last: Last) {
        self.last.insert(exporter, last, Timestamp(0), |_| {});
    }

    /// Flow records that were sent and did not arrive.
    pub(super) const fn missing_records(&self) -> u64 {
        self.missing_records
    }

    /// Datagrams that were sent and did not arrive.
    pub(super) const fn missing_datagrams(&self) -> u64 {
        self.missing_datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_restarts_and_the_end_of_the_numbers() {
        let exporter = |port| (SocketAddr::from(([10, 0, 0, 1], port)), 5, 0);
        let mut sequences = Sequences::new(10);
        sequences.records(exporter(1), 100, Some(30));
        sequences.records(exporter(2), 7, Some(1));
        sequences.records(exporter(1), 130, Some(30));
        assert_eq!(sequences.missing_records(), 0);
        sequences.records(exporter(1), 165, Some(1));
        assert_eq!(sequences.missing_records(), 5);
        // The exporter began anew; then one datagram came late.
        sequences.records(exporter(1), 0, Some(10));
        sequences.records(exporter(1), 10, None);
        sequences.records(exporter(1), 500, Some(1));
        assert_eq!(sequences.missing_records(), 5);
        sequences.datagram(exporter(3), u32::MAX);
        sequences.datagram(exporter(3), 2);
        assert_eq!(sequences.missing_datagrams(), 2);
        // The numbers of an exporter that counts a datagram's own records in.
        for (number, count) in [(24, 25), (56, 32), (89, 33), (121, 32)] {
            sequences.records(exporter(4), number, Some(count));
        }
        assert_eq!(sequences.missing_records(), 5);
    }
}
