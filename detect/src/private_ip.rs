//! Connection from a private address to a private address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lynceus_model::address::is_private;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Flow;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown};
use crate::services::{TCP, UDP};
use crate::sides::opened;
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`PrivateIp`].
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

/// One growing finding for each host.
#[derive(Debug)]
pub struct PrivateIp {
    windows: PerWindow<BTreeMap<IpAddr, Host>>,
}

#[derive(Debug, Default)]
struct Host {
    ports: BTreeSet<u16>,
    protocols: BTreeSet<u8>,
    tally: Tally,
}

/// Hosts of a window, and ports of a host, that are remembered.
const MAX_HOSTS: usize = 256;
const MAX_PORTS: usize = 64;

impl PrivateIp {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            windows: PerWindow::new(),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow) {
        let window = update.profile.window;
        let Some((client, server)) = opened(flow) else {
            return;
        };
        // Name servers and address servers are in the own network.
        let usual = matches!(
            (flow.tuple.protocol, server.port),
            (UDP, 53 | 67 | 68 | 546 | 547)
        );
        // The last address of a network is all its hosts; of its size only the usual one is guessed.
        let all = matches!(server.ip, IpAddr::V4(ip) if ip.octets()[3] == 255);
        if client.ip != window.profile || usual || all || !is_private(client.ip) || !is_private(server.ip) {
            return;
        }
        let hosts = self.windows.of(window);
        if hosts.len() < MAX_HOSTS || hosts.contains_key(&server.ip) {
            let host = hosts.entry(server.ip).or_default();
            if host.ports.len() < MAX_PORTS && [TCP, UDP].contains(&flow.tuple.protocol) {
                host.ports.insert(server.port);
            }
            host.protocols.insert(flow.tuple.protocol);
            host.tally.add_flow(flow);
        } else {
            self.windows.refuse();
        }
    }
}

impl Detector for PrivateIp {
    fn name(&self) -> &'static str {
        "private_ip"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows.iter().filter(|report| report.part == 0) {
            self.note(update, &report.flow);
        }
        let mut found = Vec::new();
        if let Some(hosts) = self.windows.due(window, update.stage) {
            for (ip, host) in hosts {
                if host.tally.is_due(1, update.stage) {
                    found.push(describe(update, *ip, host));
                }
            }
        }
        if update.stage == Stage::Closed {
            self.windows.take(window);
        }
        found
    }
}

fn describe(update: &ProfileUpdate<'_>, ip: IpAddr, host: &Host) -> Evidence {
    let source = update.profile.window.profile;
    let port = host.ports.first().filter(|_| host.ports.len() == 1);
    let on = match (port, host.ports.len()) {
        (Some(port), _) => format!("port {port}"),
        (None, 0) => "without ports".to_owned(),
        (None, count) => format!("{count} ports"),
    };
    Evidence {
        victim: Some(ip),
        dst_port: port.copied(),
        protocol: host
            .protocols
            .first()
            .filter(|_| host.protocols.len() == 1)
            .copied(),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(1.0),
        description: format!("Connection to a private address: {source} to {ip}, {on}."),
        explanation: Explanation {
            features: vec![
                feature("flows", host.tally.count as f64, "flows").threshold(1.0),
                feature("ports", host.ports.len() as f64, "ports"),
            ],
            text: format!(
                "{source} and {ip} are both private addresses; what happens inside is worth a look when other \
                           things are found."
            ),
        },
        ..grown(
            update,
            EvidenceType::ConnectionToPrivateIp,
            &ip.to_string(),
            &host.tally,
        )
    }
}
