//! Reconnection attempts: a closed door is tried again and again.

use std::net::IpAddr;

use lynceus_model::address::is_host;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{ConnState, Flow};
use lynceus_model::words;
use serde::{Deserialize, Serialize};

use crate::report::{With, at_least, feature, grown};
use crate::services::TCP;
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`Reconnection`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Refused attempts on one port of one host in one window.
    pub min_refused: u64,
    /// Attempts on Telnet (23, 2323) of one host that did not come about, refused or not answered.
    pub min_telnet: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_refused: 5,
            min_telnet: 4,
        }
    }
}

/// One growing finding for each host and port, and one for Telnet of each host.
#[derive(Debug)]
pub struct Reconnection {
    config: Config,
    refused: Growing<(IpAddr, u16)>,
    telnet: Growing<IpAddr>,
}

impl Reconnection {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            refused: Growing::new(),
            telnet: Growing::new(),
        }
    }

    fn count(&mut self, update: &ProfileUpdate<'_>, flow: &Flow) {
        const TELNET: [u16; 2] = [23, 2323];
        let window = update.profile.window;
        let (client, server) = flow.client_server();
        if flow.tuple.protocol != TCP || client.ip != window.profile || !is_host(server.ip) {
            return;
        }
        if TELNET.contains(&server.port) {
            if !flow.established() {
                self.telnet.add_flow(window, server.ip, flow);
            }
        } else if flow.state == ConnState::Rej {
            let key = (server.ip, server.port);
            self.refused.add_flow(window, key, flow);
        }
    }
}

impl Detector for Reconnection {
    fn name(&self) -> &'static str {
        "reconnection"
    }

    fn refused(&self) -> u64 {
        self.refused.refused() + self.telnet.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows.iter().filter(|report| report.part == 0) {
            self.count(update, &report.flow);
        }
        let (refused, telnet) = (self.config.min_refused, self.config.min_telnet);
        let mut found = Vec::new();
        for ((ip, port), tally) in self.refused.due(window, refused, update.stage) {
            found.push(describe(update, ip, Some(port), &tally, refused));
        }
        for (ip, tally) in self.telnet.due(window, telnet, update.stage) {
            found.push(describe(update, ip, None, &tally, telnet));
        }
        found
    }
}

/// `port`: absent for Telnet.
fn describe(
    update: &ProfileUpdate<'_>,
    ip: IpAddr,
    port: Option<u16>,
    tally: &Tally,
    least: u64,
) -> Evidence {
    let source = update.profile.window.profile;
    let (count, at_least) = (words::count(tally.count), at_least(update));
    let (key, description, what) = match port {
        Some(port) => (
            format!("{ip}/{port}"),
            format!(
                "Multiple reconnection attempts: {source} was refused by {ip} port {port}/tcp {at_least}{count} times."
            ),
            "refused attempts",
        ),
        None => (
            format!("{ip}/telnet"),
            format!(
                "Multiple Telnet reconnection attempts: {source} tried {ip} {at_least}{count} times in vain."
            ),
            "Telnet attempts in vain",
        ),
    };
    Evidence {
        victim: Some(ip),
        dst_port: port.or(Some(23)),
        protocol: Some(TCP),
        threat_level: ThreatLevel::Medium,
        confidence: Confidence::new(0.5),
        description,
        explanation: Explanation {
            features: vec![feature(what, tally.count as f64, "flows").threshold(least as f64)],
            text: "A program whose server is gone does this, and malware whose server was taken down; a person gives up."
                .to_owned(),
        },
        ..grown(update, EvidenceType::MultipleReconnectionAttempts, &key, tally)
    }
}
