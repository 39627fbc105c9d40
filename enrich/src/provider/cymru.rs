//! Team Cymru's mapping of addresses to origins in BGP, by DNS; refreshed every four hours. Says itself that it is not
//! GeoIP: the country is the registry's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::settings::Zone;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::dns::{self, Kind, Record};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "cymru",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Dns,
    who: "your resolver and Team Cymru learn the address",
    // Floods of single questions are null-routed.
    quota: Quota::paced(0.1, 10),
    fresh: Some(Duration::from_secs(4 * 3600)),
    any_address: false,
    needs_position: false,
};

pub(super) struct Cymru {
    pub(super) settings: Zone,
    pub(super) wire: Arc<Wire>,
}

impl Provider for Cymru {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let zone = match question.ip {
            IpAddr::V4(_) => "origin.asn.cymru.com",
            IpAddr::V6(_) => "origin6.asn.cymru.com",
        };
        let name = format!("{}.{zone}", dns::reversed(question.ip));
        let sender = Sender::of(&INFO, question.ip);
        let said = match self.wire.dns(sender, &name, Kind::Txt)? {
            dns::Reply::NoSuchName => return Ok(Reply::NotFound),
            dns::Reply::Records(records) => texts(records),
        };
        // Several origins of one address are several records; the longest prefix stands for it.
        let origin = said
            .iter()
            .filter_map(|text| Origin::read(text))
            .max_by_key(|origin| origin.length)
            .ok_or_else(|| Fault::Malformed("no origin".to_owned()))?;
        let mut table = Table::new(INFO.name);
        table.put("asn", Some(origin.asns[0]));
        if origin.asns.len() > 1 {
            table.list("asns", origin.asns.iter().map(u32::to_string));
        }
        table.put("bgp_prefix", Some(origin.prefix));
        table.put("registry_country", origin.country);
        table.put("registry", origin.registry);
        table.put("allocated", origin.allocated);
        let system = Sender {
            about: None,
            ..sender
        };
        let name = format!("AS{}.asn.cymru.com", origin.asns[0]);
        // The name is an extra: without it the answer is still one.
        if let Ok(dns::Reply::Records(records)) = self.wire.dns(system, &name, Kind::Txt) {
            let name = texts_name(&texts(records));
            table.put("as_name", name);
        }
        Ok(Reply::found(table.done()))
    }
}

fn texts(records: Vec<Record>) -> Vec<String> {
    let texts = records.into_iter().filter_map(|record| match record {
        Record::Text(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

/// `15169 | US | arin | 2000-03-30 | GOOGLE, US`: the last field.
fn texts_name(texts: &[String]) -> Option<String> {
    let fields: Vec<&str> = texts.first()?.splitn(5, '|').map(str::trim).collect();
    fields
        .get(4)
        .filter(|name| !name.is_empty())
        .map(|name| (*name).to_owned())
}

#[derive(Debug, PartialEq)]
struct Origin {
    /// At least one.
    asns: Vec<u32>,
    prefix: String,
    length: u8,
    country: Option<String>,
    registry: Option<String>,
    allocated: Option<String>,
}

impl Origin {
    /// `15169 | 8.8.8.0/24 | US | arin | 2023-12-28`; several systems are separated by blanks.
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split('|').map(str::trim);
        let asns: Vec<u32> = fields
            .next()?
            .split_whitespace()
            .map_while(|asn| asn.parse().ok())
            .collect();
        let prefix = fields.next()?;
        let network: lynceus_model::address::Network = prefix.parse().ok()?;
        let mut next = || fields.next().filter(|field| !field.is_empty()).map(str::to_owned);
        (!asns.is_empty()).then(|| Self {
            asns,
            prefix: prefix.to_owned(),
            length: network.prefix(),
            country: next(),
            registry: next(),
            allocated: next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn origins_are_read() {
        let origin = Origin::read("23028 216 | 216.90.108.0/24 | US | arin | 1998-09-25").unwrap();
        assert_eq!((origin.asns.as_slice(), origin.length), (&[23028, 216][..], 24));
        let origin = Origin::read("64500 | 2001:db8::/32 |  | | ").unwrap();
        assert_eq!((origin.country, origin.allocated), (None, None));
        assert_eq!(Origin::read("NA | NA | | other |"), None);
        assert_eq!(
            texts_name(&["15169 | US | arin | 2000-03-30 | GOOGLE - Google | LLC, US".to_owned()]).as_deref(),
            Some("GOOGLE - Google | LLC, US")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_an_origin_or_not(text in ".{0,80}") {
            let _ = Origin::read(&text);
        }
    }
}
