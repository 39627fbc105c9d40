//! Searches over evidence, alerts and flows, in pages that cost the same however much there is: each request looks at a
//! bounded number of rows, tells what it found, and where to go on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_enrich::offline::tables::Tables;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;
use lynceus_view::human::Clock;
use lynceus_view::search::{Field, FlowWithNotes, Record, Search};
use lynceus_view::timeline;

use super::Web;
use super::error::Refusal;
use crate::query::Collected;
use crate::rows::{self, address_bytes};

/// Rows that one request looks at. With it a page of a search without a match takes about 0.1 s.
const LOOKED_AT: usize = 20_000;
/// Entries of the log that one request looks at.
const TRAFFIC_LOOKED_AT: usize = 50_000;
/// Rows of a page when nobody says, and at most.
pub(super) const PAGE: (usize, usize) = (100, 1000);

/// A page of matches.
pub(super) struct Found<T> {
    pub(super) items: Vec<T>,
    /// Where the search goes on; absent: everything was looked at.
    pub(super) next: Option<Vec<u8>>,
    /// Rows looked at for this page.
    pub(super) looked_at: usize,
}

/// A flow with what its messages say.
pub(super) struct FoundFlow {
    pub(super) flow: Flow,
    pub(super) notes: Vec<String>,
}

impl Web {
    /// Evidence, the newest first.
    pub(super) fn find_evidence(
        &self,
        search: &Search,
        page: Vec<u8>,
        limit: usize,
    ) -> Result<Found<Evidence>, Refusal> {
        let profile = search.address(&[Field::Profile]);
        let place = |found: &Evidence| {
            let key = rows::evidence_key(rows::window_of_evidence(found), found.id);
            place(profile.is_some(), found.last, key)
        };
        let read = |page, size| {
            let answer = self.0.query.evidence(&v1::ListEvidenceRequest {
                profile: profile.map(address_bytes),
                window_start: None,
                span: span(search),
                page_size: size,
                page,
                newest_first: true,
            })?;
            let items = answer
                .evidence
                .into_iter()
                .map(Evidence::try_from)
                .collect::<Result<Vec<_>, _>>()?;
            Ok((items, answer.next_page))
        };
        scan(page, limit, LOOKED_AT, read, place, search.is_empty(), |found| {
            self.fits(search, found)
        })
    }

    /// Alerts, the newest first.
    pub(super) fn find_alerts(
        &self,
        search: &Search,
        page: Vec<u8>,
        limit: usize,
    ) -> Result<Found<Alert>, Refusal> {
        let profile = search.address(&[Field::Profile, Field::Attacker, Field::Ip]);
        let place = |found: &Alert| {
            let window = WindowId {
                profile: found.profile,
                start: found.window_start,
            };
            place(profile.is_some(), found.last, rows::alert_key(window, found.id))
        };
        let read = |page, size| {
            let answer = self.0.query.alerts(&v1::ListAlertsRequest {
                profile: profile.map(address_bytes),
                window_start: None,
                span: span(search),
                page_size: size,
                page,
                newest_first: true,
            })?;
            let items = answer
                .alerts
                .into_iter()
                .map(Alert::try_from)
                .collect::<Result<Vec<_>, _>>()?;
            Ok((items, answer.next_page))
        };
        scan(page, limit, LOOKED_AT, read, place, search.is_empty(), |found| {
            self.fits(search, found)
        })
    }

    /// Flows in the order of their arrival. Messages that come on another page than their flow are not shown with it.
    pub(super) fn find_flows(
        &self,
        search: &Search,
        mut page: Vec<u8>,
        limit: usize,
    ) -> Result<Found<FoundFlow>, Refusal> {
        let fields = [Field::Ip, Field::Profile, Field::Source, Field::Destination];
        let address = search.address(&fields);
        let mut found = Found {
            items: Vec::new(),
            next: None,
            looked_at: 0,
        };
        loop {
            let answer = self.0.query.traffic(&v1::ListTrafficRequest {
                profile: address.map(address_bytes),
                community_ids: Vec::new(),
                span: span(search),
                page_size: 1000,
                page,
            })?;
            found.looked_at += answer.entries.len().max(1);
            let mut collected = Collected::default();
            for entry in answer.entries {
                collected.add(entry)?;
            }
            found.items.extend(self.matching(search, collected));
            page = answer.next_page;
            if page.is_empty() {
                return Ok(found);
            }
            if found.items.len() >= limit || found.looked_at >= TRAFFIC_LOOKED_AT {
                found.next = Some(page);
                return Ok(found);
            }
        }
    }

