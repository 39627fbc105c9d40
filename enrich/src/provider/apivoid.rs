//! APIVoid v2, `POST /ip-reputation` with `X-API-Key`. Prepaid; ten requests a minute is Know Your IP's guess.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::settings::Keyed;
use super::tree::{Table, at, object, text};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "apivoid",
    cost: Cost::Paid,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "APIVoid learns the address and the owner of the key",
    quota: Quota::paced(6.0, 1),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct ApiVoid {
    pub(super) settings: Keyed,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://api.apivoid.com";

impl Provider for ApiVoid {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("apivoid.api_key")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/v2/ip-reputation",
            super::registry::base(&self.settings.api_url, URL)
        );
        let mut request = Request::get(&url).header("x-api-key", self.settings.api_key.text());
        request.body = Some(("application/json", json!({ "ip": question.ip }).to_string()));
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

/// The report stands at the top level; names are joined with `.` as Know Your IP's.
pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    // Errors of the account come with status 200 as well.
    if let Some(error) = text(&document, "error") {
        let words = error.to_ascii_lowercase();
        let denied = ["key", "credit", "subscription", "unauthorized"];
        return Err(if denied.iter().any(|word| words.contains(word)) {
            Fault::Denied(error.to_owned())
        } else if words.contains("limit") {
            Fault::Limited(error.to_owned(), None)
        } else {
            Fault::Malformed(error.to_owned())
        });
    }
    if !["blacklists", "anonymity", "information"]
        .iter()
        .any(|name| document.get(name).is_some())
    {
        return Err(Fault::Malformed(
            "neither blacklists nor anonymity nor information".to_owned(),
        ));
    }
    let mut table = Table::new(INFO.name);
    table.flatten(&document, '.');
    if let Some(engines) = at(&document, "blacklists.engines") {
        table.list("blacklists.detected_by", detected_by(engines));
    }
    Ok(table.done())
}

/// Names of the engines that list the address; they stand under numbers, or in a list.
fn detected_by(engines: &Value) -> Vec<String> {
    let lists = |engine: &&Value| at(engine, "detected").and_then(Value::as_bool) == Some(true);
    let name = |engine: &Value| {
        text(engine, "engine")
            .or_else(|| text(engine, "name"))
            .map(str::to_owned)
    };
    match engines {
        Value::Object(engines) => engines.values().filter(lists).filter_map(name).collect(),
        Value::Array(engines) => engines.iter().filter(lists).filter_map(name).collect(),
        _ => Vec::new(),
    }
}
