//! Successful SSH logins.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown};
use crate::ssh_shape;
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`SshSuccessful`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// IP bytes of both sides from which on a flow without a log of its login counts as one that got in.
    pub min_bytes: u64,
    /// How long a flow waits for such a log.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: ssh_shape::MAX_REFUSED_BYTES,
            wait: Duration::from_secs(15),
        }
    }
}

/// One finding for each server.
#[derive(Debug)]
pub struct SshSuccessful {
    config: Config,
    waiting: Tallies<(), Waiting>,
    servers: Tallies<(IpAddr, u16), Login>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Flows whose login another analyzer reported.
    told: BTreeSet<CommunityId>,
    flows: Vec<Flow>,
}

#[derive(Debug, Default)]
struct Login {
    bytes: u64,
    by_log: bool,
}

/// Flows of a window that are waited for, and logs that are remembered; what is beyond is not said.
const MAX_FLOWS: usize = 128;
/// Windows that are waited for: at some 64 kB each at most 260 MB.
const MAX_WINDOWS: usize = 4_096;

impl SshSuccessful {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            waiting: Tallies::with_room(MAX_WINDOWS),
            servers: Tallies::new(),
        }
    }

    fn collect(&mut self, update: &ProfileUpdate<'_>) {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::SshLogin(login) = &record.event else {
                continue;
            };
            let (Some(success), Some(flow)) = (login.success, record.community_id) else {
                continue;
            };
            if let Some(waiting) = self.waiting.note(window, (), record)
                && waiting.detail.told.len() < MAX_FLOWS
            {
                waiting.detail.told.insert(flow);
            }
            let server = record.tuple.responder;
            if success && let Some(tally) = self.servers.note(window, (server.ip, server.port), record) {
                tally.detail.by_log = true;
            }
        }
        let least = self.config.min_bytes;
        for report in update.flows {
            let flow = &report.flow;
            let large = flow.out.bytes + flow.back.bytes > least;
            if large && ssh_shape::finished(report) && flow.client_server().0.ip == window.profile {
                let span = (flow.first, flow.last);
                if let Some(waiting) = self.waiting.add(window, (), span, None)
                    && waiting.detail.flows.len() < MAX_FLOWS
                {
                    waiting.detail.flows.push(flow.clone());
                }
            }
        }
    }

    /// Flows that no log tells of, when they have waited long enough.
    fn decide(&mut self, update: &ProfileUpdate<'_>) {
        let window = update.profile.window;
        let Some(waiting) = self.waiting.detail(window, &()) else {
            return;
        };
        let now = update.profile.span.map_or(window.start, |(_, last)| last);
        let (closed, wait) = (update.stage == Stage::Closed, self.config.wait);
        let due = |flow: &mut Flow| closed || flow.last.saturating_add(wait) <= now;
        let mut ready: Vec<Flow> = waiting.flows.extract_if(.., due).collect();
        ready.sort_by_key(|flow| (flow.first, flow.community_id));
        for flow in ready {
            if waiting.told.contains(&flow.community_id) {
                continue;
            }
            let server = flow.client_server().1;
            if let Some(tally) = self.servers.add_flow(window, (server.ip, server.port), &flow) {
                tally.detail.bytes += flow.out.bytes + flow.back.bytes;
            }
        }
        self.waiting.close(update);
    }
}

impl Detector for SshSuccessful {
    fn name(&self) -> &'static str {
        "ssh_successful"
    }

    fn refused(&self) -> u64 {
        self.waiting.refused() + self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        self.collect(update);
        self.decide(update);
        let least = self.config.min_bytes;
        let found = self.servers.say(window, |(server, port), tally| {
            let how = if tally.detail.by_log {
                "as the analyzer reported"
            } else {
                "by the size of the flow"
            };
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                threat_level: ThreatLevel::Info,
                confidence: Confidence::new(0.8),
                description: format!(
                    "Successful SSH login from {} to {server} port {port}, {how}.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![
                        feature("logins", tally.count as f64, "flows").threshold(1.0),
                        feature(
                            "bytes where only the size tells",
                            tally.detail.bytes as f64,
                            "bytes",
                        )
                        .threshold(least as f64),
                    ],
                    text: format!(
                        "A log of the login, or more than {least} bytes in a finished flow: a refused one is smaller."
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::SshSuccessful,
                    &format!("{server}/{port}"),
                    tally,
                )
            }])
        });
        self.servers.close(update);
        found
    }
}
