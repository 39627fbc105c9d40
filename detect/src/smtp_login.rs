//! Failed logins on mail servers, alone and many in a short time.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{AppEvent, Smtp};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::time::Timestamp;
use lynceus_model::words;
use serde::{Deserialize, Serialize};

use crate::report::{With, at_least_apps, feature, grown, times};
use crate::tally::{Tallies, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`SmtpLogin`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Failed logins within `within` that are brute force.
    pub min_logins: usize,
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_logins: 3,
            within: Duration::from_secs(10),
        }
    }
}

/// One finding of each type for each server.
#[derive(Debug)]
pub struct SmtpLogin {
    config: Config,
    servers: Tallies<(IpAddr, u16), Vec<Timestamp>>,
}

/// Failed logins whose time is remembered; of more, brute force was seen long ago.
const MAX_TIMES: usize = 256;

impl SmtpLogin {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            servers: Tallies::new(),
        }
    }
}

impl Detector for SmtpLogin {
    fn name(&self) -> &'static str {
        "smtp_login"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let server = record.tuple.responder;
            if let AppEvent::Smtp(smtp) = &record.event
                && failed(smtp)
                && let Some(tally) = self.servers.note(window, (server.ip, server.port), record)
                && tally.detail.len() < MAX_TIMES
            {
                let at = tally.detail.partition_point(|time| *time <= record.time);
                tally.detail.insert(at, record.time);
            }
        }
        let config = &self.config;
        let found = self.servers.say(window, |(server, port), tally| {
            let bad = bad_login(update, *server, *port, tally);
            let busiest = busiest(&tally.detail, config.within);
            let brute = (busiest >= config.min_logins)
                .then(|| brute_force(update, *server, *port, tally, busiest, config));
            Some([Some(bad), brute].into_iter().flatten())
        });
        self.servers.close(update);
        found
    }
}

/// 535: credentials invalid (RFC 4954 §6); some servers say it with other codes and these words.
fn failed(smtp: &Smtp) -> bool {
    let said = smtp.reply.as_deref().unwrap_or_default().to_ascii_lowercase();
    smtp.login == Some(false) || smtp.reply_code == Some(535) || said.contains("bad smtp-auth user")
}

/// Most logins within the time.
fn busiest(times: &[Timestamp], within: Duration) -> usize {
    let counts = times.iter().enumerate().map(|(n, begin)| {
        times[n..]
            .iter()
            .take_while(|time| time.since(*begin) <= within)
            .count()
    });
    counts.max().unwrap_or(0)
}

fn bad_login(
    update: &ProfileUpdate<'_>,
    server: IpAddr,
    port: u16,
    tally: &Tally<Vec<Timestamp>>,
) -> Evidence {
    let (count, at_least) = (tally.count, at_least_apps(update));
    Evidence {
        victim: Some(server),
        dst_port: Some(port),
        protocol: Some(6),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(1.0),
        description: format!(
            "Bad SMTP login from {} to {server}, {at_least}{}.",
            update.profile.window.profile,
            times(count)
        ),
        explanation: Explanation {
            features: vec![feature("failed logins", count as f64, "logins").threshold(1.0)],
            text: "The mail server refused the credentials.".to_owned(),
        },
        ..grown(
            update,
            EvidenceType::BadSmtpLogin,
            &format!("{server}/{port}"),
            tally,
        )
    }
}

fn brute_force(
    update: &ProfileUpdate<'_>,
    server: IpAddr,
    port: u16,
    tally: &Tally<Vec<Timestamp>>,
    busiest: usize,
    config: &Config,
) -> Evidence {
    let (count, at_least, seconds) = (tally.count, at_least_apps(update), config.within.as_secs());
    Evidence {
        victim: Some(server),
        dst_port: Some(port),
        protocol: Some(6),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(1.0),
        description: format!(
            "SMTP login brute force from {} to {server}: {busiest} failed logins in {seconds} seconds, \
             {at_least}{} in all.",
            update.profile.window.profile,
            words::count(count)
        ),
        explanation: Explanation {
            features: vec![
                feature("most failed logins in the time", busiest as f64, "logins")
                    .threshold(config.min_logins as f64),
                feature("failed logins", count as f64, "logins"),
                feature("time", seconds as f64, "seconds"),
            ],
            text: format!("{busiest} logins failed within {seconds} seconds: people are slower."),
        },
        ..grown(
            update,
            EvidenceType::SmtpLoginBruteforce,
            &format!("{server}/{port}"),
            tally,
        )
    }
}
