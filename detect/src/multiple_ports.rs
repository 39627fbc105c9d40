//! Connections to several ports of one host on which no service is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lynceus_model::address::is_target;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Flow;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown};
use crate::services::{TCP, service};
use crate::sides::opened;
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`MultiplePorts`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Established TCP ports of one host without a known service.
    pub min_ports: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_ports: 2,
        }
    }
}

/// One growing finding for each host.
#[derive(Debug)]
pub struct MultiplePorts {
    config: Config,
    windows: PerWindow<BTreeMap<IpAddr, Host>>,
}

#[derive(Debug, Default)]
struct Host {
    ports: BTreeSet<u16>,
    tally: Tally,
}

/// Hosts of a window, and ports of a host, that are remembered.
const MAX_HOSTS: usize = 256;
const MAX_PORTS: usize = 64;
/// Ports that the text names.
const NAMED: usize = 10;

impl MultiplePorts {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            windows: PerWindow::new(),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow) {
        let window = update.profile.window;
        let Some((client, server)) = opened(flow) else {
            return;
        };
        let unknown = flow.tuple.protocol == TCP
            && service(server.port, TCP).is_none()
            && !flow.service.is_recognized()
            && flow.established();
        if !unknown || client.ip != window.profile || !is_target(server.ip) {
            return;
        }
        let hosts = self.windows.of(window);
        if hosts.len() < MAX_HOSTS || hosts.contains_key(&server.ip) {
            let host = hosts.entry(server.ip).or_default();
            if host.ports.len() < MAX_PORTS {
                host.ports.insert(server.port);
            }
            host.tally.add_flow(flow);
        } else {
            self.windows.refuse();
        }
    }
}

impl Detector for MultiplePorts {
    fn name(&self) -> &'static str {
        "multiple_ports"
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
                let enough = host.ports.len() >= self.config.min_ports;
                if enough && host.tally.is_due(1, update.stage) {
                    found.push(describe(update, *ip, host, self.config.min_ports));
                }
            }
        }
        if update.stage == Stage::Closed {
            self.windows.take(window);
        }
        found
    }
}

fn describe(update: &ProfileUpdate<'_>, ip: IpAddr, host: &Host, least: usize) -> Evidence {
    let source = update.profile.window.profile;
    let count = host.ports.len();
    let ports: Vec<String> = host.ports.iter().take(NAMED).map(u16::to_string).collect();
    let more = if count > NAMED { " …" } else { "" };
    let ports = ports.join(", ");
    Evidence {
        victim: Some(ip),
        protocol: Some(TCP),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(0.5),
        description: format!("Connections to several unknown ports: {source} to {ip} ports {ports}{more}."),
        explanation: Explanation {
            features: vec![
                feature("unknown ports of the host", count as f64, "ports").threshold(least as f64),
                feature("flows", host.tally.count as f64, "flows"),
            ],
            text: format!(
                "Connections came about to {count} TCP ports of {ip} on which no service is known, and none was recognized \
                 by its content."
            ),
        },
        ..grown(
            update,
            EvidenceType::ConnectionToMultiplePorts,
            &ip.to_string(),
            &host.tally,
        )
    }
}