    /// The flows of a page that match, in order of time.
    fn matching(&self, search: &Search, collected: Collected) -> Vec<FoundFlow> {
        let (flows, messages) = collected.finish();
        let mut by_flow: HashMap<CommunityId, Vec<&_>> = HashMap::new();
        for message in &messages {
            if let Some(id) = message.community_id {
                by_flow.entry(id).or_default().push(message);
            }
        }
        let mut found: Vec<FoundFlow> = flows
            .into_iter()
            .map(|flow| FoundFlow {
                notes: by_flow
                    .get(&flow.community_id)
                    .map(|messages| timeline::notes_of(messages))
                    .unwrap_or_default(),
                flow,
            })
            .filter(|found| {
                let record = FlowWithNotes {
                    flow: &found.flow,
                    notes: &found.notes,
                };
                self.fits(search, &record)
            })
            .collect();
        found.sort_by_key(|found| (found.flow.first, found.flow.community_id));
        found
    }

    fn fits(&self, search: &Search, record: &impl Record) -> bool {
        let clock: &Clock = &self.0.clock;
        search.matches(&Located { record, web: self }, clock)
    }
}

/// A record with what is known of its addresses.
struct Located<'a, R> {
    record: &'a R,
    web: &'a Web,
}

impl<R: Record> Record for Located<'_, R> {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        self.record.addresses(field)
    }

    fn numbers(&self, field: Field) -> Vec<f64> {
        self.record.numbers(field)
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        let mut words = self.record.words(field);
        match field {
            Field::Country => words.extend(self.ips().filter_map(|ip| {
                let country = Tables::embedded().ok()?.find(ip).place?.country?;
                Some(country.text().to_owned().into())
            })),
            Field::Is
                if self
                    .record
                    .addresses(Field::Ip)
                    .iter()
                    .any(|ip| self.web.is_me(*ip)) =>
            {
                words.push("me".into());
            }
            _ => {}
        }
        words
    }

    fn systems(&self) -> Vec<(u32, Cow<'_, str>)> {
        let systems = self.ips().filter_map(|ip| {
            let system = Tables::embedded().ok()?.systems.find(ip).ok()??;
            Some((system.number, system.organization.into()))
        });
        systems.collect()
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.record.span()
    }
}

impl<R: Record> Located<'_, R> {
    /// Addresses that the tables can know.
    fn ips(&self) -> impl Iterator<Item = IpAddr> {
        let ips = self.record.addresses(Field::Ip).into_iter();
        ips.filter(|ip| lynceus_model::address::is_public(*ip))
    }
}

/// Pages of the store until enough matches or enough rows. `place`: the page token behind an item.
fn scan<T>(
    mut page: Vec<u8>,
    limit: usize,
    most: usize,
    mut read: impl FnMut(Vec<u8>, u32) -> Result<(Vec<T>, Vec<u8>), Refusal>,
    place: impl Fn(&T) -> Vec<u8>,
    all: bool,
    fits: impl Fn(&T) -> bool,
) -> Result<Found<T>, Refusal> {
    let mut found = Found {
        items: Vec::new(),
        next: None,
        looked_at: 0,
    };
    loop {
        let size = if all { limit } else { 1000 };
        let (items, next) = read(page, u32::try_from(size.min(1000)).unwrap_or(1000))?;
        found.looked_at += items.len().max(1);
        found.items.extend(items.into_iter().filter(|item| fits(item)));
        if found.items.len() > limit {
            found.items.truncate(limit);
            found.next = found.items.last().map(place);
            return Ok(found);
        }
        page = next;
        if page.is_empty() {
            return Ok(found);
        }
        if found.items.len() == limit || found.looked_at >= most {
            found.next = Some(page);
            return Ok(found);
        }
    }
}

/// The key at which a list that begins at its end stopped.
fn place(by_profile: bool, last: Timestamp, key: Vec<u8>) -> Vec<u8> {
    if by_profile {
        key
    } else {
        rows::by_time_key(last, &key)
    }
}

fn span(search: &Search) -> Option<v1::Span> {
    search.span().map(|(from, to)| v1::Span {
        first: from.0,
        last: to.0,
    })
}
