//! A network card that turns up with another address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_model::address::is_private;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::neighbours::{Mac, Neighbours};
use crate::report::{With, evidence, feature, mac_text};
use crate::tally::PerWindow;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DeviceChangingIp`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// A card with more private addresses than this is a router or holds several on purpose.
    pub max_addresses: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            max_addresses: 2,
        }
    }
}

/// Judges when the window closes in which an address was first seen: then everything about the card up to there is known,
/// the lease of the new address too.
#[derive(Debug)]
pub struct DeviceChangingIp {
    config: Config,
    neighbours: Neighbours,
    /// Cards with which the profile was seen.
    cards: PerWindow<BTreeSet<Mac>>,
}

/// Cards of an address in a window; usually one.
const MAX_CARDS: usize = 16;

impl DeviceChangingIp {
    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            neighbours: Neighbours::default(),
            cards: PerWindow::new(),
        }
    }

    fn judge(&self, update: &ProfileUpdate<'_>, mac: Mac) -> Option<Evidence> {
        let ip = update.profile.window.profile;
        let card = self.neighbours.card(mac).filter(|card| !card.many)?;
        let own = |ip: &IpAddr| ip.is_ipv4() && is_private(*ip);
        let addresses = card.addresses.iter().filter(|(ip, _)| own(ip));
        let since = *card.addresses.get(&ip)?;
        // Only when it is new: in the next window it is known.
        if !own(&ip) || since < update.profile.window.start || card.leased.contains(&ip) {
            return None;
        }
        if addresses.clone().count() > self.config.max_addresses {
            return None;
        }
        let (older, before) = addresses
            .filter(|(other, first)| **other != ip && **first < since)
            .min_by_key(|(_, first)| **first)?;
        Some(describe(update, mac, (*older, *before), since))
    }
}

impl Detector for DeviceChangingIp {
    fn name(&self) -> &'static str {
        "device_changing_ip"
    }

    fn refused(&self) -> u64 {
        self.cards.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for (mac, ip) in self.neighbours.learn(update) {
            if ip == window.profile {
                let cards = self.cards.of(window);
                if cards.len() < MAX_CARDS {
                    cards.insert(mac);
                }
            }
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let cards = self.cards.take(window).unwrap_or_default();
        cards.iter().filter_map(|mac| self.judge(update, *mac)).collect()
    }
}

fn describe(
    update: &ProfileUpdate<'_>,
    mac: Mac,
    (older, before): (IpAddr, Timestamp),
    since: Timestamp,
) -> Evidence {
    let ip = update.profile.window.profile;
    let mac = mac_text(mac);
    let seconds = since.since(before).as_secs_f64();
    Evidence {
        subject: Some(mac.clone()),
        threat_level: ThreatLevel::Medium,
        confidence: Confidence::new(0.8),
        description: format!(
            "A device changed its address: {ip} has the card {mac}, which had {older} before."
        ),
        explanation: Explanation {
            features: vec![
                feature("addresses of the card", 2.0, "addresses").threshold(2.0),
                feature("time since the older address was first seen", seconds, "seconds"),
            ],
            text: format!(
                "The card {mac} was seen with {older} and then with {ip}; no DHCP server was seen to give it the new one."
            ),
        },
        first: since,
        last: since,
        ..evidence(update, EvidenceType::DeviceChangingIp, &mac)
    }
}
