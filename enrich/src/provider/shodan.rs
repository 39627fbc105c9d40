//! Shodan, `GET /shodan/host/{ip}`; the key is a query parameter. One request a second.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::Keyed;
use super::tree::{Table, at, object, text};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "shodan",
    cost: Cost::Paid,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "Shodan learns the address and the owner of the key",
    quota: Quota::paced(1.0, 1),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct Shodan {
    pub(super) settings: Keyed,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://api.shodan.io";

impl Provider for Shodan {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("shodan.api_key")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/shodan/host/{}?key={}",
            super::registry::base(&self.settings.api_url, URL),
            question.ip,
            super::registry::encoded(self.settings.api_key.text())
        );
        let request = Request::get(&url);
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

/// All fields, names joined with `_` as Know Your IP's, except that services are a list of their own and not a column
/// for each field of each banner.
pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let mut document = object(body)?;
    let services = document.get_mut("data").map(Value::take);
    let mut table = Table::new(INFO.name);
    // Keys of this object are the vulnerabilities; the list is what people want.
    if let Some(Value::Object(vulns)) = document.get("vulns") {
        let names: Vec<Value> = vulns.keys().map(|name| Value::from(name.as_str())).collect();
        document["vulns"] = Value::from(names);
    }
    table.flatten(&document, '_');
    if let Some(Value::Array(services)) = services {
        table.list("services", services.iter().filter_map(service));
    }
    Ok(table.done())
}

/// `443/tcp nginx 1.18.0`.
fn service(banner: &Value) -> Option<String> {
    let port = at(banner, "port")?.as_u64()?;
    let transport = text(banner, "transport").unwrap_or("tcp");
    let words = ["product", "version"]
        .into_iter()
        .filter_map(|name| text(banner, name));
    Some(
        std::iter::once(format!("{port}/{transport}"))
            .chain(words.map(str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
    )
}
