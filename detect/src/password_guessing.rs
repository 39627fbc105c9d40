//! Password guessing: many failed logins by SSH, FTP, Telnet, rlogin or rsh.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, AppRecord, LoginOutcome};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::words;
use serde::{Deserialize, Serialize};

use crate::names::shown;
use crate::report::{With, at_least_apps, evidence, feature};
use crate::ssh_shape;
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`PasswordGuessing`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Failed attempts on one server in one window; evidence comes here and whenever the number beyond it has doubled.
    pub min_attempts: u64,
    /// Attempts from which on it is sure.
    pub sure_attempts: u64,
    /// Share of the SSH flows to a server that must look refused, where no log tells.
    pub min_refused_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_attempts: 9,
            sure_attempts: 30,
            min_refused_share: 2.0 / 3.0,
        }
    }
}

/// One finding for each server and size.
#[derive(Debug)]
pub struct PasswordGuessing {
    config: Config,
    servers: Tallies<(IpAddr, u16), Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    service: &'static str,
    /// By logs or by what the server answered.
    failed: u64,
    /// Somebody read how logins ended, so flows need not be guessed at.
    told: bool,
    /// SSH flows that are over, and those of them that look refused.
    flows: u64,
    refused: u64,
    client: Option<String>,
    /// Sizes that were said.
    said: u32,
}

impl PasswordGuessing {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            servers: Tallies::new(),
        }
    }

    fn count(&self, attempts: &Attempts) -> u64 {
        if attempts.told {
            return attempts.failed;
        }
        let share = attempts.refused as f64 / attempts.flows.max(1) as f64;
        if share >= self.config.min_refused_share {
            attempts.refused
        } else {
            0
        }
    }

    /// Least number of attempts of the size: as in Slips, sizes are log2(attempts − 9 + 1).
    const fn size(&self, number: u32) -> u64 {
        (1_u64 << if number < 40 { number } else { 40 }) + self.config.min_attempts - 1
    }

    fn confidence(&self, attempts: u64, told: bool, client: Option<&str>) -> Confidence {
        let Config {
            min_attempts: least,
            sure_attempts: sure,
            ..
        } = self.config;
        let beyond = attempts.saturating_sub(least) as f64 / sure.saturating_sub(least).max(1) as f64;
        let value = if attempts >= sure {
            1.0
        } else {
            (0.5 + 0.4 * beyond + bonus(client)).min(0.99)
        };
        // The shape of flows alone is less sure than what a server said.
        Confidence::new(if told { value } else { value * 0.6 })
    }
}

impl Detector for PasswordGuessing {
    fn name(&self) -> &'static str {
        "password_guessing"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let server = record.tuple.responder;
            let key = (server.ip, server.port);
            if let Some((service, failed)) = outcome(record)
                && let Some(tally) = self.servers.note(window, key, record)
            {
                let attempts = &mut tally.detail;
                attempts.service = service;
                attempts.failed += failed;
                attempts.told = true;
            }
            if let Some(client) = client(record)
                && let Some(tally) = self.servers.note(window, key, record)
            {
                tally.detail.service = "SSH";
                tally.detail.client.get_or_insert_with(|| shown(client));
            }
        }
        for report in update.flows.iter().filter(|report| ssh_shape::finished(report)) {
            let flow = &report.flow;
            let (client, server) = flow.client_server();
            if client.ip == window.profile
                && let Some(tally) = self.servers.add_flow(window, (server.ip, server.port), flow)
            {
                tally.detail.service = "SSH";
                tally.detail.flows += 1;
                tally.detail.refused += u64::from(ssh_shape::looks_refused(flow));
            }
        }
        let mut servers = std::mem::replace(&mut self.servers, Tallies::new());
        let found = servers.say_mut(window, |(server, port), tally| {
            let count = self.count(&tally.detail);
            let mut found = Vec::new();
            while count >= self.size(tally.detail.said) {
                let size = self.size(tally.detail.said);
                tally.detail.said += 1;
                found.push(self.describe(update, (*server, *port), tally, size));
            }
            Some(found)
        });
        self.servers = servers;
        self.servers.close(update);
        found
    }
}

