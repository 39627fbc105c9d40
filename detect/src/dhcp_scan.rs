//! DHCP scan: one client asks for many addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::address::is_host;
use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};
use serde::{Deserialize, Serialize};

use crate::report::{With, evidence, feature, mac_text, moved_to, samples, span};
use crate::reported::Reported;
use crate::tally::PerWindow;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DhcpScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Evidence comes each time a client asked for so many more addresses in one window.
    pub step: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            step: 4,
        }
    }
}

/// Clients are told apart by their hardware address: before they have an address they all ask from 0.0.0.0.
#[derive(Debug)]
pub struct DhcpScan {
    config: Config,
    clients: PerWindow<Clients>,
    reported: Reported<([u8; 6], u64)>,
}

type Clients = BTreeMap<[u8; 6], BTreeMap<IpAddr, Asked>>;

/// First request for an address.
type Asked = (Timestamp, Option<CommunityId>);

/// Clients of a window, and addresses of a client, that are remembered: a large network, and 128 steps.
const MAX_CLIENTS: usize = 4_096;
const MAX_ADDRESSES: usize = 512;

impl DhcpScan {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            clients: PerWindow::new(),
            reported: Reported::new(),
        }
    }
}

impl Detector for DhcpScan {
    fn name(&self) -> &'static str {
        "dhcp_scan"
    }

    fn refused(&self) -> u64 {
        self.clients.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        const INFORM: u8 = 8;
        const ASKS: [u8; 2] = [1, 3];
        let window = update.profile.window;
        let nobody = WindowId {
            profile: Ipv4Addr::UNSPECIFIED.into(),
            start: window.start,
        };
        let mut touched = BTreeSet::new();
        for record in update.apps {
            let AppEvent::Dhcp(dhcp) = &record.event else {
                continue;
            };
            // Who informs itself says that it has the address already; each is another profile.
            let (window, address) = match dhcp.message_type {
                INFORM => (nobody, Some(record.tuple.originator.ip).filter(|ip| is_host(*ip))),
                kind if ASKS.contains(&kind) => (window, dhcp.requested),
                _ => continue,
            };
            if let Some(address) = address
                && note(self.clients.of(window), dhcp.client_mac, address, record)
            {
                touched.insert((window, dhcp.client_mac));
            }
        }
        let step = self.config.step.max(1);
        let mut found = Vec::new();
        for (window, client) in touched {
            let Some(asked) = self.clients.of(window).get(&client) else {
                continue;
            };
            let sizes = (1..)
                .map(|n| n * step)
                .take_while(|size| *size <= asked.len() as u64);
            for size in sizes {
                if self.reported.first_time(window, (client, size)) {
                    let key = format!("{}/{size}", mac_text(client));
                    let evidence = describe(update, client, asked, size, step);
                    found.push(moved_to(evidence, update, window.profile, &key));
                }
            }
        }
        if update.stage == Stage::Closed {
            self.clients.take(window);
            self.reported.forget(window);
        }
        found
    }
}

/// Remembers that a client asked for, or has, an address; false if there is no room.
fn note(clients: &mut Clients, client: [u8; 6], address: IpAddr, record: &AppRecord) -> bool {
    if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
        return false;
    }
    let asked = clients.entry(client).or_default();
    if asked.len() >= MAX_ADDRESSES && !asked.contains_key(&address) {
        return false;
    }
    let first = asked.entry(address).or_insert((record.time, record.community_id));
    *first = (*first).min((record.time, record.community_id));
    true
}

fn describe(
    update: &ProfileUpdate<'_>,
    client: [u8; 6],
    asked: &BTreeMap<IpAddr, Asked>,
    size: u64,
    step: u64,
) -> Evidence {
    let mut rows: Vec<Asked> = asked.values().copied().collect();
    rows.sort_unstable();
    rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let (first, last) = span(update, rows.iter().map(|(time, _)| *time));
    let mac = mac_text(client);
    Evidence {
        subject: Some(mac.clone()),
        protocol: Some(crate::services::UDP),
        dst_port: Some(67),
        threat_level: ThreatLevel::Medium,
        confidence: Confidence::new(0.8),
        description: format!(
            "DHCP scan: the client {mac} asked for, or said it has, at least {size} different addresses."
        ),
        explanation: Explanation {
            features: vec![
                feature("addresses asked for", size as f64, "addresses").threshold(step as f64),
                feature("time", last.since(first).as_secs_f64(), "seconds"),
            ],
            text: format!(
                "One network card named at least {size} different addresses to DHCP servers in this window. A client usually asks for \
                 the address it had before, and then for the one it is offered."
            ),
        },
        flows: samples(rows.iter().filter_map(|(_, id)| *id)),
        first,
        last,
        ..evidence(update, EvidenceType::DhcpScan, &format!("{mac}/{size}"))
    }
}
