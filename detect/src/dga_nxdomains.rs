//! Names that a domain generation algorithm made: many different domains that do not exist.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use lynceus_model::app::{AppEvent, Dns};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::names::{is_own, is_public, registrable, shown};
use crate::report::{With, at_least_apps, evidence, feature};
use crate::tally::{Tallies, Tally, is_step};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DgaNxdomains`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Different domains that do not exist; evidence comes here and at each time twice as many.
    pub min_domains: u64,
    /// Share of domains that do not exist among all that were asked for since the first of them.
    pub min_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_domains: 10,
            min_share: 0.15,
        }
    }
}

/// Counts registrable domains, so names below one domain (block lists of mail servers, search suffixes) count once.
#[derive(Debug)]
pub struct DgaNxdomains {
    config: Config,
    failed: Tallies<(), Domains>,
}

#[derive(Debug, Default)]
struct Domains {
    failed: BTreeSet<String>,
    /// Hashes of those that exist, since the first that does not.
    exist: BTreeSet<u64>,
}

impl Domains {
    fn share(&self) -> f64 {
        let failed = self.failed.len() as f64;
        failed / (failed + self.exist.len() as f64)
    }
}

/// Domains remembered of one window. Confidence is 1 from 100 on.
const MAX_DOMAINS: usize = 500;
/// And of those that exist: a window with more is that of a name server.
const MAX_EXISTING: usize = 4_096;
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
            if let Some(domains) = self.failed.detail(window, &())
                && domains.exist.len() < MAX_EXISTING
                && exists(dns)
            {
                let mut hasher = std::hash::DefaultHasher::new();
                registrable(&dns.name).hash(&mut hasher);
                domains.exist.insert(hasher.finish());
            }
            if !counts(dns) {
                continue;
            }
            let Some(tally) = self.failed.note(window, (), record) else {
                continue;
            };
            let domain = registrable(&dns.name);
            let domains = &mut tally.detail;
            if domains.failed.len() < MAX_DOMAINS
                && domains.failed.insert(domain.to_owned())
                && is_step(domains.failed.len() as u64, self.config.min_domains, 2)
                && domains.share() >= self.config.min_share
            {
                found.push(describe(update, history, tally, &self.config));
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

fn exists(dns: &Dns) -> bool {
    let exists = dns.response && !dns.multicast && dns.rcode == 0 && !dns.answers.is_empty();
    exists && !is_own(&dns.name)
}

fn describe(
    update: &ProfileUpdate<'_>,
    history: &History<'_>,
    tally: &Tally<Domains>,
    config: &Config,
) -> Evidence {
    let domains = tally.detail.failed.len();
    let source = update.profile.window.profile;
    let examples: Vec<String> = tally
        .detail
        .failed
        .iter()
        .take(3)
        .map(|name| shown(name))
        .collect();
    let at_least = at_least_apps(update);
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
                feature("domains that do not exist", domains as f64, "domains")
                    .threshold(config.min_domains as f64),
                feature("share of all domains asked for", tally.detail.share(), "ratio")
                    .threshold(config.min_share),
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
