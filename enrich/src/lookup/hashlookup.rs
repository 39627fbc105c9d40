//! CIRCL hashlookup, `GET /lookup/{md5|sha1|sha256}/{hash}`: known files, with a trust from 0 to 100. No key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Verdict, level_of};
use crate::provider::{Cost, Fault, Info, Leak, Quota};
use crate::wire::{Request, Sender, Wire};

/// What stands fast about it.
pub static INFO: Info = Info {
    name: "hashlookup",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Vendor,
    who: "CIRCL learns hashes of files and from where they are asked",
    quota: Quota::paced(0.5, 10),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

const URL: &str = "https://hashlookup.circl.lu";

/// A client.
pub struct HashLookup {
    pub wire: Arc<Wire>,
    /// Empty: the vendor's own.
    pub url: String,
}

impl HashLookup {
    /// # Errors
    /// See [`Fault`]. `Ok(None)`: not known, or trusted: most of what it knows is ordinary software.
    pub fn file(&self, hash: &str) -> Result<Option<Verdict>, Fault> {
        let kind = match hash.len() {
            32 => "md5",
            40 => "sha1",
            64 => "sha256",
            _ => return Ok(None),
        };
        let url = format!("{}/lookup/{kind}/{hash}", crate::provider::base(&self.url, URL));
        let sender = Sender {
            provider: INFO.name,
            about: None,
            leak: INFO.leak,
        };
        let request = Request::get(&url).header("accept", "application/json");
        let Some(body) = self.wire.http(sender, request)?.body_or_not_found()? else {
            return Ok(None);
        };
        decode(&body)
    }
}

fn decode(body: &[u8]) -> Result<Option<Verdict>, Fault> {
    let document: Value =
        serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let malicious = document.get("KnownMalicious").and_then(Value::as_str);
    let trust = document.get("hashlookup:trust").and_then(Value::as_f64);
    if malicious.is_none() && trust.is_none() {
        return Err(Fault::Malformed("neither trust nor a verdict".to_owned()));
    }
    // Half trusted and more is ordinary software that few packages hold.
    let trust = trust.unwrap_or(0.0).clamp(0.0, 100.0);
    if malicious.is_none() && trust >= 50.0 {
        return Ok(None);
    }
    Ok(Some(Verdict {
        service: "CIRCL hashlookup",
        level: level_of((100.0 - trust) / 100.0),
        description: malicious.map_or_else(
            || format!("trust {trust:.0} of 100"),
            |lists| format!("known malicious: {lists}"),
        ),
        tags: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lynceus_model::evidence::ThreatLevel;

    #[test]
    fn only_files_without_trust_are_bad() {
        let level = |body: &str| decode(body.as_bytes()).unwrap().map(|verdict| verdict.level);
        assert_eq!(level(r#"{"hashlookup:trust": 100}"#), None);
        assert_eq!(level(r#"{"hashlookup:trust": 50}"#), None);
        assert_eq!(level(r#"{"hashlookup:trust": 30}"#), Some(ThreatLevel::High));
        assert_eq!(
            level(r#"{"hashlookup:trust": 60, "KnownMalicious": "x.example"}"#),
            Some(ThreatLevel::Medium)
        );
        assert!(decode(b"{}").is_err());
    }
}
