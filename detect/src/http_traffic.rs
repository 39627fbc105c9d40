//! HTTP without encryption.

use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::words::plural;

use crate::config::OnlyEnabled;
use crate::report::{With, at_least_apps, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`HttpTraffic`].
pub type Config = OnlyEnabled;

/// One finding for each server, however many requests.
#[derive(Debug)]
pub struct HttpTraffic {
    servers: Tallies<(IpAddr, u16)>,
}

impl HttpTraffic {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            servers: Tallies::new(),
        }
    }
}

impl Detector for HttpTraffic {
    fn name(&self) -> &'static str {
        "http_traffic"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if matches!(record.event, AppEvent::HttpRequest(_)) {
                let server = record.tuple.responder;
                self.servers.note(window, (server.ip, server.port), record);
            }
        }
        let found = self.servers.say(window, |(server, port), tally| {
            let (count, at_least) = (tally.count, at_least_apps(update));
            let usual = history.mean(|window| window.apps.http_request as f64);
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                threat_level: ThreatLevel::Info,
                confidence: Confidence::new(1.0),
                description: format!(
                    "Unencrypted HTTP from {} to {server}, {at_least}{}.",
                    window.profile,
                    plural(count, "request", "requests")
                ),
                explanation: Explanation {
                    features: vec![
                        feature("requests", count as f64, "requests").threshold(1.0),
                        feature(
                            "requests to all servers",
                            update.profile.apps.http_request as f64,
                            "requests",
                        )
                        .baseline(usual),
                    ],
                    text: "Anybody on the way can read and change what is asked for and answered.".to_owned(),
                },
                ..grown(
                    update,
                    EvidenceType::HttpTraffic,
                    &format!("{server}/{port}"),
                    tally,
                )
            }])
        });
        self.servers.close(update);
        found
    }
}
