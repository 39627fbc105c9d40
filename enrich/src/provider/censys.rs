//! Censys Platform, `GET /v3/global/asset/host/{ip}` with a personal access token. The free plan has 100 credits a month.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::Censys;
use super::tree::{Table, at, object, text, word, words};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "censys",
    cost: Cost::Freemium,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "Censys learns the address and the owner of the token",
    quota: Quota {
        seconds_per_request: 2.5,
        burst: 1,
        per_day: None,
        per_month: Some(100),
    },
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

pub(super) struct CensysProvider {
    pub(super) settings: Censys,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://api.platform.censys.io";

impl Provider for CensysProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("censys.api_key")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let base = super::registry::base(&self.settings.api_url, URL);
        let mut url = format!("{base}/v3/global/asset/host/{}", question.ip);
        if !self.settings.organization_id.is_empty() {
            url += "?organization_id=";
            url += &super::registry::encoded(&self.settings.organization_id);
        }
        let request = Request::get(&url)
            .header(
                "authorization",
                format!("Bearer {}", self.settings.api_key.text()),
            )
            .header("accept", "application/vnd.censys.api.v3.host.v1+json");
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    let host = at(&document, "result.resource")
        .filter(|host| host.is_object())
        .ok_or_else(|| Fault::Malformed("no result.resource".to_owned()))?;
    let mut table = Table::new(INFO.name);
    table.take(
        host,
        &[
            ("ip", "ip"),
            ("asn", "autonomous_system.asn"),
            ("as_name", "autonomous_system.name"),
            ("as_description", "autonomous_system.description"),
            ("as_country_code", "autonomous_system.country_code"),
            ("bgp_prefix", "autonomous_system.bgp_prefix"),
            ("country", "location.country"),
            ("country_code", "location.country_code"),
            ("continent", "location.continent"),
            ("city", "location.city"),
            ("province", "location.province"),
            ("postal_code", "location.postal_code"),
            ("timezone", "location.timezone"),
            ("latitude", "location.coordinates.latitude"),
            ("longitude", "location.coordinates.longitude"),
            ("whois_handle", "whois.network.handle"),
            ("whois_name", "whois.network.name"),
            ("whois_allocation_type", "whois.network.allocation_type"),
            ("whois_created", "whois.network.created"),
            ("whois_updated", "whois.network.updated"),
            ("whois_org_name", "whois.organization.name"),
            ("whois_org_country", "whois.organization.country"),
        ],
    );
    if let Some(cidrs) = at(host, "whois.network.cidrs") {
        table.list("whois_cidrs", words(Some(cidrs)));
    }
    let contacts = at(host, "whois.organization.abuse_contacts").and_then(Value::as_array);
    table.put(
        "whois_abuse_email",
        contacts.and_then(|contacts| contacts.iter().find_map(|contact| text(contact, "email"))),
    );
    if let Some(names) = at(host, "dns.names").and_then(Value::as_array) {
        table.put("dns_name_count", Some(names.len()));
    }
    let Some(services) = at(host, "services").and_then(Value::as_array) else {
        table.put("service_count", at(host, "service_count").cloned());
        return Ok(table.done());
    };
    let count = at(host, "service_count").cloned();
    table.put("service_count", count.or_else(|| Some(services.len().into())));
    let of = |name: &'static str| {
        services
            .iter()
            .filter_map(move |service| word(service.get(name)?))
    };
    let mut ports: Vec<u64> = services
        .iter()
        .filter_map(|service| service.get("port")?.as_u64())
        .collect();
    ports.sort_unstable();
    table.list("ports", ports.into_iter().map(|port| port.to_string()));
    table.list("transport_protocols", of("transport_protocol"));
    table.list("services", of("protocol"));
    // RFC 3339 in UTC sorts as text.
    table.put("last_scan_time", of("scan_time").max());
    Ok(table.done())
}
