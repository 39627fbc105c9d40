//! Reverse DNS scan: names of many addresses looked up at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::report::{With, feature, grown};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DnsArpaScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Different addresses whose names were asked for within `within`.
    pub min_names: u64,
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_names: 10,
            within: Duration::from_secs(2),
        }
    }
}

/// Looks for the busiest stretch of a window. One growing finding for each window.
#[derive(Debug)]
pub struct DnsArpaScan {
    config: Config,
    network: Arc<Network>,
    windows: PerWindow<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    lookups: BTreeSet<(Timestamp, String, Option<CommunityId>)>,
    tally: Tally,
}

/// Lookups of a window that are looked at; of a longer scan the last ones.
const MAX_LOOKUPS: usize = 4_096;

impl DnsArpaScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            windows: PerWindow::new(),
        }
    }
}

impl Detector for DnsArpaScan {
    fn name(&self) -> &'static str {
        "dns_arpa_scan"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let mut grew = false;
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            // Browsing for services asks for names with underscores below the network's own reverse name.
            let reverse = dns.name.ends_with(".in-addr.arpa") || dns.name.ends_with(".ip6.arpa");
            if !reverse || dns.multicast || dns.name.contains('_') {
                continue;
            }
            let lookups = &mut self.windows.of(window).lookups;
            grew |= lookups.insert((record.time, dns.name.clone(), record.community_id));
            if lookups.len() > MAX_LOOKUPS {
                lookups.pop_first();
            }
        }
        let closed = update.stage == Stage::Closed;
        let resolver = self.network.dns_servers.contains(&window.profile);
        let mut found = Vec::new();
        if (grew || closed)
            && !resolver
            && let Some(asked) = self.windows.find(window)
        {
            asked.look(self.config.within);
            if asked.tally.is_due(self.config.min_names, update.stage) {
                found.push(describe(update, &self.config, &asked.tally));
            }
        }
        if closed {
            self.windows.take(window);
        }
        found
    }
}

impl Asked {
    /// Finds the stretch with most different names; the earliest of several.
    fn look(&mut self, within: Duration) {
        let lookups: Vec<_> = self.lookups.iter().collect();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut begin = 0;
        for (end, (time, name, _)) in lookups.iter().copied().enumerate() {
            *names.entry(name).or_default() += 1;
            while time.since(lookups[begin].0) > within {
                let (_, gone, _) = lookups[begin];
                if let Some(count) = names.get_mut(gone.as_str()) {
                    *count -= 1;
                    if *count == 0 {
                        names.remove(gone.as_str());
                    }
                }
                begin += 1;
            }
            if names.len() as u64 > self.tally.count {
                self.tally.count = names.len() as u64;
                (self.tally.first, self.tally.last) = (lookups[begin].0, *time);
                let flows = lookups[begin..=end].iter().filter_map(|(_, _, id)| *id);
                self.tally.flows = crate::report::samples(flows);
            }
        }
    }
}

fn describe(update: &ProfileUpdate<'_>, config: &Config, tally: &Tally) -> Evidence {
    let (count, seconds) = (tally.count, config.within.as_secs_f64());
    let source = update.profile.window.profile;
    Evidence {
        dst_port: Some(53),
        threat_level: ThreatLevel::Medium,
        confidence: Confidence::new(0.7),
        description: format!(
            "Reverse DNS scan: {source} asked for the names of {count} addresses within {seconds} seconds."
        ),
        explanation: Explanation {
            features: vec![
                feature("addresses whose names were asked for", count as f64, "addresses")
                    .threshold(config.min_names as f64),
                feature("time", tally.last.since(tally.first).as_secs_f64(), "seconds").threshold(seconds),
            ],
            text: format!(
                "Looking up the names of many addresses shows which hosts a network has without touching them. The busiest \
                 {seconds} seconds of the window had {count} different ones."
            ),
        },
        ..grown(update, EvidenceType::DnsArpaScan, "", tally)
    }
}
