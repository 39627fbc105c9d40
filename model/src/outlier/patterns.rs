//! What outliers share and others do not: combinations of attributes, as in the DIFF operator (Abuzaid et al. 2018) on
//! the risk ratio of MacroBase (Bailis et al. 2017), tested as an increment.
//!
//! A combination inherits the risk of its parts, so its own risk ratio says nothing: with one planted pair, dozens of
//! pairs around it are "significant". Here a combination must beat each of its parents *within* that parent.

mod statistics;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use statistics::{Counts, RiskRatio, false_discovery_rates};

/// An attribute of a window with one of its values: `port` and `23`. A window may have several values of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    pub attribute: String,
    pub value: String,
}

/// A combination that outliers have.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// One to three, of different attributes, in order.
    pub items: Vec<Item>,
    pub counts: Counts,
    pub risk: RiskRatio,
    /// False discovery rate at which it is found; of a combination, for the least of its increments within its parents.
    pub discovery_rate: f64,
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of the outliers that must have it.
    pub support: f64,
    pub risk_ratio: f64,
    /// How many times the risk ratio of each parent a combination must have.
    pub beats_parents: f64,
    pub discovery_rate: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            support: 0.02,
            risk_ratio: 3.0,
            beats_parents: 1.3,
            discovery_rate: 0.05,
        }
    }
}

/// Combinations that enough outliers have, and how many others have them. Outliers come first and all at once, as they
/// are few; the others may be many and are shown one after another.
#[derive(Debug)]
pub struct Candidates {
    limits: Limits,
    names: Vec<Item>,
    ids: HashMap<Item, u32>,
    counts: HashMap<Key, (u64, u64)>,
    outliers: u64,
    others: u64,
    /// Combinations that were looked at: also those that too few outliers have, or the false discovery rate would only
    /// know the winners.
    looked_at: usize,
    refused: u64,
}

/// Ascending; unused places are [`NONE`].
type Key = [u32; ORDER];

const NONE: u32 = u32::MAX;

/// Items of a combination at most.
pub const ORDER: usize = 3;
/// Outliers that share something by chance are two; three are a pattern.
const MIN_OUTLIERS: u64 = 3;
/// Frequent items and combinations: some 10 MB. Beyond, those with more items are left out and counted.
const MAX_CANDIDATES: usize = 65_536;
/// Frequent items of one window that are combined: 5,488 combinations.
const MAX_ITEMS: usize = 32;

impl Candidates {
    /// Finds what enough outliers share.
    #[must_use]
    pub fn new(outliers: &[BTreeSet<Item>], limits: Limits) -> Self {
        let least = ((limits.support * outliers.len() as f64).ceil() as u64).max(MIN_OUTLIERS);
        let mut singles: BTreeMap<&Item, u64> = BTreeMap::new();
        outliers
            .iter()
            .flatten()
            .for_each(|item| *singles.entry(item).or_default() += 1);
        let distinct = singles.len();
        let names: Vec<Item> = singles
            .into_iter()
            .filter(|(_, count)| *count >= least)
            .map(|(item, _)| item.clone())
            .collect();
        let mut refused = names.len().saturating_sub(MAX_CANDIDATES) as u64;
        let names = names.into_iter().take(MAX_CANDIDATES).collect::<Vec<_>>();
        let ids = (0..).zip(&names).map(|(id, item)| (item.clone(), id)).collect();
        let mut candidates = Self {
            limits,
            names,
            ids,
            counts: HashMap::new(),
            outliers: outliers.len() as u64,
            others: 0,
            looked_at: distinct,
            refused: 0,
        };
        let rows: Vec<Vec<u32>> = outliers.iter().map(|row| candidates.frequent(row)).collect();
        // Support can only fall with another item, so each order is made of what the one before it left (Apriori).
        for order in 1..=ORDER {
            let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
            for row in &rows {
                candidates.combinations(row, order, &mut |key| {
                    let parents_left =
                        order == 1 || parents(key).all(|parent| candidates.counts.contains_key(&parent));
                    if parents_left {
                        *counts.entry(key).or_default() += 1;
                    }
                });
            }
            if order > 1 {
                candidates.looked_at += counts.len();
            }
            for (key, count) in counts.into_iter().filter(|(_, count)| *count >= least) {
                if candidates.counts.len() < MAX_CANDIDATES {
                    candidates.counts.insert(key, (count, 0));
                } else {
                    refused += 1;
                }
            }
        }
        candidates.refused = refused;
        candidates
    }

