//! TLS fingerprints that feeds list: of clients (JA3, JA4) and of servers (JA3S).

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::shown;
use crate::report::{grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Which fingerprints are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    pub ja3: bool,
    pub ja3s: bool,
    pub ja4: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            ja3: true,
            ja3s: true,
            ja4: true,
        }
    }
}

/// One finding for each fingerprint and server.
#[derive(Debug)]
pub struct MaliciousFingerprint {
    config: Config,
    knowledge: Arc<dyn Knowledge>,
    seen: Tallies<(EvidenceType, IpAddr, String), Option<(Listed, u16)>>,
}

impl MaliciousFingerprint {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            knowledge: Arc::clone(&context.knowledge),
            seen: Tallies::new(),
        }
    }

    fn fingerprints<'a>(&self, event: &'a AppEvent) -> Vec<(EvidenceType, &'a str, Indicator<'a>)> {
        let config = &self.config;
        let all = match event {
            AppEvent::TlsClient(hello) => vec![
                (
                    config.ja3,
                    EvidenceType::MaliciousJa3,
                    &hello.ja3,
                    Indicator::Ja3(&hello.ja3),
                ),
                (
                    config.ja4,
                    EvidenceType::MaliciousJa4,
                    &hello.ja4,
                    Indicator::Ja4(&hello.ja4),
                ),
            ],
            AppEvent::TlsServer(hello) => {
                let indicator = Indicator::Ja3s(&hello.ja3s);
                vec![(config.ja3s, EvidenceType::MaliciousJa3s, &hello.ja3s, indicator)]
            }
            _ => Vec::new(),
        };
        all.into_iter()
            .filter(|(wanted, _, hash, _)| *wanted && !hash.is_empty())
            .map(|(_, kind, hash, indicator)| (kind, hash.as_str(), indicator))
            .collect()
    }
}

impl Detector for MaliciousFingerprint {
    fn name(&self) -> &'static str {
        "malicious_fingerprint"
    }

    fn refused(&self) -> u64 {
        self.seen.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            for (kind, hash, indicator) in self.fingerprints(&record.event) {
                let server = record.tuple.responder;
                if let Some(listed) = look_up(self.knowledge.as_ref(), indicator)
                    && let Some(tally) = self.seen.note(window, (kind, server.ip, shown(hash)), record)
                {
                    tally.detail.get_or_insert((listed, server.port));
                }
            }
        }
        let found = self.seen.say(window, |(kind, server, hash), tally| {
            let (listed, port) = tally.detail.as_ref()?;
            let (level, words, source) = (listed.worst.level, listed.words(), window.profile);
            let key = format!("{server}/{hash}");
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(hash.clone()),
                threat_level: level,
                confidence: Confidence::new(1.0),
                explanation: listed.explanation("handshakes", tally.count),
                ..grown(update, *kind, &key, tally)
            };
            Some(match kind {
                // The server is the listed side.
                EvidenceType::MaliciousJa3s => {
                    let evidence = Evidence {
                        threat_level: ThreatLevel::Low.min(level),
                        description: format!(
                            "The TLS server {server} of {source} has the listed JA3S {hash}{words}."
                        ),
                        ..evidence
                    };
                    pair(evidence, update, *server, &key, level).to_vec()
                }
                _ => {
                    let name = if *kind == EvidenceType::MaliciousJa3 {
                        "JA3"
                    } else {
                        "JA4"
                    };
                    let description = format!(
                        "A TLS client on {source} has the listed {name} {hash}{words}; it called {server}."
                    );
                    vec![Evidence {
                        description,
                        ..evidence
                    }]
                }
            })
        });
        self.seen.close(update);
        found
    }
}
