//! Names of addresses as the traffic itself gave them: answers of name servers, server names in TLS, hosts in HTTP.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::app::{AppEvent, AppRecord, DnsData};
use crate::seeded::Seeded;

/// The last names of each address. Bounded: two generations, the older one goes when the younger is full, so what is
/// used stays.
#[derive(Clone, Debug)]
pub struct Names {
    young: HashMap<IpAddr, Vec<String>, Seeded>,
    old: HashMap<IpAddr, Vec<String>, Seeded>,
    limit: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Self::DEFAULT_ADDRESSES)
    }
}

impl Names {
    /// Addresses in one generation, some 20 MB: what a network of thousands asks for in hours.
    pub const DEFAULT_ADDRESSES: usize = 65_536;
    /// Names of one address: a shared server has many, the last ones matter.
    pub const MAX_NAMES: usize = 8;

    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            limit: limit.max(1),
        }
    }

    /// Learns from a message.
    pub fn learn(&mut self, record: &AppRecord) {
        let server = record.tuple.responder.ip;
        match &record.event {
            AppEvent::Dns(dns) if dns.response && !dns.multicast => {
                for answer in &dns.answers {
                    if let DnsData::Address(ip) = answer.data {
                        self.put(ip, &dns.name);
                    }
                }
            }
            AppEvent::TlsClient(hello) => {
                if let Some(name) = &hello.server_name {
                    self.put(server, name);
                }
            }
            AppEvent::HttpRequest(request) => {
                if let Some(host) = &request.host {
                    // `host:port`, and not the end of an IPv6 address.
                    let name = host
                        .rsplit_once(':')
                        .filter(|(_, port)| port.parse::<u16>().is_ok());
                    self.put(server, name.map_or(host.as_str(), |(name, _)| name));
                }
            }
            _ => {}
        }
    }

    /// Oldest first.
    #[must_use]
    pub fn of(&self, ip: IpAddr) -> &[String] {
        self.young
            .get(&ip)
            .or_else(|| self.old.get(&ip))
            .map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, ip: IpAddr, name: &str) {
        if name.is_empty() {
            return;
        }
        if !self.young.contains_key(&ip) {
            if self.young.len() >= self.limit {
                self.old = std::mem::take(&mut self.young);
            }
            let known = self.old.remove(&ip).unwrap_or_default();
            self.young.insert(ip, known);
        }
        let Some(names) = self.young.get_mut(&ip) else {
            return;
        };
        if let Some(at) = names.iter().position(|known| known == name) {
            let name = names.remove(at);
            names.push(name);
            return;
        }
        if names.len() == Self::MAX_NAMES {
            names.remove(0);
        }
        names.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(low: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, low])
    }

    #[test]
    fn it_stays_within_its_bounds_and_keeps_what_is_used() {
        let mut names = Names::new(4);
        for round in 0..20 {
            names.put(ip(1), "used.example");
            names.put(ip(10 + round), "once.example");
        }
        assert_eq!(names.of(ip(1)), ["used.example"]);
        assert!(names.of(ip(10)).is_empty());
        assert!(names.young.len() + names.old.len() <= 8);
        for number in 0..30 {
            names.put(ip(1), &format!("n{number}.example"));
        }
        assert_eq!(names.of(ip(1)).len(), Names::MAX_NAMES);
        assert_eq!(names.of(ip(1))[7], "n29.example");
    }
}
