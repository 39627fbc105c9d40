//! User agents of malware and attack tools.

use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::names::shown;
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`SuspiciousUserAgent`]. Case does not matter.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Anywhere in the user agent.
    pub parts: Vec<String>,
    /// As a word of its own: letters and digits between anything else.
    pub words: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Self {
            enabled: true,
            parts: owned(&["httpsend", "chm_msdn", "jndi", "tesseract"]),
            words: owned(&["pb", "sqlmap", "nikto", "masscan", "zgrab", "gobuster", "wpscan"]),
        }
    }
}

/// One finding for each user agent and server.
#[derive(Debug)]
pub struct SuspiciousUserAgent {
    config: Config,
    agents: Tallies<(String, IpAddr), Request>,
}

#[derive(Debug, Default)]
struct Request {
    what: String,
    url: String,
    port: u16,
}

impl SuspiciousUserAgent {
    #[must_use]
    pub fn new(mut config: Config, _: &Context) -> Self {
        for text in config.parts.iter_mut().chain(&mut config.words) {
            *text = text.to_lowercase();
        }
        Self {
            config,
            agents: Tallies::new(),
        }
    }

    fn suspicious(&self, agent: &str) -> Option<&str> {
        let agent = agent.to_lowercase();
        let part = self
            .config
            .parts
            .iter()
            .find(|part| agent.contains(part.as_str()));
        let word = || {
            let mut words = agent.split(|character: char| !character.is_alphanumeric());
            words.find_map(|word| self.config.words.iter().find(|known| *known == word))
        };
        part.or_else(word).map(String::as_str)
    }
}

impl Detector for SuspiciousUserAgent {
    fn name(&self) -> &'static str {
        "suspicious_user_agent"
    }

    fn refused(&self) -> u64 {
        self.agents.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::HttpRequest(request) = &record.event else {
                continue;
            };
            let Some(agent) = &request.user_agent else {
                continue;
            };
            let Some(what) = self.suspicious(agent).map(str::to_owned) else {
                continue;
            };
            let server = record.tuple.responder;
            if let Some(tally) = self.agents.note(window, (shown(agent), server.ip), record)
                && tally.detail.what.is_empty()
            {
                let host = request.host.clone().unwrap_or_else(|| server.ip.to_string());
                tally.detail = Request {
                    what,
                    url: shown(&format!("{host}{}", request.uri)),
                    port: server.port,
                };
            }
        }
        let found = self.agents.say(window, |(agent, server), tally| {
            let Request { what, url, port } = &tally.detail;
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(agent.clone()),
                threat_level: ThreatLevel::High,
                confidence: Confidence::new(1.0),
                description: format!(
                    "Suspicious user agent \"{agent}\" of {} in a request for {url} on {server}.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![feature("such requests", tally.count as f64, "requests").threshold(1.0)],
                    text: format!(
                        "The user agent contains \"{what}\", which malware or an attack tool writes there."
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::SuspiciousUserAgent,
                    &format!("{server}/{agent}"),
                    tally,
                )
            }])
        });
        self.agents.close(update);
        found
    }
}
