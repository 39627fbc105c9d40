//! A user agent of one maker's system on the network card of another maker's device.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::context::Knowledge;
use crate::names::shown;
use crate::report::{With, feature, full_stop, grown};
use crate::tally::Tallies;
use crate::user_agent::System;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`IncompatibleUserAgent`].
pub type Config = OnlyEnabled;

/// Learns link-layer addresses from ARP, DHCP and flow logs, and asks for their makers.
#[derive(Debug)]
pub struct IncompatibleUserAgent {
    knowledge: Arc<dyn Knowledge>,
    macs: BTreeMap<IpAddr, [u8; 6]>,
    agents: Tallies<System, Request>,
}

#[derive(Debug, Default)]
struct Request {
    agent: String,
    host: String,
}

/// Makers that build devices for their own system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Apple,
    Microsoft,
    Google,
}

impl Maker {
    /// By a word of the maker's name. Makers of network cards (Intel, Realtek, Samsung …) are in machines of all kinds.
    fn of(vendor: &str) -> Option<Self> {
        let vendor = vendor.to_ascii_lowercase();
        let mut words = vendor.split(|character: char| !character.is_ascii_alphanumeric());
        words.find_map(|word| match word {
            "apple" => Some(Self::Apple),
            "microsoft" => Some(Self::Microsoft),
            "google" | "oneplus" | "vivo" | "oppo" | "xiaomi" => Some(Self::Google),
            _ => None,
        })
    }

    /// `None`: any maker's machine runs it.
    const fn of_system(system: System) -> Option<Self> {
        match system {
            System::MacOs | System::Ios => Some(Self::Apple),
            System::Windows => Some(Self::Microsoft),
            System::Android | System::ChromeOs => Some(Self::Google),
            System::Linux => None,
        }
    }
}

/// Addresses whose link-layer address is remembered; beyond, new ones are not learned.
const MAX_MACS: usize = 65_536;

impl IncompatibleUserAgent {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            macs: BTreeMap::new(),
            agents: Tallies::new(),
        }
    }

    fn learn(&mut self, ip: IpAddr, mac: [u8; 6]) {
        // Behind a router there is the router's card.
        let near = match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        if near && mac != [0; 6] && (self.macs.len() < MAX_MACS || self.macs.contains_key(&ip)) {
            self.macs.insert(ip, mac);
        }
    }
}

impl Detector for IncompatibleUserAgent {
    fn name(&self) -> &'static str {
        "incompatible_user_agent"
    }

    fn refused(&self) -> u64 {
        self.agents.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows {
            if let Some(mac) = report.flow.reported.as_ref().and_then(|log| log.originator_mac) {
                self.learn(report.flow.tuple.originator.ip, mac);
            }
        }
        for record in update.apps {
            match &record.event {
                AppEvent::Arp(arp) => self.learn(arp.sender, arp.sender_mac),
                AppEvent::Dhcp(dhcp) => {
                    if let Some(ip) = dhcp.assigned {
                        self.learn(ip, dhcp.client_mac);
                    }
                }
                AppEvent::HttpRequest(request) => {
                    if let Some(agent) = &request.user_agent
                        && let Some(system) = System::of(agent)
                        && Maker::of_system(system).is_some()
                        && let Some(tally) = self.agents.note(window, system, record)
                        && tally.detail.agent.is_empty()
                    {
                        let server = record.tuple.responder.ip.to_string();
                        tally.detail = Request {
                            agent: shown(agent),
                            host: shown(request.host.as_deref().unwrap_or(&server)),
                        };
                    }
                }
                _ => {}
            }
        }
        let (macs, knowledge) = (&self.macs, &self.knowledge);
        let found = self.agents.say(window, |system, tally| {
            let vendor = knowledge.vendor(*macs.get(&window.profile)?)?;
            let (vendor, maker) = (shown(&vendor), Maker::of(&vendor)?);
            (Maker::of_system(*system)? != maker).then(|| {
                let Request { agent, host } = &tally.detail;
                [Evidence {
                    subject: Some(agent.clone()),
                    threat_level: ThreatLevel::High,
                    confidence: Confidence::new(1.0),
                    description: format!(
                        "{} says it runs {} (user agent \"{agent}\", asking {host}), but its network card was made by {vendor}{}.",
                        window.profile,
                        system.name(),
                        full_stop(&vendor)
                    ),
                    explanation: Explanation {
                        features: vec![
                            feature("requests with this system", tally.count as f64, "requests").threshold(1.0),
                        ],
                        text: format!(
                            "Devices of {vendor} run another system than {}: the program lies about itself, or the card does.",
                            system.name()
                        ),
                    },
                    ..grown(update, EvidenceType::IncompatibleUserAgent, system.name(), tally)
                }]
            })
        });
        self.agents.close(update);
        found
    }
}
