//! Outliers: accounts, what they share, cases that are alike, and what analysts say.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound;

use lynceus_model::outlier::patterns::{Candidates, Item, Limits};
use lynceus_model::outlier::{COUNT, FEATURES, groups};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;
use tonic::Status;

use super::{QueryService, address, failed};
use crate::rows::outlier::{Attributes, Head};
use crate::rows::{self, outlier};
use crate::store::{Flush, KeyRange, Order, Table};

/// Windows that one question looks at, the newest first: some seconds.
const MAX_WINDOWS: usize = 500_000;
/// Rows read at once.
const CHUNK: usize = 2_048;
/// Outliers of one search for patterns.
const MAX_OUTLIERS: usize = 20_000;
/// Outliers in an answer, when the reader does not say, and at most.
const LIMIT: (usize, usize) = (100, 1_000);
/// Cases in an answer, when the reader does not say, and at most.
const CASES: (usize, usize) = (5, 50);
/// Cases that are compared: each is a row of some 120 bytes.
const MAX_CASES: usize = 200_000;
/// Members of a group in an answer.
const MEMBERS: usize = 64;
/// Bytes of a label: a sentence or two.
const MAX_LABEL: usize = 1_000;

impl QueryService {
    /// Windows with the highest scores, flagged ones first. Blocks, as all of these questions.
    ///
    /// # Errors
    /// The request is not as it must be, or the store cannot be read.
    pub fn outliers(&self, request: &v1::ListOutliersRequest) -> Result<v1::ListOutliersResponse, Status> {
        let limit = size(request.limit, LIMIT);
        let wanted = |found: &Head| !request.flagged_only || found.flagged;
        let mut best = Best::new(limit);
        let (windows, cut) = if let Some(profile) = &request.profile {
            let windows = self.windows_of(address("profile", profile)?)?;
            let windows = windows.into_iter().filter(|window| {
                request.since.is_none_or(|since| window.start.0 >= since)
                    && request.until.is_none_or(|until| window.start.0 < until)
            });
            let mut count = 0;
            for window in windows {
                if let Some(found) = self.part::<Head>(window)? {
                    count += 1;
                    if wanted(&found) {
                        best.offer(found);
                    }
                }
            }
            (count, false)
        } else {
            let range = period(request.since, request.until);
            self.each_part(range, MAX_WINDOWS, |found: Head| {
                if wanted(&found) {
                    best.offer(found);
                }
            })?
        };
        let mut outliers = self.outliers_of(best)?;
        for found in &mut outliers {
            self.add_label(found)?;
        }
        Ok(v1::ListOutliersResponse {
            outliers,
            windows,
            cut,
        })
    }

