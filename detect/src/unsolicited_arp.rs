//! Unsolicited ARP: answers that nobody asked for, to everybody. Of IPv6, advertisements of neighbour discovery.

use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown, mac_text, times};
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`UnsolicitedArp`].
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

/// One growing finding for each hardware address and window; of IPv6, where a card has several addresses on purpose, for
/// each of them.
#[derive(Debug)]
pub struct UnsolicitedArp {
    senders: Growing<[u8; 6]>,
    announced: Growing<([u8; 6], IpAddr)>,
}

/// Advertisements with which a host may announce an address that is new to it (RFC 4861 §7.2.6 and §10,
/// MAX_NEIGHBOR_ADVERTISEMENT): what hosts that come up do with ARP by a request, which is no answer.
const ANNOUNCEMENTS: u64 = 3;

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
pub(crate) const REQUEST: u16 = 1;
pub(crate) const REPLY: u16 = 2;

impl UnsolicitedArp {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            senders: Growing::new(),
            announced: Growing::new(),
        }
    }
}

impl Detector for UnsolicitedArp {
    fn name(&self) -> &'static str {
        "unsolicited_arp"
    }

    fn refused(&self) -> u64 {
        self.senders.refused() + self.announced.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Arp(arp) = &record.event else {
                continue;
            };
            let to_all = arp.frame_destination == Some(BROADCAST) && arp.target_mac == BROADCAST;
            let sent = arp.sender_mac != [0; 6] && !arp.sender.is_unspecified();
            if arp.is_announced() && sent {
                self.announced.add(
                    window,
                    (arp.sender_mac, arp.sender),
                    record.time,
                    record.time,
                    None,
                );
            } else if arp.operation == REPLY && to_all && sent {
                self.senders
                    .add(window, arp.sender_mac, record.time, record.time, None);
            }
        }
        let due = self.senders.due(window, 1, update.stage);
        let announced = self.announced.due(window, ANNOUNCEMENTS + 1, update.stage);
        let announced = announced
            .iter()
            .map(|((mac, ip), tally)| describe_discovery(update, *mac, *ip, tally));
        due.iter()
            .map(|(mac, tally)| describe(update, *mac, tally))
            .chain(announced)
            .collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, mac: [u8; 6], tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    let mac = mac_text(mac);
    Evidence {
        subject: Some(mac.clone()),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(0.8),
        description: format!(
            "Unsolicited ARP: {source} ({mac}) sent an answer that nobody asked for to everybody, {}.",
            times(tally.count)
        ),
        explanation: Explanation {
            features: vec![feature("ARP answers to everybody", tally.count as f64, "packets").threshold(1.0)],
            text: "Such an answer changes what every host believes about who owns the address; hosts that come up or take \
                   over an address send it, and so do those who want to stand in between."
                .to_owned(),
        },
        ..grown(update, EvidenceType::UnsolicitedArp, &mac, tally)
    }
}

fn describe_discovery(update: &ProfileUpdate<'_>, mac: [u8; 6], claimed: IpAddr, tally: &Tally) -> Evidence {
    let source = update.profile.window.profile;
    let mac = mac_text(mac);
    Evidence {
        subject: Some(mac.clone()),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(0.8),
        description: format!(
            "Unsolicited neighbour discovery: {source} told everybody, unasked, that {claimed} has the card {mac}, {}.",
            times(tally.count)
        ),
        explanation: Explanation {
            features: vec![
                feature("advertisements to everybody", tally.count as f64, "packets")
                    .threshold((ANNOUNCEMENTS + 1) as f64),
            ],
            text: format!(
                "Such an advertisement changes what every host believes about who owns the address. A host announces an \
                 address that is new to it at most {ANNOUNCEMENTS} times (RFC 4861 §10); who says it again and again \
                 changes addresses often, or wants to stand in between."
            ),
        },
        ..grown(
            update,
            EvidenceType::UnsolicitedArp,
            &format!("{mac} {claimed}"),
            tally,
        )
    }
}
