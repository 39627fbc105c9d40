//! Lists out of the tables: profiles, windows, evidence, alerts.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Bound;

use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;
use prost::Message;
use tonic::Status;

use super::{PAGE_BYTES, QueryService, address, failed, page_size};
use crate::store::{KeyRange, Order, StoreError, Table};
use crate::{peers, rows};

/// Windows that stand with a profile in the list of profiles.
const WINDOWS: usize = 64;
/// Rows read at once.
const CHUNK: usize = 2048;

impl QueryService {
    /// Profiles in the order of their addresses. Blocks.
    ///
    /// # Errors
    /// The page token is foreign, or the store cannot be read.
    pub fn profiles(&self, request: &v1::ListProfilesRequest) -> Result<v1::ListProfilesResponse, Status> {
        let size = page_size(request.page_size);
        let mut range = KeyRange::all();
        if !request.page.is_empty() {
            range.start = Bound::Excluded(request.page.clone());
        }
        let mut found = Profiles::new(request.with_evidence);
        loop {
            let chunk = self.scan(Table::Summaries, &range, CHUNK)?;
            for (key, value) in &chunk {
                let window = rows::window_of(key).ok_or_else(|| Status::data_loss("key of a window"))?;
                let summary = rows::read_summary(value).map_err(|error| failed(&error))?;
                // A profile is done when the next one begins.
                if found.begins_another(window.profile) && found.done.len() >= size {
                    return Ok(found.page());
                }
                found.add(window.profile, summary);
            }
            if chunk.len() < CHUNK {
                return Ok(found.last());
            }
            range.start = chunk
                .last()
                .map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(key.clone()));
        }
    }

    /// Windows of one profile in order of time. Blocks.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn windows(&self, request: &v1::ListWindowsRequest) -> Result<v1::ListWindowsResponse, Status> {
        let profile = address("profile", &request.profile)?;
        let range = after(KeyRange::prefix(&rows::address_key(profile)), &request.page)?;
        let found = self.scan(Table::Summaries, &range, page_size(request.page_size))?;
        let next_page = next_page(&found, request.page_size);
        let windows: Result<_, StoreError> =
            found.iter().map(|(_, value)| rows::read_summary(value)).collect();
        Ok(v1::ListWindowsResponse {
            windows: windows.map_err(|error| failed(&error))?,
            next_page,
        })
    }

    /// Evidence of one profile by window, else by time. Blocks.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn evidence(&self, request: &v1::ListEvidenceRequest) -> Result<v1::ListEvidenceResponse, Status> {
        let wanted = Wanted {
            profile: request.profile.as_deref(),
            window_start: request.window_start,
            span: request.span,
            page_size: request.page_size,
            page: &request.page,
            newest_first: request.newest_first,
        };
        let read = |value: &[u8]| {
            let evidence = rows::read_evidence(value)?.evidence;
            Ok((evidence.last, peers::evidence_to_wire(evidence)))
        };
        let (evidence, next_page) = self.findings(Table::Evidence, Table::EvidenceByTime, &wanted, read)?;
        Ok(v1::ListEvidenceResponse { evidence, next_page })
    }

    /// Alerts in the same orders. Blocks.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn alerts(&self, request: &v1::ListAlertsRequest) -> Result<v1::ListAlertsResponse, Status> {
        let wanted = Wanted {
            profile: request.profile.as_deref(),
            window_start: request.window_start,
            span: request.span,
            page_size: request.page_size,
            page: &request.page,
            newest_first: request.newest_first,
        };
        let read = |value: &[u8]| {
            let alert = rows::read_alert(value)?;
            Ok((alert.last, peers::alert_to_wire(alert)))
        };
        let (alerts, next_page) = self.findings(Table::Alerts, Table::AlertsByTime, &wanted, read)?;
        Ok(v1::ListAlertsResponse { alerts, next_page })
    }

    /// Evidence and alerts are asked for in the same ways: by profile, or by time.
    fn findings<T: Message>(
        &self,
        table: Table,
        by_time: Table,
        wanted: &Wanted<'_>,
        read: impl Fn(&[u8]) -> Result<(Timestamp, T), StoreError>,
    ) -> Result<(Vec<T>, Vec<u8>), Status> {
        let size = page_size(wanted.page_size);
        let fits = |last: Timestamp| {
            wanted
                .span
                .is_none_or(|span| (span.first..=span.last).contains(&last.0))
        };
        let (range, order) = if wanted.newest_first {
            (before(wanted.range()?, wanted.page)?, Order::Descending)
        } else {
            (after(wanted.range()?, wanted.page)?, Order::Ascending)
        };
        let source = if wanted.profile.is_some() { table } else { by_time };
        let found = self
            .store
            .scan(source, &range, order, size)
            .map_err(|error| failed(&error))?;
        let mut items = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for (at, (key, value)) in found.iter().enumerate() {
            let row = match wanted.profile {
                Some(_) => Some(value.clone()),
                // The row of an expired finding is gone, its place in the order of time may still be there.
                None => self
                    .store
                    .get(table, key.get(8..).unwrap_or_default())
                    .map_err(|error| failed(&error))?,
            };
            let Some(row) = row else { continue };
            let (last, item) = read(&row).map_err(|error| failed(&error))?;
            if fits(last) {
                bytes += item.encoded_len();
                items.push(item);
            }
            if bytes > PAGE_BYTES && at + 1 < found.len() {
                return Ok((items, key.clone()));
            }
        }
        Ok((items, next_page(&found, wanted.page_size)))
    }

    pub(super) fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        limit: usize,
    ) -> Result<crate::store::Rows, Status> {
        self.store
            .scan(table, range, Order::Ascending, limit)
            .map_err(|error| failed(&error))
    }
}