    /// What the outliers of a period share.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn patterns(&self, request: &v1::FindPatternsRequest) -> Result<v1::FindPatternsResponse, Status> {
        let range = period(request.since, request.until);
        let most = size(request.windows, (MAX_WINDOWS, MAX_WINDOWS));
        let mut flagged = Best::new(MAX_OUTLIERS);
        let mut top = Best::new((request.top as usize).min(MAX_OUTLIERS));
        let (windows, cut) = self.each_part(range.clone(), most, |found: Head| {
            if found.flagged {
                flagged.offer(found);
            } else {
                top.offer(found);
            }
        })?;
        let by_score = flagged.is_empty();
        // Most windows must be others, or there is nothing to compare with.
        top.keep(usize::try_from(windows.div_ceil(4)).unwrap_or(usize::MAX));
        let outliers = self.outliers_of(if by_score { top } else { flagged })?;
        let items: Vec<BTreeSet<Item>> = outliers
            .iter()
            .map(|found| items_of(&found.items).collect())
            .collect();
        let keys: BTreeSet<(i64, &[u8])> = outliers
            .iter()
            .map(|found| (found.start, found.profile.as_slice()))
            .collect();
        let mut candidates = Candidates::new(&items, Limits::default());
        self.each_part(range, most, |found: Attributes| {
            if !keys.contains(&(found.start, found.profile.as_slice())) {
                let items: Vec<Item> = items_of(&found.items).collect();
                candidates.count_other(&items);
            }
        })?;
        let patterns = candidates.patterns();
        let directions: Vec<[f32; COUNT]> = outliers.iter().map(outlier::direction_of).collect();
        Ok(v1::FindPatternsResponse {
            patterns: patterns.into_iter().map(pattern).collect(),
            groups: groups::group(&directions)
                .iter()
                .map(|group| as_group(group, &outliers))
                .collect(),
            outliers: outliers.len() as u64,
            others: windows.saturating_sub(outliers.len() as u64),
            by_score,
            refused: candidates.refused(),
            cut,
        })
    }

    /// Past cases with an account like that of a window.
    ///
    /// # Errors
    /// There is no account of the window, or the store cannot be read.
    pub fn alike(&self, request: &v1::FindAlikeRequest) -> Result<v1::FindAlikeResponse, Status> {
        let window = window_of(&request.profile, request.start)?;
        let found = self
            .outlier(window)?
            .ok_or_else(|| Status::not_found("no account of this window"))?;
        let direction = outlier::direction_of(&found);
        let limit = size(request.limit, CASES);
        let cases = self
            .store
            .scan(
                Table::OutlierCases,
                &KeyRange::all(),
                Order::Descending,
                MAX_CASES,
            )
            .map_err(|error| failed(&error))?;
        let own = rows::window_time_key(window);
        let mut alike = Vec::new();
        for (key, value) in cases.iter().filter(|(key, _)| *key != own) {
            let (likeness, _) =
                outlier::likeness_of_case(value, &direction).map_err(|error| failed(&error))?;
            if likeness > 0.0 {
                alike.push((likeness, key));
            }
        }
        alike.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(a.1)));
        alike.truncate(limit * 4);
        let mut found = Vec::new();
        for (likeness, key) in alike {
            let Some(window) = rows::window_of_time_key(key) else {
                continue;
            };
            if let Some(mut known) = self.outlier(window)? {
                self.add_label(&mut known)?;
                found.push(v1::Alike {
                    outlier: Some(known),
                    likeness,
                });
            }
        }
        // What somebody said something of goes before what is alike to within a twentieth.
        let labelled = |case: &v1::Alike| case.outlier.as_ref().is_some_and(|known| known.label.is_some());
        found.sort_by_key(|case| Reverse(((case.likeness * 20.0).round() as u32, labelled(case))));
        found.truncate(limit);
        Ok(v1::FindAlikeResponse {
            cases: found,
            looked_at: cases.len() as u64,
        })
    }

    pub(super) fn label(&self, request: &v1::SetLabelRequest) -> Result<v1::SetLabelResponse, Status> {
        let window = window_of(&request.profile, request.start)?;
        if request.text.len() > MAX_LABEL {
            return Err(Status::invalid_argument(format!(
                "text: has {} bytes, may have {MAX_LABEL}",
                request.text.len()
            )));
        }
        let mut found = self
            .outlier(window)?
            .ok_or_else(|| Status::not_found("no account of this window"))?;
        let text: String = request
            .text
            .trim()
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        let label = (!text.is_empty()).then(|| v1::OutlierLabel {
            text,
            at: crate::now().0,
        });
        let mut changes = vec![outlier::put_label(window, label.as_ref())];
        if label.is_some() {
            changes.push(outlier::put_case(&found, window));
        }
        self.store
            .write(&changes, Flush::Durable)
            .map_err(|error| failed(&error))?;
        found.label = label;
        Ok(v1::SetLabelResponse { outlier: Some(found) })
    }

    fn outlier(&self, window: WindowId) -> Result<Option<v1::Outlier>, Status> {
        let value = self
            .store
            .get(Table::Outliers, &rows::window_time_key(window))
            .map_err(|error| failed(&error))?;
        value
            .map(|value| outlier::read_outlier(&value))
            .transpose()
            .map_err(|error| failed(&error))
    }

    fn add_label(&self, found: &mut v1::Outlier) -> Result<(), Status> {
        let window = window_of(&found.profile, found.start)?;
        let value = self
            .store
            .get(Table::Labels, &rows::window_key(window))
            .map_err(|error| failed(&error))?;
        let label = value.map(|value| outlier::read_label(&value)).transpose();
        found.label = label.map_err(|error| failed(&error))?;
        Ok(())
    }

    fn part<M: prost::Message + Default>(&self, window: WindowId) -> Result<Option<M>, Status> {
        let value = self
            .store
            .get(Table::Outliers, &rows::window_time_key(window))
            .map_err(|error| failed(&error))?;
        value
            .map(|value| outlier::read_part(&value))
            .transpose()
            .map_err(|error| failed(&error))
    }

    /// The whole accounts, in the order of the ranks.
    fn outliers_of(&self, best: Best) -> Result<Vec<v1::Outlier>, Status> {
        let mut outliers = Vec::new();
        for (profile, start) in best.sorted() {
            // Between the two looks it may have expired.
            outliers.extend(self.outlier(window_of(&profile, start)?)?);
        }
        Ok(outliers)
    }

    /// Shows a part of each account, newest first, up to `most`; gives how many, and whether there are more.
    fn each_part<M: prost::Message + Default>(
        &self,
        mut range: KeyRange,
        most: usize,
        mut visit: impl FnMut(M),
    ) -> Result<(u64, bool), Status> {
        let mut seen = 0;
        loop {
            let wanted = CHUNK.min(most - seen);
            let chunk = self
                .store
                .scan(Table::Outliers, &range, Order::Descending, wanted)
                .map_err(|error| failed(&error))?;
            for (_, value) in &chunk {
                visit(outlier::read_part(value).map_err(|error| failed(&error))?);
            }
            seen += chunk.len();
            let Some((last, _)) = chunk.last().filter(|_| chunk.len() == wanted) else {
                return Ok((seen as u64, false));
            };
            if seen >= most {
                return Ok((seen as u64, true));
            }
            range.end = Bound::Excluded(last.clone());
        }
    }

    fn windows_of(&self, profile: IpAddr) -> Result<Vec<WindowId>, Status> {
        let range = KeyRange::prefix(&rows::address_key(profile));
        let found = self
            .store
            .scan(Table::Summaries, &range, Order::Descending, MAX_WINDOWS)
            .map_err(|error| failed(&error))?;
        Ok(found.iter().filter_map(|(key, _)| rows::window_of(key)).collect())
    }
}

