//! Domains that were registered a short time ago.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::{AppEvent, AppRecord, DnsData};
use lynceus_model::evidence::{AttackerSide, Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::context::Knowledge;
use crate::names::{host_name, is_own, registrable, shown};
use crate::report::{With, feature, grown, mirrored};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`YoungDomain`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Days since the registration.
    pub max_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            max_days: 60,
        }
    }
}

/// Asks for the age of the registrable domains in DNS, HTTP and TLS. Says nothing where ages are not known.
#[derive(Debug)]
pub struct YoungDomain {
    config: Config,
    knowledge: Arc<dyn Knowledge>,
    domains: Tallies<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    days: u32,
    addresses: BTreeSet<IpAddr>,
}

/// Addresses of one domain that get an evidence of their own.
const MAX_ADDRESSES: usize = 8;

impl YoungDomain {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            knowledge: Arc::clone(&context.knowledge),
            domains: Tallies::new(),
        }
    }
}

impl Detector for YoungDomain {
    fn name(&self) -> &'static str {
        "young_domain"
    }

    fn refused(&self) -> u64 {
        self.domains.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let Some(name) = name_of(record) else {
                continue;
            };
            if is_own(&name) {
                continue;
            }
            let domain = registrable(&name);
            let at = record.time.0.div_euclid(1_000_000_000);
            let Some(days) = self.knowledge.domain_age(domain, at) else {
                continue;
            };
            if days < self.config.max_days
                && let Some(tally) = self.domains.note(window, domain.to_owned(), record)
            {
                tally.detail.days = days;
                let room = MAX_ADDRESSES.saturating_sub(tally.detail.addresses.len());
                tally.detail.addresses.extend(addresses_of(record).take(room));
            }
        }
        let limit = self.config.max_days;
        let found = self.domains.say(window, |domain, tally| {
            Some(describe(update, domain, tally, limit))
        });
        self.domains.close(update);
        found
    }
}

fn name_of(record: &AppRecord) -> Option<Cow<'_, str>> {
    match &record.event {
        AppEvent::Dns(dns) if !dns.multicast && dns.response => Some(Cow::Borrowed(&dns.name)),
        AppEvent::HttpRequest(request) => Some(host_name(request.host.as_ref()?)),
        AppEvent::TlsClient(hello) => Some(host_name(hello.server_name.as_ref()?)),
        _ => None,
    }
}

/// Where its name leads: what the answer says, or the server that was asked by it.
fn addresses_of(record: &AppRecord) -> impl Iterator<Item = IpAddr> {
    let (answers, server) = match &record.event {
        AppEvent::Dns(dns) => (&dns.answers[..], None),
        _ => (&[][..], Some(record.tuple.responder.ip)),
    };
    let answers = answers.iter().filter_map(|answer| match answer.data {
        DnsData::Address(ip) => Some(ip),
        _ => None,
    });
    answers.chain(server)
}

fn describe(update: &ProfileUpdate<'_>, domain: &str, tally: &Tally<Seen>, limit: u32) -> Vec<Evidence> {
    let source = update.profile.window.profile;
    let (domain, days) = (shown(domain), tally.detail.days);
    let mut of_source = Evidence {
        subject: Some(domain.clone()),
        threat_level: ThreatLevel::Info,
        description: format!("{source} used the young domain {domain}, registered {days} days before."),
        confidence: Confidence::new(1.0),
        explanation: Explanation {
            features: vec![
                feature("age of the domain", f64::from(days), "days").threshold(f64::from(limit)),
                feature("messages", tally.count as f64, "messages"),
            ],
            text: format!("{domain} was registered {days} days before; young is below {limit} days."),
        },
        ..grown(update, EvidenceType::YoungDomain, &domain, tally)
    };
    let mut all: Vec<Evidence> = tally
        .detail
        .addresses
        .iter()
        .map(|ip| {
            let key = format!("from/{source}/{domain}");
            let mut mirror = mirrored(&of_source, update, *ip, &key, ThreatLevel::Low);
            mirror.attacker_side = AttackerSide::Destination;
            mirror.related = vec![of_source.id];
            mirror
        })
        .collect();
    of_source.related = all.iter().map(|mirror| mirror.id).collect();
    all.insert(0, of_source);
    all
}