/// A question for evidence or alerts.
struct Wanted<'a> {
    profile: Option<&'a [u8]>,
    window_start: Option<i64>,
    span: Option<v1::Span>,
    page_size: u32,
    page: &'a [u8],
    newest_first: bool,
}

impl Wanted<'_> {
    fn range(&self) -> Result<KeyRange, Status> {
        let Some(profile) = self.profile else {
            if self.window_start.is_some() {
                return Err(Status::invalid_argument("window_start: only with profile"));
            }
            let Some(span) = self.span else {
                return Ok(KeyRange::all());
            };
            return Ok(KeyRange {
                start: Bound::Included(rows::time_key(Timestamp(span.first)).to_vec()),
                end: match span.last.checked_add(1) {
                    Some(end) => Bound::Excluded(rows::time_key(Timestamp(end)).to_vec()),
                    None => Bound::Unbounded,
                },
            });
        };
        let profile = address("profile", profile)?;
        Ok(match self.window_start {
            Some(start) => KeyRange::prefix(&rows::window_key(WindowId {
                profile,
                start: Timestamp(start),
            })),
            None => KeyRange::prefix(&rows::address_key(profile)),
        })
    }
}

/// The part of a range after a page token, which is the last key of the page before.
fn after(mut range: KeyRange, page: &[u8]) -> Result<KeyRange, Status> {
    if page.len() > 64 {
        return Err(Status::invalid_argument("page: not a token of this service"));
    }
    if !page.is_empty() {
        let begin = match &range.start {
            Bound::Included(start) | Bound::Excluded(start) => start.as_slice(),
            Bound::Unbounded => &[],
        };
        if page < begin {
            return Err(Status::invalid_argument("page: belongs to another question"));
        }
        range.start = Bound::Excluded(page.to_vec());
    }
    Ok(range)
}

/// The part of a range before a page token, for lists that begin at their end.
fn before(mut range: KeyRange, page: &[u8]) -> Result<KeyRange, Status> {
    if page.len() > 64 {
        return Err(Status::invalid_argument("page: not a token of this service"));
    }
    if !page.is_empty() {
        let foreign = match &range.end {
            Bound::Included(end) => page > end.as_slice(),
            Bound::Excluded(end) => page >= end.as_slice(),
            Bound::Unbounded => false,
        };
        if foreign {
            return Err(Status::invalid_argument("page: belongs to another question"));
        }
        range.end = Bound::Excluded(page.to_vec());
    }
    Ok(range)
}

fn next_page(found: &[(Vec<u8>, Vec<u8>)], asked: u32) -> Vec<u8> {
    let full = found.len() >= page_size(asked);
    found
        .last()
        .filter(|_| full)
        .map(|(key, _)| key.clone())
        .unwrap_or_default()
}

/// Profiles under construction, out of summaries in the order of their keys.
struct Profiles {
    with_evidence: bool,
    done: Vec<v1::Profile>,
    current: Option<(IpAddr, VecDeque<v1::WindowSummary>, u64)>,
}

impl Profiles {
    const fn new(with_evidence: bool) -> Self {
        Self {
            with_evidence,
            done: Vec::new(),
            current: None,
        }
    }

    /// Finishes the current profile if `ip` is another one.
    fn begins_another(&mut self, ip: IpAddr) -> bool {
        let another = self.current.as_ref().is_some_and(|(current, ..)| *current != ip);
        if another {
            self.finish();
        }
        another
    }

    fn add(&mut self, ip: IpAddr, summary: v1::WindowSummary) {
        let (_, windows, earlier) = self.current.get_or_insert_with(|| (ip, VecDeque::new(), 0));
        if windows.len() == WINDOWS {
            windows.pop_front();
            *earlier += 1;
        }
        windows.push_back(summary);
    }

    fn finish(&mut self) {
        let Some((ip, windows, earlier_windows)) = self.current.take() else {
            return;
        };
        if !self.with_evidence || windows.iter().any(|window| window.evidence > 0) {
            self.done.push(v1::Profile {
                ip: rows::address_bytes(ip),
                windows: windows.into(),
                earlier_windows,
            });
        }
    }

    /// A full page: the next one begins behind all windows of its last profile.
    fn page(self) -> v1::ListProfilesResponse {
        let last = self
            .done
            .last()
            .and_then(|profile| address("ip", &profile.ip).ok());
        let next_page = last.map(|ip| [rows::address_key(ip).as_slice(), &[0xff; 8]].concat());
        v1::ListProfilesResponse {
            profiles: self.done,
            next_page: next_page.unwrap_or_default(),
        }
    }

    fn last(mut self) -> v1::ListProfilesResponse {
        self.finish();
        v1::ListProfilesResponse {
            profiles: self.done,
            next_page: Vec::new(),
        }
    }
}
