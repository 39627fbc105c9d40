//! Requests for listed URLs.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType};

use crate::config::OnlyEnabled;
use crate::context::{Indicator, Knowledge};
use crate::listing::{Listed, look_up};
use crate::names::{host_name, shown};
use crate::report::{grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`MaliciousUrl`].
pub type Config = OnlyEnabled;

/// One finding for each URL and server.
#[derive(Debug)]
pub struct MaliciousUrl {
    knowledge: Arc<dyn Knowledge>,
    urls: Tallies<(IpAddr, String), Option<(Listed, u16)>>,
}

impl MaliciousUrl {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            urls: Tallies::new(),
        }
    }
}

impl Detector for MaliciousUrl {
    fn name(&self) -> &'static str {
        "malicious_url"
    }

    fn refused(&self) -> u64 {
        self.urls.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::HttpRequest(request) = &record.event else {
                continue;
            };
            let server = record.tuple.responder;
            let url = url(request.host.as_deref(), server.ip, server.port, &request.uri);
            if let Some(listed) = look_up(self.knowledge.as_ref(), Indicator::Url(&url))
                && let Some(tally) = self.urls.note(window, (server.ip, shown(&url)), record)
            {
                tally.detail.get_or_insert((listed, server.port));
            }
        }
        let found = self.urls.say(window, |(server, url), tally| {
            let (listed, port) = tally.detail.as_ref()?;
            let key = format!("{server}/{url}");
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                subject: Some(url.clone()),
                threat_level: listed.worst.level,
                confidence: Confidence::new(0.7),
                description: format!(
                    "{} asked for the listed URL {url}{}.",
                    window.profile,
                    listed.words()
                ),
                explanation: listed.explanation("requests", tally.count),
                ..grown(update, EvidenceType::ThreatIntelligenceMaliciousUrl, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, listed.worst.level))
        });
        self.urls.close(update);
        found
    }
}

/// `http://host[:port]/path`: host lower case, port only where it is not 80. A proxy is asked for the whole URL.
fn url(host: Option<&str>, server: IpAddr, port: u16, uri: &str) -> String {
    if uri.starts_with("http://") {
        return uri.to_owned();
    }
    let name = host.map_or_else(|| server.to_string(), |host| host_name(host).into_owned());
    let name = if name.contains(':') {
        format!("[{name}]")
    } else {
        name
    };
    if port == 80 {
        format!("http://{name}{uri}")
    } else {
        format!("http://{name}:{port}{uri}")
    }
}
