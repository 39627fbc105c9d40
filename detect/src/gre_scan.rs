//! GRE scan: GRE sent to hosts to see who answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown};
use crate::tally::{Growing, PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`GreScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Hosts that got GRE packets and did not answer, where packets are looked at. A log says itself what it discovered.
    pub min_hosts: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_hosts: 5,
        }
    }
}

/// From logs: one growing finding for each host. From packets: one for each window, said when it closes.
#[derive(Debug)]
pub struct GreScan {
    config: Config,
    discovered: Growing<IpAddr>,
    probed: PerWindow<BTreeMap<IpAddr, Probe>>,
}

#[derive(Debug, Default)]
struct Probe {
    answered: bool,
    tally: Tally,
}

const GRE: u8 = 47;
/// Hosts of a window that are remembered.
const MAX_HOSTS: usize = 1_024;

impl GreScan {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            discovered: Growing::new(),
            probed: PerWindow::new(),
        }
    }
}

impl Detector for GreScan {
    fn name(&self) -> &'static str {
        "gre_scan"
    }

    fn refused(&self) -> u64 {
        self.discovered.refused() + self.probed.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let AppEvent::Tunnel(tunnel) = &record.event
                && (tunnel.kind.as_str(), tunnel.action.as_str()) == ("gre", "discover")
            {
                let peer = record.tuple.responder.ip;
                self.discovered
                    .add(window, peer, record.time, record.time, record.community_id);
            }
        }
        for report in update.flows {
            let flow = &report.flow;
            let peer = flow.tuple.responder.ip;
            if flow.tuple.protocol != GRE || flow.tuple.originator.ip != window.profile {
                continue;
            }
            let hosts = self.probed.of(window);
            if hosts.len() < MAX_HOSTS || hosts.contains_key(&peer) {
                let probe = hosts.entry(peer).or_default();
                probe.answered |= flow.back.packets > 0;
                probe.tally.add(flow.first, flow.last, Some(flow.community_id));
            } else {
                self.probed.refuse();
            }
        }
        let mut found: Vec<Evidence> = self
            .discovered
            .due(window, 1, update.stage)
            .into_iter()
            .map(|(peer, tally)| discovered(update, peer, &tally))
            .collect();
        if update.stage == Stage::Closed
            && let Some(hosts) = self.probed.take(window)
        {
            let silent: Vec<_> = hosts.into_iter().filter(|(_, probe)| !probe.answered).collect();
            if silent.len() as u64 >= self.config.min_hosts {
                found.push(probed(update, &silent, self.config.min_hosts));
            }
        }
        found
    }
}

fn discovered(update: &ProfileUpdate<'_>, peer: IpAddr, tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    Evidence {
        victim: Some(peer),
        protocol: Some(GRE),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(1.0),
        description: format!("GRE scan: the log says that {source} discovered a GRE tunnel to {peer}."),
        explanation: Explanation {
            features: vec![feature("log lines", tally.count as f64, "records").threshold(1.0)],
            text: "A tunnel.log line of type GRE with the action DISCOVER: first GRE packets between these hosts.".to_owned(),
        },
        ..grown(update, EvidenceType::GreScan, &peer.to_string(), tally)
    }
}

fn probed(update: &ProfileUpdate<'_>, silent: &[(IpAddr, Probe)], least: u64) -> Evidence {
    let source = update.profile.window.profile;
    let hosts = silent.len();
    let flows = silent
        .iter()
        .flat_map(|(_, probe)| probe.tally.flows.iter().copied());
    let times = silent
        .iter()
        .map(|(_, probe)| (probe.tally.first, probe.tally.last));
    let mut tally = Tally::<()>::default();
    times.for_each(|(first, last)| tally.add(first, last, None));
    tally.flows = crate::report::samples(flows);
    Evidence {
        protocol: Some(GRE),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(1.0),
        description: format!("GRE scan: {source} sent GRE packets to {hosts} hosts that did not answer."),
        explanation: Explanation {
            features: vec![feature("hosts without answer", hosts as f64, "hosts").threshold(least as f64)],
            text: format!("{hosts} hosts got GRE packets and sent none back in this window."),
        },
        ..grown(update, EvidenceType::GreScan, "silent", &tally)
    }
}
