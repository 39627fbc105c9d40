//! Port 443 without TLS.

use std::time::Duration;

use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Service;
use serde::{Deserialize, Serialize};

use crate::port_content::{PortContent, content};
use crate::report::{With, feature, grown};
use crate::services::TCP;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`NonSsl443`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// TLS between the same hosts this long before or after explains a flow without.
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

/// One finding for each host, when the window closes.
#[derive(Debug)]
pub struct NonSsl443 {
    config: Config,
    port: PortContent,
}

impl NonSsl443 {
    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            port: PortContent::new(443, Service::Tls, config.within),
            config,
        }
    }
}

impl Detector for NonSsl443 {
    fn name(&self) -> &'static str {
        "non_ssl_443"
    }

    fn refused(&self) -> u64 {
        self.port.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let source = update.profile.window.profile;
        let minutes = self.config.within.as_secs_f64() / 60.0;
        let odd = self.port.inspect(update);
        let evidence = odd.into_iter().map(|(ip, tally, service)| Evidence {
            victim: Some(ip),
            dst_port: Some(443),
            protocol: Some(TCP),
            threat_level: ThreatLevel::Medium,
            confidence: Confidence::new(0.8),
            description: format!("No TLS on port 443: {source} talked to {ip} in {}.", content(service)),
            explanation: Explanation {
                features: vec![feature("flows without TLS", tally.count as f64, "flows").threshold(1.0)],
                text: format!(
                    "The content of {} established flows was looked at and is not TLS; nor was there TLS between the two \
                     hosts {minutes:.0} minutes before or after. Malware uses this port because firewalls let it pass.",
                    tally.count
                ),
            },
            ..grown(
                update,
                EvidenceType::NonSslPort443Connection,
                &ip.to_string(),
                &tally,
            )
        });
        evidence.collect()
    }
}
