//! The timeline of a profile: what happened, in the order of event time, one line per flow and below it what the
//! application messages of that flow say.
//!
//! Pure: flows and application messages in, sentences out. Long rows of alike attempts (scans) become one line.

mod notes;
mod run;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Dns, DnsData};
use lynceus_model::flow::{CommunityId, ConnState, Flow};
use lynceus_model::time::Timestamp;

use crate::{human, service};

pub use run::{Item, Run, group};

/// Characters of a host name: DNS allows 253.
const MAX_NAME: usize = 253;

/// Seen from the profile: who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The profile is the client: the originator, unless the flow was seen from its SYN-ACK on.
    To,
    /// The profile is the server.
    From,
}

impl Direction {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::From => "from",
        }
    }
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub time: Timestamp,
    /// `HTTPS`, `ping`, `ARP`; empty where the port has no name.
    pub what: String,
    pub direction: Direction,
    pub peer: IpAddr,
    /// From DNS answers in this window, else from the flow's own messages.
    pub peer_name: Option<String>,
    /// `443/tcp`, `icmp`, `arp`.
    pub port: String,
    /// `established`, `refused`, `no answer` …
    pub outcome: &'static str,
    pub established: bool,
    /// IP bytes by the profile and by its peer.
    pub sent: u64,
    pub received: u64,
    pub packets: u64,
    pub duration: Duration,
    /// Interpretation: what the messages of the flow say.
    pub notes: Vec<String>,
    pub community_id: Option<CommunityId>,
}

/// Builds the timeline of `profile`. Flows that do not touch it are left out.
#[must_use]
pub fn build(profile: IpAddr, flows: &[Flow], messages: &[AppRecord]) -> Vec<Entry> {
    let names = names(messages);
    let mut by_flow: HashMap<CommunityId, Vec<&AppRecord>> = HashMap::new();
    let mut entries = Vec::with_capacity(flows.len());
    for record in messages {
        match (&record.event, record.community_id) {
            // Neighbour discovery has flows, and is told with them.
            (AppEvent::Arp(arp), _) if arp.discovery.is_none() => {
                entries.extend(arp_entry(profile, record, arp))
            }
            (_, Some(id)) => by_flow.entry(id).or_default().push(record),
            (_, None) => {}
        }
    }
    for flow in flows {
        let own = by_flow.get(&flow.community_id).map_or(&[][..], Vec::as_slice);
        entries.extend(flow_entry(profile, flow, own, &names));
    }
    entries.sort_by_key(|entry| (entry.time, entry.community_id, entry.peer));
    entries
}

/// Last name that a DNS answer gave to each address.
#[must_use]
pub fn names(messages: &[AppRecord]) -> HashMap<IpAddr, String> {
    let mut names = HashMap::new();
    for record in messages {
        let AppEvent::Dns(dns) = &record.event else {
            continue;
        };
        if !names_its_addresses(dns) {
            continue;
        }
        for answer in &dns.answers {
            if let DnsData::Address(ip) = answer.data {
                names.insert(ip, human::printable(&dns.name, MAX_NAME));
            }
        }
    }
    names
}

/// Whether the addresses in the answer are those of its name. An mDNS message says much at once and is named by its first
/// record, often an instance of a service; the addresses beside it are those of the host that offers it.
fn names_its_addresses(dns: &Dns) -> bool {
    const A: u16 = 1;
    const AAAA: u16 = 28;
    // `_service._proto` (RFC 6763): a service runs on a host, it is none.
    let of_service = || dns.name.split('.').any(|label| matches!(label, "_tcp" | "_udp"));
    (!dns.multicast || matches!(dns.query_type, A | AAAA)) && !of_service()
}

/// What the messages of one flow say, a short sentence each.
#[must_use]
pub fn notes_of(messages: &[&AppRecord]) -> Vec<String> {
    notes::of(messages)
}

