//! Port 443 without TLS: medium about the client.

use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use lynceus_model::flow::Service;

pub use crate::port_content::Config;
use crate::port_content::{PortContent, Rule};
use crate::{Context, Detector, History, ProfileUpdate};

const RULE: Rule = Rule {
    port: 443,
    usual: Service::Tls,
    name: "TLS",
    kind: EvidenceType::NonSslPort443Connection,
    of_client: ThreatLevel::Medium,
    of_server: None,
};

/// Port 443 without TLS: medium about the client.
#[derive(Debug)]
pub struct NonSsl443(PortContent);

impl NonSsl443 {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self(PortContent::new(&RULE, &config, context))
    }
}

impl Detector for NonSsl443 {
    fn name(&self) -> &'static str {
        "non_ssl_443"
    }

    fn refused(&self) -> u64 {
        self.0.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        self.0.inspect(update)
    }
}