    /// Counts a window that is no outlier.
    pub fn count_other<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        self.others += 1;
        let row = self.frequent(items);
        let mut counts = std::mem::take(&mut self.counts);
        for order in 1..=ORDER {
            self.combinations(&row, order, &mut |key| {
                if let Some((_, others)) = counts.get_mut(&key) {
                    *others += 1;
                }
            });
        }
        self.counts = counts;
    }

    /// Combinations that were left out because there were too many.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What is no chance, surest first.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let mut keys: Vec<Key> = self.counts.keys().copied().collect();
        keys.sort_unstable();
        let p_values: Vec<f64> = keys.iter().map(|key| self.p_value(*key)).collect();
        let rates = false_discovery_rates(&p_values, self.looked_at);
        let chosen: Vec<(Key, f64)> = keys
            .into_iter()
            .zip(rates)
            .filter(|(key, rate)| *rate <= self.limits.discovery_rate && self.is_strong(*key))
            .collect();
        let mut patterns: Vec<Pattern> = chosen
            .iter()
            .filter(|(key, _)| !self.is_explained(*key, &chosen))
            .map(|(key, rate)| {
                let counts = self.counts_of(*key);
                Pattern {
                    items: items_of(key).map(|id| self.names[id as usize].clone()).collect(),
                    counts,
                    risk: counts.risk_ratio(),
                    discovery_rate: *rate,
                }
            })
            .collect();
        patterns.sort_by(|a, b| {
            a.discovery_rate
                .total_cmp(&b.discovery_rate)
                .then(b.counts.outliers.cmp(&a.counts.outliers))
                .then_with(|| a.items.cmp(&b.items))
        });
        patterns
    }

    fn counts_of(&self, key: Key) -> Counts {
        let with = self.counts.get(&key).copied().unwrap_or_default();
        Counts::new(with, (self.outliers, self.others))
    }

    /// A single attribute against the rest; a combination within each of its parents, where the largest p counts.
    fn p_value(&self, key: Key) -> f64 {
        if items_of(&key).count() == 1 {
            return self.counts_of(key).fisher();
        }
        let with = self.counts[&key];
        parents(key)
            .map(|parent| Counts::new(with, self.counts[&parent]).fisher())
            .fold(0.0, f64::max)
    }

    fn is_strong(&self, key: Key) -> bool {
        let risk = self.counts_of(key).risk_ratio().ratio;
        risk >= self.limits.risk_ratio
            && (items_of(&key).count() == 1
                || parents(key).all(|parent| {
                    risk > self.limits.beats_parents * self.counts_of(parent).risk_ratio().ratio
                }))
    }

    /// Without the windows of a combination that is reported, nothing of it is left.
    fn is_explained(&self, key: Key, chosen: &[(Key, f64)]) -> bool {
        let whole = self.counts_of(key);
        chosen.iter().any(|(child, _)| {
            let is_child = *child != key && items_of(&key).all(|item| child.contains(&item));
            if !is_child {
                return false;
            }
            let part = self.counts_of(*child);
            let rest = Counts {
                outliers: whole.outliers - part.outliers,
                others: whole.others - part.others,
                all_outliers: whole.all_outliers - part.outliers,
                all_others: whole.all_others - part.others,
            };
            rest.outliers < MIN_OUTLIERS
                || rest.risk_ratio().ratio < self.limits.risk_ratio
                || rest.fisher() > self.limits.discovery_rate
        })
    }

    fn frequent<'a>(&self, items: impl IntoIterator<Item = &'a Item>) -> Vec<u32> {
        let ids = items.into_iter().filter_map(|item| self.ids.get(item).copied());
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(MAX_ITEMS);
        ids
    }

    /// Shows the combinations of different attributes.
    fn combinations(&self, row: &[u32], order: usize, each: &mut dyn FnMut(Key)) {
        let differ = |a: u32, b: u32| self.names[a as usize].attribute != self.names[b as usize].attribute;
        for (at, a) in row.iter().enumerate() {
            if order == 1 {
                each([*a, NONE, NONE]);
                continue;
            }
            for (offset, b) in row[at + 1..].iter().enumerate() {
                if !differ(*a, *b) {
                    continue;
                }
                if order == 2 {
                    each([*a, *b, NONE]);
                    continue;
                }
                for c in row[at + offset + 2..]
                    .iter()
                    .filter(|c| differ(*b, **c) && differ(*a, **c))
                {
                    each([*a, *b, *c]);
                }
            }
        }
    }
}

fn items_of(key: &Key) -> impl Iterator<Item = u32> {
    key.iter().copied().filter(|item| *item != NONE)
}

