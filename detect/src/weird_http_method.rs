//! HTTP methods that nobody registered.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::names::shown;
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`WeirdHttpMethod`].
pub type Config = OnlyEnabled;

/// IANA's HTTP Method Registry.
const REGISTERED: &str = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE \
    MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT \
    QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL";

/// Not registered and in daily use: UPnP, Exchange and Outlook, background transfers of Windows, VPN, caches.
const IN_USE: &str = "M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE POLL BCOPY BDELETE BMOVE BPROPFIND BPROPPATCH X-MS-ENUMATTS \
    RPC_CONNECT RPC_IN_DATA RPC_OUT_DATA BITS_POST CCM_POST SSTP_DUPLEX_POST PURGE";

/// One finding for each method and server: from our own decoder, or from Zeek's `unknown_HTTP_method`.
#[derive(Debug)]
pub struct WeirdHttpMethod {
    methods: Tallies<(IpAddr, u16, String), Sources>,
}

/// Requests that we read, and notes of another analyzer; both may tell of one request.
#[derive(Debug, Default)]
struct Sources {
    read: u64,
    noted: u64,
}

impl WeirdHttpMethod {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            methods: Tallies::new(),
        }
    }
}

impl Detector for WeirdHttpMethod {
    fn name(&self) -> &'static str {
        "weird_http_method"
    }

    fn refused(&self) -> u64 {
        self.methods.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let Some((method, noted)) = weird(record) else {
                continue;
            };
            let server = record.tuple.responder;
            let key = (server.ip, server.port, shown(method));
            if let Some(tally) = self.methods.note(window, key, record) {
                let sources = &mut tally.detail;
                *(if noted {
                    &mut sources.noted
                } else {
                    &mut sources.read
                }) += 1;
            }
        }
        let found = self.methods.say(window, |(server, port, method), tally| {
            let count = tally.detail.read.max(tally.detail.noted);
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                subject: Some(method.clone()),
                threat_level: ThreatLevel::Medium,
                confidence: Confidence::new(0.9),
                description: format!(
                    "Weird HTTP method \"{method}\" from {} to {server}.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![feature("such requests", count as f64, "requests").threshold(1.0)],
                    text: format!(
                        "\"{method}\" is not in IANA's registry of HTTP methods and no usual program sends it."
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::WeirdHttpMethod,
                    &format!("{server}/{port}/{method}"),
                    tally,
                )
            }])
        });
        self.methods.close(update);
        found
    }
}

/// The method, and whether another analyzer noted it.
fn weird(record: &AppRecord) -> Option<(&str, bool)> {
    match &record.event {
        AppEvent::HttpRequest(request) => {
            let method = request.method.as_str();
            let known = method.is_empty() || [REGISTERED, IN_USE].iter().any(|list| has(list, method));
            (!known).then_some((method, false))
        }
        AppEvent::Weird(weird) if weird.name == "unknown_HTTP_method" => {
            let method = weird.detail.as_deref().unwrap_or("?");
            (!has(IN_USE, method)).then_some((method, true))
        }
        _ => None,
    }
}

fn has(list: &str, method: &str) -> bool {
    list.split(' ').any(|known| known == method)
}
