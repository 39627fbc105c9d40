//! CrowdSec CTI, `GET /v2/smoke/{ip}` with `x-api-key`: what its users' sensors saw the address do, scored by period.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::Keyed;
use super::tree::{Table, at, object, text};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "crowdsec",
    cost: Cost::Freemium,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "CrowdSec learns the address and the owner of the key",
    quota: Quota::paced(1.0, 1),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct CrowdSec {
    pub(super) settings: Keyed,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://cti.api.crowdsec.net";

impl Provider for CrowdSec {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("crowdsec.api_key")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/v2/smoke/{}",
            super::registry::base(&self.settings.api_url, URL),
            question.ip
        );
        let request = Request::get(&url).header("x-api-key", self.settings.api_key.text());
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    if document.get("ip").is_none() {
        return Err(Fault::Malformed("no ip".to_owned()));
    }
    let mut table = Table::new(INFO.name);
    table.take(
        &document,
        &[
            ("reputation", "reputation"),
            ("confidence", "confidence"),
            ("ip_range", "ip_range"),
            ("ip_range_score", "ip_range_score"),
            ("asn", "as_num"),
            ("as_name", "as_name"),
            ("country", "location.country"),
            ("city", "location.city"),
            ("latitude", "location.latitude"),
            ("longitude", "location.longitude"),
            ("reverse_dns", "reverse_dns"),
            ("background_noise_score", "background_noise_score"),
            ("first_seen", "history.first_seen"),
            ("last_seen", "history.last_seen"),
        ],
    );
    for period in ["overall", "last_day", "last_week", "last_month"] {
        for score in ["aggressiveness", "threat", "trust", "anomaly", "total"] {
            let value = at(&document, &format!("scores.{period}.{score}")).cloned();
            table.put(&format!("scores.{period}.{score}"), value);
        }
    }
    for (name, path) in [
        ("behaviors", "behaviors"),
        ("classifications", "classifications.classifications"),
        ("false_positives", "classifications.false_positives"),
    ] {
        if let Some(items) = at(&document, path).and_then(Value::as_array) {
            let names = items
                .iter()
                .filter_map(|item| text(item, "name").map(str::to_owned));
            table.list(name, names);
        }
    }
    Ok(table.done())
}
