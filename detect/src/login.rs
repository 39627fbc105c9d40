//! Login by a protocol that shows what is typed: Telnet, rlogin, rsh, FTP.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, LoginOutcome};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown, times};
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`Login`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// One growing finding for each server, user and outcome.
#[derive(Debug)]
pub struct Login {
    logins: Growing<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    server: IpAddr,
    port: u16,
    service: String,
    user: Option<String>,
    outcome: &'static str,
}

impl Login {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            logins: Growing::new(),
        }
    }
}

impl Detector for Login {
    fn name(&self) -> &'static str {
        "login"
    }

    fn refused(&self) -> u64 {
        self.logins.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let Some((service, user, outcome)) = login(&record.event) {
                let key = Key {
                    server: record.tuple.responder.ip,
                    port: record.tuple.responder.port,
                    service: service.to_owned(),
                    user: user.map(str::to_owned),
                    outcome,
                };
                self.logins
                    .add(window, key, record.time, record.time, record.community_id);
            }
        }
        let due = self.logins.due(window, 1, update.stage);
        due.iter()
            .map(|(key, tally)| describe(update, key, tally))
            .collect()
    }
}

/// Service, user and outcome. Anonymous FTP has no password to hide.
fn login(event: &AppEvent) -> Option<(&str, Option<&str>, &'static str)> {
    const LOGGED_IN: u16 = 230;
    const NOT_LOGGED_IN: u16 = 530;
    match event {
        AppEvent::Login(login) => {
            let outcome = match login.outcome {
                LoginOutcome::Success => "successful",
                LoginOutcome::Failed => "failed",
                LoginOutcome::Confused => "unclear",
            };
            Some((&login.service, login.user.as_deref(), outcome))
        }
        AppEvent::Ftp(ftp) if ftp.command.eq_ignore_ascii_case("PASS") => {
            let outcome = match ftp.reply_code? {
                LOGGED_IN => "successful",
                NOT_LOGGED_IN => "failed",
                _ => "unclear",
            };
            let user = ftp.user.as_deref();
            let anonymous = user.is_some_and(|user| ["anonymous", "ftp"].contains(&user));
            (!anonymous).then_some(("ftp", user, outcome))
        }
        _ => None,
    }
}

fn describe(update: &ProfileUpdate<'_>, key: &Key, tally: &Tally) -> Evidence {
    let client = update.profile.window.profile;
    let Key {
        server,
        port,
        service,
        outcome,
        ..
    } = key;
    let user = key.user.as_deref().unwrap_or("unknown");
    let id = format!("{server}/{port}/{service}/{outcome}/{user}");
    Evidence {
        victim: Some(*server),
        subject: key.user.clone(),
        dst_port: Some(*port),
        protocol: Some(crate::services::TCP),
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(1.0),
        description: format!(
            "{outcome} {service} login of {client} at {server}, user {user}, {}.",
            times(tally.count)
        ),
        explanation: Explanation {
            features: vec![feature("logins", tally.count as f64, "logins").threshold(1.0)],
            text: format!("{service} sends names and passwords readable by everybody on the way."),
        },
        ..grown(update, EvidenceType::Login, &id, tally)
    }
}