impl PasswordGuessing {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        (server, port): (IpAddr, u16),
        tally: &Tally<Attempts>,
        size: u64,
    ) -> Evidence {
        let attempts = &tally.detail;
        let (service, count, told) = (attempts.service, self.count(attempts), attempts.told);
        let client = attempts.client.as_deref();
        let banner = client
            .map(|client| format!(" Client: {client}."))
            .unwrap_or_default();
        let source = update.profile.window.profile;
        let at_least = at_least_apps(update);
        let (what, how) = if told {
            ("failed logins", "The server refused them.")
        } else {
            (
                "flows that look like refused logins",
                "Nobody read how the logins ended: these flows exchanged keys, carried little more and took as long as \
                 refused passwords do.",
            )
        };
        Evidence {
            victim: Some(server),
            dst_port: Some(port),
            protocol: Some(6),
            threat_level: ThreatLevel::Medium,
            confidence: self.confidence(size, told, client),
            description: format!(
                "{service} password guessing from {source} to {server} port {port}: at least {} {what}.{banner}",
                words::count(size)
            ),
            explanation: Explanation {
                features: vec![
                    feature(what, count as f64, "attempts").threshold(self.config.min_attempts as f64),
                    feature("size that was reached", size as f64, "attempts"),
                    feature("finished SSH flows to the server", attempts.flows as f64, "flows"),
                ],
                text: format!(
                    "At least {} {what} in one window; when this was told they were {at_least}{}. {how}",
                    words::count(size),
                    words::count(count)
                ),
            },
            flows: tally.flows.clone(),
            first: tally.first,
            last: tally.last,
            ..evidence(
                update,
                EvidenceType::PasswordGuessing,
                &format!("{server}/{port}/{size}"),
            )
        }
    }
}

/// Service and failed attempts; a login that succeeded is told, too, and adds none.
fn outcome(record: &AppRecord) -> Option<(&'static str, u64)> {
    const NOT_LOGGED_IN: u16 = 530;
    match &record.event {
        AppEvent::SshLogin(login) => {
            let failed = !login.success?;
            Some((
                "SSH",
                u64::from(login.attempts.unwrap_or(1).max(1)) * u64::from(failed),
            ))
        }
        AppEvent::Ftp(ftp) if ftp.command.eq_ignore_ascii_case("PASS") => {
            Some(("FTP", u64::from(ftp.reply_code? == NOT_LOGGED_IN)))
        }
        AppEvent::Login(login) => {
            let service = match login.service.as_str() {
                "rlogin" => "rlogin",
                "rsh" => "rsh",
                _ => "Telnet",
            };
            match login.outcome {
                LoginOutcome::Failed => Some((service, 1)),
                LoginOutcome::Success => Some((service, 0)),
                LoginOutcome::Confused => None,
            }
        }
        _ => None,
    }
}

/// Identification line of the SSH client.
fn client(record: &AppRecord) -> Option<&str> {
    match &record.event {
        AppEvent::Ssh(banner) if !record.from_responder => Some(&banner.banner),
        AppEvent::SshLogin(login) => login.client.as_deref(),
        _ => None,
    }
}

/// Libraries that programs log in with, and clients that people use.
fn bonus(client: Option<&str>) -> f64 {
    const LIBRARIES: &[&str] = &[
        "libssh",
        "paramiko",
        "asyncssh",
        "jsch",
        "sshj",
        "russh",
        "ssh-2.0-go",
        "nmap",
        "ncrack",
        "medusa",
        "hydra",
        "phpseclib",
        "net-ssh",
        "renci",
    ];
    const CLIENTS: &[&str] = &["openssh", "putty", "dropbear", "winscp", "securecrt"];
    let client = client.unwrap_or_default().to_ascii_lowercase();
    let is_one = |names: &[&str]| names.iter().any(|name| client.contains(name));
    match (is_one(LIBRARIES), is_one(CLIENTS)) {
        (true, _) => 0.07,
        (false, true) => 0.02,
        _ => 0.0,
    }
}
