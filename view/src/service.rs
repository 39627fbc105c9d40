//! Names of protocols and of the ports people know by heart.

/// Name of an IP protocol number in small letters, `proto 99` where it has none here.
#[must_use]
pub fn protocol(number: u8) -> String {
    match protocol_name(number) {
        "" => format!("proto {number}"),
        name => name.to_owned(),
    }
}

/// The same, empty where it has no name here.
#[must_use]
pub const fn protocol_name(number: u8) -> &'static str {
    match number {
        0 => "arp",
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        41 => "6in4",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmp6",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        _ => "",
    }
}

/// Ports exist for TCP, UDP, DCCP, SCTP and UDP-Lite only.
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// `443/tcp`, or the protocol alone where there are no ports.
#[must_use]
pub fn port(port: u16, number: u8) -> String {
    if has_ports(number) {
        format!("{port}/{}", protocol(number))
    } else {
        protocol(number)
    }
}

/// The service that usually stands behind a port. Nothing is guessed: unknown ports have no name.
#[must_use]
pub const fn name(port: u16, protocol: u8) -> Option<&'static str> {
    let udp = protocol == 17;
    Some(match port {
        7 => "echo",
        20 => "FTP data",
        21 => "FTP",
        22 => "SSH",
        23 => "Telnet",
        25 => "SMTP",
        37 => "time",
        43 => "whois",
        49 => "TACACS",
        53 => "DNS",
        67 | 68 if udp => "DHCP",
        69 if udp => "TFTP",
        79 => "finger",
        80 => "HTTP",
        88 => "Kerberos",
        110 => "POP3",
        111 => "portmap",
        119 => "NNTP",
        123 if udp => "NTP",
        135 => "MS-RPC",
        137 if udp => "NetBIOS name",
        138 if udp => "NetBIOS datagram",
        139 => "NetBIOS session",
        143 => "IMAP",
        161 | 162 => "SNMP",
        179 => "BGP",
        194 => "IRC",
        389 => "LDAP",
        443 if udp => "QUIC",
        443 => "HTTPS",
        445 => "SMB",
        464 => "Kerberos password",
        465 | 587 => "mail submission",
        500 | 4500 if udp => "IKE",
        514 if udp => "syslog",
        515 => "printer",
        546 | 547 if udp => "DHCPv6",
        548 => "AFP",
        554 => "RTSP",
        623 if udp => "IPMI",
        631 => "IPP",
        636 => "LDAPS",
        853 => "DNS over TLS",
        873 => "rsync",
        989 | 990 => "FTPS",
        993 => "IMAPS",
        995 => "POP3S",
        1080 => "SOCKS",
        1194 => "OpenVPN",
        1433 => "MS-SQL",
        1521 => "Oracle",
        1701 if udp => "L2TP",
        1723 => "PPTP",
        1812 | 1813 if udp => "RADIUS",
        1883 => "MQTT",
        1900 if udp => "SSDP",
        2049 => "NFS",
        2323 => "Telnet",
        2375 | 2376 => "Docker",
        3128 => "HTTP proxy",
        3268 | 3269 => "Global Catalog",
        3306 => "MySQL",
        3389 => "RDP",
        3478 => "STUN",
        5060 | 5061 => "SIP",
        5222 | 5269 => "XMPP",
        5353 if udp => "mDNS",
        5355 if udp => "LLMNR",
        5432 => "PostgreSQL",
        5555 => "ADB",
        5672 => "AMQP",
        5900 => "VNC",
        5985 | 5986 => "WinRM",
        6379 => "Redis",
        6443 => "Kubernetes",
        6667 | 6697 => "IRC",
        8000 | 8008 | 8080 | 8888 => "HTTP (alt)",
        8443 => "HTTPS (alt)",
        8883 => "MQTT TLS",
        9200 => "Elasticsearch",
        11211 => "memcached",
        27017 => "MongoDB",
        51820 if udp => "WireGuard",
        _ => return None,
    })
}

/// Name of a DNS record type, `TYPE65` style where it has none here.
#[must_use]
pub fn dns_type(number: u16) -> String {
    let name = match number {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        46 => "RRSIG",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

/// Name of a DNS response code.
#[must_use]
pub fn dns_rcode(number: u8) -> String {
    let name = match number {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return format!("RCODE{other}"),
    };
    name.to_owned()
}

/// `TLS 1.3` for 0x0304.
#[must_use]
pub fn tls_version(version: u16) -> String {
    match version {
        0x0002 => "SSL 2".to_owned(),
        0x0300 => "SSL 3".to_owned(),
        0x0301 => "TLS 1.0".to_owned(),
        0x0302 => "TLS 1.1".to_owned(),
        0x0303 => "TLS 1.2".to_owned(),
        0x0304 => "TLS 1.3".to_owned(),
        other => format!("TLS {other:#06x}"),
    }
}

/// Name of a DHCP message type.
#[must_use]
pub fn dhcp_message(number: u8) -> String {
    let name = match number {
        1 => "DISCOVER",
        2 => "OFFER",
        3 => "REQUEST",
        4 => "DECLINE",
        5 => "ACK",
        6 => "NAK",
        7 => "RELEASE",
        8 => "INFORM",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

/// What an ICMP type and code say.
#[must_use]
pub fn icmp(version_6: bool, kind: u8, code: u8) -> String {
    let name = if version_6 {
        match (kind, code) {
            (1, 0) => "no route",
            (1, 3) => "address unreachable",
            (1, 4) => "port unreachable",
            (1, _) => "unreachable",
            (2, _) => "packet too big",
            (3, _) => "time exceeded",
            (128, _) => "ping",
            (129, _) => "ping answer",
            (130 | 131 | 132 | 143, _) => "multicast listener",
            (133, _) => "router solicitation",
            (134, _) => "router advertisement",
            (135, _) => "neighbor solicitation",
            (136, _) => "neighbor advertisement",
            _ => return format!("ICMPv6 type {kind} code {code}"),
        }
    } else {
        match (kind, code) {
            (0, _) => "ping answer",
            (3, 0) => "network unreachable",
            (3, 1) => "host unreachable",
            (3, 3) => "port unreachable",
            (3, 4) => "fragmentation needed",
            (3, 9 | 10 | 13) => "administratively prohibited",
            (3, _) => "unreachable",
            (5, _) => "redirect",
            (8, _) => "ping",
            (11, _) => "time exceeded",
            (13, _) => "timestamp request",
            (14, _) => "timestamp answer",
            (17, _) => "address mask request",
            (18, _) => "address mask answer",
            _ => return format!("ICMP type {kind} code {code}"),
        }
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_by_protocol() {
        assert_eq!(name(443, 6), Some("HTTPS"));
        assert_eq!(name(443, 17), Some("QUIC"));
        assert_eq!(name(123, 6), None);
        assert_eq!(name(64_999, 6), None);
        assert_eq!(port(443, 6), "443/tcp");
        assert_eq!(port(0x0800, 1), "icmp");
    }
}
