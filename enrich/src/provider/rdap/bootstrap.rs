//! Which registry to ask (RFC 9224).

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lynceus_model::address::Network;
use serde_json::Value;

use super::super::{Fault, Leak};
use super::INFO;
use crate::wire::{Request, Sender, Wire};

/// IANA's blocks: in IPv4 whole /8s, in IPv6 /12 to /23. Registries redirect where a part of a block moved.
const EMBEDDED_V4: &str = include_str!("../../../data/rdap/ipv4.json");
const EMBEDDED_V6: &str = include_str!("../../../data/rdap/ipv6.json");
const EMBEDDED_DNS: &str = include_str!("../../../data/rdap/dns.json");
/// A fetched copy is used so long.
const FRESH: Duration = Duration::from_secs(30 * 86_400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    V4,
    V6,
    Dns,
}

impl File {
    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4.json",
            Self::V6 => "ipv6.json",
            Self::Dns => "dns.json",
        }
    }

    const fn embedded(self) -> &'static str {
        match self {
            Self::V4 => EMBEDDED_V4,
            Self::V6 => EMBEDDED_V6,
            Self::Dns => EMBEDDED_DNS,
        }
    }
}

/// The bootstrap files: fetched copies in a folder, or the embedded ones.
#[derive(Debug)]
pub struct Bootstrap {
    folder: PathBuf,
    /// Where they are fetched; empty: not at all.
    url: String,
    /// Parsed files of this run.
    read: Mutex<[Option<std::sync::Arc<Value>>; 3]>,
}

impl Bootstrap {
    /// `url`: as `https://data.iana.org/rdap`; empty: only copies that are there, and the embedded table.
    #[must_use]
    pub fn new(folder: PathBuf, url: &str) -> Self {
        Self {
            folder,
            url: url.trim_end_matches('/').to_owned(),
            read: Mutex::default(),
        }
    }

    /// Base URL of the registry of an address: the longest prefix wins, https is preferred.
    pub(super) fn registry(&self, wire: &Wire, ip: IpAddr) -> Result<String, Fault> {
        let file = self.file(wire, if ip.is_ipv4() { File::V4 } else { File::V6 });
        by_prefix(&file, ip).ok_or(Fault::Unconfigured("a registry that the RDAP bootstrap names"))
    }

    pub(super) fn registry_of_domain(&self, wire: &Wire, domain: &str) -> Result<String, Fault> {
        let file = self.file(wire, File::Dns);
        by_suffix(&file, domain).ok_or(Fault::Unconfigured("a registry that the RDAP bootstrap names"))
    }

    fn file(&self, wire: &Wire, which: File) -> std::sync::Arc<Value> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &read[which as usize] {
            return std::sync::Arc::clone(file);
        }
        let file = std::sync::Arc::new(self.load(wire, which));
        read[which as usize] = Some(std::sync::Arc::clone(&file));
        file
    }

    fn load(&self, wire: &Wire, which: File) -> Value {
        let path = self.folder.join(which.name());
        let parse = |bytes: &[u8]| -> Option<Value> {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            value.get("services")?.is_array().then_some(value)
        };
        let age = fs::metadata(&path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if !self.url.is_empty() && age.is_none_or(|age| age > FRESH) {
            let url = format!("{}/{}", self.url, which.name());
            let sender = Sender {
                provider: INFO.name,
                about: None,
                leak: Leak::None,
            };
            let body = wire
                .http(sender, Request::get(&url))
                .and_then(crate::wire::Response::body_or_not_found);
            match body {
                Ok(Some(body)) if parse(&body).is_some() => {
                    let kept = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, &body));
                    if let Err(error) = kept {
                        tracing::warn!(%error, path = %path.display(), "the RDAP bootstrap is not kept");
                    }
                    if let Some(file) = parse(&body) {
                        return file;
                    }
                }
                other => tracing::warn!(
                    ?other,
                    url,
                    "the RDAP bootstrap is not fetched; an older one is used"
                ),
            }
        }
        let kept = fs::read(&path).ok().and_then(|bytes| parse(&bytes));
        kept.or_else(|| parse(which.embedded().as_bytes()))
            .unwrap_or_default()
    }
}

