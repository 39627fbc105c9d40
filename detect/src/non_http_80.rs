//! Port 80 without HTTP.

use std::time::Duration;

use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Service;
use serde::{Deserialize, Serialize};

use crate::port_content::{PortContent, content};
use crate::report::{With, feature, grown, mirrored};
use crate::services::TCP;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`NonHttp80`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// HTTP between the same hosts this long before or after explains a flow without.
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            within: Duration::from_secs(300),
        }
    }
}

/// Two findings for each host, when the window closes: low about the client, medium about the server, which stands on the
/// destination side and so adds to no sum.
#[derive(Debug)]
pub struct NonHttp80 {
    config: Config,
    port: PortContent,
}

impl NonHttp80 {
    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            port: PortContent::new(80, Service::Http, config.within),
            config,
        }
    }
}

impl Detector for NonHttp80 {
    fn name(&self) -> &'static str {
        "non_http_80"
    }

    fn refused(&self) -> u64 {
        self.port.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let source = update.profile.window.profile;
        let minutes = self.config.within.as_secs_f64() / 60.0;
        let mut found = Vec::new();
        for (ip, tally, service) in self.port.inspect(update) {
            let mut of_client = Evidence {
                victim: Some(ip),
                dst_port: Some(80),
                protocol: Some(TCP),
                threat_level: ThreatLevel::Low,
                confidence: Confidence::new(0.8),
                description: format!(
                    "No HTTP on port 80: {source} talked to {ip} in {}.",
                    content(service)
                ),
                explanation: Explanation {
                    features: vec![feature("flows without HTTP", tally.count as f64, "flows").threshold(1.0)],
                    text: format!(
                        "The content of {} established flows was looked at and is not HTTP; nor was there HTTP between the \
                         two hosts {minutes:.0} minutes before or after.",
                        tally.count
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::NonHttpPort80Connection,
                    &ip.to_string(),
                    &tally,
                )
            };
            let mut of_server = mirrored(
                &of_client,
                update,
                ip,
                &format!("from/{source}"),
                ThreatLevel::Medium,
            );
            of_client.related = vec![of_server.id];
            of_server.related = vec![of_client.id];
            found.extend([of_client, of_server]);
        }
        found
    }
}
