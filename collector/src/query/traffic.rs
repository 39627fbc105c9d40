//! Flows and messages out of the log.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::{CommunityId, FiveTuple, FlowUpdate};
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;
use prost::Message;
use tonic::Status;

use super::{PAGE_BYTES, QueryService, address, failed, page_size};
use crate::dispatch::decode;
use crate::rows;
use crate::store::{LogRange, LogRecord, Position, Span, key_hash};

/// Community IDs of one question.
const MAX_IDS: usize = 256;
/// Log entries that one question opens; the next page goes on behind them.
const MAX_OPENED: usize = 4096;

impl QueryService {
    /// Flows and messages, in the order of arrival. Blocks.
    ///
    /// # Errors
    /// The question or the page token makes no sense, or the log cannot be read.
    pub fn traffic(&self, request: &v1::ListTrafficRequest) -> Result<v1::ListTrafficResponse, Status> {
        let wanted = Wanted::read(request)?;
        let begin = Place::read(&request.page)?;
        let size = page_size(request.page_size);
        let range = LogRange {
            after: Position(begin.position.saturating_sub(1)),
            span: wanted.span,
            keys: wanted.keys(),
        };
        let mut page = Page::default();
        let mut opened = 0;
        let read = self.store.read_log(&range, &mut |record| {
            if opened == MAX_OPENED {
                page.next = Some(Place {
                    position: record.position.0,
                    index: 0,
                });
                return ControlFlow::Break(());
            }
            opened += 1;
            page.take(&record, &wanted, begin, size)
        });
        read.map_err(|error| failed(&error))?;
        page.entries.sort_by_key(|(time, _)| *time);
        Ok(v1::ListTrafficResponse {
            entries: page.entries.into_iter().map(|(_, entry)| entry).collect(),
            next_page: page.next.map(Place::token).unwrap_or_default(),
        })
    }
}

/// What the reader asked for.
struct Wanted {
    profile: Option<IpAddr>,
    ids: BTreeSet<[u8; 20]>,
    span: Option<Span>,
}

impl Wanted {
    fn read(request: &v1::ListTrafficRequest) -> Result<Self, Status> {
        if request.community_ids.len() > MAX_IDS {
            return Err(Status::invalid_argument(format!(
                "community_ids: at most {MAX_IDS}"
            )));
        }
        let ids: Result<_, _> = request
            .community_ids
            .iter()
            .map(|id| id.as_slice().try_into())
            .collect();
        Ok(Self {
            profile: request
                .profile
                .as_deref()
                .map(|bytes| address("profile", bytes))
                .transpose()?,
            ids: ids.map_err(|_| Status::invalid_argument("community_ids: each must have 20 bytes"))?,
            span: request.span.map(|span| Span {
                first: Timestamp(span.first),
                last: Timestamp(span.last),
            }),
        })
    }

    /// For the filter of the log. Any of these must be there; `fits` looks closer.
    fn keys(&self) -> Vec<u64> {
        if !self.ids.is_empty() {
            return self.ids.iter().map(|id| key_hash(id)).collect();
        }
        self.profile
            .map(|ip| key_hash(&rows::address_key(ip)))
            .into_iter()
            .collect()
    }

    fn fits(&self, tuple: &FiveTuple, id: Option<CommunityId>, first: Timestamp, last: Timestamp) -> bool {
        let ip = |ip: IpAddr| tuple.originator.ip == ip || tuple.responder.ip == ip;
        self.profile.is_none_or(ip)
            && (self.ids.is_empty() || id.is_some_and(|id| self.ids.contains(&id.0)))
            && self.span.is_none_or(|span| span.overlaps(&Span { first, last }))
    }

    fn flow(&self, update: &FlowUpdate) -> bool {
        let flow = &update.flow;
        self.fits(&flow.tuple, Some(flow.community_id), flow.first, flow.last)
    }

    fn app(&self, record: &AppRecord) -> bool {
        self.fits(&record.tuple, record.community_id, record.time, record.time)
    }
}

/// Where a page begins: an entry of the log and an item in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    position: u64,
    index: u32,
}

impl Place {
    fn read(token: &[u8]) -> Result<Self, Status> {
        if token.is_empty() {
            return Ok(Self::default());
        }
        let token: [u8; 12] = token
            .try_into()
            .map_err(|_| Status::invalid_argument("page: not a token of this service"))?;
        let [position @ .., a, b, c, d] = token;
        Ok(Self {
            position: u64::from_be_bytes(position),
            index: u32::from_be_bytes([a, b, c, d]),
        })
    }

    fn token(self) -> Vec<u8> {
        [self.position.to_be_bytes().as_slice(), &self.index.to_be_bytes()].concat()
    }
}

#[derive(Default)]
struct Page {
    entries: Vec<(Timestamp, v1::Traffic)>,
    bytes: usize,
    next: Option<Place>,
}

impl Page {
    fn take(&mut self, record: &LogRecord, wanted: &Wanted, begin: Place, size: usize) -> ControlFlow<()> {
        let (content, _) = match decode(&record.payload) {
            Ok(content) => content,
            Err(what) => {
                tracing::error!(position = record.position.0, what, "log entry not shown");
                return ControlFlow::Continue(());
            }
        };
        let mut place = Place {
            position: record.position.0,
            index: 0,
        };
        let skip = if place.position == begin.position {
            begin.index
        } else {
            0
        };
        for update in content.updates {
            for flow in update.flows {
                if place.index >= skip && wanted.flow(&flow) {
                    let time = flow.flow.first;
                    self.put(record, place, size, time, v1::traffic::Entry::Flow(flow.into()))?;
                }
                place.index += 1;
            }
            for app in update.apps {
                if place.index >= skip && wanted.app(&app) {
                    let time = app.time;
                    self.put(record, place, size, time, v1::traffic::Entry::App(app.into()))?;
                }
                place.index += 1;
            }
        }
        ControlFlow::Continue(())
    }

    fn put(
        &mut self,
        record: &LogRecord,
        place: Place,
        size: usize,
        time: Timestamp,
        entry: v1::traffic::Entry,
    ) -> ControlFlow<()> {
        if self.entries.len() >= size || self.bytes > PAGE_BYTES {
            self.next = Some(place);
            return ControlFlow::Break(());
        }
        let traffic = v1::Traffic {
            sensor_id: record.stream.sensor.0.to_vec(),
            entry: Some(entry),
        };
        self.bytes += traffic.encoded_len();
        self.entries.push((time, traffic));
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_foreign_ones_are_refused() {
        let place = Place {
            position: 77,
            index: 5,
        };
        assert_eq!(Place::read(&place.token()).unwrap(), place);
        assert_eq!(Place::read(&[]).unwrap(), Place::default());
        assert!(Place::read(&[1, 2]).is_err());
    }
}
