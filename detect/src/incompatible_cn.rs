//! Certificates that claim to be of a large organization, on servers that are not its own.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::app::{AppEvent, Certificate};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::cert_names::{component, covers, words};
use crate::config::OnlyEnabled;
use crate::context::Knowledge;
use crate::names::{host_name, registrable, shown};
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`IncompatibleCn`].
pub type Config = OnlyEnabled;

/// An organization whose name impostors like, with registrable domains of its own (from its certificates and sites).
struct Organization {
    name: &'static str,
    /// A word of its name in certificates and of its autonomous systems.
    words: &'static [&'static str],
    domains: &'static [&'static str],
}

const ORGANIZATIONS: &[Organization] = &[
    Organization {
        name: "Google",
        words: &["google"],
        domains: &[
            "google.com",
            "googleapis.com",
            "gstatic.com",
            "googleusercontent.com",
            "googlevideo.com",
            "youtube.com",
            "ytimg.com",
            "ggpht.com",
            "doubleclick.net",
            "google-analytics.com",
            "googlesyndication.com",
            "googletagmanager.com",
            "googleadservices.com",
            "gvt1.com",
            "gvt2.com",
            "withgoogle.com",
            "android.com",
            "blogger.com",
            "goo.gl",
            "app-measurement.com",
            "firebaseio.com",
            "chromium.org",
            "google.cz",
            "google.de",
        ],
    },
    Organization {
        name: "Microsoft",
        words: &["microsoft"],
        domains: &[
            "microsoft.com",
            "windows.com",
            "windows.net",
            "windowsupdate.com",
            "office.com",
            "office365.com",
            "office.net",
            "live.com",
            "outlook.com",
            "microsoftonline.com",
            "msn.com",
            "bing.com",
            "skype.com",
            "azure.com",
            "azureedge.net",
            "azurewebsites.net",
            "msftncsi.com",
            "msftconnecttest.com",
            "msedge.net",
            "sharepoint.com",
            "xboxlive.com",
            "visualstudio.com",
            "trafficmanager.net",
            "cloudapp.net",
            "msocsp.com",
            "s-microsoft.com",
            "microsoftstream.com",
            "azurefd.net",
            "onenote.com",
            "linkedin.com",
            "github.com",
        ],
    },
    Organization {
        name: "Apple",
        words: &["apple"],
        domains: &[
            "apple.com",
            "icloud.com",
            "icloud-content.com",
            "mzstatic.com",
            "itunes.com",
            "cdn-apple.com",
            "me.com",
            "apple-cloudkit.com",
            "aaplimg.com",
            "apple.news",
            "apple-dns.net",
        ],
    },
    Organization {
        name: "Facebook",
        words: &["facebook", "meta"],
        domains: &[
            "facebook.com",
            "facebook.net",
            "fbcdn.net",
            "fbsbx.com",
            "instagram.com",
            "cdninstagram.com",
            "whatsapp.net",
            "whatsapp.com",
            "messenger.com",
            "fb.com",
            "oculus.com",
            "meta.com",
            "atdmt.com",
        ],
    },
    Organization {
        name: "Twitter",
        words: &["twitter"],
        domains: &[
            "twitter.com",
            "twimg.com",
            "t.co",
            "x.com",
            "ads-twitter.com",
            "periscope.tv",
        ],
    },
];

/// One finding for each server, organization and name asked for.
#[derive(Debug)]
pub struct IncompatibleCn {
    knowledge: Arc<dyn Knowledge>,
    claims: Tallies<(IpAddr, &'static str, String), (u16, String)>,
}

impl IncompatibleCn {
    #[must_use]
    pub fn new(_: Config, context: &Context) -> Self {
        Self {
            knowledge: Arc::clone(&context.knowledge),
            claims: Tallies::new(),
        }
    }

    /// Name asked for, or that none was and the address is another organization's.
    fn contradiction(
        &self,
        certificate: &Certificate,
        server: IpAddr,
        claimed: &Organization,
    ) -> Option<String> {
        let system = self.knowledge.autonomous_system(server);
        let at_home = |name: &str| words(name).any(|word| claimed.words.contains(&word.as_str()));
        if system.as_ref().is_some_and(|system| at_home(&system.name)) {
            return None;
        }
        match &certificate.server_name {
            Some(name) => {
                let name = host_name(name);
                let own =
                    claimed.domains.contains(&registrable(&name)) || covers(certificate, &name) == Some(true);
                // An address is no name that a certificate could be compared with.
                (!own && name.parse::<IpAddr>().is_err()).then(|| name.into_owned())
            }
            // Without a name only the address can tell, and only if somebody knows whose it is.
            None => system.map(|_| String::new()),
        }
    }
}

impl Detector for IncompatibleCn {
    fn name(&self) -> &'static str {
        "incompatible_cn"
    }

    fn refused(&self) -> u64 {
        self.claims.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::Certificate(certificate) = &record.event else {
                continue;
            };
            let server = record.tuple.responder;
            if let Some(claimed) = claimed(certificate)
                && let Some(name) = self.contradiction(certificate, server.ip, claimed)
                && let Some(tally) = self.claims.note(window, (server.ip, claimed.name, name), record)
            {
                tally.detail = (server.port, shown(&certificate.subject));
            }
        }
        let found = self.claims.say(window, |(server, organization, name), tally| {
            let (port, subject) = &tally.detail;
            let asked = if name.is_empty() {
                String::new()
            } else {
                format!(", asked for as {},", shown(name))
            };
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                subject: Some(subject.clone()),
                threat_level: ThreatLevel::Medium,
                confidence: Confidence::new(0.9),
                description: format!(
                    "Incompatible certificate: the server {server}{asked} claims to belong to {organization}."
                ),
                explanation: Explanation {
                    features: vec![
                        feature("flows with this certificate", tally.count as f64, "flows").threshold(1.0),
                    ],
                    text: format!(
                        "The certificate of \"{subject}\" names {organization}; neither the name asked for, nor the \
                         names in the certificate, nor the network of the address are {organization}'s."
                    ),
                },
                ..grown(
                    update,
                    EvidenceType::IncompatibleCn,
                    &format!("{server}/{organization}/{name}"),
                    tally,
                )
            }])
        });
        self.claims.close(update);
        found
    }
}

/// The organization that the subject names: as organization, or by a common name of its domains.
fn claimed(certificate: &Certificate) -> Option<&'static Organization> {
    let organization = component(&certificate.subject, "O").unwrap_or_default();
    let common = certificate
        .common_name
        .clone()
        .or_else(|| component(&certificate.subject, "CN"));
    let common = common.unwrap_or_default().to_ascii_lowercase();
    let domain = registrable(common.strip_prefix("*.").unwrap_or(&common));
    ORGANIZATIONS.iter().find(|known| {
        words(&organization).any(|word| known.words.contains(&word.as_str()))
            || known.domains.contains(&domain)
    })
}
