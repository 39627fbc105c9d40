//! Which network card has which address, and since when: from ARP, neighbour discovery, DHCP and logs that name link-layer
//! addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use lynceus_model::app::{AppEvent, Arp};
use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;

use crate::ProfileUpdate;

pub(crate) type Mac = [u8; 6];

/// An address and, where it is link-local, the link: elsewhere another host has it.
pub(crate) type Place = (IpAddr, u64);

/// The place that a message speaks of.
pub(crate) fn place(arp: &Arp) -> Place {
    let local = matches!(arp.sender, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let link = arp.discovery.filter(|_| local).map_or(0, |said| said.link);
    (arp.sender, link)
}

/// Bounded: cards beyond the bound are not learned, and nothing is said of them.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    cards: HashMap<Mac, Card, Seeded>,
    /// The card that an address was last seen with.
    card_of_address: HashMap<IpAddr, Mac, Seeded>,
    /// By ARP and neighbour discovery: the cards that said they have an address, with the first and last time.
    holders: HashMap<Place, BTreeMap<Mac, (Timestamp, Timestamp)>, Seeded>,
}

/// What is known of a network card.
#[derive(Debug, Default)]
pub(crate) struct Card {
    /// Its addresses, with the time at which each was first seen.
    pub(crate) addresses: BTreeMap<IpAddr, Timestamp>,
    /// Addresses that a DHCP server gave it.
    pub(crate) leased: BTreeSet<IpAddr>,
    /// It had more addresses than are kept: a router, or a proxy for others.
    pub(crate) many: bool,
}

impl Card {
    const MAX_ADDRESSES: usize = 16;
}

impl Neighbours {
    /// More cards than a switched network has.
    const MAX_CARDS: usize = 65_536;

    /// Learns from an update; gives what was seen of the profile's own card, and of others that were named.
    pub(crate) fn learn(&mut self, update: &ProfileUpdate<'_>) -> BTreeSet<(Mac, IpAddr)> {
        let mut seen = BTreeSet::new();
        let mut note = |mac, ip, time| {
            if self.add(mac, ip, time) {
                seen.insert((mac, ip));
            }
        };
        for report in update.flows {
            let flow = &report.flow;
            if let IpAddr::V6(ip) = flow.tuple.originator.ip
                && let Some(mac) = card_of(ip)
            {
                note(mac, flow.tuple.originator.ip, flow.first);
            }
            if let Some(log) = &flow.reported {
                let ends = [
                    (log.originator_mac, flow.tuple.originator.ip),
                    (log.responder_mac, flow.tuple.responder.ip),
                ];
                for (mac, ip) in ends {
                    if let Some(mac) = mac {
                        note(mac, ip, flow.first);
                    }
                }
            }
        }
        for record in update.apps {
            if let AppEvent::Arp(arp) = &record.event {
                if arp.discovery.is_some() {
                    self.make_room(arp.sender_mac, arp.sender);
                }
                if self.add(arp.sender_mac, arp.sender, record.time) {
                    seen.insert((arp.sender_mac, arp.sender));
                }
            }
        }
        for record in update.apps {
            if let AppEvent::Arp(arp) = &record.event
                && (seen.contains(&(arp.sender_mac, arp.sender)) || is_local_claim(arp))
            {
                self.hold(place(arp), arp.sender_mac, record.time);
            }
        }
        for record in update.apps {
            const ACK: u8 = 5;
            if let AppEvent::Dhcp(dhcp) = &record.event
                && dhcp.message_type == ACK
                && let Some(ip) = dhcp.assigned
            {
                self.lease(dhcp.client_mac, ip);
            }
        }
        seen
    }

    /// A host takes new addresses of IPv6 every day and leaves the old ones (RFC 8981): the one that was seen first goes,
    /// where a card says of itself that it has another.
    fn make_room(&mut self, mac: Mac, ip: IpAddr) {
        let Some(card) = self.cards.get_mut(&mac) else {
            return;
        };
        if card.addresses.len() < Card::MAX_ADDRESSES
            || card.addresses.contains_key(&ip)
            || !is_own_address(ip)
        {
            return;
        }
        let six = card.addresses.iter().filter(|(ip, _)| ip.is_ipv6());
        let oldest = six.min_by_key(|(ip, first)| (**first, **ip)).map(|(ip, _)| *ip);
        if let Some(oldest) = oldest {
            card.addresses.remove(&oldest);
        }
    }

    fn hold(&mut self, ip: Place, mac: Mac, time: Timestamp) {
        // Two of them are a quarrel; more say nothing new.
        const MAX_HOLDERS: usize = 4;
        if self.holders.len() >= Self::MAX_CARDS && !self.holders.contains_key(&ip) {
            return;
        }
        let holders = self.holders.entry(ip).or_default();
        if holders.len() < MAX_HOLDERS || holders.contains_key(&mac) {
            let (first, last) = holders.entry(mac).or_insert((time, time));
            (*first, *last) = ((*first).min(time), (*last).max(time));
        }
    }

    /// Another card that said between `from` and `to` that it has the address.
    pub(crate) fn other_holder(&self, ip: Place, mac: Mac, from: Timestamp, to: Timestamp) -> Option<Mac> {
        let holders = self.holders.get(&ip)?.iter();
        let mut others =
            holders.filter(|(other, (first, last))| **other != mac && *first <= to && *last >= from);
        others.next().map(|(other, _)| *other)
    }

