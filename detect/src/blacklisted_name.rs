//! Listed domains in DNS, HTTP and TLS, and listed answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::{AppEvent, AppRecord, Dns, DnsData};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType};

use crate::config::OnlyEnabled;
use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::{host_name, shown};
use crate::report::{grown, mirrored, pair};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`BlacklistedName`].
pub type Config = OnlyEnabled;

/// One finding for each listed name or answer.
#[derive(Debug)]
pub struct BlacklistedName {
    knowledge: Arc<dyn Knowledge>,
    names: Tallies<(Where, String), Hit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Where {
    /// A domain that was asked for, by DNS, HTTP or TLS.
    Domain,
    /// An address or name in an answer.
    Answer,
    /// What a listed query was answered with.
    Answered,
}

#[derive(Debug, Default)]
struct Hit {
    listed: Option<Listed>,
    /// Name that was asked for, where the answer is listed.
    query: String,
    /// Servers that were called by the name, or that the answer gave.
    servers: BTreeSet<IpAddr>,
}

/// Addresses of one name that get an evidence of their own.
const MAX_SERVERS: usize = 16;

impl BlacklistedName {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            names: Tallies::new(),
        }
    }

    fn hit(
        &mut self,
        update: &ProfileUpdate<'_>,
        record: &AppRecord,
        (place, name): (Where, &str),
        listed: Listed,
        servers: impl IntoIterator<Item = IpAddr>,
        query: &str,
    ) {
        let key = (place, shown(name));
        if let Some(tally) = self.names.note(update.profile.window, key, record) {
            tally.detail.listed.get_or_insert(listed);
            tally.detail.query = shown(query);
            for server in servers {
                if tally.detail.servers.len() < MAX_SERVERS {
                    tally.detail.servers.insert(server);
                }
            }
        }
    }

    fn dns(&mut self, update: &ProfileUpdate<'_>, record: &AppRecord, dns: &Dns) {
        let knowledge = Arc::clone(&self.knowledge);
        let addresses = |dns: &Dns| -> Vec<IpAddr> {
            let data = dns.answers.iter().map(|answer| &answer.data);
            data.filter_map(|data| {
                if let DnsData::Address(ip) = data {
                    Some(*ip)
                } else {
                    None
                }
            })
            .collect()
        };
        if let Some(listed) = look_up(knowledge.as_ref(), Indicator::Domain(&dns.name)) {
            let name = dns.name.as_str();
            let answers = addresses(dns);
            if !answers.is_empty() {
                self.hit(
                    update,
                    record,
                    (Where::Answered, name),
                    listed.clone(),
                    answers,
                    name,
                );
            }
            self.hit(update, record, (Where::Domain, name), listed, [], name);
        }
        for answer in &dns.answers {
            let (text, listed, server) = match &answer.data {
                DnsData::Address(ip) => (
                    ip.to_string(),
                    look_up(knowledge.as_ref(), Indicator::Ip(*ip)),
                    Some(*ip),
                ),
                DnsData::Name(name) => (
                    name.clone(),
                    look_up(knowledge.as_ref(), Indicator::Domain(name)),
                    None,
                ),
                _ => continue,
            };
            if let Some(listed) = listed {
                self.hit(update, record, (Where::Answer, &text), listed, server, &dns.name);
            }
        }
    }
}

impl Detector for BlacklistedName {
    fn name(&self) -> &'static str {
        "blacklisted_name"
    }

    fn refused(&self) -> u64 {
        self.names.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        for record in update.apps {
            let called = match &record.event {
                AppEvent::Dns(dns) if !dns.multicast => {
                    self.dns(update, record, dns);
                    continue;
                }
                AppEvent::HttpRequest(request) => request.host.as_deref(),
                AppEvent::TlsClient(hello) => hello.server_name.as_deref(),
                _ => continue,
            };
            let name = called.map(host_name).unwrap_or_default();
            if let Some(listed) = look_up(self.knowledge.as_ref(), Indicator::Domain(&name)) {
                let server = [record.tuple.responder.ip];
                self.hit(update, record, (Where::Domain, &name), listed, server, &name);
            }
        }
        let window = update.profile.window;
        let found = self.names.say(window, |(place, name), tally| {
            Some(describe(
                update,
                *place,
                name,
                tally,
                tally.detail.listed.as_ref()?,
            ))
        });
        self.names.close(update);
        found
    }
}

fn describe(
    update: &ProfileUpdate<'_>,
    place: Where,
    name: &str,
    tally: &Tally<Hit>,
    listed: &Listed,
) -> Vec<Evidence> {
    let (source, words, query) = (update.profile.window.profile, listed.words(), &tally.detail.query);
    let servers = &tally.detail.servers;
    let (kind, description) = match place {
        Where::Domain => (
            EvidenceType::ThreatIntelligenceBlacklistedDomain,
            format!("{source} asked for the listed domain {name}{words}."),
        ),
        Where::Answer => (
            EvidenceType::ThreatIntelligenceBlacklistedDnsAnswer,
            format!("The DNS answer for {query} to {source} holds {name}, which is listed{words}."),
        ),
        Where::Answered => {
            let answers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            (
                EvidenceType::ThreatIntelligenceAnswerOfBlacklistedQuery,
                format!(
                    "The listed domain {name}{words} was resolved for {source} to {}.",
                    answers.join(", ")
                ),
            )
        }
    };
    let mut of_source = Evidence {
        subject: Some(name.to_owned()),
        victim: servers.first().copied(),
        threat_level: listed.worst.level,
        confidence: Confidence::new(listed.confidence()),
        description,
        explanation: listed.explanation("messages", tally.count),
        ..grown(update, kind, name, tally)
    };
    // A network in a feed is no less sure for an address; a parent domain is.
    if name.parse::<IpAddr>().is_ok() {
        of_source.confidence = Confidence::new(1.0);
    }
    if let (1, Some(server)) = (servers.len(), servers.first()) {
        return pair(of_source, update, *server, name, listed.worst.level).into();
    }
    let mut all: Vec<Evidence> = servers
        .iter()
        .map(|server| {
            let key = format!("from/{source}/{name}");
            let mut mirror = mirrored(&of_source, update, *server, &key, listed.worst.level);
            mirror.related = vec![of_source.id];
            mirror
        })
        .collect();
    of_source.related = all.iter().map(|mirror| mirror.id).collect();
    all.insert(0, of_source);
    all
}
