//! When things were seen, over hours: what a detector must know to say that something did *not* happen.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;

/// First and last time by key, in two generations: when the younger one is full, the older one is forgotten. Whoever
/// asks learns what was forgotten, so that forgetting gives silence and not evidence.
#[derive(Debug)]
pub(crate) struct Sightings<K> {
    young: HashMap<K, Span, Seeded>,
    old: HashMap<K, Span, Seeded>,
    /// Keys of a generation.
    limit: usize,
    forgotten: u64,
    /// Nothing that was seen after this was forgotten.
    forgotten_to: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: Timestamp,
    last: Timestamp,
}

/// Whether something was seen in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It may be among what was forgotten.
    Unknown,
}

impl<K: Hash + Eq + Copy> Sightings<K> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            limit,
            forgotten: 0,
            forgotten_to: Timestamp::MIN,
        }
    }

    pub(crate) fn note(&mut self, key: K, first: Timestamp, last: Timestamp) {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.forgotten += old.len() as u64;
            let newest = old.values().map(|span| span.last).max();
            self.forgotten_to = self.forgotten_to.max(newest.unwrap_or(Timestamp::MIN));
        }
        let span = self.young.entry(key).or_insert(Span { first, last });
        span.first = span.first.min(first);
        span.last = span.last.max(last);
    }

    /// Keys that were forgotten to make room.
    pub(crate) const fn refused(&self) -> u64 {
        self.forgotten
    }

    /// Whether it was seen in `[from, to]`. Between its first and last time it counts as seen.
    pub(crate) fn seen(&self, key: &K, from: Timestamp, to: Timestamp) -> Answer {
        let inside = |span: &Span| span.first <= to && span.last >= from;
        let known = [self.young.get(key), self.old.get(key)];
        if known.into_iter().flatten().any(inside) {
            Answer::Yes
        } else if self.forgotten_to >= from {
            Answer::Unknown
        } else {
            Answer::No
        }
    }
}

/// `time` − `duration`.
pub(crate) fn before(time: Timestamp, duration: Duration) -> Timestamp {
    Timestamp(
        time.0
            .saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_unknown() {
        let mut seen = Sightings::new(2);
        let at = Timestamp::from_secs;
        seen.note("a", at(1), at(1));
        seen.note("b", at(2), at(2));
        assert_eq!(seen.seen(&"a", at(0), at(1)), Answer::Yes);
        assert_eq!(seen.seen(&"a", at(2), at(9)), Answer::No);
        seen.note("c", at(3), at(3));
        assert_eq!(
            seen.seen(&"a", at(0), at(9)),
            Answer::Yes,
            "still in the older one"
        );
        seen.note("d", at(4), at(4));
        seen.note("e", at(5), at(5));
        assert_eq!(seen.seen(&"a", at(0), at(9)), Answer::Unknown);
        assert_eq!(
            seen.seen(&"a", at(3), at(9)),
            Answer::No,
            "nothing after 2 was forgotten"
        );
    }
}
