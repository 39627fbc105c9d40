//! Sampling: exporters that count one packet in so many say so in the header of v5, in options (v9, IPFIX), or in the
//! record itself.
//!
//! Numbers are scaled by the rate, so they are estimates; records that were are counted, and the observation point of
//! their flows says `(sampled 1:N)`.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

/// Exporters and domains with samplers, as many as exporters that are known.
const MOST_DOMAINS: usize = 1024;
/// Samplers of one; routers have one or two for each direction.
const MOST_SAMPLERS: usize = 64;
/// Beyond this a rate is taken for a fault: the highest in use are some 65,536.
const MOST_RATE: u64 = 1 << 24;

pub(super) const SAMPLING_INTERVAL: u16 = 34;
pub(super) const SAMPLER_ID: u16 = 48;
pub(super) const RANDOM_INTERVAL: u16 = 50;
pub(super) const SELECTOR_ID: u16 = 302;
pub(super) const PACKET_INTERVAL: u16 = 305;
pub(super) const PACKET_SPACE: u16 = 306;
pub(super) const SIZE: u16 = 309;
pub(super) const POPULATION: u16 = 310;
pub(super) const PROBABILITY: u16 = 311;

/// What a record, of flows or of options, says of sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sampling {
    /// Which sampler.
    id: Option<u64>,
    /// One packet of so many.
    one_of: Option<u64>,
    /// So many packets are taken, then so many not (RFC 5477).
    interval: Option<u64>,
    space: Option<u64>,
    /// So many of so many.
    size: Option<u64>,
    population: Option<u64>,
    probability: Option<f64>,
}

impl Sampling {
    pub(super) fn take(&mut self, field: u16, number: Option<u64>) {
        match field {
            SAMPLER_ID | SELECTOR_ID => self.id = number,
            SAMPLING_INTERVAL | RANDOM_INTERVAL => self.one_of = number,
            PACKET_INTERVAL => self.interval = number,
            PACKET_SPACE => self.space = number,
            SIZE => self.size = number,
            POPULATION => self.population = number,
            PROBABILITY => self.probability = number.map(f64::from_bits),
            _ => {}
        }
    }

    /// Packets that one stands for; `None` if nothing, or nothing possible, is said.
    pub(super) fn rate(&self) -> Option<u64> {
        let share = |part: Option<u64>, whole: Option<u64>| {
            let part = part.filter(|part| *part > 0)?;
            // Rounded: 1 of 3.5 is nothing that exporters do.
            Some(whole?.checked_add(part / 2)? / part)
        };
        let spaced = || share(self.interval, self.interval?.checked_add(self.space?));
        let likely = || {
            let probability = self.probability?;
            (probability > 0.0 && probability <= 1.0).then(|| (1.0 / probability).round() as u64)
        };
        self.one_of
            .or_else(spaced)
            .or_else(|| share(self.size, self.population))
            .or_else(likely)
            .filter(|rate| (1..=MOST_RATE).contains(rate))
    }
}

/// Samplers of an exporter's domain, with their rates.
type Rates = Vec<(Option<u64>, u64)>;

/// The rates that exporters announced.
#[derive(Debug, Default)]
pub(super) struct Samplers {
    rates: FxHashMap<(IpAddr, u32), Rates>,
    refused: u64,
}

impl Samplers {
    /// Takes a record of options, if it says a rate.
    pub(super) fn learn(&mut self, exporter: IpAddr, domain: u32, said: &Sampling) {
        let Some(rate) = said.rate() else { return };
        if self.rates.len() >= MOST_DOMAINS && !self.rates.contains_key(&(exporter, domain)) {
            self.refused += 1;
            return;
        }
        let known = self.rates.entry((exporter, domain)).or_default();
        match known.iter().position(|(id, _)| *id == said.id) {
            Some(place) => known[place].1 = rate,
            None if known.len() < MOST_SAMPLERS => known.push((said.id, rate)),
            None => self.refused += 1,
        }
    }

    /// Packets that one of a record stands for: as it says itself, as its sampler was announced, or, where it names
    /// none, as all samplers of its exporter have it. 1 where nothing is known.
    pub(super) fn rate(&self, exporter: IpAddr, domain: u32, said: &Sampling) -> u64 {
        let announced = || {
            let known = self.rates.get(&(exporter, domain))?;
            let named = known.iter().find(|(id, _)| *id == said.id);
            let all = || {
                let (_, first) = known.first()?;
                (said.id.is_none() && known.iter().all(|(_, rate)| rate == first)).then_some(*first)
            };
            named.map(|(_, rate)| *rate).or_else(all)
        };
        said.rate().or_else(announced).unwrap_or(1)
    }

    /// Announcements that found no room: their records are not scaled.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// The rate in the header of v5: its upper two bits are the mode, which many exporters leave 0.
pub(super) fn of_header(sampling: u16) -> u64 {
    u64::from(sampling & 0x3fff).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[(u16, u64)]) -> Sampling {
        let mut said = Sampling::default();
        fields
            .iter()
            .for_each(|(field, number)| said.take(*field, Some(*number)));
        said
    }

    #[test]
    fn rates_in_all_ways_of_saying_them() {
        assert_eq!(said(&[(RANDOM_INTERVAL, 512)]).rate(), Some(512));
        assert_eq!(
            said(&[(PACKET_INTERVAL, 1), (PACKET_SPACE, 99)]).rate(),
            Some(100)
        );
        assert_eq!(said(&[(SIZE, 2), (POPULATION, 200)]).rate(), Some(100));
        assert_eq!(said(&[(PROBABILITY, 0.01_f64.to_bits())]).rate(), Some(100));
        for nothing in [
            said(&[]),
            said(&[(PACKET_INTERVAL, 0), (PACKET_SPACE, 9)]),
            said(&[(PACKET_INTERVAL, u64::MAX), (PACKET_SPACE, u64::MAX)]),
            said(&[(RANDOM_INTERVAL, 0)]),
            said(&[(RANDOM_INTERVAL, u64::MAX)]),
            said(&[(PROBABILITY, f64::NAN.to_bits())]),
        ] {
            assert_eq!(nothing.rate(), None);
        }
        assert_eq!((of_header(0), of_header(0x4000 | 100)), (1, 100));
    }

    #[test]
    fn a_record_that_names_no_sampler_has_the_rate_of_all() {
        let exporter = IpAddr::from([10, 0, 0, 1]);
        let mut samplers = Samplers::default();
        samplers.learn(exporter, 1, &said(&[(SAMPLER_ID, 1), (RANDOM_INTERVAL, 100)]));
        assert_eq!(samplers.rate(exporter, 1, &said(&[])), 100);
        samplers.learn(exporter, 1, &said(&[(SAMPLER_ID, 2), (RANDOM_INTERVAL, 10)]));
        assert_eq!(samplers.rate(exporter, 1, &said(&[])), 1);
        assert_eq!(samplers.rate(exporter, 1, &said(&[(SAMPLER_ID, 2)])), 10);
        assert_eq!(samplers.rate(exporter, 2, &said(&[(SAMPLER_ID, 2)])), 1);
        for id in 0..1000 {
            samplers.learn(exporter, 1, &said(&[(SAMPLER_ID, id), (RANDOM_INTERVAL, 5)]));
        }
        assert!(samplers.refused() > 0);
    }
}
