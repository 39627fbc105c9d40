//! Port 80 without HTTP: low about the client, medium about the server.

use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use lynceus_model::flow::Service;

pub use crate::port_content::Config;
use crate::port_content::{PortContent, Rule};
use crate::{Context, Detector, History, ProfileUpdate};

const RULE: Rule = Rule {
    port: 80,
    usual: Service::Http,
    name: "HTTP",
    kind: EvidenceType::NonHttpPort80Connection,
    of_client: ThreatLevel::Low,
    of_server: Some(ThreatLevel::Medium),
};

/// Port 80 without HTTP: low about the client, medium about the server.
#[derive(Debug)]
pub struct NonHttp80(PortContent);

impl NonHttp80 {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self(PortContent::new(&RULE, &config, context))
    }
}

impl Detector for NonHttp80 {
    fn name(&self) -> &'static str {
        "non_http_80"
    }

    fn refused(&self) -> u64 {
        self.0.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        self.0.inspect(update)
    }
}
