//! Downloads from pastebin.com: where scripts of attackers wait.

use std::collections::BTreeMap;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{host_name, is_under};
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`PastebinDownload`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Bytes of an HTTP answer's body.
    pub min_bytes: u64,
    /// IP bytes that the server sent in one TLS flow: handshake and certificates take some 6,000.
    pub min_bytes_tls: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: 700,
            min_bytes_tls: 12_000,
        }
    }
}

/// Remembers the flows whose client asked for the site, by host or by server name.
#[derive(Debug)]
pub struct PastebinDownload {
    config: Config,
    asked: BTreeMap<CommunityId, (Timestamp, bool)>,
    downloads: Tallies<(), u64>,
}

const SITE: &str = "pastebin.com";
/// Flows to the site that are remembered; beyond, the oldest goes.
const MAX_FLOWS: usize = 4_096;

impl PastebinDownload {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            asked: BTreeMap::new(),
            downloads: Tallies::new(),
        }
    }

    fn remember(&mut self, flow: CommunityId, time: Timestamp, tls: bool) {
        if self.asked.len() >= MAX_FLOWS
            && let Some(oldest) = self.asked.iter().min_by_key(|(_, (time, _))| *time)
        {
            let oldest = *oldest.0;
            self.asked.remove(&oldest);
        }
        self.asked.insert(flow, (time, tls));
    }
}

impl Detector for PastebinDownload {
    fn name(&self) -> &'static str {
        "pastebin_download"
    }

    fn refused(&self) -> u64 {
        self.downloads.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let Some(flow) = record.community_id else { continue };
            match &record.event {
                AppEvent::HttpRequest(request) => {
                    let host = request.host.as_deref().map(host_name).unwrap_or_default();
                    if request.method == "GET" && is_under(&host, SITE) {
                        self.remember(flow, record.time, false);
                    }
                }
                AppEvent::TlsClient(hello) => {
                    let name = hello.server_name.as_deref().map(host_name).unwrap_or_default();
                    if is_under(&name, SITE) {
                        self.remember(flow, record.time, true);
                    }
                }
                AppEvent::HttpResponse(response) => {
                    let bytes = response.content_length.unwrap_or(0);
                    if bytes > self.config.min_bytes
                        && self.asked.get(&flow).is_some_and(|(_, tls)| !tls)
                        && let Some(tally) = self.downloads.note(window, (), record)
                    {
                        tally.detail += bytes;
                    }
                }
                _ => {}
            }
        }
        for report in update.flows {
            let flow = &report.flow;
            if flow.back.bytes >= self.config.min_bytes_tls
                && self.asked.get(&flow.community_id).is_some_and(|(_, tls)| *tls)
            {
                // Later reports of the flow are the same download.
                self.asked.remove(&flow.community_id);
                let span = (flow.first, flow.last);
                if let Some(tally) = self.downloads.add(window, (), span, Some(flow.community_id)) {
                    tally.detail += flow.back.bytes;
                }
            }
        }
        let least = self.config.min_bytes as f64;
        let found = self.downloads.say(window, |(), tally| {
            let bytes = tally.detail as f64;
            Some([Evidence {
                subject: Some(SITE.to_owned()),
                threat_level: ThreatLevel::Info,
                confidence: Confidence::new(1.0),
                description: format!("{} downloaded {:.1} kB from {SITE}.", window.profile, bytes / 1e3),
                explanation: Explanation {
                    features: vec![
                        feature("bytes received", bytes, "bytes").threshold(least),
                        feature("downloads", tally.count as f64, "downloads"),
                    ],
                    text: format!("Scripts and stolen data of attackers often lie on {SITE}."),
                },
                ..grown(update, EvidenceType::PastebinDownload, SITE, tally)
            }])
        });
        self.downloads.close(update);
        found
    }
}
