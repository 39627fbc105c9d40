//! Connections from or to port 0, which nobody uses.

use std::net::IpAddr;

use lynceus_model::address::is_host;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Flow;
use lynceus_model::words::plural;
use serde::{Deserialize, Serialize};

use crate::report::{With, at_least, feature, grown, protocol_name};
use crate::services::has_ports;
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`PortZero`].
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

/// One growing finding for each host, protocol and pair of ports.
#[derive(Debug)]
pub struct PortZero {
    hosts: Growing<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    ip: IpAddr,
    protocol: u8,
    port: u16,
    from_zero: bool,
}

impl PortZero {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            hosts: Growing::new(),
        }
    }
}

/// Port 0 on one side. Both ports are 0 where a fragment or a cut packet did not show any; only a log can mean it.
fn on_port_zero(flow: &Flow) -> Option<Key> {
    let (client, server) = flow.client_server();
    let zero = match (client.port, server.port) {
        (0, 0) => flow.reported.is_some(),
        (0, _) | (_, 0) => true,
        _ => false,
    };
    (zero && has_ports(flow.tuple.protocol) && is_host(server.ip)).then_some(Key {
        ip: server.ip,
        protocol: flow.tuple.protocol,
        port: server.port,
        from_zero: client.port == 0,
    })
}

impl Detector for PortZero {
    fn name(&self) -> &'static str {
        "port_zero"
    }

    fn refused(&self) -> u64 {
        self.hosts.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows.iter().filter(|report| report.part == 0) {
            let flow = &report.flow;
            if let Some(key) = on_port_zero(flow)
                && flow.client_server().0.ip == window.profile
            {
                self.hosts.add_flow(window, key, flow);
            }
        }
        let due = self.hosts.due(window, 1, update.stage);
        due.iter()
            .map(|(key, tally)| describe(update, key, tally))
            .collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, key: &Key, tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    let (ip, port, name) = (key.ip, key.port, protocol_name(key.protocol));
    let from = if key.from_zero { " port 0" } else { "" };
    let id = format!("{ip}/{name}/{port}/{}", key.from_zero);
    Evidence {
        victim: Some(ip),
        dst_port: Some(port),
        protocol: Some(key.protocol),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(0.8),
        description: format!("Connection on port 0: from {source}{from} to {ip} port {port}/{name}."),
        explanation: Explanation {
            features: vec![feature("flows", tally.count as f64, "flows").threshold(1.0)],
            text: format!(
                "Port 0 is reserved and no operating system takes it for itself; {}{}. Tools that make their \
                 own packets, to find out what answers, use it.",
                at_least(update),
                plural(tally.count, "such flow", "such flows")
            ),
        },
        ..grown(update, EvidenceType::Port0Connection, &id, tally)
    }
}
