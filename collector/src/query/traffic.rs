//! Flows and messages out of the log.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use lynceus_model::time::Timestamp;
use lynceus_proto::v1;
use prost::bytes::Bytes;
use prost::{DecodeError, Message};
use tonic::Status;

use super::{PAGE_BYTES, QueryService, address, failed, page_size};
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

/// [`v1::Payload`] with flows and messages unopened and the rest passed over. What is in the log was checked when it came.
#[derive(Clone, PartialEq, prost::Message)]
struct TrafficOnly {
    #[prost(message, repeated, tag = "1")]
    updates: Vec<UpdateTraffic>,
}

/// Of [`v1::WindowUpdate`].
#[derive(Clone, PartialEq, prost::Message)]
struct UpdateTraffic {
    #[prost(bytes = "bytes", repeated, tag = "3")]
    flows: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    apps: Vec<Bytes>,
}

/// Of [`v1::FlowUpdate`].
#[derive(Clone, PartialEq, prost::Message)]
struct FlowHead {
    #[prost(message, optional, tag = "1")]
    flow: Option<FlowOfHead>,
}

/// Of [`v1::Flow`].
#[derive(Clone, PartialEq, prost::Message)]
struct FlowOfHead {
    #[prost(message, optional, tag = "1")]
    tuple: Option<v1::FiveTuple>,
    #[prost(bytes = "vec", tag = "2")]
    community_id: Vec<u8>,
    #[prost(sfixed64, tag = "3")]
    first: i64,
    #[prost(sfixed64, tag = "4")]
    last: i64,
}

/// Of [`v1::AppRecord`].
#[derive(Clone, PartialEq, prost::Message)]
struct AppHead {
    #[prost(sfixed64, tag = "1")]
    time: i64,
    #[prost(message, optional, tag = "2")]
    tuple: Option<v1::FiveTuple>,
    #[prost(bytes = "vec", tag = "3")]
    community_id: Vec<u8>,
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

    fn fits(&self, tuple: &v1::FiveTuple, id: &[u8], first: i64, last: i64) -> bool {
        let is = |ip: IpAddr, bytes: &[u8]| match ip {
            IpAddr::V4(ip) => bytes == ip.octets(),
            IpAddr::V6(ip) => bytes == ip.octets(),
        };
        let takes_part = |ip| is(ip, &tuple.originator_ip) || is(ip, &tuple.responder_ip);
        let span = Span {
            first: Timestamp(first),
            last: Timestamp(last),
        };
        self.profile.is_none_or(takes_part)
            && (self.ids.is_empty() || <&[u8; 20]>::try_from(id).is_ok_and(|id| self.ids.contains(id)))
            && self.span.is_none_or(|wanted| wanted.overlaps(&span))
    }

    /// The begin of a flow that is wanted.
    fn flow(&self, bytes: &[u8]) -> Result<Option<Timestamp>, DecodeError> {
        let flow = FlowHead::decode(bytes)?.flow.unwrap_or_default();
        let fits = self.fits(
            &flow.tuple.unwrap_or_default(),
            &flow.community_id,
            flow.first,
            flow.last,
        );
        Ok(fits.then_some(Timestamp(flow.first)))
    }

    /// The time of a message that is wanted.
    fn app(&self, bytes: &[u8]) -> Result<Option<Timestamp>, DecodeError> {
        let app = AppHead::decode(bytes)?;
        let tuple = app.tuple.unwrap_or_default();
        let fits = self.fits(&tuple, &app.community_id, app.time, app.time);
        Ok(fits.then_some(Timestamp(app.time)))
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
        match self.take_wanted(record, wanted, begin, size) {
            Ok(flow) => flow,
            Err(error) => {
                tracing::error!(position = record.position.0, %error, "log entry not shown");
                ControlFlow::Continue(())
            }
        }
    }

    /// Opens only what is wanted: most of an entry is other addresses' flows, and windows.
    fn take_wanted(
        &mut self,
        record: &LogRecord,
        wanted: &Wanted,
        begin: Place,
        size: usize,
    ) -> Result<ControlFlow<()>, DecodeError> {
        let payload = TrafficOnly::decode(record.payload.clone())?;
        let mut place = Place {
            position: record.position.0,
            index: 0,
        };
        let skip = if place.position == begin.position {
            begin.index
        } else {
            0
        };
        for update in payload.updates {
            for bytes in update.flows {
                if place.index >= skip
                    && let Some(time) = wanted.flow(&bytes)?
                {
                    let flow = v1::FlowUpdate::decode(bytes)?;
                    if self
                        .put(record, place, size, time, v1::traffic::Entry::Flow(flow))
                        .is_break()
                    {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                place.index += 1;
            }
            for bytes in update.apps {
                if place.index >= skip
                    && let Some(time) = wanted.app(&bytes)?
                {
                    let app = v1::AppRecord::decode(bytes)?;
                    if self
                        .put(record, place, size, time, v1::traffic::Entry::App(app))
                        .is_break()
                    {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                place.index += 1;
            }
        }
        Ok(ControlFlow::Continue(()))
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
