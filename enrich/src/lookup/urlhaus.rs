//! URLhaus of abuse.ch, `POST /v1/url/` and `/v1/payload/`, with an `Auth-Key`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Verdict, form, level_of};
use crate::provider::{Cost, Fault, Info, Leak, Quota, Secret};
use crate::wire::{Request, Sender, Wire};

/// What stands fast about it.
pub static INFO: Info = Info {
    name: "urlhaus",
    cost: Cost::Free,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "abuse.ch learns URLs and hashes of files, and the owner of the key",
    quota: Quota::paced(0.5, 10),
    fresh: Some(Duration::from_secs(3600)),
    any_address: false,
    needs_position: false,
};

const URL: &str = "https://urlhaus-api.abuse.ch";

/// A client.
pub struct UrlHaus {
    pub wire: Arc<Wire>,
    pub key: Secret,
    /// Empty: the vendor's own.
    pub url: String,
}

impl UrlHaus {
    /// # Errors
    /// See [`Fault`]. `Ok(None)`: not listed.
    pub fn url(&self, url: &str) -> Result<Option<Verdict>, Fault> {
        let document = self.ask("v1/url/", form("url", url))?;
        let Some(document) = document else {
            return Ok(None);
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or("unknown");
        Ok(Some(Verdict {
            service: "URLhaus",
            level: lynceus_model::evidence::ThreatLevel::Medium,
            description: format!("{}, {}", text("threat"), text("url_status")),
            tags: tags(&document),
        }))
    }

    /// `hash`: MD5 or SHA-256; others are not known there.
    ///
    /// # Errors
    /// As [`Self::url`].
    pub fn file(&self, hash: &str) -> Result<Option<Verdict>, Fault> {
        let name = match hash.len() {
            32 => "md5_hash",
            64 => "sha256_hash",
            _ => return Ok(None),
        };
        let Some(document) = self.ask("v1/payload/", form(name, hash))? else {
            return Ok(None);
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        // `percent` is written as text.
        let percent = document.pointer("/virustotal/percent");
        let percent = percent.and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
        Ok(Some(Verdict {
            service: "URLhaus",
            level: percent.map_or(lynceus_model::evidence::ThreatLevel::High, |percent: f64| {
                level_of(percent / 100.0)
            }),
            description: format!(
                "{} {}",
                text("signature").unwrap_or("malware"),
                text("file_type").unwrap_or("file")
            ),
            tags: tags(&document),
        }))
    }

    /// `None`: `no_results`.
    fn ask(&self, path: &str, body: (&'static str, String)) -> Result<Option<Value>, Fault> {
        let url = format!("{}/{path}", crate::provider::base(&self.url, URL));
        let sender = Sender {
            provider: INFO.name,
            about: None,
            leak: INFO.leak,
        };
        let mut request = Request::get(&url).header("auth-key", self.key.text());
        request.body = Some(body);
        let Some(body) = self.wire.http(sender, request)?.body_or_not_found()? else {
            return Ok(None);
        };
        let document: Value =
            serde_json::from_slice(&body).map_err(|error| Fault::Malformed(error.to_string()))?;
        match document.get("query_status").and_then(Value::as_str) {
            Some("ok") => Ok(Some(document)),
            Some("no_results") => Ok(None),
            Some(status) => Err(Fault::Malformed(status.to_owned())),
            None => Err(Fault::Malformed("no query_status".to_owned())),
        }
    }
}

fn tags(document: &Value) -> Vec<String> {
    let tags = document.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten().filter_map(Value::as_str);
    tags.take(16).map(str::to_owned).collect()
}