/// The combinations with one item less.
fn parents(key: Key) -> impl Iterator<Item = Key> {
    let items: Vec<u32> = items_of(&key).collect();
    (0..items.len()).map(move |without| {
        let mut parent = [NONE; ORDER];
        let kept = items.iter().enumerate().filter(|(place, _)| *place != without);
        parent
            .iter_mut()
            .zip(kept)
            .for_each(|(place, (_, item))| *place = *item);
        parent
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(attribute: &str, value: u64) -> Item {
        Item {
            attribute: attribute.to_owned(),
            value: value.to_string(),
        }
    }

    /// The test of `outliers.md` §3.3: eight attributes, two causes planted among 1 % of outliers.
    fn planted(seed: u64, rows: u64) -> (Vec<BTreeSet<Item>>, Vec<BTreeSet<Item>>) {
        let attributes = [
            ("asn", 50),
            ("country", 20),
            ("dport", 30),
            ("hour", 24),
            ("ja4", 40),
            ("os", 5),
            ("sensor", 8),
            ("vlan", 10),
        ];
        let (mut outliers, mut others) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let random = |what: u64| crate::profile::mix(seed ^ (what << 32), row);
            // Small values are more usual than large ones.
            let values: Vec<u64> = attributes
                .iter()
                .zip(0..)
                .map(|((_, many), place)| (random(place) % many).min(random(place + 20) % many))
                .collect();
            let chance = random(50) % 10_000;
            let caused =
                (values[4] == 7 && chance < 1_500) || (values[2] == 3 && values[6] == 2 && chance < 5_300);
            let items = attributes
                .iter()
                .zip(values)
                .map(|((name, _), value)| item(name, value))
                .collect();
            if caused || chance >= 9_940 {
                outliers.push(items);
            } else {
                others.push(items);
            }
        }
        (outliers, others)
    }

    fn found(outliers: &[BTreeSet<Item>], others: &[BTreeSet<Item>]) -> Vec<String> {
        let mut candidates = Candidates::new(outliers, Limits::default());
        others.iter().for_each(|row| candidates.count_other(row));
        assert_eq!(candidates.refused(), 0);
        let text = |pattern: &Pattern| {
            let items: Vec<String> = pattern
                .items
                .iter()
                .map(|item| format!("{}={}", item.attribute, item.value))
                .collect();
            items.join(" & ")
        };
        candidates.patterns().iter().map(text).collect()
    }

    #[test]
    fn planted_causes_are_found_and_companions_fall_away() {
        let mut spurious = 0;
        for seed in 1..=5 {
            let (outliers, others) = planted(seed, 20_000);
            let found = found(&outliers, &others);
            for planted in ["ja4=7", "dport=3 & sensor=2"] {
                assert!(
                    found.iter().any(|found| found == planted),
                    "seed {seed}: {found:?}"
                );
            }
            let carries = ["ja4=7", "dport=3 & sensor=2", "dport=3", "sensor=2"];
            spurious += found
                .iter()
                .filter(|found| !carries.contains(&found.as_str()))
                .count();
        }
        assert_eq!(spurious, 0);
    }

    #[test]
    fn nothing_is_found_where_nothing_is_planted() {
        let (mut spurious, mut all) = (0, 0);
        for seed in 11..=20 {
            let (outliers, others) = planted(seed, 10_000);
            // The rows without their outliers; every 50th is called one.
            let rows: Vec<_> = others.into_iter().chain(outliers).collect();
            let (mut outliers, mut others) = (Vec::new(), Vec::new());
            for (place, row) in rows.into_iter().enumerate() {
                if place % 50 == 0 {
                    &mut outliers
                } else {
                    &mut others
                }
                .push(row);
            }
            spurious += found(&outliers, &others).len();
            all += 1;
        }
        // A false discovery rate of 5 % where there is nothing: at most one run in twenty, give or take.
        assert!(spurious <= 1, "{spurious} in {all}");
    }

    #[test]
    fn three_together_where_two_are_not_enough() {
        let mut outliers = Vec::new();
        let mut others = Vec::new();
        for row in 0..4_000_u64 {
            let random = |what: u64| crate::profile::mix(what, row) % 4;
            let (a, b, c) = (random(1), random(2), random(3));
            let items: BTreeSet<Item> = [item("a", a), item("b", b), item("c", c)].into();
            let is_outlier = (a, b, c) == (1, 1, 1) || row % 400 == 0;
            if is_outlier { &mut outliers } else { &mut others }.push(items);
        }
        assert_eq!(found(&outliers, &others), ["a=1 & b=1 & c=1"]);
    }

    #[test]
    fn one_outlier_is_no_pattern() {
        let outliers = [BTreeSet::from([item("port", 23)])];
        let others: Vec<BTreeSet<Item>> = (0..100).map(|n| BTreeSet::from([item("port", n)])).collect();
        assert!(found(&outliers, &others).is_empty());
        assert!(found(&[], &[]).is_empty());
    }
}
