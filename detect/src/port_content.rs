//! What a port's usual protocol is, and flows on it that carry something else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::is_target;
use lynceus_model::app::AppEvent;
use lynceus_model::flow::{Flow, Service};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;

use crate::ProfileUpdate;
use crate::growing::{PerWindow, Tally};
use crate::services::TCP;
use crate::sides::{answer_seen, begin_seen, opened};
use crate::sightings::{Answer, Sightings, before};

/// Watches one TCP port.
#[derive(Debug)]
pub(crate) struct PortContent {
    port: u16,
    usual: Service,
    /// The usual protocol between the same hosts this long before or after explains a flow that is cut or odd.
    within: Duration,
    /// Pairs of hosts that used the usual protocol, in slots of time as long as `within`.
    used: Sightings<(IpAddr, IpAddr, i64)>,
    windows: PerWindow<BTreeMap<IpAddr, Vec<Other>>>,
}

/// A flow that carried something else.
#[derive(Clone, Copy, Debug)]
struct Other {
    first: Timestamp,
    last: Timestamp,
    flow: lynceus_model::flow::CommunityId,
    /// What it was recognized as.
    service: Service,
}

/// Hosts of a window and flows to a host that are judged; Slips has 200 in all.
const MAX_HOSTS: usize = 256;
const MAX_FLOWS: usize = 64;
/// Slots of a generation, some 15 MB.
const MAX_USED: usize = 131_072;

impl PortContent {
    pub(crate) fn new(port: u16, usual: Service, within: Duration) -> Self {
        Self {
            port,
            usual,
            within: within.max(Duration::from_secs(1)),
            used: Sightings::new(MAX_USED),
            windows: PerWindow::new(),
        }
    }

    fn slot(&self, time: Timestamp) -> i64 {
        time.0
            .div_euclid(i64::try_from(self.within.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.used.refused() + self.windows.refused()
    }

    /// Notes what is new; when the window closes, gives the hosts with flows that nothing explains.
    pub(crate) fn inspect(&mut self, update: &ProfileUpdate<'_>) -> Vec<(IpAddr, Tally, Service)> {
        let window = update.profile.window;
        for record in update.apps {
            let usual = match &record.event {
                AppEvent::TlsClient(hello) => !hello.quic && self.usual == Service::Tls,
                AppEvent::TlsServer(hello) => !hello.quic && self.usual == Service::Tls,
                AppEvent::Certificate(_) => self.usual == Service::Tls,
                AppEvent::HttpRequest(_) | AppEvent::HttpResponse(_) => self.usual == Service::Http,
                _ => false,
            };
            if usual {
                let key = (window.profile, record.tuple.responder.ip, self.slot(record.time));
                self.used.note(key, record.time, record.time);
            }
        }
        for report in update.flows {
            self.note(update, &report.flow, report.part == 0);
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let hosts = self.windows.take(window).unwrap_or_default();
        let judged = hosts.into_iter().filter_map(|(ip, flows)| {
            let mut tally = Tally::default();
            let mut service = Service::Unrecognized;
            for other in flows
                .iter()
                .filter(|other| self.is_odd(window.profile, ip, other))
            {
                tally.add(other.first, other.last, Some(other.flow));
                service = service.max(other.service);
            }
            tally.is_due(1, Stage::Closed).then_some((ip, tally, service))
        });
        judged.collect()
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow, begins: bool) {
        let window = update.profile.window;
        let Some((client, server)) = opened(flow).filter(|(client, _)| client.ip == window.profile) else {
            return;
        };
        if flow.tuple.protocol != TCP {
            return;
        }
        if flow.service == self.usual {
            let (begin, end) = (self.slot(flow.first), self.slot(flow.last));
            if begin == end {
                let key = (client.ip, server.ip, begin);
                self.used
                    .note(key, flow.first.min(flow.last), flow.first.max(flow.last));
            } else {
                for (slot, time) in [(begin, flow.first), (end, flow.last)] {
                    self.used.note((client.ip, server.ip, slot), time, time);
                }
            }
            return;
        }
        // Nobody looked, there was nothing to look at, or it was looked at from the middle on: unknown is not no.
        let looked = flow.service != Service::Unseen && begin_seen(flow) && answer_seen(flow);
        let other = looked && flow.established() && is_target(server.ip);
        if server.port != self.port || !other || !begins {
            return;
        }
        let hosts = self.windows.of(window);
        let room = hosts.len() < MAX_HOSTS || hosts.contains_key(&server.ip);
        let flows = room.then(|| hosts.entry(server.ip).or_default());
        match flows.filter(|flows| flows.len() < MAX_FLOWS) {
            Some(flows) => flows.push(Other {
                first: flow.first,
                last: flow.last,
                flow: flow.community_id,
                service: flow.service,
            }),
            None => self.windows.refuse(),
        }
    }

    fn is_odd(&self, host: IpAddr, peer: IpAddr, other: &Other) -> bool {
        let (from, to) = (
            before(other.first, self.within),
            other.last.saturating_add(self.within),
        );
        // A long flow meets many slots; its two ends are enough, as what is between was looked at by the flow itself.
        let begin = self.slot(from)..=self.slot(other.first.saturating_add(self.within));
        let end = self.slot(before(other.last, self.within))..=self.slot(to);
        begin
            .chain(end)
            .all(|slot| self.used.seen(&(host, peer, slot), from, to) == Answer::No)
    }
}

/// `something that no decoder knew`, `ssh`.
pub(crate) const fn content(service: Service) -> &'static str {
    match service {
        Service::Unseen | Service::Unrecognized => "something that no decoder knew",
        Service::Other => "another protocol",
        service => service.name(),
    }
}
