//! TLS servers with the certificate that a remote control program makes for itself.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, Certificate};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::cert_names::component;
use crate::config::OnlyEnabled;
use crate::names::shown;
use crate::report::{With, feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`DefaultCertificate`].
pub type Config = OnlyEnabled;

/// A certificate as a program makes it unless its operator says otherwise: attribute of subject or issuer, its value, program.
/// All of it is public: Corelight's detectors for Zeek (Quasar, AsyncRAT, DcRat), Elastic's and Recorded Future's pages on
/// Cobalt Strike, and reports on the others.
const MADE_BY: [(&str, &str, &str); 11] = [
    ("CN", "AsyncRAT Server", "AsyncRAT"),
    ("CN", "DcRat", "DcRat"),
    ("CN", "DcRat Server", "DcRat"),
    ("O", "DcRat By qwqdanchun", "DcRat"),
    ("CN", "VenomRAT Server", "VenomRAT"),
    ("CN", "Quasar Server CA", "Quasar"),
    ("CN", "Orcus Server", "Orcus"),
    ("CN", "BitRAT", "BitRAT"),
    ("CN", "Major Cobalt Strike", "Cobalt Strike"),
    ("O", "cobaltstrike", "Cobalt Strike"),
    ("CN", "P18055077", "PoshC2"),
];

/// One finding for each server and port.
#[derive(Debug)]
pub struct DefaultCertificate {
    servers: Tallies<(IpAddr, u16), (&'static str, String)>,
}

impl DefaultCertificate {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            servers: Tallies::new(),
        }
    }
}

impl Detector for DefaultCertificate {
    fn name(&self) -> &'static str {
        "default_certificate"
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
            if let Some((program, name)) = made_by(certificate)
                && let Some(tally) = self.servers.note(window, (server.ip, server.port), record)
            {
                tally.detail = (program, shown(name));
            }
        }
        let found = self.servers.say(window, |(server, port), tally| {
            let (program, name) = &tally.detail;
            let key = format!("certificate/{server}/{port}");
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(name.clone()),
                threat_level: ThreatLevel::High,
                confidence: Confidence::new(0.9),
                description: format!(
                    "C&C channel: {} talks with {server} port {port}/tcp, which has the certificate that {program} makes.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![
                        feature("flows with this certificate", tally.count as f64, "flows").threshold(1.0),
                    ],
                    text: format!(
                        "Subject or issuer of the certificate is that of {program}, a program for remote control, as it \
                         makes it by default: \"{name}\"."
                    ),
                },
                ..grown(update, EvidenceType::CommandAndControlChannel, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, ThreatLevel::High))
        });
        self.servers.close(update);
        found
    }
}

/// The program, and the distinguished name that tells it.
fn made_by(certificate: &Certificate) -> Option<(&'static str, &str)> {
    [&certificate.subject, &certificate.issuer]
        .into_iter()
        .find_map(|name| {
            let (_, _, program) = MADE_BY.iter().find(|(attribute, value, _)| {
                component(name, attribute).is_some_and(|found| found.eq_ignore_ascii_case(value))
            })?;
            Some((*program, name.as_str()))
        })
}
