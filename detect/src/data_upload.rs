//! Large upload: much sent to one host, in one flow or over a window.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::address::{is_private, is_target};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::profile::{ProfileDelta, TupleKey};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::long_connection::flow_key;
use crate::report::{With, evidence, feature, mirrored, samples};
use crate::reported::Reported;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DataUpload`]. Bytes are IP bytes, headers included; Slips counts payload.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Bytes sent in one flow.
    pub flow_bytes: u64,
    /// Bytes sent to one address in one window, looked at when it closes.
    pub window_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            flow_bytes: 100_000_000,
            window_bytes: 500_000_000,
        }
    }
}

/// Each finding gives two evidences: info about the sender and high about the receiver, which stands on the destination
/// side and so adds to no sum.
#[derive(Debug)]
pub struct DataUpload {
    config: Config,
    network: Arc<Network>,
    reported: Reported<Upload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Upload {
    Flow(Timestamp, CommunityId),
    Window(IpAddr),
}

/// What the text is made of.
struct Sent {
    to: IpAddr,
    bytes: u64,
    threshold: u64,
    /// Flows and packets behind it, where they are known.
    flows: u64,
    samples: Vec<CommunityId>,
    first: Timestamp,
    last: Timestamp,
    /// The profile could not keep the row: the number is a lower bound.
    at_least: bool,
    what: &'static str,
}

impl DataUpload {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            reported: Reported::new(),
        }
    }

    fn aims_at(&self, ip: IpAddr) -> bool {
        is_target(ip) && !self.network.gateways.contains(&ip)
    }

    fn of_flow(&self, flow: &Flow) -> Option<Sent> {
        let (_, server) = flow.client_server();
        let bytes = if flow.roles_turned() {
            flow.back.bytes
        } else {
            flow.out.bytes
        };
        (bytes >= self.config.flow_bytes && self.aims_at(server.ip)).then(|| Sent {
            to: server.ip,
            bytes,
            threshold: self.config.flow_bytes,
            flows: 1,
            samples: vec![flow.community_id],
            first: flow.first,
            last: flow.last,
            at_least: false,
            what: "in one flow",
        })
    }

    fn of_window(&self, profile: &ProfileDelta) -> Vec<Sent> {
        let mut sums: BTreeMap<IpAddr, Sent> = BTreeMap::new();
        for (key, cell) in profile
            .client_peers
            .rows()
            .filter(|(key, _)| self.aims_at(key.ip))
        {
            let sent = sums.entry(key.ip).or_insert_with(|| Sent {
                to: key.ip,
                bytes: 0,
                threshold: self.config.window_bytes,
                flows: 0,
                samples: Vec::new(),
                first: cell.earliest.first,
                last: cell.last,
                at_least: false,
                what: "in this window",
            });
            sent.bytes = sent.bytes.saturating_add(cell.counts.bytes_sent);
            sent.flows += cell.counts.flows;
            sent.first = sent.first.min(cell.earliest.first);
            sent.last = sent.last.max(cell.last);
        }
        let (first, last) = profile.span.unwrap_or_default();
        // Rows that had to go have sums that are too large by at most about 2 % of all bytes sent.
        let all =
            profile.totals.client_established.bytes_sent + profile.totals.client_not_established.bytes_sent;
        let error = all / 47;
        for (key, estimate) in profile
            .client_peers
            .heavy()
            .filter(|(key, _)| self.aims_at(key.ip))
        {
            let sent = sums.entry(key.ip).or_insert_with(|| Sent {
                to: key.ip,
                bytes: 0,
                threshold: self.config.window_bytes,
                flows: 0,
                samples: vec![],
                first,
                last,
                at_least: true,
                what: "in this window",
            });
            sent.bytes = sent
                .bytes
                .saturating_add(estimate.bytes_sent.saturating_sub(error));
            sent.flows += estimate.flows;
            sent.at_least = true;
        }
        let mut large: Vec<Sent> = sums
            .into_values()
            .filter(|sent| sent.bytes >= self.config.window_bytes)
            .collect();
        for sent in &mut large {
            let mut tuples: Vec<(u64, &TupleKey, CommunityId)> = profile
                .out_tuples
                .rows()
                .filter(|(key, _)| key.ip == sent.to)
                .map(|(key, cell)| (cell.counts.bytes_sent, key, cell.earliest.community_id))
                .collect();
            tuples.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            sent.samples = samples(tuples.into_iter().map(|(_, _, id)| id));
        }
        large
    }
}

impl Detector for DataUpload {
    fn name(&self) -> &'static str {
        "data_upload"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let mut found = Vec::new();
        for report in update.flows {
            let flow = &report.flow;
            if flow.client_server().0.ip != window.profile {
                continue;
            }
            if let Some(sent) = self.of_flow(flow)
                && self
                    .reported
                    .first_time(window, Upload::Flow(flow.first, flow.community_id))
            {
                found.extend(describe(
                    update,
                    history,
                    &sent,
                    &format!("flow/{}", flow_key(flow)),
                ));
            }
        }
        if update.stage == Stage::Closed {
            for sent in self.of_window(update.profile) {
                if self.reported.first_time(window, Upload::Window(sent.to)) {
                    found.extend(describe(update, history, &sent, &format!("window/{}", sent.to)));
                }
            }
            self.reported.forget(window);
        }
        found
    }
}

fn describe(update: &ProfileUpdate<'_>, history: &History<'_>, sent: &Sent, key: &str) -> [Evidence; 2] {
    let source = update.profile.window.profile;
    let to = sent.to;
    let megabytes = sent.bytes as f64 / 1e6;
    let at_least = if sent.at_least { "at least " } else { "" };
    let usual = history.mean(|window| {
        let rows = window.client_peers.rows().filter(|(key, _)| key.ip == to);
        rows.map(|(_, cell)| cell.counts.bytes_sent as f64).sum()
    });
    let of_source = Evidence {
        victim: Some(to),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(0.6),
        description: format!(
            "Large data upload. {source} sent {at_least}{megabytes:.1} MB to {to} {}.",
            sent.what
        ),
        explanation: Explanation {
            features: vec![
                feature("bytes sent", sent.bytes as f64, "bytes")
                    .baseline(usual)
                    .threshold(sent.threshold as f64),
                feature("flows", sent.flows as f64, "flows"),
            ],
            text: format!(
                "{at_least}{megabytes:.1} MB went to {to} {}; the limit is {} MB.",
                sent.what,
                sent.threshold / 1_000_000
            ),
        },
        flows: sent.samples.clone(),
        first: sent.first,
        last: sent.last,
        ..evidence(update, EvidenceType::DataUpload, key)
    };
    // Nothing leaves the site: a backup.
    let inside = is_private(source) && is_private(to);
    let level = if inside {
        ThreatLevel::Info
    } else {
        ThreatLevel::High
    };
    // The mirrored one is told apart by who sent it.
    let of_receiver = mirrored(&of_source, update, to, &format!("from/{source}/{key}"), level);
    [of_source, of_receiver]
}
