//! TLS servers whose answers to probes (JARM) feeds list.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::shown;
use crate::report::{grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`MaliciousJarm`].
pub type Config = OnlyEnabled;

/// JARM cannot be read out of traffic: somebody must have probed the server. Without that nothing is said.
#[derive(Debug)]
pub struct MaliciousJarm {
    knowledge: Arc<dyn Knowledge>,
    servers: Tallies<(IpAddr, u16), Option<(String, Listed)>>,
}

impl MaliciousJarm {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            servers: Tallies::new(),
        }
    }
}

impl Detector for MaliciousJarm {
    fn name(&self) -> &'static str {
        "malicious_jarm"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let server = record.tuple.responder;
            if matches!(record.event, AppEvent::TlsServer(_))
                && let Some(jarm) = self.knowledge.jarm(server)
                && let Some(listed) = look_up(self.knowledge.as_ref(), Indicator::Jarm(&jarm))
                && let Some(tally) = self.servers.note(window, (server.ip, server.port), record)
            {
                tally.detail.get_or_insert_with(|| (shown(&jarm), listed));
            }
        }
        let found = self.servers.say(window, |(server, port), tally| {
            let (jarm, listed) = tally.detail.as_ref()?;
            let key = format!("{server}/{port}");
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                subject: Some(jarm.clone()),
                threat_level: ThreatLevel::Low,
                confidence: Confidence::new(0.7),
                description: format!(
                    "The TLS server {server} port {port} of {} has the listed JARM {jarm}{}.",
                    window.profile,
                    listed.words()
                ),
                explanation: listed.explanation("handshakes", tally.count),
                ..grown(update, EvidenceType::MaliciousJarm, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, ThreatLevel::Medium))
        });
        self.servers.close(update);
        found
    }
}
