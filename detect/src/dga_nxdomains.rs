//! Names that a domain generation algorithm made: many different domains that do not exist.

use std::collections::BTreeSet;

use lynceus_model::app::{AppEvent, Dns};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::names::{is_own, is_public, registrable, shown};
use crate::report::{With, evidence, feature};
use crate::tally::{Tallies, Tally, at_least, is_step};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DgaNxdomains`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Different domains that do not exist; evidence comes here and at each time twice as many.
    pub min_domains: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_domains: 10,
        }
    }
}

/// Counts registrable domains, so names below one domain (block lists of mail servers, search suffixes) count once.
#[derive(Debug)]
pub struct DgaNxdomains {
    config: Config,
    failed: Tallies<(), BTreeSet<String>>,
}

/// Domains remembered of one window. Confidence is 1 from 100 on.
const MAX_DOMAINS: usize = 500;
/// Windows with failed domains: at some 40 bytes a domain at most 160 MB.
const MAX_WINDOWS: usize = 8_192;
const NXDOMAIN: u8 = 3;

impl DgaNxdomains {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            failed: Tallies::with_room(MAX_WINDOWS),
        }
    }
}

impl Detector for DgaNxdomains {
    fn name(&self) -> &'static str {
        "dga_nxdomains"
    }

    fn refused(&self) -> u64 {
        self.failed.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let mut found = Vec::new();
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            if !counts(dns) {
                continue;
            }
            let Some(tally) = self.failed.note(window, (), record) else {
                continue;
            };
            let domain = registrable(&dns.name);
            if tally.detail.len() < MAX_DOMAINS
                && tally.detail.insert(domain.to_owned())
                && is_step(tally.detail.len() as u64, self.config.min_domains, 2)
            {
                found.push(describe(update, history, tally, self.config.min_domains));
            }
        }
        self.failed.close(update);
        found
    }
}

fn counts(dns: &Dns) -> bool {
    let failed = dns.response && !dns.multicast && dns.rcode == NXDOMAIN;
    failed && !is_own(&dns.name) && is_public(&dns.name)
}

fn describe(
    update: &ProfileUpdate<'_>,
    history: &History<'_>,
    tally: &Tally<BTreeSet<String>>,
    least: u64,
) -> Evidence {
    let domains = tally.detail.len();
    let source = update.profile.window.profile;
    let examples: Vec<String> = tally.detail.iter().take(3).map(|name| shown(name)).collect();
    let at_least = at_least(update);
    Evidence {
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(domains as f64 / 100.0),
        description: format!(
            "Possible domain generation algorithm: {source} asked for {at_least}{domains} different domains that do \
             not exist, as {}.",
            examples.join(", ")
        ),
        explanation: Explanation {
            features: vec![
                feature("domains that do not exist", domains as f64, "domains").threshold(least as f64),
                feature("answers NXDOMAIN", tally.count as f64, "messages")
                    .baseline(history.mean(|window| window.apps.dns_nxdomain as f64)),
            ],
            text: format!(
                "{at_least}{domains} different registrable domains got the answer NXDOMAIN in this window; names that \
                 are not of the public DNS do not count."
            ),
        },
        flows: tally.flows.clone(),
        first: tally.first,
        last: tally.last,
        ..evidence(update, EvidenceType::DgaNxdomains, &domains.to_string())
    }
}
