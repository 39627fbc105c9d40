//! TXT answers that look like encoded or encrypted data.

use lynceus_model::app::{AppEvent, Dns, DnsData};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::names::{entropy, registrable, shown};
use crate::report::{With, feature, grown, pair};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`HighEntropyDnsAnswer`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Bits per character of one TXT record.
    pub min_entropy: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_entropy: 5.0,
        }
    }
}

/// One finding for each registrable domain and server. Multicast DNS is left out: there printers and speakers describe
/// themselves to the own network.
#[derive(Debug)]
pub struct HighEntropyDnsAnswer {
    config: Config,
    answers: Tallies<(String, std::net::IpAddr), Worst>,
}

#[derive(Debug, Default)]
struct Worst {
    entropy: f64,
    name: String,
    text: String,
}

impl HighEntropyDnsAnswer {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            answers: Tallies::new(),
        }
    }
}

impl Detector for HighEntropyDnsAnswer {
    fn name(&self) -> &'static str {
        "high_entropy_dns_answer"
    }

    fn refused(&self) -> u64 {
        self.answers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            if dns.multicast || !dns.response {
                continue;
            }
            let Some((bits, text)) = most_random(dns).filter(|(bits, _)| *bits >= self.config.min_entropy)
            else {
                continue;
            };
            let key = (registrable(&dns.name).to_owned(), record.tuple.responder.ip);
            if let Some(tally) = self.answers.note(window, key, record)
                && bits > tally.detail.entropy
            {
                tally.detail = Worst {
                    entropy: bits,
                    name: shown(&dns.name),
                    text: shown(text),
                };
            }
        }
        let least = self.config.min_entropy;
        let found = self.answers.say(window, |(domain, server), tally| {
            Some(describe(update, domain, *server, tally, least))
        });
        self.answers.close(update);
        found
    }
}

fn most_random(dns: &Dns) -> Option<(f64, &str)> {
    let texts = dns.answers.iter().filter_map(|answer| match &answer.data {
        DnsData::Text(text) if !is_public_key(&dns.name, text) => Some((entropy(text), text.as_str())),
        _ => None,
    });
    texts.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// Random, and public on purpose: a key for signed mail (RFC 6376 §3.6.1), or the proof that a domain is one's own,
/// `google-site-verification=…`.
fn is_public_key(name: &str, text: &str) -> bool {
    let proof = text
        .split_once('=')
        .is_some_and(|(key, _)| key.ends_with("-verification"));
    // Who may send mail, and how: RFC 7208, 7489, 8461, 8460, and BIMI.
    let policies = ["v=spf1", "v=DMARC1", "v=STSv1", "v=TLSRPTv1", "v=BIMI1"];
    let policy = policies.iter().any(|policy| text.starts_with(policy));
    proof || policy || (name.contains("._domainkey.") && text.contains("p="))
}

fn describe(
    update: &ProfileUpdate<'_>,
    domain: &str,
    server: std::net::IpAddr,
    tally: &Tally<Worst>,
    least: f64,
) -> [Evidence; 2] {
    let Worst { entropy, name, text } = &tally.detail;
    let key = format!("{server}/{domain}");
    let evidence = Evidence {
        victim: Some(server),
        subject: Some(shown(domain)),
        dst_port: Some(53),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(0.6),
        description: format!(
            "A DNS TXT answer looks random: {name} from {server}, {entropy:.2} bits per character: \"{text}\"."
        ),
        explanation: Explanation {
            features: vec![
                feature("entropy of the answer", *entropy, "bits per character").threshold(least),
                feature("such answers", tally.count as f64, "messages"),
            ],
            text: format!(
                "TXT answers below {} carry data as random as encoded or encrypted text; mail keys (DKIM), proofs of \
                 ownership and multicast DNS are left out.",
                shown(domain)
            ),
        },
        ..grown(update, EvidenceType::HighEntropyDnsAnswer, &key, tally)
    };
    pair(evidence, update, server, &key, ThreatLevel::Medium)
}
