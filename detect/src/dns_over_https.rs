//! DNS over HTTPS (RFC 8484) to well-known public resolvers: name look-ups that nobody on the way sees.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Flow;

use crate::config::OnlyEnabled;
use crate::names::{host_name, is_under, shown};
use crate::report::{With, feature, grown};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`DnsOverHttps`].
pub type Config = OnlyEnabled;

/// Names that resolvers publish for DNS over HTTPS, each from its operator's own documentation.
const NAMES: &[&str] = &[
    "dns.google",
    "dns64.dns.google",
    "cloudflare-dns.com",
    "one.one.one.one",
    "1dot1dot1dot1.cloudflare-dns.com",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "dns.adguard-dns.com",
    "dns.adguard.com",
    "doh.cleanbrowsing.org",
    "dns.nextdns.io",
    "doh.mullvad.net",
    "dns.mullvad.net",
    "dns.controld.com",
    "doh.dns.sb",
    "doh.libredns.gr",
    "doh.xfinity.com",
    "doh.dns.apple.com",
    "dns.alidns.com",
    "doh.pub",
    "odvr.nic.cz",
    "dns0.eu",
    "doh.applied-privacy.net",
];

/// Addresses of resolvers that speak nothing but DNS over HTTPS on port 443.
const ADDRESSES: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(1, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
    IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)),
    IpAddr::V4(Ipv4Addr::new(149, 112, 112, 112)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9)),
];

/// One finding for each server, by the name that the client asked for or by the server's address.
#[derive(Debug)]
pub struct DnsOverHttps {
    servers: Tallies<IpAddr, String>,
}

const HTTPS: u16 = 443;

impl DnsOverHttps {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            servers: Tallies::new(),
        }
    }
}

impl Detector for DnsOverHttps {
    fn name(&self) -> &'static str {
        "dns_over_https"
    }

    fn refused(&self) -> u64 {
        self.servers.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            let AppEvent::TlsClient(hello) = &record.event else {
                continue;
            };
            let name = host_name(hello.server_name.as_deref().unwrap_or_default());
            let server = record.tuple.responder;
            // Known by address: the flow will tell.
            if server.port == HTTPS
                && !ADDRESSES.contains(&server.ip)
                && NAMES.iter().any(|known| is_under(&name, known))
                && let Some(tally) = self.servers.note(window, server.ip, record)
            {
                tally.detail = shown(&name);
            }
        }
        for report in update.flows.iter().filter(|report| report.part == 0) {
            let flow: &Flow = &report.flow;
            let (client, server) = flow.client_server();
            if client.ip == window.profile
                && server.port == HTTPS
                && flow.established()
                && ADDRESSES.contains(&server.ip)
            {
                self.servers.add_flow(window, server.ip, flow);
            }
        }
        let found = self.servers.say(window, |server, tally| {
            let name = match tally.detail.as_str() {
                "" => String::new(),
                name => format!(" ({name})"),
            };
            Some([Evidence {
                victim: Some(*server),
                dst_port: Some(HTTPS),
                subject: (!tally.detail.is_empty()).then(|| tally.detail.clone()),
                threat_level: ThreatLevel::Info,
                confidence: Confidence::new(0.9),
                description: format!(
                    "{} uses DNS over HTTPS with the resolver {server}{name}.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![
                        feature("connections to the resolver", tally.count as f64, "flows").threshold(1.0),
                    ],
                    text: "Name look-ups by HTTPS are not seen by detectors that read DNS.".to_owned(),
                },
                ..grown(update, EvidenceType::DnsOverHttps, &server.to_string(), tally)
            }])
        });
        self.servers.close(update);
        found
    }
}
