//! GreyNoise Community, `GET /v3/community/{ip}`: does it scan everybody (noise), is it a known service (RIOT), or neither?
//! Ten look-ups a day without a key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::Keyed;
use super::tree::{Table, object};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "greynoise",
    cost: Cost::Freemium,
    needs_key: false,
    sends: true,
    leak: Leak::Vendor,
    who: "GreyNoise learns the address and from where, or by whose key, it is asked",
    quota: Quota {
        seconds_per_request: 1.0,
        burst: 1,
        per_day: Some(10),
        per_month: None,
    },
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct GreyNoise {
    pub(super) settings: Keyed,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://api.greynoise.io";

impl Provider for GreyNoise {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/v3/community/{}",
            super::registry::base(&self.settings.api_url, URL),
            question.ip
        );
        let mut request = Request::get(&url).header("accept", "application/json");
        if self.settings.api_key.is_set() {
            request = request.header("key", self.settings.api_key.text());
        }
        let response = self.wire.http(Sender::of(&INFO, question.ip), request)?;
        // "Not observed" is a 404 whose body still says noise and riot.
        if response.status == 404 {
            return Ok(decode(&response.body).map_or(Reply::NotFound, Reply::found));
        }
        Reply::read(response, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    let truth = |name: &str| document.get(name).and_then(Value::as_bool);
    let (Some(noise), Some(riot)) = (truth("noise"), truth("riot")) else {
        return Err(Fault::Malformed("neither noise nor riot".to_owned()));
    };
    let mut table = Table::new(INFO.name);
    table.put("noise", Some(noise));
    table.put("riot", Some(riot));
    let reading = match (riot, noise) {
        (true, _) => "known service",
        (false, true) => "scans everybody",
        (false, false) => "not seen scanning: what it sends you may be meant for you",
    };
    table.put("reading", Some(reading));
    table.take(
        &document,
        &[
            ("classification", "classification"),
            ("name", "name"),
            ("last_seen", "last_seen"),
            ("link", "link"),
        ],
    );
    Ok(table.done())
}
