//! Shodan's InternetDB, `GET /{ip}`, without a key: what the last scans saw.

use std::sync::Arc;
use std::time::Duration;

use super::settings::Keyless;
use super::tree::{Table, object, words};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "internetdb",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Vendor,
    who: "Shodan learns the address and from where it is asked",
    quota: Quota::paced(1.0, 5),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct InternetDb {
    pub(super) settings: Keyless,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://internetdb.shodan.io";

impl Provider for InternetDb {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/{}",
            super::registry::base(&self.settings.api_url, URL),
            question.ip
        );
        let request = Request::get(&url);
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    let mut table = Table::new(INFO.name);
    if document.get("ports").is_none() {
        return Err(Fault::Malformed("no ports".to_owned()));
    }
    for name in ["ports", "cpes", "hostnames", "tags", "vulns"] {
        if let Some(value) = document.get(name).filter(|value| value.is_array()) {
            table.list(name, words(Some(value)));
        }
    }
    Ok(table.done())
}
