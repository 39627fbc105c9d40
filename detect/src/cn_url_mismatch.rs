//! Certificates of another name than the one that was asked for.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::{AppEvent, Certificate};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::cert_names::{component, covers, is_name, words};
use crate::config::OnlyEnabled;
use crate::context::Knowledge;
use crate::names::{host_name, is_own, is_public, registrable, shown};
use crate::report::{With, feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`CnUrlMismatch`].
pub type Config = OnlyEnabled;

/// One finding for each server and name. Speaks only where all names of the certificate are known.
#[derive(Debug)]
pub struct CnUrlMismatch {
    knowledge: Arc<dyn Knowledge>,
    servers: Tallies<(IpAddr, String), (u16, String)>,
}

impl CnUrlMismatch {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            servers: Tallies::new(),
        }
    }

    /// The name asked for and the common name, if they are of different owners.
    fn mismatch(&self, certificate: &Certificate, server: IpAddr) -> Option<(String, String)> {
        let asked = host_name(certificate.server_name.as_ref()?);
        let common = certificate.common_name.as_deref().filter(|name| is_name(name))?;
        if is_own(&asked)
            || !is_public(&asked)
            || certificate.names.is_empty()
            || covers(certificate, &asked)?
        {
            return None;
        }
        // The owner's name in the domain that was asked for: one owner with two domains.
        let label = registrable(&asked).split('.').next().unwrap_or_default();
        let owner = component(&certificate.subject, "O").unwrap_or_default();
        let system = self.knowledge.autonomous_system(server).map(|system| system.name);
        let same_owner = words(&owner)
            .chain(words(system.as_deref().unwrap_or_default()))
            .any(|word| label.contains(word.as_str()));
        (!same_owner).then(|| (asked.into_owned(), shown(common)))
    }
}

impl Detector for CnUrlMismatch {
    fn name(&self) -> &'static str {
        "cn_url_mismatch"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Certificate(certificate) = &record.event else {
                continue;
            };
            let server = record.tuple.responder;
            if let Some((asked, common)) = self.mismatch(certificate, server.ip)
                && let Some(tally) = self.servers.note(window, (server.ip, asked), record)
            {
                tally.detail = (server.port, common);
            }
        }
        let found = self.servers.say(window, |(server, asked), tally| {
            let (key, (port, common)) = (format!("{server}/{asked}"), &tally.detail);
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(common.clone()),
                threat_level: ThreatLevel::Low,
                confidence: Confidence::new(0.8),
                description: format!(
                    "The certificate of {server} is for {common}, but {} was asked for.",
                    shown(asked)
                ),
                explanation: Explanation {
                    features: vec![
                        feature("flows with this certificate", tally.count as f64, "flows").threshold(1.0),
                    ],
                    text: format!(
                        "None of the names in the certificate is {0} or of its registrable domain, and no owner's name \
                         joins them.",
                        shown(asked)
                    ),
                },
                ..grown(update, EvidenceType::CnUrlMismatch, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, ThreatLevel::Medium))
        });
        self.servers.close(update);
        found
    }
}