/// `services: [[[entries], [urls]], …]`.
fn services(file: &Value) -> impl Iterator<Item = (Vec<&str>, Vec<&str>)> {
    let services = file.get("services").and_then(Value::as_array);
    services.into_iter().flatten().filter_map(|service| {
        let list = |place: usize| -> Option<Vec<&str>> {
            Some(
                service
                    .get(place)?
                    .as_array()?
                    .iter()
                    .filter_map(Value::as_str)
                    .collect(),
            )
        };
        Some((list(0)?, list(1)?))
    })
}

fn best(urls: &[&str]) -> Option<String> {
    let https = urls.iter().find(|url| url.starts_with("https://"));
    https.or_else(|| urls.first()).map(|url| (*url).to_owned())
}

fn by_prefix(file: &Value, ip: IpAddr) -> Option<String> {
    let mut found: Option<(u8, String)> = None;
    for (prefixes, urls) in services(file) {
        for network in prefixes.iter().filter_map(|text| text.parse::<Network>().ok()) {
            let longer = found
                .as_ref()
                .is_none_or(|(length, _)| network.prefix() > *length);
            if network.contains(ip) && longer {
                found = Some((network.prefix(), best(&urls)?));
            }
        }
    }
    found.map(|(_, url)| url)
}

fn by_suffix(file: &Value, domain: &str) -> Option<String> {
    let mut found: Option<(usize, String)> = None;
    for (suffixes, urls) in services(file) {
        for suffix in suffixes {
            let rest = domain.strip_suffix(suffix);
            let is_below = rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if is_below && found.as_ref().is_none_or(|(length, _)| suffix.len() > *length) {
                found = Some((suffix.len(), best(&urls)?));
            }
        }
    }
    found.map(|(_, url)| url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_embedded_table_knows_every_public_address() {
        let four: Value = serde_json::from_str(EMBEDDED_V4).unwrap();
        for first in (1..=223_u8).filter(|first| ![10, 127].contains(first)) {
            let ip = IpAddr::from([first, 1, 1, 1]);
            assert!(by_prefix(&four, ip).is_some(), "{ip}");
        }
        for (ip, registry) in [
            ("8.8.8.8", "arin"),
            ("1.1.1.1", "apnic"),
            ("94.31.29.154", "ripe"),
            ("200.160.2.3", "lacnic"),
            ("196.216.2.1", "afrinic"),
        ] {
            assert!(
                by_prefix(&four, ip.parse().unwrap()).unwrap().contains(registry),
                "{ip}"
            );
        }
        let six: Value = serde_json::from_str(EMBEDDED_V6).unwrap();
        for (ip, registry) in [
            ("2001:4860:4860::8888", "arin"),
            ("2001:718:1::1", "ripe"),
            ("2a00:1450::1", "ripe"),
            ("2400:cb00::1", "apnic"),
            ("2800:3f0::1", "lacnic"),
            ("2c0f:fb50::1", "afrinic"),
        ] {
            assert!(
                by_prefix(&six, ip.parse().unwrap()).unwrap().contains(registry),
                "{ip}"
            );
        }
        let names: Value = serde_json::from_str(EMBEDDED_DNS).unwrap();
        assert!(by_suffix(&names, "example.com").unwrap().contains("verisign"));
        assert_eq!(by_suffix(&names, "examplecom"), None);
    }

    #[test]
    fn the_most_specific_entry_and_https_win() {
        let file = serde_json::json!({"services": [
            [["192.0.0.0/8"], ["http://wide.example/"]],
            [["192.0.2.0/24"], ["http://narrow.example/", "https://narrow.example/"]]]});
        assert_eq!(
            by_prefix(&file, "192.0.2.1".parse().unwrap()).as_deref(),
            Some("https://narrow.example/")
        );
        assert_eq!(
            by_prefix(&file, "192.1.2.1".parse().unwrap()).as_deref(),
            Some("http://wide.example/")
        );
        assert_eq!(by_prefix(&file, "193.0.0.1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn any_json_is_searched_without_panic(text in r#"\{"services": \[[\[\]",a-z0-9/.:]{0,60}\]\}"#) {
            if let Ok(file) = serde_json::from_str::<Value>(&text) {
                let _ = by_prefix(&file, "192.0.2.1".parse().unwrap());
                let _ = by_suffix(&file, "example.com");
            }
        }
    }
}