    /// As [`Self::other_holder`], but one that said so before this card did, and since when.
    pub(crate) fn earlier_holder(
        &self,
        ip: Place,
        mac: Mac,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<(Mac, Timestamp)> {
        let holders = self.holders.get(&ip)?;
        let (since, _) = holders.get(&mac)?;
        let others = holders.iter().filter(|(other, (first, last))| {
            **other != mac && first < since && *first <= to && *last >= from
        });
        let (other, (first, _)) = others.min_by_key(|(_, (first, _))| *first)?;
        Some((*other, *first))
    }

    pub(crate) fn card(&self, mac: Mac) -> Option<&Card> {
        self.cards.get(&mac)
    }

    /// Other addresses of the host that has this one, as far as it is known: those of the other IP version above all.
    pub(crate) fn twins(&self, ip: IpAddr) -> Vec<IpAddr> {
        let Some(mac) = self.card_of_address.get(&ip) else {
            return Vec::new();
        };
        let Some(card) = self.cards.get(mac).filter(|card| !card.many) else {
            return Vec::new();
        };
        card.addresses
            .keys()
            .copied()
            .filter(|other| *other != ip)
            .collect()
    }

    fn add(&mut self, mac: Mac, ip: IpAddr, time: Timestamp) -> bool {
        if !is_card(mac) || !is_own_address(ip) {
            return false;
        }
        let Some(card) = self.entry(mac) else {
            return false;
        };
        if card.addresses.len() >= Card::MAX_ADDRESSES && !card.addresses.contains_key(&ip) {
            card.many = true;
            return true;
        }
        let first = card.addresses.entry(ip).or_insert(time);
        *first = (*first).min(time);
        if self.card_of_address.len() < Self::MAX_CARDS * 2 {
            self.card_of_address.insert(ip, mac);
        }
        true
    }

    fn lease(&mut self, mac: Mac, ip: IpAddr) {
        if let Some(card) = self.entry(mac)
            && card.leased.len() < Card::MAX_ADDRESSES
        {
            card.leased.insert(ip);
        }
    }

    fn entry(&mut self, mac: Mac) -> Option<&mut Card> {
        let room = self.cards.len() < Self::MAX_CARDS || self.cards.contains_key(&mac);
        room.then(|| self.cards.entry(mac).or_default())
    }
}

/// A link-local address that a card says it has: known of it for this link, but nothing to tell hosts by.
fn is_local_claim(arp: &Arp) -> bool {
    arp.discovery.is_some()
        && is_card(arp.sender_mac)
        && matches!(arp.sender, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// One card's own: not a group, not nothing, not the shared address of a pair of routers (VRRP, RFC 5798 §7.3; HSRP).
pub(crate) fn is_card(mac: Mac) -> bool {
    const SHARED: [[u8; 5]; 3] = [[0, 0, 0x5e, 0, 1], [0, 0, 0x5e, 0, 2], [0, 0, 0x0c, 7, 0xac]];
    mac != [0; 6] && mac[0] & 1 == 0 && !SHARED.contains(&[mac[0], mac[1], mac[2], mac[3], mac[4]])
}

/// An address that a host has for itself: not the one before it has any, and not one it gave itself in need of one.
fn is_own_address(ip: IpAddr) -> bool {
    lynceus_model::address::is_target(ip)
}

/// The card that an IPv6 address was made from (modified EUI-64, RFC 4291 appendix A).
pub(crate) fn card_of(ip: Ipv6Addr) -> Option<Mac> {
    let bytes = ip.octets();
    let [a, b, c, 0xff, 0xfe, d, e, f] = *bytes.last_chunk::<8>()? else {
        return None;
    };
    let mac = [a ^ 2, b, c, d, e, f];
    is_card(mac).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_in_addresses() {
        let mac = card_of("2001:db8::0211:22ff:fe33:4455".parse().unwrap());
        assert_eq!(mac, Some([0, 0x11, 0x22, 0x33, 0x44, 0x55]));
        assert_eq!(card_of("2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn addresses_of_a_card_are_bounded() {
        let mut neighbours = Neighbours::default();
        let mac = [2, 0, 0, 0, 0, 1];
        for last in 1..=20 {
            assert!(neighbours.add(mac, [10, 0, 0, last].into(), Timestamp(i64::from(last))));
        }
        let card = neighbours.card(mac).unwrap();
        assert!(card.many && card.addresses.len() == Card::MAX_ADDRESSES);
        assert!(
            neighbours.twins([10, 0, 0, 1].into()).is_empty(),
            "a router is no host"
        );
        let two = [2, 0, 0, 0, 0, 2];
        let (v4, v6) = (IpAddr::from([10, 0, 0, 50]), "2001:db8::50".parse().unwrap());
        assert!(neighbours.add(two, v4, Timestamp(0)) && neighbours.add(two, v6, Timestamp(0)));
        assert_eq!(neighbours.twins(v6), [v4]);
        assert!(!neighbours.add([0xff; 6], [10, 0, 0, 1].into(), Timestamp(0)));
        assert!(!neighbours.add(mac, [0, 0, 0, 0].into(), Timestamp(0)));
    }
}