fn flow_entry(
    profile: IpAddr,
    flow: &Flow,
    messages: &[&AppRecord],
    names: &HashMap<IpAddr, String>,
) -> Option<Entry> {
    let turned = flow.roles_turned();
    let tuple = &flow.tuple;
    let (client, server) = if turned {
        (tuple.responder, tuple.originator)
    } else {
        (tuple.originator, tuple.responder)
    };
    let (by_client, by_server) = if turned {
        (flow.back, flow.out)
    } else {
        (flow.out, flow.back)
    };
    let (direction, peer, sent, received) = match profile {
        ip if ip == client.ip => (Direction::To, server.ip, by_client.bytes, by_server.bytes),
        ip if ip == server.ip => (Direction::From, client.ip, by_server.bytes, by_client.bytes),
        _ => return None,
    };
    let protocol = flow.tuple.protocol;
    let what = match flow.icmp {
        Some((kind, code)) if matches!(protocol, 1 | 58) => service::icmp(protocol == 58, kind, code),
        _ if !service::has_ports(protocol) => String::new(),
        _ => service::name(server.port, protocol)
            .unwrap_or_default()
            .to_owned(),
    };
    // Nobody answers a group: silence says nothing there.
    let to_group = direction == Direction::To && !lynceus_model::address::is_host(peer) && protocol != 6;
    let established = flow.established() || to_group;
    Some(Entry {
        time: flow.first,
        what,
        direction,
        peer,
        peer_name: names
            .get(&peer)
            .cloned()
            .or_else(|| Some(human::printable(&notes::peer_name(messages)?, MAX_NAME))),
        port: service::port(server.port, protocol),
        outcome: if to_group {
            "to a group"
        } else {
            outcome(protocol, flow.state)
        },
        established,
        sent,
        received,
        packets: flow.out.packets + flow.back.packets,
        duration: flow.duration(),
        notes: notes::of(messages),
        community_id: Some(flow.community_id),
    })
}

/// A connection state in words.
const fn outcome(protocol: u8, state: ConnState) -> &'static str {
    if protocol != 6 {
        return match state {
            ConnState::Sf => "answered",
            _ => "no answer",
        };
    }
    match state {
        ConnState::S0 => "no answer",
        ConnState::S1 => "established",
        ConnState::Sf => "established, closed",
        ConnState::Rej => "refused",
        ConnState::S2 | ConnState::S3 => "established, half closed",
        ConnState::Rsto => "established, reset by originator",
        ConnState::Rstr => "reset by responder",
        ConnState::Rstos0 => "no answer, then reset",
        ConnState::Rstrh => "only a reset answer",
        ConnState::Sh => "closed without answer",
        ConnState::Shr => "only answers seen",
        ConnState::Oth => "seen from the middle",
    }
}

