//! Flows to and from addresses and autonomous systems that feeds list.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::address::is_target;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, ThreatLevel};
use lynceus_model::flow::Flow;

use crate::config::OnlyEnabled;
use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::shown;
use crate::report::{grown, pair};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`BlacklistedAddress`].
pub type Config = OnlyEnabled;

/// One finding for each listed peer. Attempts count: whoever calls a listed server has a reason for it.
#[derive(Debug)]
pub struct BlacklistedAddress {
    knowledge: Arc<dyn Knowledge>,
    peers: Tallies<(Way, IpAddr, IpAddr), Option<Hit>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    To,
    From,
    System,
}

#[derive(Debug)]
struct Hit {
    listed: Listed,
    port: u16,
    protocol: u8,
    /// Number and name of the autonomous system.
    system: Option<String>,
}

impl BlacklistedAddress {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            peers: Tallies::new(),
        }
    }

    fn hits(&self, flow: &Flow) -> Vec<(Way, Listed, Option<String>)> {
        let (client, server) = flow.client_server();
        let knowledge = self.knowledge.as_ref();
        let mut hits = Vec::new();
        for (way, ip) in [(Way::To, server.ip), (Way::From, client.ip)] {
            if is_target(ip)
                && let Some(listed) = look_up(knowledge, Indicator::Ip(ip))
            {
                hits.push((way, listed, None));
            }
        }
        if is_target(server.ip)
            && let Some(system) = knowledge.autonomous_system(server.ip)
            && let Some(listed) = look_up(knowledge, Indicator::AutonomousSystem(system.number))
        {
            let name = format!("AS{} {}", system.number, shown(&system.name));
            hits.push((Way::System, listed, Some(name)));
        }
        hits
    }
}

impl Detector for BlacklistedAddress {
    fn name(&self) -> &'static str {
        "blacklisted_address"
    }

    fn refused(&self) -> u64 {
        self.peers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for report in update.flows.iter().filter(|report| report.part == 0) {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            for (way, listed, system) in self.hits(flow) {
                let key = (way, client.ip, server.ip);
                if let Some(tally) = self.peers.add_flow(window, key, flow) {
                    tally.detail.get_or_insert(Hit {
                        listed,
                        port: server.port,
                        protocol: flow.tuple.protocol,
                        system,
                    });
                }
            }
        }
        let found = self.peers.say(window, |(way, client, server), tally| {
            let hit = tally.detail.as_ref()?;
            Some(describe(update, *way, (*client, *server), tally, hit))
        });
        self.peers.close(update);
        found
    }
}

fn describe(
    update: &ProfileUpdate<'_>,
    way: Way,
    (client, server): (IpAddr, IpAddr),
    tally: &Tally<Option<Hit>>,
    hit: &Hit,
) -> Vec<Evidence> {
    let (level, words) = (hit.listed.worst.level, hit.listed.words());
    let explanation = hit.listed.explanation("flows", tally.count);
    let (kind, confidence, subject, description) = match way {
        Way::To => (
            EvidenceType::ThreatIntelligenceToBlacklistedIp,
            1.0,
            server.to_string(),
            format!("{client} connected to the listed address {server}{words}."),
        ),
        Way::From => (
            EvidenceType::ThreatIntelligenceFromBlacklistedIp,
            1.0,
            client.to_string(),
            format!("The listed address {client}{words} connected to {server}."),
        ),
        Way::System => {
            let system = hit.system.clone().unwrap_or_default();
            (
                EvidenceType::ThreatIntelligenceBlacklistedAsn,
                0.8,
                system.clone(),
                format!("{client} connected to {server} in the listed autonomous system {system}{words}."),
            )
        }
    };
    let key = format!("{client}/{server}");
    let evidence = Evidence {
        victim: Some(server),
        dst_port: Some(hit.port),
        protocol: Some(hit.protocol),
        subject: Some(subject),
        threat_level: level,
        confidence: Confidence::new(confidence),
        description,
        explanation,
        ..grown(update, kind, &key, tally)
    };
    match way {
        // The listed one is the client: its own profile tells, whether or not it is at home.
        Way::From => vec![of(evidence, update, client, &key)],
        Way::To | Way::System => {
            let low = Evidence {
                threat_level: ThreatLevel::Low.min(level),
                ..of(evidence, update, client, &key)
            };
            pair(low, update, server, &key, level).into()
        }
    }
}

/// The evidence in the profile of `ip`, which the update may not be about: where only the server is at home, the report
/// of the flow travels with the server's profile.
fn of(evidence: Evidence, update: &ProfileUpdate<'_>, ip: IpAddr, key: &str) -> Evidence {
    let window = lynceus_model::window::WindowId {
        profile: ip,
        start: update.profile.window.start,
    };
    Evidence {
        id: lynceus_model::evidence::EvidenceId::new(update.sensor, evidence.kind, window, key),
        profile: ip,
        attacker: ip,
        ..evidence
    }
}
