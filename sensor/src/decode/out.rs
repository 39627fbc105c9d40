//! Turns the messages of one head into records: who asked, how long the answer took, what an earlier message of the flow
//! told.

use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Dns};
use lynceus_model::flow::Service;
use lynceus_model::time::Timestamp;
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, Side};

use super::stream::Sink;
use super::{
    DecodeCounters, Generations, Protocol, Query, Session, arp_tuple, likely_client, other, service, tuple,
};
use crate::flow_table::community_id;

/// Turns the events of one head into records.
pub(super) struct Out<'a, 'e> {
    pub(super) head: &'a Head<'a>,
    pub(super) time: Timestamp,
    pub(super) originator: Option<Side>,
    pub(super) counters: &'a mut DecodeCounters,
    pub(super) queries: &'a mut Generations<(FlowKey, u16), Query>,
    pub(super) query_age: Duration,
    /// Of a TCP flow.
    pub(super) session: Option<&'a mut Session>,
    /// What the messages of this head say of the flow.
    pub(super) service: Service,
    pub(super) emit: &'e mut dyn FnMut(AppRecord),
}

impl Sink for Out<'_, '_> {
    fn event(&mut self, mut event: AppEvent) {
        self.counters.events += 1;
        self.service = service::of_event(&event);
        let sender = self.head.sender;
        if let AppEvent::Dns(message) = &mut event
            && !message.multicast
        {
            self.join_query(message);
        }
        if let Some(session) = &mut self.session {
            session.join(&mut event);
        }
        let originator = self.originator.unwrap_or_else(|| match is_answer(&event) {
            Some(true) => other(sender),
            Some(false) => sender,
            None => likely_client(&self.head.key),
        });
        let (tuple, from_responder, community_id) = if let AppEvent::Arp(packet) = &event {
            let flow = packet.discovery.map(|_| community_id(&self.head.key));
            (arp_tuple(packet), false, flow)
        } else {
            let key = &self.head.key;
            (
                tuple(key, originator),
                sender != originator,
                Some(community_id(key)),
            )
        };
        (self.emit)(AppRecord {
            time: self.time,
            tuple,
            community_id,
            from_responder,
            event,
        });
    }

    fn malformed(&mut self, protocol: Protocol) {
        self.counters.malformed[protocol.index()] += 1;
    }

    fn incomplete(&mut self) {
        self.counters.incomplete += 1;
    }

    fn repeated(&mut self) {
        self.counters.repeated += 1;
    }
}

impl Out<'_, '_> {
    /// What this head says of its flow's application protocol.
    pub(super) fn said(&self) -> Service {
        if self.service == Service::Unseen && !self.head.bytes.is_empty() {
            return service::recognize(self.head.key.protocol, self.head.bytes);
        }
        self.service
    }

    /// Remembers a query, or says how long the response to one took.
    fn join_query(&mut self, message: &mut Dns) {
        let (time, sender) = (self.time, self.head.sender);
        let place = (self.head.key, message.id);
        let known = self.queries.get(&place);
        let fresh = known.filter(|query| time.since(query.time) <= self.query_age);
        if !message.response {
            // A query that is sent again counts from its first time.
            if fresh.is_none_or(|query| query.sender != sender) {
                self.queries.insert(place, Query { sender, time }, time, |_| {});
            }
        } else if let Some(query) = fresh.filter(|query| query.sender != sender) {
            message.latency = Some(time.since(query.time));
            self.queries.remove(&place);
        }
    }
}

impl Session {
    /// Puts into a message what an earlier one of its flow told.
    fn join(&mut self, event: &mut AppEvent) {
        match event {
            AppEvent::TlsClient(hello) => self.server_name.clone_from(&hello.server_name),
            AppEvent::Certificate(certificate) => certificate.server_name.clone_from(&self.server_name),
            _ => {}
        }
    }
}

/// Whether the responder sends such a message; `None` where both sides do.
fn is_answer(event: &AppEvent) -> Option<bool> {
    match event {
        AppEvent::Dns(message) => Some(message.response && !message.multicast),
        AppEvent::TlsServer(_) | AppEvent::HttpResponse(_) => Some(true),
        // Told when the server has replied.
        AppEvent::Smtp(_) | AppEvent::Ftp(_) | AppEvent::Login(_) => Some(true),
        AppEvent::TlsClient(_) | AppEvent::HttpRequest(_) => Some(false),
        AppEvent::Dhcp(message) => Some(matches!(message.message_type, 2 | 5 | 6)),
        AppEvent::Certificate(_) => Some(true),
        _ => None,
    }
}
