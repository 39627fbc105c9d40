//! Unsolicited ARP: answers that nobody asked for, to everybody.

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

/// One growing finding for each hardware address and window.
#[derive(Debug)]
pub struct UnsolicitedArp {
    senders: Growing<[u8; 6]>,
}

pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
pub(crate) const REQUEST: u16 = 1;
pub(crate) const REPLY: u16 = 2;

impl UnsolicitedArp {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            senders: Growing::new(),
        }
    }
}

impl Detector for UnsolicitedArp {
    fn name(&self) -> &'static str {
        "unsolicited_arp"
    }

    fn refused(&self) -> u64 {
        self.senders.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Arp(arp) = &record.event else {
                continue;
            };
            let to_all = arp.frame_destination == Some(BROADCAST) && arp.target_mac == BROADCAST;
            let sent = arp.sender_mac != [0; 6] && !arp.sender.is_unspecified();
            if arp.operation == REPLY && to_all && sent {
                self.senders
                    .add(window, arp.sender_mac, record.time, record.time, None);
            }
        }
        let due = self.senders.due(window, 1, update.stage);
        due.iter()
            .map(|(mac, tally)| describe(update, *mac, tally))
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