fn size(asked: u32, (usual, most): (usize, usize)) -> usize {
    match asked {
        0 => usual,
        asked => (asked as usize).min(most),
    }
}

fn window_of(profile: &[u8], start: i64) -> Result<WindowId, Status> {
    Ok(WindowId {
        profile: address("profile", profile)?,
        start: Timestamp(start),
    })
}

/// Keys of windows that begin in `[since, until)`.
fn period(since: Option<i64>, until: Option<i64>) -> KeyRange {
    let bound = |time: i64| rows::time_key(Timestamp(time)).to_vec();
    KeyRange {
        start: since.map_or(Bound::Unbounded, |time| Bound::Included(bound(time))),
        end: until.map_or(Bound::Unbounded, |time| Bound::Excluded(bound(time))),
    }
}

/// The so many outliers with the highest scores; flagged ones go before others, equal ones in the order of time.
struct Best {
    limit: usize,
    found: BTreeSet<Place>,
}

/// Flagged, bits of the score, and begin and address of the window.
type Place = (bool, u64, Reverse<(i64, Vec<u8>)>);

impl Best {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            found: BTreeSet::new(),
        }
    }

    fn offer(&mut self, found: Head) {
        // Bits of non-negative numbers sort as the numbers do.
        let place = Reverse((found.start, found.profile));
        self.found
            .insert((found.flagged, found.score.max(0.0).to_bits(), place));
        self.keep(self.limit);
    }

    fn keep(&mut self, most: usize) {
        while self.found.len() > most {
            self.found.pop_first();
        }
    }

    fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn sorted(self) -> impl Iterator<Item = (Vec<u8>, i64)> {
        let places = self.found.into_iter().rev();
        places.map(|(_, _, Reverse((start, profile)))| (profile, start))
    }
}

fn items_of(items: &[v1::OutlierItem]) -> impl Iterator<Item = Item> {
    items.iter().map(|item| Item {
        attribute: item.attribute.clone(),
        value: item.value.clone(),
    })
}

fn as_item(item: Item) -> v1::OutlierItem {
    v1::OutlierItem {
        attribute: item.attribute,
        value: item.value,
    }
}

fn pattern(pattern: lynceus_model::outlier::patterns::Pattern) -> v1::Pattern {
    v1::Pattern {
        items: pattern.items.into_iter().map(as_item).collect(),
        outliers: pattern.counts.outliers,
        others: pattern.counts.others,
        risk_ratio: pattern.risk.ratio,
        low: pattern.risk.low,
        high: pattern.risk.high,
        false_discovery_rate: pattern.discovery_rate,
    }
}

fn as_group(group: &groups::Group, outliers: &[v1::Outlier]) -> v1::OutlierGroup {
    let members: Vec<&v1::Outlier> = group.members.iter().map(|place| &outliers[*place]).collect();
    let profiles: BTreeSet<&[u8]> = members.iter().map(|member| member.profile.as_slice()).collect();
    let mut shared: Option<BTreeSet<Item>> = None;
    for member in &members {
        let items: BTreeSet<Item> = items_of(&member.items).collect();
        shared = Some(match shared {
            None => items,
            Some(shared) => shared.intersection(&items).cloned().collect(),
        });
    }
    // Squares of a direction add up to 1.
    let mut features: Vec<v1::OddFeature> = group
        .direction
        .iter()
        .zip(&FEATURES)
        .map(|(share, feature)| v1::OddFeature {
            feature: feature.name.to_owned(),
            t: f64::from(*share) * f64::from(*share),
        })
        .filter(|feature| feature.t >= 0.05)
        .collect();
    features.sort_by(|a, b| b.t.total_cmp(&a.t));
    v1::OutlierGroup {
        members: members
            .iter()
            .take(MEMBERS)
            .map(|member| v1::OutlierMember {
                profile: member.profile.clone(),
                start: member.start,
                score: member.score,
            })
            .collect(),
        windows: members.len() as u64,
        profiles: profiles.len() as u64,
        features,
        shared: shared.unwrap_or_default().into_iter().map(as_item).collect(),
    }
}
