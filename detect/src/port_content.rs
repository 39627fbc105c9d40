//! A port whose usual protocol is known, and flows on it that carry something else: one rule for ports 80 and 443.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::address::is_target;
use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{Flow, Service};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Knowledge;
use crate::report::{With, feature, grown, pair};
use crate::services::TCP;
use crate::sides::{answer_seen, begin_seen, opened};
use crate::sightings::{Answer, Sightings, before};
use crate::tally::{PerWindow, Tally};
use crate::{Context, ProfileUpdate};

/// Constants of the rule for one port.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// The usual protocol between the same hosts this long before or after explains a flow without.
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            within: Duration::from_secs(300),
        }
    }
}

/// What is watched, and what is said of it.
#[derive(Debug)]
pub(crate) struct Rule {
    /// TCP.
    pub port: u16,
    pub usual: Service,
    /// The usual protocol, as people call it.
    pub name: &'static str,
    pub kind: EvidenceType,
    pub of_client: ThreatLevel,
    /// A second evidence in the server's profile, on the destination side, so that it adds to no sum.
    pub of_server: Option<ThreatLevel>,
}

/// Watches one port; judges when the window closes, with one finding for each server.
#[derive(Debug)]
pub(crate) struct PortContent {
    rule: &'static Rule,
    within: Duration,
    knowledge: Arc<dyn Knowledge>,
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
/// Networks of messengers with protocols of their own on the ports of the web: Telegram (62014, 62041, 59930, 44907, 211157)
/// and WhatsApp (Meta, 32934).
const MESSENGERS: [u32; 6] = [32_934, 44_907, 59_930, 62_014, 62_041, 211_157];
/// Slots of a generation, some 15 MB.
const MAX_USED: usize = 131_072;

impl PortContent {
    pub(crate) fn new(rule: &'static Rule, config: &Config, context: &Context) -> Self {
        Self {
            rule,
            within: config.within.max(Duration::from_secs(1)),
            knowledge: Arc::clone(&context.knowledge),
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

    /// Notes what is new; when the window closes, tells of the hosts with flows that nothing explains.
    pub(crate) fn inspect(&mut self, update: &ProfileUpdate<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let usual = match &record.event {
                AppEvent::TlsClient(hello) => !hello.quic && self.rule.usual == Service::Tls,
                AppEvent::TlsServer(hello) => !hello.quic && self.rule.usual == Service::Tls,
                AppEvent::Certificate(_) => self.rule.usual == Service::Tls,
                AppEvent::HttpRequest(_) | AppEvent::HttpResponse(_) => self.rule.usual == Service::Http,
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
        let hosts = hosts.into_iter().filter(|(ip, _)| !self.is_messenger(*ip));
        let judged = hosts.filter_map(|(ip, flows)| {
            let mut tally = Tally::<()>::default();
            let mut service = Service::Unrecognized;
            for other in flows
                .iter()
                .filter(|other| self.is_odd(window.profile, ip, other))
            {
                tally.add(other.first, other.last, Some(other.flow));
                service = service.max(other.service);
            }
            let due = tally.is_due(1, Stage::Closed);
            due.then(|| self.describe(update, ip, &tally, service))
        });
        judged.flatten().collect()
    }

    fn is_messenger(&self, ip: IpAddr) -> bool {
        let system = self.knowledge.autonomous_system(ip);
        system.is_some_and(|system| MESSENGERS.contains(&system.number))
    }

    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        ip: IpAddr,
        tally: &Tally,
        service: Service,
    ) -> Vec<Evidence> {
        let Rule { port, name, .. } = *self.rule;
        let source = update.profile.window.profile;
        let minutes = self.within.as_secs_f64() / 60.0;
        let key = ip.to_string();
        let of_client = Evidence {
            victim: Some(ip),
            dst_port: Some(port),
            protocol: Some(TCP),
            threat_level: self.rule.of_client,
            confidence: Confidence::new(0.8),
            description: format!(
                "No {name} on port {port}: {source} talked to {ip} in {}.",
                content(service)
            ),
            explanation: Explanation {
                features: vec![
                    feature("flows without the usual protocol", tally.count as f64, "flows").threshold(1.0),
                ],
                text: format!(
                    "The content of {} established flows was looked at and is not {name}; nor was there {name} between the \
                     two hosts {minutes:.0} minutes before or after. Malware uses this port because firewalls let it pass.",
                    tally.count
                ),
            },
            ..grown(update, self.rule.kind, &key, tally)
        };
        match self.rule.of_server {
            Some(level) => pair(of_client, update, ip, &key, level).into(),
            None => vec![of_client],
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow, begins: bool) {
        let window = update.profile.window;
        let Some((client, server)) = opened(flow).filter(|(client, _)| client.ip == window.profile) else {
            return;
        };
        if flow.tuple.protocol != TCP {
            return;
        }
        if flow.service == self.rule.usual {
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
        if server.port != self.rule.port || !other || !begins {
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
