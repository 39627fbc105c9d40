//! What windows of one role of peers usually show: two generations of sketches, the younger one growing.

use std::time::Duration;

use lynceus_model::evidence::EvidenceType;
use lynceus_model::outlier::loda::{Loda, Shares};
use lynceus_model::outlier::{COUNT, Quantiles, Reference, Values};
use lynceus_model::time::Timestamp;

/// How long a generation learns: the baseline knows one to two of these, and what is older is forgotten.
pub const GENERATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Windows of one week. Merges by addition.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Weeks since the Unix epoch.
    pub index: i64,
    /// Begin of the earliest and of the latest window.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Windows that were judged, those that were flagged included.
    pub windows: u64,
    /// One for each feature, of windows that were not flagged.
    pub features: Vec<Quantiles>,
    pub loda: Loda,
    /// Scores of both voters. Were flagged windows left out, the limit would creep down; were all of them in, it would
    /// creep up with each attack. So as many are in as false alarms are expected, with the score of the limit.
    pub scores: Quantiles,
    pub odd_scores: Quantiles,
    /// Flagged windows among these scores.
    pub flags: u64,
    /// Windows with evidence of each type, in the order of [`EvidenceType::ALL`].
    pub types: Vec<u32>,
}

impl Generation {
    #[must_use]
    pub fn new(index: i64) -> Self {
        Self {
            index,
            first: Timestamp::MAX,
            last: Timestamp::MIN,
            windows: 0,
            features: vec![Quantiles::new(); COUNT],
            loda: Loda::default(),
            scores: Quantiles::new(),
            odd_scores: Quantiles::new(),
            flags: 0,
            types: vec![0; EvidenceType::ALL.len()],
        }
    }

    /// The generation that a window belongs to.
    #[must_use]
    pub fn of(start: Timestamp) -> i64 {
        let length = i64::try_from(GENERATION.as_nanos()).unwrap_or(i64::MAX);
        start.0.div_euclid(length)
    }

    /// Adds what another collector or sensor saw in the same week.
    pub fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.windows = self.windows.saturating_add(other.windows);
        for (mine, theirs) in self.features.iter_mut().zip(&other.features) {
            mine.merge(theirs);
        }
        self.loda.merge(&other.loda);
        self.scores.merge(&other.scores);
        self.odd_scores.merge(&other.odd_scores);
        self.flags = self.flags.saturating_add(other.flags);
        for (mine, theirs) in self.types.iter_mut().zip(&other.types) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Memory, struct and heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.features.iter().map(Quantiles::bytes).sum::<usize>()
            + size_of_val(self.loda.cells())
            + self.scores.bytes()
            + self.odd_scores.bytes()
            + self.types.len() * 4
    }
}

/// Two generations of one role.
#[derive(Clone, Debug)]
pub struct Baseline {
    pub current: Generation,
    pub previous: Generation,
    compiled: Option<Compiled>,
}

/// The baseline made ready for questions.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// One for each feature.
    pub features: Vec<Reference>,
    pub shares: Shares,
    pub scores: Reference,
    pub odd_scores: Reference,
}

/// What a window brings.
pub(super) struct Lesson<'a> {
    pub start: Timestamp,
    pub values: &'a Values,
    pub types: u128,
    /// As it was judged; `None` where there were too few peers to compare it with.
    pub score: Option<f64>,
    pub odd_score: Option<f64>,
    pub flagged: bool,
    /// Share of windows that may be flagged although they are as they should be.
    pub expected_flags: f64,
}

