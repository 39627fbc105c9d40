//! What another analyzer found: Zeek's notices, Suricata's alerts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lynceus_model::address::is_host;
use lynceus_model::app::{AppEvent, AppRecord, Notice as Said};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown, times};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`Notice`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Confidence in an alert of Suricata, whose rules vary.
    pub suricata_confidence: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            suricata_confidence: 0.8,
        }
    }
}

/// One growing finding for each analyzer, name, host and port.
#[derive(Debug)]
pub struct Notice {
    config: Config,
    windows: PerWindow<BTreeMap<Key, (Said, Tally)>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    analyzer: String,
    name: String,
    signature: Option<u64>,
    victim: Option<IpAddr>,
    port: Option<u16>,
}

/// Different findings of another analyzer in one window of one host that are told apart.
const MAX_KEYS: usize = 256;

impl Notice {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            windows: PerWindow::new(),
        }
    }

    /// Type, level and confidence.
    fn verdict(&self, notice: &Said) -> (EvidenceType, ThreatLevel, f64) {
        if suricata(notice) {
            let level = match notice.severity {
                Some(1) => ThreatLevel::High,
                Some(2) => ThreatLevel::Medium,
                Some(3) => ThreatLevel::Low,
                _ => ThreatLevel::Info,
            };
            return (
                EvidenceType::ReportedByOther,
                level,
                self.config.suricata_confidence,
            );
        }
        let name = notice.name.rsplit("::").next().unwrap_or_default();
        match name {
            "Address_Scan" => (EvidenceType::HorizontalPortScan, ThreatLevel::High, 1.0),
            "Port_Scan" => (EvidenceType::VerticalPortScan, ThreatLevel::High, 1.0),
            "Password_Guessing" => (EvidenceType::PasswordGuessing, ThreatLevel::Medium, 1.0),
            _ => (EvidenceType::ReportedByOther, ThreatLevel::Info, 1.0),
        }
    }

    fn describe(&self, update: &ProfileUpdate<'_>, key: &Key, notice: &Said, tally: &Tally) -> Evidence {
        let (kind, level, confidence) = self.verdict(notice);
        let analyzer = match notice.analyzer.as_str() {
            "suricata" => "Suricata",
            "zeek" => "Zeek",
            other => other,
        };
        let source = update.profile.window.profile;
        // Suricata's message is no more than the category of the rule.
        let said = if notice.message.is_empty() || suricata(notice) {
            &notice.name
        } else {
            &notice.message
        };
        let mut features = vec![feature("times said", tally.count as f64, "records").threshold(1.0)];
        if let Some(severity) = notice.severity {
            features.push(feature("severity, 1 is worst", f64::from(severity), "rank"));
        }
        let category = notice.category.as_deref().unwrap_or(&notice.name);
        let id = format!(
            "{}/{}/{:?}/{:?}/{:?}",
            key.analyzer, key.name, key.signature, key.victim, key.port
        );
        Evidence {
            victim: key.victim,
            subject: Some(notice.name.clone()),
            dst_port: key.port,
            threat_level: level,
            confidence: Confidence::new(confidence),
            description: format!("{analyzer} says of {source}: {said}"),
            explanation: Explanation {
                features,
                text: format!(
                    "Found by {analyzer} ({category}), {}; lynceus passes it on and did not judge it.",
                    times(tally.count)
                ),
            },
            ..grown(update, kind, &id, tally)
        }
    }
}

fn suricata(notice: &Said) -> bool {
    notice.analyzer == "suricata"
}

/// A scan has no single victim or no single port; what guesses passwords is said once for each host.
fn key(record: &AppRecord, notice: &Said) -> Key {
    let responder = record.tuple.responder;
    let (mut victim, mut port) = (
        is_host(responder.ip).then_some(responder.ip),
        (responder.port != 0).then_some(responder.port),
    );
    match notice.name.rsplit("::").next().unwrap_or_default() {
        "Address_Scan" => victim = None,
        "Port_Scan" => port = None,
        "Password_Guessing" => (victim, port) = (None, None),
        _ => {}
    }
    Key {
        analyzer: notice.analyzer.clone(),
        name: notice.name.clone(),
        signature: notice.signature,
        victim,
        port,
    }
}

impl Detector for Notice {
    fn name(&self) -> &'static str {
        "notice"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Notice(notice) = &record.event else {
                continue;
            };
            let (key, said) = (key(record, notice), self.windows.of(window));
            if said.len() < MAX_KEYS || said.contains_key(&key) {
                let (_, tally) = said
                    .entry(key)
                    .or_insert_with(|| (notice.clone(), Tally::default()));
                tally.add(record.time, record.time, record.community_id);
            } else {
                self.windows.refuse();
            }
        }
        let mut due = Vec::new();
        if let Some(said) = self.windows.due(window, update.stage) {
            for (key, (notice, tally)) in said {
                if tally.is_due(1, update.stage) {
                    due.push((key.clone(), notice.clone(), tally.clone()));
                }
            }
        }
        if update.stage == Stage::Closed {
            self.windows.take(window);
        }
        due.iter()
            .map(|(key, notice, tally)| self.describe(update, key, notice, tally))
            .collect()
    }
}
