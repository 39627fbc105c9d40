//! Webhooks and TAXII 2.1 push.

use std::time::Duration;

use anyhow::Context;
use ureq::Agent;
use ureq::http::header::RETRY_AFTER;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Failure;
use crate::output::OutputConfig;

pub(super) const TAXII: &str = "application/taxii+json;version=2.1";
const TIMEOUT: Duration = Duration::from_secs(30);

/// Requests to one URL.
pub(in crate::output) struct Http {
    agent: Agent,
    url: String,
    media_type: &'static str,
    authorization: Option<String>,
    /// All messages in one TAXII envelope instead of a request each.
    envelope: bool,
}

impl Http {
    pub(super) fn new(
        config: &OutputConfig,
        url: &str,
        media_type: &'static str,
        envelope: bool,
    ) -> anyhow::Result<Self> {
        let read = |path: &std::path::Path| {
            std::fs::read_to_string(path).with_context(|| path.display().to_string())
        };
        let authorization = match &config.authorization_file {
            Some(path) => read(path)?.lines().next().map(|line| line.trim().to_owned()),
            None => None,
        };
        let mut agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("lynceus/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca {
            agent = agent.tls_config(trust(&read(path)?)?);
        }
        Ok(Self {
            agent: agent.build().into(),
            url: url.to_owned(),
            media_type,
            authorization,
            envelope,
        })
    }

    pub(super) fn send(&self, messages: &[Vec<u8>]) -> Result<(), Failure> {
        if self.envelope {
            return self.post(&envelope(messages));
        }
        let mut rejected = None;
        for message in messages {
            match self.post(message) {
                Ok(()) => {}
                // One bad message must not take the others with it.
                Err(Failure::Rejected { why }) => rejected = Some(why),
                later => return later,
            }
        }
        rejected.map_or(Ok(()), |why| Err(Failure::Rejected { why }))
    }

    fn post(&self, body: &[u8]) -> Result<(), Failure> {
        let mut request = self.agent.post(&self.url).header("content-type", self.media_type);
        if self.envelope {
            request = request.header("accept", TAXII);
        }
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        let answer = request.send(body).map_err(|error| Failure::Later {
            why: error.to_string(),
            after: None,
        })?;
        let status = answer.status().as_u16();
        let seconds = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        match status {
            200..=299 => Ok(()),
            408 | 425 | 429 | 500..=599 => Err(Failure::Later {
                why: format!("answers {status}"),
                after: seconds.map(Duration::from_secs),
            }),
            _ => Err(Failure::Rejected {
                why: format!("answers {status}"),
            }),
        }
    }
}

/// A TAXII envelope with the objects of all bundles, each id once.
fn envelope(bundles: &[Vec<u8>]) -> Vec<u8> {
    let mut known = std::collections::HashSet::new();
    let mut objects = Vec::new();
    for bundle in bundles {
        let Ok(mut bundle) = serde_json::from_slice::<serde_json::Value>(bundle) else {
            continue;
        };
        let Some(inside) = bundle
            .get_mut("objects")
            .and_then(serde_json::Value::as_array_mut)
        else {
            continue;
        };
        for object in inside.drain(..) {
            let id = object
                .get("id")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            if known.insert(id.to_owned()) {
                objects.push(object);
            }
        }
    }
    serde_json::json!({ "objects": objects }).to_string().into_bytes()
}

/// Trusts the certificates of a PEM file and no others.
fn trust(pem: &str) -> anyhow::Result<TlsConfig> {
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.context("ca")? {
            certificates.push(certificate);
        }
    }
    anyhow::ensure!(!certificates.is_empty(), "ca: no certificate in the file");
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}
