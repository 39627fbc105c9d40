//! GeoNames, `timezoneJSON`: the legal time zone of a position. It learns a position, not the address.
//!
//! Errors come with HTTP 200 as `status`. 10,000 credits a day and 1000 an hour for a free account.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::GeoNames;
use super::tree::{Table, at, object, text};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "geonames",
    cost: Cost::Freemium,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "GeoNames learns a position (not the address) and the account",
    quota: Quota {
        seconds_per_request: 3.6,
        burst: 10,
        per_day: Some(10_000),
        per_month: None,
    },
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: true,
};

pub(super) struct GeoNamesProvider {
    pub(super) settings: GeoNames,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://secure.geonames.org";

impl Provider for GeoNamesProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.username.is_set()).then_some("geonames.username")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let Some((latitude, longitude)) = question.position else {
            return Err(Fault::Unconfigured("a position from another source"));
        };
        let url = format!(
            "{}/timezoneJSON?lat={latitude}&lng={longitude}&username={}",
            super::registry::base(&self.settings.api_url, URL),
            super::registry::encoded(self.settings.username.text())
        );
        let sender = Sender {
            about: None,
            ..Sender::of(&INFO, question.ip)
        };
        match self.wire.http(sender, Request::get(&url))?.body_or_not_found()? {
            None => Ok(Reply::NotFound),
            Some(body) => decode(&body),
        }
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Reply, Fault> {
    let document = object(body)?;
    if let Some(status) = document.get("status") {
        let code = at(status, "value").and_then(Value::as_i64).unwrap_or(0);
        let message = text(status, "message").unwrap_or("no message").to_owned();
        // Codes as the web service documents them.
        return match code {
            10 => Err(Fault::Denied(message)),
            15 => Ok(Reply::NotFound),
            18..=20 => Err(Fault::Limited(message, None)),
            12 | 13 | 22 => Err(Fault::Server(message, None)),
            _ => Err(Fault::Malformed(message)),
        };
    }
    let mut table = Table::new(INFO.name);
    let fields = [
        "timezoneId",
        "rawOffset",
        "countryCode",
        "countryName",
        "dstOffset",
        "sunset",
        "time",
        "lat",
        "lng",
        "gmtOffset",
        "sunrise",
    ];
    for name in fields {
        table.put(name, at(&document, name).cloned());
    }
    let columns: Columns = table.done();
    if columns.is_empty() {
        return Err(Fault::Malformed("no time zone".to_owned()));
    }
    Ok(Reply::found(columns))
}