impl Baseline {
    /// That begins with a window.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        let index = Generation::of(start);
        Self::from_parts(Generation::new(index), Generation::new(index - 1))
    }

    /// As from the store.
    #[must_use]
    pub const fn from_parts(current: Generation, previous: Generation) -> Self {
        Self {
            current,
            previous,
            compiled: None,
        }
    }

    /// Windows that it knows.
    #[must_use]
    pub const fn windows(&self) -> u64 {
        self.current.windows + self.previous.windows
    }

    /// Windows with a score.
    #[must_use]
    pub const fn scores(&self) -> u64 {
        self.current.scores.count() + self.previous.scores.count()
    }

    /// Event time from the begin of the earliest window to `now`.
    #[must_use]
    pub fn span(&self, now: Timestamp) -> Duration {
        now.since(self.current.first.min(self.previous.first))
    }

    /// Windows with evidence of a type.
    #[must_use]
    pub fn windows_with(&self, kind: EvidenceType) -> u64 {
        let place = EvidenceType::ALL.iter().position(|known| *known == kind);
        let count = |generation: &Generation| {
            let counted = place.and_then(|place| generation.types.get(place));
            counted.map_or(0, |count| u64::from(*count))
        };
        count(&self.current) + count(&self.previous)
    }

    /// Learns a window; one that is older than both generations teaches nothing and gives false.
    pub(super) fn learn(&mut self, lesson: &Lesson<'_>) -> bool {
        let index = Generation::of(lesson.start);
        if index > self.current.index {
            let younger = Generation::new(index);
            let old = std::mem::replace(&mut self.current, younger);
            self.previous = if old.index == index - 1 {
                old
            } else {
                Generation::new(index - 1)
            };
        }
        self.compiled = None;
        let generation = if index == self.current.index {
            &mut self.current
        } else if index == self.previous.index {
            &mut self.previous
        } else {
            return false;
        };
        generation.first = generation.first.min(lesson.start);
        generation.last = generation.last.max(lesson.start);
        generation.windows += 1;
        for (place, count) in generation.types.iter_mut().enumerate() {
            *count = count.saturating_add(u32::from(lesson.types >> place & 1 == 1));
        }
        let due = (generation.flags as f64) < lesson.expected_flags * generation.windows as f64;
        if !lesson.flagged || due {
            generation.flags += u64::from(lesson.flagged);
            if let Some(score) = lesson.score {
                generation.scores.add(score);
            }
            if let Some(score) = lesson.odd_score {
                generation.odd_scores.add(score);
            }
        }
        if !lesson.flagged {
            for (feature, value) in lesson.values.present() {
                generation.features[feature].add(value);
            }
            generation.loda.add(lesson.values);
        }
        true
    }

    /// Ready for questions, with all that was learnt.
    pub fn compiled(&mut self) -> &Compiled {
        let (current, previous) = (&self.current, &self.previous);
        self.compiled
            .get_or_insert_with(|| Compiled::new(&[current, previous]))
    }

    /// As it was made after the last lesson; `None` before it was asked for.
    #[must_use]
    pub const fn last_compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// Memory, struct and heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compiled = self.compiled.as_ref().map_or(0, |compiled| {
            compiled.features.iter().map(Reference::bytes).sum::<usize>()
                + compiled.scores.bytes()
                + compiled.odd_scores.bytes()
                + Loda::CELLS * 4
        });
        self.current.bytes() + self.previous.bytes() + compiled
    }
}

impl Compiled {
    fn new(generations: &[&Generation]) -> Self {
        let of = |part: fn(&Generation) -> &Quantiles| {
            Reference::new(COUNT, generations.iter().map(|generation| part(generation)))
        };
        Self {
            features: (0..COUNT)
                .map(|feature| {
                    Reference::new(
                        feature,
                        generations.iter().map(|generation| &generation.features[feature]),
                    )
                })
                .collect(),
            shares: Shares::new(generations.iter().map(|generation| &generation.loda)),
            scores: of(|generation| &generation.scores),
            odd_scores: of(|generation| &generation.odd_scores),
        }
    }

    /// Of a handful of windows: the peers in one capture.
    pub(super) fn of_few<'a>(generations: &[&Generation], few: impl IntoIterator<Item = &'a Values>) -> Self {
        let mut own = Generation::new(0);
        for values in few {
            own.windows += 1;
            for (feature, value) in values.present() {
                own.features[feature].add(value);
            }
            own.loda.add(values);
        }
        let all: Vec<&Generation> = generations.iter().copied().chain([&own]).collect();
        Self::new(&all)
    }
}
