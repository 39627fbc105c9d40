//! The address itself: version, category, whether it is routable (no packet), and its reverse name with forward
//! confirmation (DNS).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::settings::Network;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::dns::{self, Kind, Record};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "network",
    cost: Cost::Free,
    needs_key: false,
    sends: false,
    leak: Leak::None,
    who: "nobody",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: true,
    needs_position: false,
};

pub(super) static REVERSE: Info = Info {
    name: "reverse_dns",
    sends: true,
    leak: Leak::Dns,
    who: "your resolver, and the name servers of the address's owner, learn the address",
    quota: Quota::paced(0.02, 50),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    ..INFO
};

/// Kind of an address as Know Your IP names it; the narrowest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Loopback,
    LinkLocal,
    Multicast,
    Unspecified,
    Reserved,
    Private,
    Cgnat,
    Public,
}

impl Category {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
            Self::Private => "private",
            Self::Cgnat => "cgnat",
            Self::Public => "public",
        }
    }
}

/// RFC 6890 and its registries.
#[must_use]
pub fn category(ip: IpAddr) -> Category {
    match ip {
        IpAddr::V4(ip) => category4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(inner) => category4(inner),
            None => category6(ip),
        },
    }
}

fn category4(ip: Ipv4Addr) -> Category {
    match ip.octets() {
        [0, 0, 0, 0] => Category::Unspecified,
        [127, ..] => Category::Loopback,
        [169, 254, ..] => Category::LinkLocal,
        [224..=239, ..] => Category::Multicast,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Category::Private,
        [100, 64..=127, ..] => Category::Cgnat,
        // Two hosts of the protocol assignments are global anycast (RFC 7723, RFC 8155).
        [192, 0, 0, 9 | 10] => Category::Public,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _] => Category::Reserved,
        _ => Category::Public,
    }
}

fn category6(ip: Ipv6Addr) -> Category {
    if ip.is_unspecified() {
        return Category::Unspecified;
    }
    if ip.is_loopback() {
        return Category::Loopback;
    }
    match ip.segments() {
        [0xfe80..=0xfebf, ..] => Category::LinkLocal,
        [0xff00..=0xffff, ..] => Category::Multicast,
        [0xfc00..=0xfdff, ..] => Category::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Category::Reserved,
        // Protocol assignments, without those that are global: anycast, AS112, ORCHIDv2, drone identifiers.
        [0x2001, 1, 0, 0, 0, 0, 0, 1..=3] | [0x2001, 3 | 4 | 0x20..=0x3f, ..] => Category::Public,
        [0x2001, 0..=0x1ff, ..] => Category::Reserved,
        [0x2000..=0x3fff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Category::Public,
        _ => Category::Reserved,
    }
}

pub(super) struct Address {
    pub(super) settings: Network,
}

impl Provider for Address {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let category = category(question.ip);
        let mut table = Table::new(INFO.name);
        table.put("version", Some(if question.ip.is_ipv4() { 4 } else { 6 }));
        table.put("category", Some(category.name()));
        let routable = category == Category::Public;
        // As the registries see it, multicast is global, though no host has it.
        table.put("is_global", Some(routable || category == Category::Multicast));
        table.put("is_private", Some(category == Category::Private));
        table.put("is_routable", Some(routable));
        table.put("is_cgnat", Some(category == Category::Cgnat));
        Ok(Reply::found(table.done()))
    }
}

pub(super) struct ReverseDns {
    pub(super) settings: Network,
    pub(super) wire: Arc<Wire>,
}

/// Names of one address whose forward addresses are asked for.
const MAX_NAMES: usize = 4;

impl Provider for ReverseDns {
    fn info(&self) -> &'static Info {
        &REVERSE
    }

    fn enabled(&self) -> bool {
        self.settings.enabled && self.settings.reverse_dns
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let sender = Sender::of(&REVERSE, question.ip);
        let reply = self
            .wire
            .dns(sender, &dns::reverse_name(question.ip), Kind::Ptr)?;
        let names: Vec<String> = match reply {
            dns::Reply::NoSuchName => return Ok(Reply::NotFound),
            dns::Reply::Records(records) => records
                .into_iter()
                .filter_map(|record| match record {
                    Record::Name(name) => Some(name),
                    _ => None,
                })
                .collect(),
        };
        let Some(first) = names.first().cloned() else {
            return Ok(Reply::NotFound);
        };
        let mut table = Table::new(INFO.name);
        // Whoever owns the address may write any name there. It is the host's only if the name says the address too.
        let kind = if question.ip.is_ipv4() {
            Kind::A
        } else {
            Kind::Aaaa
        };
        let mut confirmed = Some(false);
        let mut chosen = first;
        for name in names.iter().take(MAX_NAMES) {
            match self.wire.dns(sender, name, kind) {
                Ok(dns::Reply::Records(records)) if records.contains(&Record::Address(question.ip)) => {
                    (confirmed, chosen) = (Some(true), name.clone());
                    break;
                }
                Ok(_) => {}
                // One that did not answer might have confirmed it.
                Err(_) => confirmed = None,
            }
        }
        table.put("reverse_dns", Some(chosen));
        table.put("reverse_dns_confirmed", confirmed);
        if names.len() > 1 {
            table.list("reverse_dns_names", names);
        }
        Ok(Reply::found(table.done()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_category_wins() {
        for (ip, expected) in [
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link_local"),
            ("224.0.0.1", "multicast"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "reserved"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("203.0.113.9", "reserved"),
            ("172.31.0.1", "private"),
            ("172.32.0.1", "public"),
            ("100.64.0.1", "cgnat"),
            ("100.128.0.1", "public"),
            ("192.0.0.9", "public"),
            ("8.8.8.8", "public"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link_local"),
            ("ff02::1", "multicast"),
            ("fd00::1", "private"),
            ("2001:db8::1", "reserved"),
            ("2001::1", "reserved"),
            ("2001:4860:4860::8888", "public"),
            ("4000::1", "reserved"),
            ("::ffff:10.0.0.1", "private"),
        ] {
            assert_eq!(category(ip.parse().unwrap()).name(), expected, "{ip}");
        }
    }
}
