//! VirusTotal v3 for addresses, domains, URLs and files. Without VirusTotal having seen it, nothing is submitted.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value;

use super::{Verdict, level_of};
use crate::provider::{Fault, Leak, Secret};
use crate::wire::{Request, Sender, Wire};

const URL: &str = "https://www.virustotal.com/api/v3";

/// A client.
pub struct VirusTotal {
    pub wire: Arc<Wire>,
    pub key: Secret,
    /// Empty: the vendor's own.
    pub url: String,
    /// Engines that must call it malicious; one is often wrong.
    pub min_engines: u64,
}

impl VirusTotal {
    /// # Errors
    /// See [`Fault`]. `Ok(None)`: not known, or not called bad by enough engines.
    pub fn address(&self, ip: IpAddr) -> Result<Option<Verdict>, Fault> {
        self.ask(&format!("ip_addresses/{ip}"), Some(ip))
    }

    /// # Errors
    /// As [`Self::address`].
    pub fn domain(&self, name: &str) -> Result<Option<Verdict>, Fault> {
        self.ask(&format!("domains/{}", crate::provider::encoded(name)), None)
    }

    /// # Errors
    /// As [`Self::address`].
    pub fn url(&self, url: &str) -> Result<Option<Verdict>, Fault> {
        let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(url);
        self.ask(&format!("urls/{id}"), None)
    }

    /// `hash`: MD5, SHA-1 or SHA-256 in hexadecimal digits.
    ///
    /// # Errors
    /// As [`Self::address`].
    pub fn file(&self, hash: &str) -> Result<Option<Verdict>, Fault> {
        self.ask(&format!("files/{}", crate::provider::encoded(hash)), None)
    }

    fn ask(&self, what: &str, about: Option<IpAddr>) -> Result<Option<Verdict>, Fault> {
        let url = format!("{}/{what}", crate::provider::base(&self.url, URL));
        let sender = Sender {
            provider: "virustotal",
            about,
            leak: Leak::Vendor,
        };
        let request = Request::get(&url).header("x-apikey", self.key.text());
        let Some(body) = self.wire.http(sender, request)?.body_or_not_found()? else {
            return Ok(None);
        };
        decode(&body, self.min_engines)
    }
}

fn decode(body: &[u8], min_engines: u64) -> Result<Option<Verdict>, Fault> {
    let document: Value =
        serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let stats = document
        .pointer("/data/attributes/last_analysis_stats")
        .ok_or_else(|| Fault::Malformed("no last_analysis_stats".to_owned()))?;
    let of = |name: &str| stats.get(name).and_then(Value::as_u64).unwrap_or(0).min(10_000);
    let malicious = of("malicious");
    let opinions = malicious + of("suspicious") + of("harmless") + of("undetected");
    if malicious == 0 || malicious < min_engines {
        return Ok(None);
    }
    let label = document
        .pointer("/data/attributes/popular_threat_classification/suggested_threat_label")
        .and_then(Value::as_str);
    Ok(Some(Verdict {
        service: "VirusTotal",
        level: level_of(malicious as f64 / opinions.max(1) as f64),
        description: format!("{malicious} of {opinions} engines call it malicious"),
        tags: label.map(str::to_owned).into_iter().collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lynceus_model::evidence::ThreatLevel;
    use proptest::prelude::*;
    use serde_json::json;

    fn said(malicious: u64, harmless: u64) -> Vec<u8> {
        let stats = json!({"malicious": malicious, "harmless": harmless, "undetected": 0, "suspicious": 0});
        json!({"data": {"attributes": {"last_analysis_stats": stats}}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn the_share_of_engines_is_the_level() {
        let level = |malicious, harmless| {
            decode(&said(malicious, harmless), 2)
                .unwrap()
                .map(|verdict| verdict.level)
        };
        assert_eq!(level(0, 60), None);
        assert_eq!(level(1, 60), None, "one engine is often wrong");
        assert_eq!(level(2, 58), Some(ThreatLevel::Low));
        assert_eq!(level(20, 40), Some(ThreatLevel::Medium));
        assert_eq!(level(40, 20), Some(ThreatLevel::High));
        assert_eq!(level(58, 2), Some(ThreatLevel::Critical));
        assert!(matches!(decode(b"{}", 2), Err(Fault::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_body_is_refused_or_read(body in proptest::collection::vec(any::<u8>(), 0..200), malicious: u64, harmless: u64) {
            let _ = decode(&body, 2);
            prop_assert!(decode(&said(malicious, harmless), 1).is_ok());
        }
    }
}
