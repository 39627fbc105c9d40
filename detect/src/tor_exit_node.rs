//! Connection to an exit of the Tor network.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::address::is_public;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::context::{Indicator, Knowledge};
use crate::report::{With, feature, grown};
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`TorExitNode`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// One growing finding for each exit. Says nothing where no list of exits is loaded.
#[derive(Debug)]
pub struct TorExitNode {
    knowledge: Arc<dyn Knowledge>,
    exits: Growing<(IpAddr, String)>,
}

impl TorExitNode {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            exits: Growing::new(),
        }
    }
}

impl Detector for TorExitNode {
    fn name(&self) -> &'static str {
        "tor_exit_node"
    }

    fn refused(&self) -> u64 {
        self.exits.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows.iter().filter(|report| report.part == 0) {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            if client.ip != window.profile || !is_public(server.ip) {
                continue;
            }
            let listings = self.knowledge.listed(Indicator::TorExit(server.ip));
            if let Some(listing) = listings.and_then(|listings| listings.into_iter().next()) {
                self.exits.add_flow(window, (server.ip, listing.feed), flow);
            }
        }
        let due = self.exits.due(window, 1, update.stage);
        due.iter()
            .map(|((ip, feed), tally)| describe(update, *ip, feed, tally))
            .collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, exit: IpAddr, feed: &str, tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    Evidence {
        victim: Some(exit),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(1.0),
        description: format!("Connection of {source} to the Tor exit {exit}."),
        explanation: Explanation {
            features: vec![feature("flows", tally.count as f64, "flows").threshold(1.0)],
            text: format!(
                "The list {feed} has {exit} among the exits of the Tor network. An exit is where Tor's traffic comes out; \
                 a connection to one may also be to another service of the same host."
            ),
        },
        ..grown(update, EvidenceType::TorExitNode, &exit.to_string(), tally)
    }
}
