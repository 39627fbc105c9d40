//! The letters of a window's tuples as they travel: whole values that replace older ones.

use super::cell::Merge;
use super::key::LetterKey;
use crate::window::SensorId;

/// Behavioral letters of one tuple, written by one sensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letters {
    /// Flows that were written. Grows with each symbol, so a larger version replaces a smaller one.
    pub version: u64,
    /// Symbols of the first flows, at most [`Letters::MAX_TEXT`] bytes of ASCII.
    pub text: String,
}

impl Letters {
    /// The C&C model of Slips reads 500 characters.
    pub const MAX_TEXT: usize = 512;
}

/// Letters by sensor and tuple. Past [`LetterBook::LIMIT`] those with the most flows stay. Versions only grow, so what
/// is among the leaders at the end was among them when its last version came: order and cuts change nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LetterBook {
    /// Sorted by sensor and tuple.
    entries: Vec<(SensorId, LetterKey, Letters)>,
    truncated: bool,
}

impl LetterBook {
    pub const LIMIT: usize = 256;

    pub fn put(&mut self, sensor: SensorId, key: LetterKey, letters: Letters) {
        match self.place(sensor, &key) {
            Ok(at) => {
                let mine = &mut self.entries[at].2;
                if letters > *mine {
                    *mine = letters;
                }
            }
            Err(at) => self.insert(at, (sensor, key, letters)),
        }
    }

    /// Where the entry is, or where it belongs.
    fn place(&self, sensor: SensorId, key: &LetterKey) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.0.cmp(&sensor).then_with(|| entry.1.cmp(key)))
    }

    fn insert(&mut self, at: usize, entry: (SensorId, LetterKey, Letters)) {
        self.entries.insert(at, entry);
        if self.entries.len() > Self::LIMIT {
            self.truncated = true;
            self.drop_shortest();
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (SensorId, &LetterKey, &Letters)> {
        self.entries
            .iter()
            .map(|(sensor, key, letters)| (*sensor, key, letters))
    }

    /// The letters of one tuple by one sensor.
    #[must_use]
    pub fn get(&self, sensor: SensorId, key: &LetterKey) -> Option<&Letters> {
        let at = self.place(sensor, key).ok()?;
        Some(&self.entries[at].2)
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Tuples had to go.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.truncated
    }

    /// Says that tuples had to go before they came here.
    pub const fn mark_truncated(&mut self) {
        self.truncated = true;
    }

    pub(crate) fn heap(&self) -> usize {
        self.entries.capacity() * size_of::<(SensorId, LetterKey, Letters)>()
            + self
                .entries
                .iter()
                .map(|entry| entry.2.text.capacity())
                .sum::<usize>()
    }

    fn drop_shortest(&mut self) {
        let shortest = (0..self.entries.len()).min_by(|a, b| {
            let (a, b) = (&self.entries[*a], &self.entries[*b]);
            a.2.version
                .cmp(&b.2.version)
                .then_with(|| (b.0, b.1).cmp(&(a.0, a.1)))
        });
        if let Some(at) = shortest {
            self.entries.remove(at);
        }
    }
}

impl Merge for LetterBook {
    fn merge(&mut self, other: &Self) {
        for (sensor, key, letters) in &other.entries {
            match self.place(*sensor, key) {
                // The text grows where it stands.
                Ok(at) => {
                    let mine = &mut self.entries[at].2;
                    if letters > mine {
                        mine.version = letters.version;
                        mine.text.clone_from(&letters.text);
                    }
                }
                Err(at) => self.insert(at, (*sensor, *key, letters.clone())),
            }
        }
        self.truncated |= other.truncated;
    }
}
