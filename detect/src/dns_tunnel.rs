//! DNS tunnel: data carried in the names of queries below one domain.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use lynceus_model::app::{AppEvent, Dns};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::words::{self, plural};
use serde::{Deserialize, Serialize};

use crate::names::{is_own, is_public, registrable, shown};
use crate::report::{With, at_least_apps, evidence, feature};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DnsTunnel`]. All are counted for one registrable domain in one window.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Characters in front of the registrable domain, dots left out, from which on a name can carry data.
    pub min_length: usize,
    /// The same for queries whose answers can carry much: there data may flow down only.
    pub min_length_wide: usize,
    /// Different such names; evidence comes here and at each ten times as many.
    pub min_names: u64,
    /// Where names are shorter than `min_length` on average: share of messages for such types.
    pub min_wide_share: f64,
    /// Bits per character, over the characters of all such names.
    pub min_entropy: f64,
    /// Share of messages whose name is such a name.
    pub min_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_length: 24,
            min_length_wide: 4,
            min_wide_share: 0.8,
            min_names: 50,
            min_entropy: 3.0,
            min_share: 0.5,
        }
    }
}

/// What a tunnel cannot hide: names are long or ask for much data (TXT, NULL, CNAME, MX, SRV, PRIVATE), each is another
/// one, their characters are spread evenly.
#[derive(Debug)]
pub struct DnsTunnel {
    config: Config,
    domains: Tallies<String, Names>,
}

#[derive(Debug, Default)]
struct Names {
    /// Of names that can carry data. At most [`MAX_NAMES`].
    hashes: BTreeSet<u64>,
    /// How often each character stood in them: `a` to `z`, `0` to `9`, and all others.
    characters: Vec<u32>,
    bytes: u64,
    messages: u64,
    /// Of types that carry much.
    wide: u64,
    /// Size at which it was last said.
    said: u64,
    /// Labels at the end that all names have.
    tail: Option<String>,
}

/// Names of one domain that are told apart: two sizes of evidence.
const MAX_NAMES: usize = 500;
/// Domains of all windows: at some 10 kB each at most 160 MB.
const MAX_DOMAINS: usize = 16_384;
const LETTERS: usize = 37;

impl DnsTunnel {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            domains: Tallies::with_room(MAX_DOMAINS),
        }
    }
}

fn is_tunnel(config: &Config, names: &Names) -> bool {
    names.hashes.len() as u64 >= names.said.saturating_mul(10).max(config.min_names)
        && names.entropy() >= config.min_entropy
        && (names.mean_length() >= config.min_length as f64 || names.wide_share() >= config.min_wide_share)
        && names.hashes.len() as f64 >= config.min_share * names.asked()
}

impl Names {
    /// True if it is a new one.
    fn add(&mut self, name: &str, carrier: &str, bytes: u64) -> bool {
        let mut hasher = std::hash::DefaultHasher::new();
        carrier.hash(&mut hasher);
        if self.hashes.len() >= MAX_NAMES || !self.hashes.insert(hasher.finish()) {
            return false;
        }
        let tail = self.tail.as_deref().map_or(name, |tail| common_tail(tail, name));
        self.tail = Some(tail.to_owned());
        self.characters.resize(LETTERS, 0);
        for byte in carrier.bytes().filter(|byte| *byte != b'.') {
            let place = match byte {
                b'a'..=b'z' => byte - b'a',
                b'A'..=b'Z' => byte - b'A',
                b'0'..=b'9' => byte - b'0' + 26,
                _ => 36,
            };
            self.characters[usize::from(place)] += 1;
        }
        self.bytes += bytes;
        true
    }

    fn entropy(&self) -> f64 {
        let all: f64 = self.characters.iter().map(|count| f64::from(*count)).sum();
        let shares = self.characters.iter().filter(|count| **count > 0);
        shares
            .map(|count| f64::from(*count) / all)
            .map(|share| -share * share.log2())
            .sum()
    }

    fn mean_length(&self) -> f64 {
        self.bytes as f64 / self.hashes.len().max(1) as f64
    }

    fn wide_share(&self) -> f64 {
        self.wide as f64 / self.messages.max(1) as f64
    }

    /// Questions, if each was seen with its answer.
    fn asked(&self) -> f64 {
        self.messages as f64 / 2.0
    }
}

impl Detector for DnsTunnel {
    fn name(&self) -> &'static str {
        "dns_tunnel"
    }

    fn refused(&self) -> u64 {
        self.domains.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let mut found = Vec::new();
        for record in update.apps {
            let AppEvent::Dns(dns) = &record.event else {
                continue;
            };
            if dns.multicast || is_own(&dns.name) {
                continue;
            }
            // Without a public suffix nobody can tell where the domain begins, or whether there is one: a tunnel
            // straight to its server needs none. All such names count together.
            let (domain, carrier) = if is_public(&dns.name) {
                let domain = registrable(&dns.name);
                (domain, dns.name.strip_suffix(domain).unwrap_or_default())
            } else {
                ("", dns.name.as_str())
            };
            let bytes = carrier.bytes().filter(|byte| *byte != b'.').count();
            let least = if is_wide(dns) {
                self.config.min_length_wide
            } else {
                self.config.min_length
            };
            let carries = bytes >= least && !is_reverse(carrier);
            // Only domains that data may be carried to find a place: a resolver asks for more domains than there are
            // places. Their share counts from the first such name on.
            if !carries && self.domains.get(window, &domain.to_owned()).is_none() {
                continue;
            }
            let Some(tally) = self.domains.note(window, domain.to_owned(), record) else {
                continue;
            };
            tally.detail.messages += 1;
            tally.detail.wide += u64::from(is_wide(dns));
            if carries
                && tally.detail.add(&dns.name, carrier, bytes as u64)
                && is_tunnel(&self.config, &tally.detail)
            {
                tally.detail.said = tally.detail.said.saturating_mul(10).max(self.config.min_names);
                found.push(describe(update, &self.config, domain, tally));
            }
        }
        self.domains.close(update);
        found
    }
}

/// The labels at the end of `a` that `b` ends in, too.
fn common_tail<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.rsplit('.').zip(b.rsplit('.')).take_while(|(a, b)| a == b);
    let length: usize = same.map(|(label, _)| label.len() + 1).sum();
    &a[(a.len() + 1).saturating_sub(length).min(a.len())..]
}

/// Types whose answers hold free data: NULL, CNAME, MX, TXT, SRV, and iodine's PRIVATE.
fn is_wide(dns: &Dns) -> bool {
    matches!(dns.query_type, 10 | 5 | 15 | 16 | 33 | 65399)
}

/// An address written backwards, as mail servers ask block lists for it: single digits or numbers up to 255.
fn is_reverse(carrier: &str) -> bool {
    let labels = carrier.split('.').filter(|label| !label.is_empty());
    let mut numbers = labels.map(|label| label.len() == 1 || label.parse::<u8>().is_ok());
    numbers.all(|is_number| is_number)
}

fn describe(update: &ProfileUpdate<'_>, config: &Config, domain: &str, tally: &Tally<Names>) -> Evidence {
    let names = &tally.detail;
    let (count, entropy) = (names.hashes.len() as f64, names.entropy());
    let (length, wide) = (names.mean_length(), names.wide_share());
    let source = update.profile.window.profile;
    let at_least = at_least_apps(update);
    // The domain of the names, or what they have in common.
    let tail = names.tail.as_deref().unwrap_or_default();
    let under = shown(if domain.is_empty() { tail } else { domain });
    let below = if under.is_empty() {
        "no domain in common".to_owned()
    } else {
        format!("below {under}")
    };
    let confidence = 0.7 + if wide >= 0.5 { 0.2 } else { 0.0 } + if count >= 500.0 { 0.1 } else { 0.0 };
    Evidence {
        subject: (!under.is_empty()).then_some(under),
        dst_port: Some(53),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(confidence),
        description: format!(
            "Possible DNS tunnel: {source} sent {at_least}{} in {at_least}{} names, {below}.",
            plural(names.bytes, "byte", "bytes"),
            words::count(count.round() as u64)
        ),
        explanation: Explanation {
            features: vec![
                feature("different names that can carry data", count, "names")
                    .threshold(config.min_names as f64),
                feature("mean length below the domain", length, "characters").threshold(if wide >= 0.5 {
                    config.min_length_wide
                } else {
                    config.min_length
                }
                    as f64),
                feature("entropy of the names", entropy, "bits per character").threshold(config.min_entropy),
                feature("queries for TXT, NULL, CNAME, MX or SRV", wide, "ratio")
                    .threshold(config.min_wide_share),
                feature("such names by query", (count / names.asked()).min(1.0), "ratio")
                    .threshold(config.min_share),
            ],
            text: format!(
                "Hardly any of the names, {below}, was asked for twice, and their characters are evenly random: they \
                 carry data to a name server, or ask it for data."
            ),
        },
        flows: tally.flows.clone(),
        first: tally.first,
        last: tally.last,
        ..evidence(
            update,
            EvidenceType::DnsTunnel,
            &format!("{domain}/{}", names.said),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        for (a, b, tail) in [
            ("a.b.c", "x.b.c", "b.c"),
            ("b.c", "a.b.c", "b.c"),
            ("a.c", "a.d", ""),
            ("", "a", ""),
            ("xb.c", "yb.c", "c"),
        ] {
            assert_eq!(common_tail(a, b), tail, "{a} {b}");
        }
    }

    #[test]
    fn reverse_names() {
        assert!(is_reverse("7.2.0.192.") && is_reverse("8.b.d.0.1.0.0.2.") && !is_reverse("a8f3.c1d9."));
    }
}
