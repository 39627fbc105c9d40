//! All providers in the order in which they are shown.

use std::path::Path;
use std::sync::Arc;

use super::{
    Info, Provider, Settings, abuseipdb, apivoid, censys, crowdsec, cymru, dnsbl, geonames, greynoise,
    internetdb, maxmind, network, ping, ranges, rdap, scan, shodan, traceroute, virustotal,
};
use crate::wire::Wire;

/// What stands fast about each provider.
pub static INFOS: [&Info; 19] = [
    &network::INFO,
    &maxmind::INFO,
    &ranges::INFO,
    &network::REVERSE,
    &cymru::INFO,
    &dnsbl::INFO,
    &rdap::INFO,
    &internetdb::INFO,
    &greynoise::INFO,
    &crowdsec::INFO,
    &abuseipdb::INFO,
    &virustotal::INFO,
    &censys::INFO,
    &shodan::INFO,
    &apivoid::INFO,
    &geonames::INFO,
    &ping::INFO,
    &traceroute::INFO,
    &scan::INFO,
];

/// By name.
#[must_use]
pub fn info(name: &str) -> Option<&'static Info> {
    INFOS.into_iter().find(|info| info.name == name)
}

/// Makes all providers, switched on or not, in the order of [`INFOS`]. `cache`: folder of fetched lists.
#[must_use]
pub fn registry(settings: &Settings, wire: &Arc<Wire>, cache: &Path) -> Vec<Box<dyn Provider>> {
    let of = settings.clone();
    let out = || Arc::clone(wire);
    vec![
        Box::new(network::Address {
            settings: of.network.clone(),
        }),
        Box::new(maxmind::MaxMindProvider::new(of.maxmind)),
        Box::new(ranges::RangesProvider::new(
            of.ranges,
            out(),
            cache.join("ranges"),
        )),
        Box::new(network::ReverseDns {
            settings: of.network,
            wire: out(),
        }),
        Box::new(cymru::Cymru {
            settings: of.cymru,
            wire: out(),
        }),
        Box::new(dnsbl::DnsblProvider::new(of.dnsbl, out())),
        Box::new(rdap::RdapProvider::new(of.rdap, out(), cache.join("rdap"))),
        Box::new(internetdb::InternetDb {
            settings: of.internetdb,
            wire: out(),
        }),
        Box::new(greynoise::GreyNoise {
            settings: of.greynoise,
            wire: out(),
        }),
        Box::new(crowdsec::CrowdSec {
            settings: of.crowdsec,
            wire: out(),
        }),
        Box::new(abuseipdb::AbuseIpDbProvider {
            settings: of.abuseipdb,
            wire: out(),
        }),
        Box::new(virustotal::VirusTotal {
            settings: of.virustotal,
            wire: out(),
        }),
        Box::new(censys::CensysProvider {
            settings: of.censys,
            wire: out(),
        }),
        Box::new(shodan::Shodan {
            settings: of.shodan,
            wire: out(),
        }),
        Box::new(apivoid::ApiVoid {
            settings: of.apivoid,
            wire: out(),
        }),
        Box::new(geonames::GeoNamesProvider {
            settings: of.geonames,
            wire: out(),
        }),
        Box::new(ping::PingProvider {
            settings: of.ping,
            wire: out(),
        }),
        Box::new(traceroute::TracerouteProvider {
            settings: of.traceroute,
            wire: out(),
        }),
        Box::new(scan::ScanProvider {
            settings: of.scan,
            wire: out(),
        }),
    ]
}

/// The configured base of URLs, or the vendor's own; without a last slash.
pub(crate) fn base<'a>(configured: &'a str, own: &'a str) -> &'a str {
    let base = if configured.is_empty() { own } else { configured };
    base.trim_end_matches('/')
}

/// Percent-encoded for a query (RFC 3986, unreserved letters stay).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ProbeLog;

    #[test]
    fn the_registry_is_in_the_order_of_its_table_and_names_are_unique() {
        let settings = Settings::default();
        let wire = Arc::new(Wire::new(&settings, ProbeLog::counting(), None));
        let made = registry(&settings, &wire, Path::new("none"));
        let names: Vec<&str> = made.iter().map(|provider| provider.info().name).collect();
        let table: Vec<&str> = INFOS.iter().map(|info| info.name).collect();
        assert_eq!(names, table);
        for (provider, info) in made.iter().zip(INFOS) {
            // Know Your IP's defaults: only what needs no key and touches nobody.
            assert_eq!(
                provider.enabled(),
                matches!(
                    info.name,
                    "network" | "maxmind" | "ranges" | "reverse_dns" | "rdap"
                ),
                "{}",
                info.name
            );
            assert!(
                info.sends || info.leak == super::super::Leak::None,
                "{}",
                info.name
            );
        }
        assert_eq!(wire.log().written(), 0, "making them sends nothing");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
