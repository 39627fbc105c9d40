//! Who looks for hosts, ports and tunnels; and what the link layer shows.

use std::net::IpAddr;

use super::super::messages::{PTR, dhcp_request, question};
use super::super::stage::Stage;
use super::super::wire::{ACK, At, EVERYBODY, SYN, at, card, ip_packet};

pub(crate) fn play(stage: &mut Stage) {
    ports(stage);
    icmp(stage);
    tunnels(stage);
    names_of_addresses(stage);
    if stage.is_four() {
        dhcp(stage);
        arp(stage);
    } else {
        neighbours(stage);
    }
}

fn ports(stage: &mut Stage) {
    let host = stage.own(1, 5, 0);
    for n in 0..14 {
        let from = stage.own(1, 5, 40_000 + u16::from(n));
        let to = stage.own(1, 100 + n, 445);
        stage.air.knock(f64::from(n) * 0.2, from, to);
    }
    stage.found("HORIZONTAL_PORT_SCAN", host);
    let host = stage.own(2, 5, 0);
    for n in 0..14 {
        let from = stage.own(2, 5, 40_000 + n);
        let to = stage.own(2, 100, 20 + 7 * n);
        stage.air.refused(f64::from(n) * 0.2, from, to);
    }
    stage.found("VERTICAL_PORT_SCAN", host);
    // Sent by hand: no system takes port 0.
    let (zero, to) = (stage.own(3, 5, 41_000), stage.out(3, 1, 0));
    stage.air.knock(1.0, zero, to);
    stage.found("PORT_0_CONNECTION", zero);
}

fn icmp(stage: &mut Stage) {
    let echo = if stage.is_four() { 8 } else { 128 };
    // Timestamps and address masks are of IPv4 only (RFC 792, RFC 950).
    let kinds = [
        (4, echo, "ICMP_ADDRESS_SCAN"),
        (5, 13, "ICMP_TIMESTAMP_SCAN"),
        (6, 17, "ICMP_ADDRESS_MASK_SCAN"),
    ];
    let count = if stage.is_four() { 3 } else { 1 };
    for (scene, message, kind) in kinds.into_iter().take(count) {
        let host = stage.own(scene, 5, 0);
        for n in 0..8 {
            let to = stage.own(scene, 100 + n, 0);
            stage.air.icmp(f64::from(n) * 0.2, host.ip, to.ip, message, 24);
        }
        stage.found(kind, host);
    }
    // Answers of a thousand bytes are no echoes of sixty.
    let (host, server) = (stage.own(7, 5, 0), stage.out(7, 1, 0));
    let reply = if stage.is_four() { 0 } else { 129 };
    for n in 0..80 {
        let seconds = f64::from(n) * 0.5;
        stage.air.icmp(seconds, host.ip, server.ip, echo, 56);
        stage.air.icmp(seconds + 0.01, server.ip, host.ip, reply, 1_000);
    }
    stage.found("ICMP_TUNNEL", host);
}

const GRE: u8 = 47;

fn tunnels(stage: &mut Stage) {
    // Keep-alives of PPP in GRE that nobody answers.
    let host = stage.own(8, 5, 0);
    for n in 0..6 {
        let to = stage.out(8, 1 + n, 0);
        let probe = [0, 0, 0x88, 0x0b, 1, 2, 3, 4];
        stage.air.ip(f64::from(n), (host.ip, to.ip), GRE, &probe, 0);
    }
    stage.found("GRE_SCAN", host);
    let (host, server) = (stage.own(9, 5, 0), stage.out(9, 1, 0));
    for n in 0..3 {
        let inner = (stage.own(9, 6, 0).ip, stage.own(9, 7, 0).ip);
        let segment = syn(50_000 + n, 443);
        carry(stage, f64::from(n), (host, server), inner, &segment);
    }
    stage.found("GRE_TUNNEL", host);

    // A scan within a tunnel is of whom the packets inside are.
    let (host, server) = (stage.own(11, 5, 0), stage.out(11, 1, 0));
    for n in 0..14 {
        let segment = syn(51_000 + u16::from(n), 445);
        let inner = (stage.own(11, 66, 0).ip, stage.own(11, 100 + n, 0).ip);
        carry(stage, f64::from(n) * 0.2, (host, server), inner, &segment);
    }
    let scanner = stage.own(11, 66, 0);
    stage.found("HORIZONTAL_PORT_SCAN", scanner);
}

/// The first segment of an attempt.
fn syn(from: u16, to: u16) -> Vec<u8> {
    let mut segment = [from, to].map(u16::to_be_bytes).concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    segment
}

/// A segment of TCP in GRE.
fn carry(stage: &mut Stage, seconds: f64, (from, to): (At, At), inner: (IpAddr, IpAddr), segment: &[u8]) {
    let (ether_type, packet) = ip_packet(inner, 6, segment, 0);
    let carried = [&[0, 0][..], &ether_type, &packet].concat();
    stage.air.ip(seconds, (from.ip, to.ip), GRE, &carried, 0);
}

