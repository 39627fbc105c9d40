//! Listed certificates and files.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::words::plural;
use serde::{Deserialize, Serialize};

use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::shown;
use crate::report::{feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// SHA-1 of the certificates of TLS servers.
    pub certificates: bool,
    /// MD5, SHA-1 or SHA-256 of files.
    pub files: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            certificates: true,
            files: true,
        }
    }
}

/// One finding for each hash and server.
#[derive(Debug)]
pub struct MaliciousHash {
    config: Config,
    knowledge: Arc<dyn Knowledge>,
    seen: Tallies<(EvidenceType, IpAddr, String), Option<Hit>>,
}

#[derive(Debug)]
struct Hit {
    listed: Listed,
    port: u16,
    bytes: Option<u64>,
}

impl MaliciousHash {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            knowledge: Arc::clone(&context.knowledge),
            seen: Tallies::new(),
        }
    }

    /// The first hash of the thing that is listed, and its size.
    fn listed(&self, event: &AppEvent) -> Option<(EvidenceType, String, Listed, Option<u64>)> {
        let knowledge = self.knowledge.as_ref();
        let certificate = |hash: &String| {
            let hash = hash.to_ascii_lowercase();
            let listed = look_up(knowledge, Indicator::Certificate(&hash))?;
            Some((EvidenceType::MaliciousSslCert, hash, listed, None))
        };
        match event {
            AppEvent::Certificate(found) if self.config.certificates => certificate(found.sha1.as_ref()?),
            AppEvent::File(file) if file.is_certificate => self
                .config
                .certificates
                .then(|| certificate(file.sha1.as_ref()?))?,
            AppEvent::File(file) if self.config.files => {
                let hashes = [&file.md5, &file.sha1, &file.sha256].into_iter().flatten();
                hashes.map(|hash| hash.to_ascii_lowercase()).find_map(|hash| {
                    let listed = look_up(knowledge, Indicator::File(&hash))?;
                    Some((EvidenceType::MaliciousDownloadedFile, hash, listed, file.bytes))
                })
            }
            _ => None,
        }
    }
}

/// What the feeds say, with the size of the file where it is known.
fn explanation(listed: &Listed, bytes: Option<u64>, times: u64) -> Explanation {
    let mut explanation = listed.explanation("times", times);
    let size = bytes.map(|bytes| feature("file size", bytes as f64, "bytes"));
    explanation.features.extend(size);
    explanation
}

impl Detector for MaliciousHash {
    fn name(&self) -> &'static str {
        "malicious_hash"
    }

    fn refused(&self) -> u64 {
        self.seen.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let Some((kind, hash, listed, bytes)) = self.listed(&record.event) else {
                continue;
            };
            let server = record.tuple.responder;
            if let Some(tally) = self.seen.note(window, (kind, server.ip, shown(&hash)), record) {
                let port = server.port;
                tally.detail.get_or_insert(Hit { listed, port, bytes });
            }
        }
        let found = self.seen.say(window, |(kind, server, hash), tally| {
            let Hit { listed, port, bytes } = tally.detail.as_ref()?;
            let (level, words, source) = (listed.worst.level, listed.words(), window.profile);
            let (confidence, description) = match kind {
                EvidenceType::MaliciousSslCert => (
                    1.0,
                    format!("The TLS server {server} of {source} has the listed certificate {hash}{words}."),
                ),
                _ => {
                    let size = bytes
                        .map(|bytes| format!(", {}", plural(bytes, "byte", "bytes")))
                        .unwrap_or_default();
                    (
                        0.7,
                        format!("{source} and {server} exchanged the listed file {hash}{size}{words}."),
                    )
                }
            };
            let key = format!("{server}/{hash}");
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                subject: Some(hash.clone()),
                threat_level: match kind {
                    EvidenceType::MaliciousSslCert => ThreatLevel::Low.min(level),
                    _ => level,
                },
                confidence: Confidence::new(confidence),
                description,
                explanation: explanation(listed, *bytes, tally.count),
                ..grown(update, *kind, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, level))
        });
        self.seen.close(update);
        found
    }
}
