//! Long connection: one flow that goes on and on.

use std::time::Duration;

use lynceus_model::address::is_host;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{CommunityId, Flow, FlowEnd, FlowUpdate};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, evidence, feature, protocol_name};
use crate::reported::Reported;
use crate::services::has_ports;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`LongConnection`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Longer is long.
    #[serde(with = "humantime_serde")]
    pub longer_than: Duration,
    /// From here on it is sure.
    #[serde(with = "humantime_serde")]
    pub sure_at: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            longer_than: Duration::from_secs(1_500),
            sure_at: Duration::from_secs(86_400),
        }
    }
}

/// Looks at each flow report. A flow has one evidence in each window in which it was found too long.
#[derive(Debug)]
pub struct LongConnection {
    config: Config,
    reported: Reported<(Timestamp, CommunityId)>,
}

impl LongConnection {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            reported: Reported::new(),
        }
    }
}

impl Detector for LongConnection {
    fn name(&self) -> &'static str {
        "long_connection"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let mut found = Vec::new();
        for report in update.flows {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            if flow.duration() > self.config.longer_than
                && client.ip == window.profile
                && is_host(server.ip)
                && self.reported.first_time(window, (flow.first, flow.community_id))
            {
                found.push(self.describe(update, history, report));
            }
        }
        if update.stage == Stage::Closed {
            self.reported.forget(window);
        }
        found
    }
}

impl LongConnection {
    fn describe(&self, update: &ProfileUpdate<'_>, history: &History<'_>, report: &FlowUpdate) -> Evidence {
        let flow: &Flow = &report.flow;
        let seconds = flow.duration().as_secs_f64();
        let (client, server) = flow.client_server();
        let (minutes, name) = (seconds / 60.0, protocol_name(flow.tuple.protocol));
        // Type and code of ICMP stand where others have ports.
        let with_ports = has_ports(flow.tuple.protocol);
        let by = if with_ports {
            format!("port {}/{name}", server.port)
        } else {
            format!("by {name}")
        };
        let so_far = if report.end == FlowEnd::Active {
            " so far"
        } else {
            ""
        };
        // Two decimals, as Slips.
        let confidence = (seconds / self.config.sure_at.as_secs_f64() * 100.0).round() / 100.0;
        let usual = history
            .mean(|window| window.flow_durations.quantile(0.5).unwrap_or(0.0) / 1e6)
            .or_else(|| {
                update
                    .profile
                    .flow_durations
                    .quantile(0.5)
                    .map(|micros| micros / 1e6)
            });
        Evidence {
            victim: Some(server.ip),
            src_port: with_ports.then_some(client.port),
            dst_port: with_ports.then_some(server.port),
            protocol: Some(flow.tuple.protocol),
            threat_level: ThreatLevel::Low,
            confidence: Confidence::new(confidence),
            description: format!(
                "Long connection from {} to {} {by}: {minutes:.1} minutes{so_far}.",
                client.ip, server.ip
            ),
            explanation: Explanation {
                features: vec![
                    feature("duration", seconds, "seconds")
                        .baseline(usual)
                        .threshold(self.config.longer_than.as_secs_f64()),
                    feature(
                        "bytes of both sides",
                        (flow.out.bytes + flow.back.bytes) as f64,
                        "bytes",
                    ),
                    feature(
                        "packets of both sides",
                        (flow.out.packets + flow.back.packets) as f64,
                        "packets",
                    ),
                    feature("flows", 1.0, "flows"),
                ],
                text: format!(
                    "One flow lasted {minutes:.1} minutes{so_far}; the median flow of this address is in the baseline. \
                     Sure at {} hours.",
                    self.config.sure_at.as_secs() / 3_600
                ),
            },
            flows: vec![flow.community_id],
            first: flow.first,
            last: flow.last,
            ..evidence(update, EvidenceType::LongConnection, &flow_key(flow))
        }
    }
}

/// A flow among all flows: the 5-tuple may come again later, and inside VLANs and tunnels at the same time.
pub(crate) fn flow_key(flow: &Flow) -> String {
    use std::fmt::Write;
    let mut key = format!("{}/", flow.first.0);
    for byte in flow.community_id.0 {
        // Writing to a string does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    if !flow.vlan.is_empty() || flow.tunnel.is_some() {
        let _ = write!(key, "/{:?}/{:?}", flow.vlan, flow.tunnel);
    }
    key
}
