//! ARP spoofing, and that of neighbour discovery: a network card says that it has an address which is not its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::app::{AppEvent, Arp};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::neighbours::{Mac, Neighbours, Place, is_card, place};
use crate::report::{With, evidence, feature, mac_text};
use crate::sightings::before;
use crate::unsolicited_arp::{BROADCAST, REPLY};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`MitmArp`].
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

/// A claim and what proves it wrong come in the updates of several profiles, in any order within a refresh of the sensor;
/// so both are kept, and each new piece is held against the others. What counts is their event time.
#[derive(Debug)]
pub struct MitmArp {
    network: Arc<Network>,
    neighbours: Neighbours,
    /// Claims of each card, by the address claimed.
    claims: BTreeMap<Mac, BTreeMap<IpAddr, Claim>>,
}

/// The first time in a window that a card announced an address.
#[derive(Debug)]
struct Claim {
    time: Timestamp,
    /// To everybody. To one host it is an answer like any other, unless somebody else has the address.
    to_all: bool,
    said: bool,
    /// Of neighbour discovery: what another card had before.
    discovery: Option<Place>,
    /// As it will be said, but for the older address.
    evidence: Evidence,
}

/// Two cards that both say within this time that they have an address quarrel about it; later it may have been given away.
const QUARREL: Duration = Duration::from_secs(600);

impl MitmArp {
    /// Cards with claims, and addresses that one card claims, that are remembered. The rest is not judged.
    const MAX_CARDS: usize = 4_096;
    const MAX_CLAIMS: usize = 64;

    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            network: Arc::clone(&context.network),
            neighbours: Neighbours::default(),
            claims: BTreeMap::new(),
        }
    }

    fn claim(&mut self, update: &ProfileUpdate<'_>, arp: &Arp, time: Timestamp) {
        // Of IPv6 whom it tells does not count: only where another card has the address it is judged at all.
        let to_all = arp.target_mac == BROADCAST || arp.target_mac == [0; 6];
        // That a router's card has many addresses proves nothing of ARP; of IPv6 no card's does, and that is not asked.
        let exempt = arp.discovery.is_none() && self.network.gateways.contains(&arp.sender);
        // One of several hosts with an address (anycast), or one for another (a proxy), must not override (RFC 4861 §7.2.7).
        let yields = arp.discovery.is_some_and(|said| !said.overrides);
        if arp.operation != REPLY || exempt || yields {
            return;
        }
        if self.claims.len() >= Self::MAX_CARDS && !self.claims.contains_key(&arp.sender_mac) {
            return;
        }
        let claims = self.claims.entry(arp.sender_mac).or_default();
        if arp.discovery.is_some()
            && let Some(known) = claims.get_mut(&arp.sender)
            && known.evidence.window_start == update.profile.window.start
        {
            // Still: whoever has the address may speak long after the first claim.
            if !known.said {
                (known.time, known.evidence.last) = (time, time);
            }
            return;
        }
        let same_window = |claim: &Claim| claim.evidence.window_start == update.profile.window.start;
        let known = claims.get(&arp.sender);
        let stronger = known.is_some_and(|known| to_all && !known.to_all && !known.said);
        if claims.len() >= Self::MAX_CLAIMS || known.is_some_and(same_window) && !stronger {
            return;
        }
        let key = mac_text(arp.sender_mac);
        let claim = Claim {
            time,
            to_all,
            said: false,
            discovery: arp.discovery.map(|_| place(arp)),
            evidence: Evidence {
                subject: Some(key.clone()),
                threat_level: ThreatLevel::Critical,
                confidence: Confidence::new(0.2),
                first: time,
                last: time,
                ..evidence(update, EvidenceType::MitmArpAttack, &key)
            },
        };
        claims.insert(arp.sender, claim);
    }

    /// Judges the claims of a card that were not proved wrong so far.
    fn judge(&mut self, mac: Mac) -> Vec<Evidence> {
        let Some(claims) = self.claims.get_mut(&mac) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (claimed, claim) in claims.iter_mut().filter(|(_, claim)| !claim.said) {
            let (from, to) = (before(claim.time, QUARREL), claim.time.saturating_add(QUARREL));
            if let Some(place) = claim.discovery {
                // A host has several addresses of IPv6 on purpose; who says it later than another card is the one in doubt.
                if let Some(holder) = self.neighbours.earlier_holder(place, mac, from, to) {
                    claim.said = true;
                    found.push(tell_discovery(claim, *claimed, holder, &mac_text(mac)));
                }
                continue;
            }
            let Some(card) = self.neighbours.card(mac) else {
                continue;
            };
            let older = card
                .addresses
                .iter()
                .filter(|(ip, first)| *ip != claimed && ip.is_ipv4() && **first < claim.time)
                .min_by_key(|(_, first)| **first);
            let holder = self.neighbours.other_holder((*claimed, 0), mac, from, to);
            if let Some((older, since)) = older.filter(|_| !card.many && (claim.to_all || holder.is_some())) {
                claim.said = true;
                found.push(tell(claim, (*claimed, holder), (*older, *since), &mac_text(mac)));
            }
        }
        found
    }
}

