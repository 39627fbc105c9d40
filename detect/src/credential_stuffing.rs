//! Many logins tried one after another by HTTP authentication, RDP or SMB.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{FlowEnd, FlowUpdate, Service};
use lynceus_model::words::count;
use serde::{Deserialize, Serialize};

use crate::report::{With, at_least_apps, evidence, feature};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`CredentialStuffing`]. All are counted for one server in one window.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Attempts; evidence comes here and at each ten times as many.
    pub min_attempts: u64,
    /// Share of the answers (HTTP) or of the finished flows (RDP, SMB) that must be such attempts.
    pub min_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_attempts: 20,
            min_share: 0.8,
        }
    }
}

/// HTTP: answers 401. RDP and SMB are encrypted: short flows with little in them, again and again.
#[derive(Debug)]
pub struct CredentialStuffing {
    config: Config,
    servers: Tallies<(Kind, IpAddr, u16), Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Http,
    Rdp,
    Smb,
}

#[derive(Debug, Default)]
struct Seen {
    attempts: u64,
    all: u64,
    /// Size at which it was last said.
    said: u64,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Rdp => "RDP",
            Self::Smb => "SMB",
        }
    }

    /// By content, or by port where nobody looked.
    fn of(report: &FlowUpdate) -> Option<Self> {
        let flow = &report.flow;
        let port = flow.client_server().1.port;
        let kind = match (flow.service, port) {
            (Service::Rdp, _) | (Service::Unseen | Service::Unrecognized, 3389) => Self::Rdp,
            (Service::Smb, _) | (Service::Unseen | Service::Unrecognized, 445) => Self::Smb,
            _ => return None,
        };
        (flow.tuple.protocol == 6 && flow.established() && report.end != FlowEnd::Active).then_some(kind)
    }

    /// A login that was refused and nothing more: IP bytes of both sides, and how long the flow took.
    fn is_attempt(self, bytes: u64, long: Duration) -> bool {
        let (least, most, seconds) = match self {
            // TLS, credentials, refusal; a desktop is far more.
            Self::Rdp => (1_500, 25_000, 20),
            // Negotiation and session set-up; a session that opens a share goes on.
            Self::Smb => (800, 4_000, 5),
            Self::Http => return false,
        };
        bytes >= least && bytes <= most && long <= Duration::from_secs(seconds)
    }
}

impl CredentialStuffing {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            servers: Tallies::new(),
        }
    }

    fn size_after(&self, said: u64) -> u64 {
        said.saturating_mul(10).max(self.config.min_attempts).max(1)
    }

    fn is_stuffing(&self, seen: &Seen) -> bool {
        seen.attempts >= self.size_after(seen.said)
            && seen.attempts as f64 >= self.config.min_share * seen.all as f64
    }
}

impl Detector for CredentialStuffing {
    fn name(&self) -> &'static str {
        "credential_stuffing"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        const UNAUTHORIZED: u16 = 401;
        let window = update.profile.window;
        let mut found = Vec::new();
        let mut servers = std::mem::replace(&mut self.servers, Tallies::new());
        let mut take = |key: (Kind, IpAddr, u16), tally: Option<&mut Tally<Seen>>, attempt: bool| {
            let Some(tally) = tally else { return };
            tally.detail.all += 1;
            tally.detail.attempts += u64::from(attempt);
            if attempt && self.is_stuffing(&tally.detail) {
                tally.detail.said = self.size_after(tally.detail.said);
                found.push(self.describe(update, key, tally));
            }
        };
        for record in update.apps {
            if let AppEvent::HttpResponse(response) = &record.event {
                let server = record.tuple.responder;
                let key = (Kind::Http, server.ip, server.port);
                take(
                    key,
                    servers.note(window, key, record),
                    response.status == UNAUTHORIZED,
                );
            }
        }
        for report in update.flows {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            if let Some(kind) = Kind::of(report).filter(|_| client.ip == window.profile) {
                let key = (kind, server.ip, server.port);
                let tally = servers.add_flow(window, key, flow);
                take(
                    key,
                    tally,
                    kind.is_attempt(flow.out.bytes + flow.back.bytes, flow.duration()),
                );
            }
        }
        self.servers = servers;
        self.servers.close(update);
        found
    }
}

impl CredentialStuffing {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        (kind, server, port): (Kind, IpAddr, u16),
        tally: &Tally<Seen>,
    ) -> Evidence {
        let Seen { attempts, all, said } = tally.detail;
        let (name, source, at_least) = (kind.name(), update.profile.window.profile, at_least_apps(update));
        let (confidence, what, text) = match kind {
            Kind::Http => (
                0.8,
                "answers 401",
                "The server refused the credentials each time.",
            ),
            Kind::Rdp | Kind::Smb => (
                0.5,
                "short flows",
                "The flows are encrypted; each is as short and as small as a refused login, and hardly any went on.",
            ),
        };
        Evidence {
            victim: Some(server),
            dst_port: Some(port),
            protocol: Some(6),
            threat_level: ThreatLevel::Medium,
            confidence: Confidence::new(confidence),
            description: format!(
                "{name} credential stuffing from {source} to {server} port {port}: {at_least}{} {what}.",
                count(attempts)
            ),
            explanation: Explanation {
                features: vec![
                    feature("attempts", attempts as f64, "attempts")
                        .threshold(self.config.min_attempts as f64),
                    feature("share of such attempts", attempts as f64 / all as f64, "ratio")
                        .threshold(self.config.min_share),
                ],
                text: format!("{attempts} of {all} were attempts. {text}"),
            },
            flows: tally.flows.clone(),
            first: tally.first,
            last: tally.last,
            ..evidence(
                update,
                EvidenceType::CredentialStuffing,
                &format!("{name}/{server}/{port}/{said}"),
            )
        }
    }
}
