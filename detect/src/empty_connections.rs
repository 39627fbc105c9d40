//! Empty requests for the start page of well-known sites: how malware looks whether it is online.

use std::collections::BTreeSet;

use lynceus_model::app::{AppEvent, HttpRequest};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::window::Stage;
use lynceus_model::words;
use serde::{Deserialize, Serialize};

use crate::names::host_name;
use crate::report::{With, at_least_apps, feature, grown};
use crate::tally::{PerWindow, Tallies};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`EmptyConnections`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Requests for one host in one window.
    pub min_requests: u64,
    /// Sites, with and without `www.` before them.
    pub hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let hosts = [
            "bing.com",
            "google.com",
            "yandex.com",
            "yahoo.com",
            "duckduckgo.com",
            "gmail.com",
        ];
        Self {
            enabled: true,
            min_requests: 4,
            hosts: hosts.map(str::to_owned).to_vec(),
        }
    }
}

/// One finding for each host, from the configured number of requests on. Who has asked a site for anything beside its start
/// page before is a browser.
#[derive(Debug)]
pub struct EmptyConnections {
    config: Config,
    hosts: Tallies<String, Site>,
    /// Sites that were asked for more.
    browsed: PerWindow<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Site {
    port: u16,
    /// The number of requests was reached with nothing else asked for.
    reached: bool,
}

impl EmptyConnections {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            hosts: Tallies::new(),
            browsed: PerWindow::new(),
        }
    }

    /// The site, if it is one of the well-known ones.
    fn site(&self, request: &HttpRequest) -> Option<String> {
        let host = host_name(request.host.as_ref()?);
        let site = host.strip_prefix("www.").unwrap_or(&host);
        self.config
            .hosts
            .iter()
            .any(|known| known == site)
            .then(|| site.to_owned())
    }
}

impl Detector for EmptyConnections {
    fn name(&self) -> &'static str {
        "empty_connections"
    }

    fn refused(&self) -> u64 {
        self.hosts.refused() + self.browsed.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::HttpRequest(request) = &record.event else {
                continue;
            };
            let Some(site) = self.site(request) else { continue };
            // Nothing but the start page.
            if request.uri != "/" || request.content_length.unwrap_or(0) > 0 {
                self.browsed.of(window).insert(site);
                continue;
            }
            let browsed = self
                .browsed
                .find(window)
                .is_some_and(|sites| sites.contains(&site));
            if let Some(tally) = self.hosts.note(window, site, record) {
                tally.detail.port = record.tuple.responder.port;
                tally.detail.reached |= tally.count == self.config.min_requests.max(1) && !browsed;
            }
        }
        let least = self.config.min_requests;
        let found = self.hosts.say(window, |site, tally| {
            let (count, at_least) = (tally.count, at_least_apps(update));
            tally.detail.reached.then(|| {
                [Evidence {
                    dst_port: Some(tally.detail.port),
                    subject: Some(site.clone()),
                    threat_level: ThreatLevel::Medium,
                    confidence: Confidence::new(1.0),
                    description: format!(
                        "{} made {at_least}{} empty HTTP requests to {site}.",
                        window.profile,
                        words::count(count)
                    ),
                    explanation: Explanation {
                        features: vec![
                            feature("requests without content", count as f64, "requests")
                                .threshold(least as f64),
                        ],
                        text: format!(
                            "{at_least}{count} requests for the start page of {site} without encryption: browsers use \
                             HTTPS there, malware looks whether it is online."
                        ),
                    },
                    ..grown(update, EvidenceType::EmptyConnections, site, tally)
                }]
            })
        });
        self.hosts.close(update);
        if update.stage == Stage::Closed {
            self.browsed.take(window);
        }
        found
    }
}
