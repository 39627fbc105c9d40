//! How far each stream has come: the highest sequence number and what is missing below it.

use std::collections::BTreeMap;

use super::{Admitted, Entry, Position, StreamId};

/// How far one stream has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Highest sequence number stored; 0 before the first.
    pub high: u64,
    /// Ranges (inclusive, ascending) below `high` that never came; at most [`Mark::MAX_MISSING`], the oldest are
    /// forgotten first: an entry out of a forgotten range counts as a duplicate.
    pub missing: Vec<(u64, u64)>,
}

/// What a sequence number means to a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// New; `missing` is the gap that it opened.
    New {
        missing: Option<(u64, u64)>,
    },
    Duplicate,
}

impl Mark {
    /// A sensor sends in order and skips only what its spool had to drop, so a few ranges suffice.
    pub const MAX_MISSING: usize = 64;

    /// Takes note of a sequence number (from 1; 0 is a duplicate by definition).
    pub fn admit(&mut self, seq: u64) -> Admission {
        if seq > self.high {
            let missing = (seq > self.high + 1).then(|| (self.high + 1, seq - 1));
            if let Some(range) = missing {
                if self.missing.len() == Self::MAX_MISSING {
                    self.missing.remove(0);
                }
                self.missing.push(range);
            }
            self.high = seq;
            return Admission::New { missing };
        }
        let Some(at) = self
            .missing
            .iter()
            .position(|(from, to)| (*from..=*to).contains(&seq))
        else {
            return Admission::Duplicate;
        };
        let (from, to) = self.missing.remove(at);
        if seq < to && self.missing.len() < Self::MAX_MISSING {
            self.missing.insert(at, (seq + 1, to));
        }
        if from < seq && self.missing.len() < Self::MAX_MISSING {
            self.missing.insert(at, (from, seq - 1));
        }
        Admission::New { missing: None }
    }

    /// Highest number up to which everything came or is known to be missing: what an acknowledgement says.
    #[must_use]
    pub const fn acknowledged(&self) -> u64 {
        self.high
    }

    /// How many sequence numbers are missing.
    #[must_use]
    pub fn missing_count(&self) -> u64 {
        self.missing.iter().map(|(from, to)| to - from + 1).sum()
    }
}

/// The marks of all streams.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    streams: BTreeMap<StreamId, Touched>,
    /// Counts changes, to know which stream was quiet longest.
    clock: u64,
}

#[derive(Clone, Debug)]
struct Touched {
    mark: Mark,
    at: u64,
}

impl Marks {
    /// Bound of the streams remembered: some 1,000 sensors with 64 boots each. Beyond it the stream that was quiet
    /// longest is forgotten; only a sensor that resends an old boot's batches after so many others would notice.
    pub const MAX_STREAMS: usize = 65_536;

    /// The mark of a stream; a fresh one for a stream never seen.
    #[must_use]
    pub fn get(&self, stream: &StreamId) -> Mark {
        self.streams
            .get(stream)
            .map(|touched| touched.mark.clone())
            .unwrap_or_default()
    }

    pub fn set(&mut self, stream: StreamId, mark: Mark) {
        if self.streams.len() >= Self::MAX_STREAMS && !self.streams.contains_key(&stream) {
            let quietest = self.streams.iter().min_by_key(|(_, touched)| touched.at);
            if let Some(quietest) = quietest.map(|(stream, _)| *stream) {
                self.streams.remove(&quietest);
            }
        }
        self.clock += 1;
        self.streams.insert(stream, Touched { mark, at: self.clock });
    }

    pub fn iter(&self) -> impl Iterator<Item = (&StreamId, &Mark)> {
        self.streams
            .iter()
            .map(|(stream, touched)| (stream, &touched.mark))
    }
}

/// Marks changed by one append, true only once it succeeded.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<StreamId, Mark>);

impl Pending {
    pub(super) fn admit(&mut self, marks: &Marks, stream: &StreamId, seq: u64) -> Admission {
        if let Some(mark) = self.0.get_mut(stream) {
            return mark.admit(seq);
        }
        let mut mark = marks.get(stream);
        let admission = mark.admit(seq);
        self.0.insert(*stream, mark);
        admission
    }

    pub(super) fn get(&self, stream: &StreamId) -> Option<&Mark> {
        self.0.get(stream)
    }

    pub(super) fn settle(self, marks: &mut Marks) {
        for (stream, mark) in self.0 {
            marks.set(stream, mark);
        }
    }
}

/// Sorts entries into new ones, which stay, and duplicates; `last` moves on to the position of the last new one.
pub(super) fn admit_all(marks: &Marks, entries: &mut Vec<Entry>, last: &mut u64) -> (Pending, Vec<Admitted>) {
    let mut pending = Pending::default();
    let mut admitted = Vec::with_capacity(entries.len());
    entries.retain(|entry| {
        let outcome = match pending.admit(marks, &entry.stream, entry.seq) {
            Admission::New { missing } => {
                *last += 1;
                Admitted::Stored {
                    position: Position(*last),
                    missing,
                }
            }
            Admission::Duplicate => Admitted::Duplicate,
        };
        admitted.push(outcome);
        outcome != Admitted::Duplicate
    });
    (pending, admitted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gaps_open_and_close() {
        let mut mark = Mark::default();
        assert_eq!(mark.admit(1), Admission::New { missing: None });
        assert_eq!(
            mark.admit(5),
            Admission::New {
                missing: Some((2, 4))
            }
        );
        assert_eq!(mark.admit(5), Admission::Duplicate);
        assert_eq!(mark.admit(3), Admission::New { missing: None });
        assert_eq!(mark.admit(3), Admission::Duplicate);
        assert_eq!(mark.missing, [(2, 2), (4, 4)]);
        assert_eq!(mark.admit(2), Admission::New { missing: None });
        assert_eq!(mark.admit(4), Admission::New { missing: None });
        assert_eq!(mark.missing, []);
        assert_eq!(mark.admit(0), Admission::Duplicate);
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(sequence in prop::collection::vec(1_u64..400, 0..300)) {
            let mut mark = Mark::default();
            let mut seen = BTreeSet::new();
            for seq in sequence {
                let admitted = matches!(mark.admit(seq), Admission::New { .. });
                if admitted {
                    prop_assert!(seen.insert(seq), "{} twice", seq);
                }
                prop_assert!(mark.missing.len() <= Mark::MAX_MISSING);
                prop_assert!(mark.missing.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
