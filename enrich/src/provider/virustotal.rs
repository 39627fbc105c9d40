//! VirusTotal v3, `GET /ip_addresses/{ip}` with `x-apikey`. The public API allows 4 requests a minute, 500 a day and
//! 15,500 a month.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::Keyed;
use super::tree::{Table, at, object, words};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "virustotal",
    cost: Cost::Freemium,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "VirusTotal (Google) learns the address and the owner of the key",
    quota: Quota {
        seconds_per_request: 15.0,
        burst: 4,
        per_day: Some(500),
        per_month: Some(15_500),
    },
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct VirusTotal {
    pub(super) settings: Keyed,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://www.virustotal.com/api/v3";

impl Provider for VirusTotal {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("virustotal.api_key")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/ip_addresses/{}",
            super::registry::base(&self.settings.api_url, URL),
            question.ip
        );
        let request = Request::get(&url).header("x-apikey", self.settings.api_key.text());
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    let attributes = at(&document, "data.attributes")
        .filter(|attributes| attributes.is_object())
        .ok_or_else(|| Fault::Malformed("no data.attributes".to_owned()))?;
    let mut table = Table::new(INFO.name);
    table.take(
        attributes,
        &[
            ("harmless", "last_analysis_stats.harmless"),
            ("malicious", "last_analysis_stats.malicious"),
            ("suspicious", "last_analysis_stats.suspicious"),
            ("undetected", "last_analysis_stats.undetected"),
            ("timeout", "last_analysis_stats.timeout"),
            ("asn", "asn"),
            ("as_owner", "as_owner"),
            ("country", "country"),
            ("continent", "continent"),
            ("network", "network"),
            ("rir", "regional_internet_registry"),
            ("reputation", "reputation"),
            ("jarm", "jarm"),
            ("last_analysis_date", "last_analysis_date"),
            ("whois_date", "whois_date"),
            ("votes_harmless", "total_votes.harmless"),
            ("votes_malicious", "total_votes.malicious"),
        ],
    );
    if let Some(tags) = attributes.get("tags").filter(|tags| Value::is_array(tags)) {
        table.list("tags", words(Some(tags)));
    }
    Ok(table.done())
}