fn names_of_addresses(stage: &mut Stage) {
    let host = stage.own(10, 5, 0);
    for n in 0..16 {
        let (from, to) = (stage.own(10, 5, 42_000 + n), stage.resolver());
        let name = format!("{n}.10.0.10.in-addr.arpa");
        stage
            .air
            .udp(f64::from(n) * 0.05, from, to, &question(n, &name, PTR));
    }
    stage.found("DNS_ARPA_SCAN", host);
}

fn dhcp(stage: &mut Stage) {
    let (from, to) = (at("0.0.0.0", 68), at("255.255.255.255", 67));
    for n in 0..6 {
        let message = dhcp_request([2, 0, 0, 0, 0, 0x11], [10, 0, 11, 100 + n]);
        stage.air.udp(f64::from(n), from, to, &message);
    }
    stage.found("DHCP_SCAN", from);
}

fn arp(stage: &mut Stage) {
    let host = |text: &str| at(text, 0);
    let own = |at: At| card(at.ip);
    let scanner = host("10.0.12.5");
    for n in 0..8_u8 {
        let target = format!("10.0.12.{}", 100 + n);
        stage
            .air
            .who_has(f64::from(n), own(scanner), "10.0.12.5", &target);
    }
    stage.found("ARP_SCAN", scanner);

    let lost = host("10.0.13.5");
    stage.air.who_has(1.0, own(lost), "10.0.13.5", "93.184.216.34");
    stage.found("ARP_OUTSIDE_LOCALNET", lost);

    let loud = host("10.0.14.5");
    let itself = "10.0.14.5";
    stage
        .air
        .arp(1.0, 2, (own(loud), itself), (EVERYBODY, itself), EVERYBODY);
    stage.found("UNSOLICITED_ARP", loud);

    // A card that has an address of its own says that it has the router's.
    let spoofer = own(host("10.0.15.66"));
    stage.air.who_has(1.0, spoofer, "10.0.15.66", "10.0.15.1");
    for n in 0..3 {
        let router = "10.0.15.1";
        stage.air.arp(
            20.0 + f64::from(n),
            2,
            (spoofer, router),
            (EVERYBODY, router),
            EVERYBODY,
        );
    }
    stage.found("MITM_ARP_ATTACK", host("10.0.15.1"));

    let mover = own(host("10.0.16.5"));
    stage.air.who_has(1.0, mover, "10.0.16.5", "10.0.16.1");
    stage.air.who_has(100.0, mover, "10.0.16.77", "10.0.16.1");
    let (from, to) = (at("10.0.16.77", 40_000), at("10.0.16.1", 80));
    stage.air.tcp(101.0, (from, to), SYN, (1, 0), &[], 0);
    stage.air.tcp(101.1, (to, from), SYN | ACK, (1, 2), &[], 0);
    stage.found("DEVICE_CHANGING_IP", host("10.0.16.77"));
}

/// What [`arp`] is over IPv4.
fn neighbours(stage: &mut Stage) {
    let host = |text: &str| at(text, 0);
    let scanner = "fd00::12:5";
    for n in 0..8_u8 {
        stage
            .air
            .solicit(f64::from(n), scanner, &format!("fd00::12:1{n:02}"));
    }
    stage.found("ARP_SCAN", host(scanner));

    let lost = "fd00::13:5";
    stage.air.solicit(1.0, lost, "2001:db8:13::1");
    stage.found("ARP_OUTSIDE_LOCALNET", host(lost));

    // Flags: what is known is to be replaced; it was asked.
    const OVERRIDE: u8 = 0x20;
    const SOLICITED: u8 = 0x40;
    let loud = "fd00::14:5";
    for n in 0..4 {
        let card = card(host(loud).ip);
        stage
            .air
            .neighbour(f64::from(n), (loud, "ff02::1"), Some(OVERRIDE), loud, card);
    }
    stage.found("UNSOLICITED_ARP", host(loud));

    // The router answers; minutes later, so that no busy machine sends both at once, another card says that it has the router's address.
    let (router, victim, spoofer) = ("fe80::15:1", "fe80::15:5", "fe80::15:66");
    let flags = Some(OVERRIDE | SOLICITED);
    let cards = [router, spoofer].map(|text| card(host(text).ip));
    stage.air.solicit(1.0, victim, router);
    stage
        .air
        .neighbour(1.1, (router, victim), flags, router, cards[0]);
    for n in 0..3 {
        stage
            .air
            .neighbour(150.0 + f64::from(n), (spoofer, victim), flags, router, cards[1]);
    }
    stage.found("MITM_ARP_ATTACK", host(spoofer));
}
