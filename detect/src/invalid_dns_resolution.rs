//! Public names that resolve to private addresses.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, DnsData};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::names::{is_own, shown};
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`InvalidDnsResolution`].
pub type Config = OnlyEnabled;

/// One finding for each name and address.
#[derive(Debug)]
pub struct InvalidDnsResolution {
    answers: Tallies<(String, IpAddr)>,
}

impl InvalidDnsResolution {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            answers: Tallies::new(),
        }
    }
}

impl Detector for InvalidDnsResolution {
    fn name(&self) -> &'static str {
        "invalid_dns_resolution"
    }

    fn refused(&self) -> u64 {
        self.answers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            if !dns.response || dns.multicast || is_own(&dns.name) {
                continue;
            }
            for answer in &dns.answers {
                if let DnsData::Address(ip) = answer.data
                    && is_inner(ip)
                {
                    self.answers.note(window, (dns.name.clone(), ip), record);
                }
            }
        }
        let found = self.answers.say(window, |(name, ip), tally| {
            let name = shown(name);
            Some([Evidence {
                subject: Some(name.clone()),
                threat_level: ThreatLevel::Info,
                confidence: Confidence::new(0.8),
                description: format!("The public name {name} resolved to the private address {ip}."),
                explanation: Explanation {
                    features: vec![feature("answers", tally.count as f64, "messages").threshold(1.0)],
                    text: format!(
                        "A name of the public DNS should not lead to {ip}: block lists and split name spaces do it, \
                         DNS rebinding too."
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::InvalidDnsResolution,
                    &format!("{name}/{ip}"),
                    tally,
                )
            }])
        });
        self.answers.close(update);
        found
    }
}

/// Of no use outside the own network: private, shared (RFC 6598), link-local, loopback, unspecified; unique local.
fn is_inner(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_inner(ip.into()),
            None => {
                ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        },
    }
}
