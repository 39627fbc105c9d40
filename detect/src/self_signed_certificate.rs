//! TLS servers with a certificate that nobody else vouches for.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, Certificate};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::names::shown;
use crate::report::{With, feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`SelfSignedCertificate`].
pub type Config = OnlyEnabled;

/// One finding for each server.
#[derive(Debug)]
pub struct SelfSignedCertificate {
    servers: Tallies<(IpAddr, u16), (String, String)>,
}

impl SelfSignedCertificate {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            servers: Tallies::new(),
        }
    }
}

impl Detector for SelfSignedCertificate {
    fn name(&self) -> &'static str {
        "self_signed_certificate"
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
            if is_self_signed(certificate)
                && let Some(tally) = self.servers.note(window, (server.ip, server.port), record)
            {
                let name = certificate.server_name.as_deref().map(shown);
                tally.detail = (name.unwrap_or_default(), shown(&certificate.subject));
            }
        }
        let found = self.servers.say(window, |(server, port), tally| {
            let (key, (name, subject)) = (format!("{server}/{port}"), &tally.detail);
            let asked = if name.is_empty() {
                String::new()
            } else {
                format!(" asked for as {name}")
            };
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(subject.clone()),
                threat_level: ThreatLevel::Low,
                confidence: Confidence::new(0.5),
                description: format!("The TLS server {server}{asked} has a self-signed certificate."),
                explanation: Explanation {
                    features: vec![
                        feature("flows with this certificate", tally.count as f64, "flows").threshold(1.0),
                    ],
                    text: format!("Its own key signed the certificate of \"{subject}\"."),
                },
                ..grown(update, EvidenceType::SelfSignedCertificate, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, ThreatLevel::Low))
        });
        self.servers.close(update);
        found
    }
}

/// By its signature, or by what the analyzer that checked the chain said. A chain with an unknown root at its end
/// (`self signed certificate in certificate chain`) is a private authority and no self-signed server.
fn is_self_signed(certificate: &Certificate) -> bool {
    let word = certificate
        .validation
        .as_deref()
        .unwrap_or_default()
        .to_lowercase();
    let said = word.contains("self signed") || word.contains("self-signed");
    !word.contains("in certificate chain") && certificate.self_signed.unwrap_or(said)
}