impl Detector for MitmArp {
    fn name(&self) -> &'static str {
        "mitm_arp"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let seen = self.neighbours.learn(update);
        for record in update.apps {
            if let AppEvent::Arp(arp) = &record.event
                && (seen.contains(&(arp.sender_mac, arp.sender))
                    || arp.discovery.is_some() && is_card(arp.sender_mac))
            {
                self.claim(update, arp, record.time);
            }
        }
        let discovered = update.apps.iter().filter_map(|record| match &record.event {
            AppEvent::Arp(arp) if arp.discovery.is_some() => Some((arp.sender_mac, arp.sender)),
            _ => None,
        });
        let seen: BTreeSet<(Mac, IpAddr)> = seen.into_iter().chain(discovered).collect();
        // Also the cards whose claims somebody contradicts now.
        let contradicted = self.claims.iter().filter(|(_, claims)| {
            let mut seen = seen.iter();
            seen.any(|(_, ip)| claims.contains_key(ip))
        });
        let contradicted: Vec<Mac> = contradicted.map(|(mac, _)| *mac).collect();
        let cards: BTreeSet<Mac> = seen.into_iter().map(|(mac, _)| mac).chain(contradicted).collect();
        cards.into_iter().flat_map(|mac| self.judge(mac)).collect()
    }
}

fn tell(
    claim: &Claim,
    (claimed, holder): (IpAddr, Option<Mac>),
    (older, since): (IpAddr, Timestamp),
    mac: &str,
) -> Evidence {
    let quarrel = holder.map_or_else(String::new, |holder| {
        format!(" The card {} says so of itself, too.", mac_text(holder))
    });
    let seconds = claim.time.since(since).as_secs_f64();
    Evidence {
        description: format!(
            "Possible man in the middle by ARP: the card {mac} says that it has {claimed}, and was seen with {older} before."
        ),
        explanation: Explanation {
            features: vec![
                feature("addresses of the card", 2.0, "addresses").threshold(2.0),
                feature("time since the card had the older address", seconds, "seconds"),
            ],
            text: format!(
                "An ARP answer binds {claimed} to {mac}, which had {older} before.{quarrel} Who wants to read what \
                 others send does this; so does a host that changes its address, which is why the confidence is small."
            ),
        },
        ..claim.evidence.clone()
    }
}

fn tell_discovery(claim: &Claim, claimed: IpAddr, (holder, since): (Mac, Timestamp), mac: &str) -> Evidence {
    let holder = mac_text(holder);
    let seconds = claim.time.since(since).as_secs_f64();
    Evidence {
        description: format!(
            "Possible man in the middle by neighbour discovery: the card {mac} says that it has {claimed}, which the card \
             {holder} has."
        ),
        explanation: Explanation {
            features: vec![
                feature("cards with the address", 2.0, "cards").threshold(2.0),
                feature("time since the other card was seen with it", seconds, "seconds"),
            ],
            text: format!(
                "An advertisement that overrides what is known binds {claimed} to {mac}; {holder} said so of itself before, \
                 and within ten minutes. Who wants to read what others send does this; so does whoever takes over an \
                 address, which is why the confidence is small."
            ),
        },
        ..claim.evidence.clone()
    }
}