fn arp_entry(profile: IpAddr, record: &AppRecord, arp: &lynceus_model::app::Arp) -> Option<Entry> {
    let (direction, peer) = match profile {
        ip if ip == arp.sender => (Direction::To, arp.target),
        ip if ip == arp.target => (Direction::From, arp.sender),
        _ => return None,
    };
    let (what, outcome) = match arp.operation {
        1 if arp.sender == arp.target => ("ARP announces", "own address"),
        1 => ("ARP asks", "who has it"),
        2 => ("ARP answers", "it is here"),
        _ => ("ARP", "other operation"),
    };
    Some(Entry {
        time: record.time,
        what: what.to_owned(),
        direction,
        peer,
        peer_name: None,
        port: "arp".to_owned(),
        outcome,
        established: false,
        sent: 0,
        received: 0,
        packets: 1,
        duration: Duration::ZERO,
        notes: Vec::new(),
        community_id: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{flow, message};
    use lynceus_model::app::{Arp, Discovery, DnsAnswer, TlsClient};

    #[test]
    fn a_name_learned_from_dns_stands_at_the_later_flow() {
        let dns = flow(10, "10.0.0.5", "10.0.0.1", 53, 17, ConnState::Sf);
        let web = flow(11, "10.0.0.5", "93.184.216.34", 443, 6, ConnState::Sf);
        let answer = Dns {
            response: true,
            name: "example.com".into(),
            query_type: 1,
            answers: vec![DnsAnswer {
                record_type: 1,
                ttl: 60,
                data: DnsData::Address("93.184.216.34".parse().unwrap()),
            }],
            latency: Some(Duration::from_millis(12)),
            ..Dns::default()
        };
        let hello = TlsClient {
            server_name: Some("www.example.com".into()),
            version: 0x0304,
            ja4: "t13d1516h2_8daaf6152771_02713d6af862".into(),
            ..TlsClient::default()
        };
        let messages = [
            message(&dns, true, AppEvent::Dns(answer)),
            message(&web, false, AppEvent::TlsClient(hello)),
        ];
        let entries = build("10.0.0.5".parse().unwrap(), &[web, dns], &messages);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].what, "DNS");
        assert_eq!(entries[0].outcome, "answered");
        assert_eq!(entries[0].notes, ["A example.com → 93.184.216.34 (12.0 ms)"]);
        assert_eq!(entries[1].peer_name.as_deref(), Some("example.com"));
        assert_eq!(
            entries[1].notes,
            ["offers TLS 1.3 to www.example.com, JA4 t13d1516h2_8daaf6152771_02713d6af862"]
        );
        assert_eq!((entries[1].sent, entries[1].received), (480, 6400));
    }

    #[test]
    fn a_service_announced_by_mdns_names_no_host() {
        const SRV: u16 = 33;
        let group = flow(10, "10.0.0.5", "224.0.0.251", 5353, 17, ConnState::S0);
        let host: IpAddr = "10.0.0.5".parse().unwrap();
        let said = |name: &str, query_type| {
            let announced = Dns {
                response: true,
                multicast: true,
                name: name.into(),
                query_type,
                answers: vec![DnsAnswer {
                    record_type: 1,
                    ttl: 120,
                    data: DnsData::Address(host),
                }],
                ..Dns::default()
            };
            names(&[message(&group, false, AppEvent::Dns(announced))])
        };
        let instance = "pi\\032[b8:27:eb:00:00:01]._workstation._tcp.local";
        for query_type in [SRV, 1] {
            assert_eq!(said(instance, query_type), HashMap::new());
        }
        // The first record is of another owner than the address.
        assert_eq!(said("5.0.0.10.in-addr.arpa", 12), HashMap::new());
        assert_eq!(said("pi.local", 1)[&host], "pi.local");
        assert_eq!(said("pi.local", 28)[&host], "pi.local");
    }

    #[test]
    fn neighbour_discovery_is_told_with_its_flow() {
        let (host, router) = ("2001:db8::5", "2001:db8::1");
        let asks = flow(1, host, router, 136, 58, ConnState::Sf);
        let said = |operation, sender: &str, target: &str| {
            AppEvent::Arp(Arp {
                operation,
                sender_mac: [2, 0, 0, 0, 0, 1],
                sender: sender.parse().unwrap(),
                target_mac: [0; 6],
                target: target.parse().unwrap(),
                frame_destination: None,
                discovery: Some(Discovery {
                    from: sender.parse().unwrap(),
                    to: target.parse().unwrap(),
                    router: true,
                    solicited: true,
                    overrides: true,
                    link: 0,
                }),
            })
        };
        let messages = [
            message(&asks, false, said(1, host, router)),
            message(&asks, true, said(2, router, host)),
        ];
        let entries = build(host.parse().unwrap(), &[asks], &messages);
        assert_eq!(entries.len(), 1);
        let notes = [
            "asks who has 2001:db8::1",
            "says that 2001:db8::1 has the card 02:00:00:00:00:01",
        ];
        assert_eq!(entries[0].notes, notes);
    }

    #[test]
    fn the_responder_sees_the_same_flow_from_its_side() {
        let flow = flow(1, "10.0.0.9", "10.0.0.5", 445, 6, ConnState::Sf);
        let entries = build("10.0.0.5".parse().unwrap(), std::slice::from_ref(&flow), &[]);
        assert_eq!(entries[0].direction, Direction::From);
        assert_eq!((entries[0].sent, entries[0].received), (6400, 480));
        assert!(build("10.0.0.77".parse().unwrap(), &[flow], &[]).is_empty());
    }
}
