//! ARP, or neighbour discovery, for an address that cannot be in the local network.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use lynceus_model::address::{Network as Prefix, is_private, is_public, is_target};
use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::report::{With, feature, grown, times};
use crate::tally::{Growing, Tally};
use crate::unsolicited_arp::REQUEST;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`ArpOutsideLocalnet`].
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

/// One growing finding for each address asked for.
#[derive(Debug)]
pub struct ArpOutsideLocalnet {
    network: Arc<Network>,
    targets: Growing<IpAddr>,
}

impl ArpOutsideLocalnet {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            network: Arc::clone(&context.network),
            targets: Growing::new(),
        }
    }

    /// Without a configured network Slips' rule holds: a private address may be a neighbour, any other is outside if
    /// already its first byte differs from the sender's.
    fn is_outside(&self, sender: IpAddr, target: IpAddr) -> bool {
        let (from, to) = match (sender, target) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (from, to),
            (IpAddr::V6(from), IpAddr::V6(to)) => return self.is_outside6(from, to),
            _ => return false,
        };
        if !is_target(target) || !is_target(sender) || self.network.gateways.contains(&sender) {
            return false;
        }
        if self.network.local.iter().any(|local| local.contains(sender)) {
            return !self.network.local.iter().any(|local| local.contains(target));
        }
        !is_private(target) && from.octets()[0] != to.octets()[0]
    }

    /// As of IPv4. A host asks from a link-local address as well, which is in every local network and says nothing of the
    /// others; without a configured network both must be public, and of different sites (a /48 each, RFC 6177).
    fn is_outside6(&self, from: Ipv6Addr, to: Ipv6Addr) -> bool {
        let (sender, target) = (IpAddr::V6(from), IpAddr::V6(to));
        if !is_target(target) || from.is_unspecified() || self.network.gateways.contains(&sender) {
            return false;
        }
        let mut local = self.network.local.iter().filter(|local| !local.is_ipv4());
        let own = |local: &Prefix| local.contains(sender) || from.is_unicast_link_local();
        if local.clone().any(own) {
            return !local.any(|local| local.contains(target));
        }
        is_public(sender) && is_public(target) && from.to_bits() >> 80 != to.to_bits() >> 80
    }
}

impl Detector for ArpOutsideLocalnet {
    fn name(&self) -> &'static str {
        "arp_outside_localnet"
    }

    fn refused(&self) -> u64 {
        self.targets.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let AppEvent::Arp(arp) = &record.event
                && arp.operation == REQUEST
                && self.is_outside(arp.sender, arp.target)
            {
                let flow = record.community_id;
                self.targets
                    .add(window, arp.target, record.time, record.time, flow);
            }
        }
        let due = self.targets.due(window, 1, update.stage);
        due.iter()
            .map(|(target, tally)| describe(update, *target, tally))
            .collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, target: IpAddr, tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    let (title, protocol, requests) = if target.is_ipv6() {
        ("Neighbour discovery", "neighbour discovery", "solicitations")
    } else {
        ("ARP", "ARP", "ARP requests")
    };
    Evidence {
        victim: Some(target),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(0.6),
        description: format!(
            "{title} outside the local network: {source} asked for {target} by {protocol}, {}.",
            times(tally.count)
        ),
        explanation: Explanation {
            features: vec![feature(requests, tally.count as f64, "packets").threshold(1.0)],
            text: format!(
                "{title} only reaches neighbours, and {target} is no neighbour of {source}: its network settings are wrong, or \
                 somebody tries out addresses."
            ),
        },
        ..grown(
            update,
            EvidenceType::ArpOutsideLocalnet,
            &target.to_string(),
            tally,
        )
    }
}
