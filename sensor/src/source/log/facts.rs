//! From what a log says of a flow to the flow that everything else consumes.

use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::flow::{CommunityId, Endpoint, FiveTuple, Service};
use sensor_ebpf::flow::{FlowKey, OneWay, Side, v4_mapped};

use crate::flow_table::community_id;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
/// Reserved by IANA: a protocol whose number the log does not tell.
pub(crate) const UNKNOWN_PROTOCOL: u8 = 255;

/// Address and port of both sides in the order of the log, with the Community ID. ICMP ports are type and code.
pub(crate) struct Ends {
    pub(crate) tuple: FiveTuple,
    pub(crate) community_id: CommunityId,
    /// Type and code.
    pub(crate) icmp: Option<(u8, u8)>,
    pub(crate) key: FlowKey,
    pub(crate) origin: Side,
}

impl Ends {
    pub(crate) fn new(originator: (IpAddr, u16), responder: (IpAddr, u16), protocol: u8) -> Self {
        let (from, to) = (originator.0.to_canonical(), responder.0.to_canonical());
        // A log may call ICMPv6 `icmp`.
        let protocol = match (protocol, from) {
            (ICMP, IpAddr::V6(_)) => ICMPV6,
            (ICMPV6, IpAddr::V4(_)) => ICMP,
            (other, _) => other,
        };
        let mut ports = (originator.1, responder.1);
        let (mut icmp, mut one_way) = (None, false);
        if matches!(protocol, ICMP | ICMPV6) {
            let [kind, code] = [ports.0, ports.1].map(|port| u8::try_from(port).unwrap_or(u8::MAX));
            let answer = answering_type(protocol, kind);
            // Where there is an answering type, logs write it in the place of the code, which is 0 in all of these.
            icmp = Some((kind, if answer.is_some() { 0 } else { code }));
            one_way = answer.is_none();
            ports = (u16::from(kind), u16::from(answer.unwrap_or(code)));
        }
        let mut key = FlowKey {
            protocol,
            ..FlowKey::default()
        };
        let origin = key.set_ends((bytes(from), ports.0), (bytes(to), ports.1));
        if one_way {
            key.one_way = match origin {
                Side::Low => OneWay::LowToHigh,
                Side::High => OneWay::HighToLow,
            } as u8;
        }
        Self {
            tuple: FiveTuple {
                originator: Endpoint {
                    ip: from,
                    port: ports.0,
                },
                responder: Endpoint {
                    ip: to,
                    port: ports.1,
                },
                protocol,
            },
            community_id: community_id(&key),
            icmp,
            key,
            origin,
        }
    }
}

fn bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => v4_mapped(ip.octets()),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Types that answer each other (Community ID v1).
fn answering_type(protocol: u8, kind: u8) -> Option<u8> {
    const V4: [(u8, u8); 5] = [(8, 0), (9, 10), (13, 14), (15, 16), (17, 18)];
    const V6: [(u8, u8); 6] = [
        (128, 129),
        (130, 131),
        (133, 134),
        (135, 136),
        (139, 140),
        (144, 145),
    ];
    let pairs: &[(u8, u8)] = if protocol == ICMP { &V4 } else { &V6 };
    pairs.iter().find_map(|(one, other)| {
        if kind == *one {
            Some(*other)
        } else {
            (kind == *other).then_some(*one)
        }
    })
}

/// The IP protocol of a name or a number.
pub(crate) fn protocol(name: &str) -> Option<u8> {
    Some(match name.to_ascii_lowercase().as_str() {
        "icmp" => ICMP,
        "igmp" => 2,
        "ipip" | "ipnip" => 4,
        "tcp" => TCP,
        "udp" | "rtp" | "rtcp" | "udt" => UDP,
        "rsvp" => 46,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmp6" | "ipv6-icmp" | "icmpv6" => ICMPV6,
        "eigrp" => 88,
        "ospf" | "ospfigp" | "ospfig" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "ipv6" => 41,
        "unknown_transport" => UNKNOWN_PROTOCOL,
        other => return other.trim().parse().ok(),
    })
}

/// Our service for the name that an analyzer writes.
pub(crate) fn service(name: &str) -> Service {
    match name {
        "tls" | "dtls" => Service::Tls,
        "ftp_data" => Service::FtpData,
        "krb_tcp" | "krb5" | "kerberos" => Service::Kerberos,
        "ldap_tcp" | "ldap_udp" => Service::Ldap,
        "rfb" => Service::Vnc,
        "bittorrent-dht" => Service::BitTorrent,
        other => Service::from_name(other)
            .filter(|service| service.is_recognized())
            .unwrap_or(Service::Other),
    }
}

/// `08:00:27:7f:09:e1`, also with dashes.
pub(crate) fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The unspecified address of the same family, for the side that a log does not tell.
pub(crate) const fn nobody(beside: IpAddr) -> IpAddr {
    match beside {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// A domain name as [`lynceus_model::app::Dns::name`] is written: lower case, no final dot, `\DDD` for bytes that are
/// no printable ASCII. A dot that stood inside a label cannot be told from one between labels.
pub(crate) fn domain(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b'\\' || !byte.is_ascii_graphic() {
            name.push('\\');
            name.extend([byte / 100, byte / 10 % 10, byte % 10].map(|digit| char::from(b'0' + digit)));
        } else {
            name.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn id(from: &str, from_port: u16, to: &str, to_port: u16, protocol: u8) -> String {
        use base64::Engine as _;
        let ends = Ends::new((ip(from), from_port), (ip(to), to_port), protocol);
        let hash = base64::engine::general_purpose::STANDARD.encode(ends.community_id.0);
        format!("1:{hash}")
    }

    /// From the tests of the Community ID specification.
    #[test]
    fn community_ids_of_the_specification() {
        let tcp = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id("128.232.110.120", 34855, "66.35.250.204", 80, TCP), tcp);
        assert_eq!(id("66.35.250.204", 80, "128.232.110.120", 34855, TCP), tcp);
        let echo = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        assert_eq!(id("192.168.0.89", 8, "192.168.0.1", 0, ICMP), echo);
        assert_eq!(id("192.168.0.1", 0, "192.168.0.89", 8, ICMP), echo);
    }

    #[test]
    fn icmp_of_version_six_under_the_name_of_four() {
        let ends = Ends::new((ip("fe80::1"), 135), (ip("ff02::1:ff00:1"), 136), ICMP);
        assert_eq!(ends.tuple.protocol, ICMPV6);
        assert_eq!(ends.icmp, Some((135, 0)));
        let unreachable = Ends::new((ip("10.0.0.1"), 3), (ip("10.0.0.2"), 1), ICMP);
        assert_eq!(unreachable.icmp, Some((3, 1)));
        assert_ne!(unreachable.key.one_way, 0);
    }

    #[test]
    fn names() {
        assert_eq!(domain("WWW.Example.com."), "www.example.com");
        assert_eq!(domain("a b\\c"), "a\\032b\\092c");
        assert_eq!(mac("08:00:27:7f:09:e1"), Some([8, 0, 0x27, 0x7f, 9, 0xe1]));
        for text in ["", "08:00", "08:00:27:7f:09:e1:00", "xx:00:27:7f:09:e1"] {
            assert_eq!(mac(text), None);
        }
        assert_eq!(service("ssl"), Service::Tls);
        assert_eq!(service("dce_rpc"), Service::Other);
        assert_eq!(service(""), Service::Other);
        assert_eq!(protocol("IPv6-ICMP"), Some(ICMPV6));
        assert_eq!(protocol("47"), Some(47));
        assert_eq!(protocol("nonsense"), None);
    }
}
