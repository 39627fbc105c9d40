//! RDAP (RFC 9082, 9083): who holds a network or a domain, by a small client of our own.
//!
//! The registry is found in the bootstrap (RFC 9224): a copy that was fetched if there is one, else the embedded table.
//! An answer about an address holds for its whole network and is kept for it.

mod bootstrap;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use bootstrap::Bootstrap;

use super::settings::Rdap;
use super::tree::{Table, at, object, text, words};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Range, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "rdap",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Vendor,
    who: "the regional registry learns the address and from where it is asked",
    quota: Quota::paced(6.0, 10),
    fresh: Some(Duration::from_secs(7 * 86_400)),
    any_address: false,
    needs_position: false,
};

/// Registries send one another's clients around.
const REDIRECTS: u8 = 4;
/// Entities nest; deeper is not looked at.
const MAX_DEPTH: usize = 6;

pub(super) struct RdapProvider {
    settings: Rdap,
    wire: Arc<Wire>,
    bootstrap: Bootstrap,
}

impl RdapProvider {
    pub(super) fn new(settings: Rdap, wire: Arc<Wire>, folder: PathBuf) -> Self {
        let bootstrap = Bootstrap::new(folder, &settings.bootstrap_url);
        Self {
            settings,
            wire,
            bootstrap,
        }
    }
}

impl Provider for RdapProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let base = if self.settings.api_url.is_empty() {
            self.bootstrap.registry(&self.wire, question.ip)?
        } else {
            self.settings.api_url.clone()
        };
        let url = format!("{}/ip/{}", base.trim_end_matches('/'), question.ip);
        match get(&self.wire, Sender::of(&INFO, question.ip), &url)? {
            None => Ok(Reply::NotFound),
            Some(body) => decode(&body, question.ip),
        }
    }
}

/// The body of an answer; `None`: not found.
fn get(wire: &Wire, sender: Sender, url: &str) -> Result<Option<Vec<u8>>, Fault> {
    let mut request = Request::get(url).header("accept", "application/rdap+json");
    request.redirects = REDIRECTS;
    wire.http(sender, request)?.body_or_not_found()
}

pub(super) fn decode(body: &[u8], ip: IpAddr) -> Result<Reply, Fault> {
    let document = object(body)?;
    if text(&document, "objectClassName").is_some_and(|class| class != "ip network") {
        return Err(Fault::Malformed("not an ip network".to_owned()));
    }
    let mut table = Table::new(INFO.name);
    table.take(
        &document,
        &[
            ("handle", "handle"),
            ("name", "name"),
            ("type", "type"),
            ("country", "country"),
            ("start_address", "startAddress"),
            ("end_address", "endAddress"),
            ("ip_version", "ipVersion"),
            ("parent_handle", "parentHandle"),
        ],
    );
    if let Some(status) = document.get("status").filter(|status| status.is_array()) {
        table.list("status", words(Some(status)));
    }
    table.put("registration", event(&document, "registration"));
    table.put("last_changed", event(&document, "last changed"));
    table.put("abuse_email", abuse_email(&document, 0));
    let columns: Columns = table.done();
    if columns.is_empty() {
        return Err(Fault::Malformed("an empty network".to_owned()));
    }
    let address = |name: &str| text(&document, name)?.parse::<IpAddr>().ok();
    let range = address("startAddress")
        .zip(address("endAddress"))
        .map(|(first, last)| Range { first, last })
        // A range that does not hold the address must not answer for others.
        .filter(|range| range.contains(ip));
    Ok(Reply::Found { columns, range })
}

fn event<'a>(document: &'a Value, action: &str) -> Option<&'a str> {
    let events = at(document, "events")?.as_array()?;
    let event = events
        .iter()
        .find(|event| text(event, "eventAction") == Some(action))?;
    text(event, "eventDate")
}

/// The e-mail address of the first entity with the role *abuse*, wherever it is nested.
fn abuse_email(value: &Value, depth: usize) -> Option<String> {
    let entities = at(value, "entities")?.as_array()?;
    let is_abuse = |entity: &&Value| words(entity.get("roles")).iter().any(|role| role == "abuse");
    entities.iter().filter(is_abuse).find_map(email).or_else(|| {
        (depth < MAX_DEPTH).then(|| entities.iter().find_map(|entity| abuse_email(entity, depth + 1)))?
    })
}

/// jCard (RFC 7095): `["vcard", [["email", {}, "text", "abuse@example.net"], …]]`.
fn email(entity: &Value) -> Option<String> {
    let properties = at(entity, "vcardArray.1")?.as_array()?;
    let email = properties
        .iter()
        .find(|property| at(property, "0").and_then(Value::as_str) == Some("email"))?;
    at(email, "3")?.as_str().map(str::to_owned)
}

/// When a domain was registered, seconds since the Unix epoch; `None`: the registry does not know the domain, or does not
/// say.
///
/// # Errors
/// As [`Provider::ask`]; [`Fault::Unconfigured`] if no registry of the top-level domain is known.
pub fn domain_registered(
    wire: &Wire,
    bootstrap: &Bootstrap,
    base: &str,
    domain: &str,
) -> Result<Option<i64>, Fault> {
    let base = if base.is_empty() {
        bootstrap.registry_of_domain(wire, domain)?
    } else {
        base.to_owned()
    };
    let url = format!("{}/domain/{domain}", base.trim_end_matches('/'));
    let sender = Sender {
        provider: INFO.name,
        about: None,
        leak: Leak::Vendor,
    };
    let Some(body) = get(wire, sender, &url)? else {
        return Ok(None);
    };
    let document = object(&body)?;
    let Some(date) = event(&document, "registration") else {
        return Ok(None);
    };
    let parsed: jiff::Timestamp = date
        .parse()
        .map_err(|_| Fault::Malformed(format!("{date:?} is no date")))?;
    Ok(Some(parsed.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_addresses_are_found_in_nested_entities_only_by_role() {
        let card = |mail: &str| {
            serde_json::json!([
                "vcard",
                [["version", {}, "text", "4.0"], ["email", {}, "text", mail]]
            ])
        };
        let document = serde_json::json!({"entities": [
            {"roles": ["registrant"], "vcardArray": card("owner@example.net"), "entities": [
                {"roles": ["abuse", "technical"], "vcardArray": card("abuse@example.net")}]}]});
        assert_eq!(abuse_email(&document, 0).as_deref(), Some("abuse@example.net"));
        let without = serde_json::json!({"entities": [{"roles": ["registrant"], "vcardArray": card("owner@example.net")}]});
        assert_eq!(abuse_email(&without, 0), None);
    }
}
