//! One outside service: which questions it answers, and how.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_detect::context::Listing;
use lynceus_enrich::lookup::{self, Verdict};
use lynceus_enrich::provider::rdap::{Bootstrap, domain_registered};
use lynceus_enrich::provider::{Fault, Info, info};
use lynceus_enrich::wire::Wire;

use super::config::key;
use super::{LookupConfig, Question, Said};

/// Cheap to clone.
#[derive(Clone)]
pub(super) enum Service {
    VirusTotal(Arc<lookup::VirusTotal>, &'static Info),
    UrlHaus(Arc<lookup::UrlHaus>),
    HashLookup(Arc<lookup::HashLookup>),
    Rdap {
        wire: Arc<Wire>,
        bootstrap: Arc<Bootstrap>,
        url: String,
        info: &'static Info,
    },
    Jarm {
        wire: Arc<Wire>,
        timeout: Duration,
    },
}

impl Service {
    /// Those that are on.
    pub(super) fn all(config: &LookupConfig, wire: &Arc<Wire>, state: &Path) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        if let (true, Some(info)) = (config.virustotal.enabled, info("virustotal")) {
            let client = lookup::VirusTotal {
                wire: Arc::clone(wire),
                key: key("virustotal", config.virustotal.key_file.as_ref())?,
                url: config.virustotal.url.clone(),
                min_engines: config.virustotal.min_engines,
            };
            all.push(Self::VirusTotal(Arc::new(client), info));
        }
        if config.urlhaus.enabled {
            all.push(Self::UrlHaus(Arc::new(lookup::UrlHaus {
                wire: Arc::clone(wire),
                key: key("urlhaus", config.urlhaus.key_file.as_ref())?,
                url: config.urlhaus.url.clone(),
            })));
        }
        if config.hashlookup.enabled {
            all.push(Self::HashLookup(Arc::new(lookup::HashLookup {
                wire: Arc::clone(wire),
                url: config.hashlookup.url.clone(),
            })));
        }
        if let (true, Some(info)) = (config.rdap.enabled, info("rdap")) {
            all.push(Self::Rdap {
                wire: Arc::clone(wire),
                bootstrap: Arc::new(Bootstrap::new(state.join("rdap"), &config.rdap.bootstrap_url)),
                url: config.rdap.url.clone(),
                info,
            });
        }
        if config.jarm.enabled {
            all.push(Self::Jarm {
                wire: Arc::clone(wire),
                timeout: config.jarm.timeout,
            });
        }
        Ok(all)
    }

    pub(super) fn info(&self) -> &'static Info {
        match self {
            Self::VirusTotal(_, info) | Self::Rdap { info, .. } => info,
            Self::UrlHaus(_) => &lookup::URLHAUS,
            Self::HashLookup(_) => &lookup::HASHLOOKUP,
            Self::Jarm { .. } => &lookup::JARM,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.info().name
    }

    pub(super) const fn answers(&self, question: &Question) -> bool {
        matches!(
            (self, question),
            (
                Self::VirusTotal(..),
                Question::Address(_) | Question::Domain(_) | Question::Url(_) | Question::File(_)
            ) | (Self::UrlHaus(_), Question::Url(_) | Question::File(_))
                | (Self::HashLookup(_), Question::File(_))
                | (Self::Rdap { .. }, Question::Age(_))
                | (Self::Jarm { .. }, Question::Jarm(_))
        )
    }

    /// Blocks.
    pub(super) fn ask(&self, question: &Question) -> Result<Said, Fault> {
        let listing = |verdict: Result<Option<Verdict>, Fault>| {
            verdict.map(|verdict| Said::Listing(verdict.map(listing)))
        };
        match (self, question) {
            (Self::VirusTotal(client, _), Question::Address(ip)) => listing(client.address(*ip)),
            (Self::VirusTotal(client, _), Question::Domain(name)) => listing(client.domain(name)),
            (Self::VirusTotal(client, _), Question::Url(url)) => listing(client.url(url)),
            (Self::VirusTotal(client, _), Question::File(hash)) => listing(client.file(hash)),
            (Self::UrlHaus(client), Question::Url(url)) => listing(client.url(url)),
            (Self::UrlHaus(client), Question::File(hash)) => listing(client.file(hash)),
            (Self::HashLookup(client), Question::File(hash)) => listing(client.file(hash)),
            (
                Self::Rdap {
                    wire, bootstrap, url, ..
                },
                Question::Age(domain),
            ) => domain_registered(wire, bootstrap, url, domain).map(Said::Registered),
            (Self::Jarm { wire, timeout }, Question::Jarm(server)) => {
                lookup::probe(wire, *server, *timeout).map(Said::Jarm)
            }
            _ => Err(Fault::Unconfigured("another service")),
        }
    }
}

fn listing(verdict: Verdict) -> Listing {
    Listing {
        feed: verdict.service.to_owned(),
        level: verdict.level,
        description: verdict.description,
        tags: verdict.tags,
        wider: None,
    }
}
