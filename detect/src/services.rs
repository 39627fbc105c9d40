//! Ports that have a service: what is really met on networks.
//!
//! Names and numbers are those of the IANA Service Name and Transport Protocol Port Number Registry (CC0) where it has
//! them, else what the makers of the software document. The choice is ours: a port belongs here if a common product
//! listens on it as shipped.

/// IP protocol numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;

/// What stands in the place of ports of other protocols is none.
pub(crate) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// Where traceroute sends its probes: one port further with each, from 33434 on (base port of the LBL program).
pub(crate) const TRACEROUTE: std::ops::RangeInclusive<u16> = 33_434..=33_534;

/// Ports of programs that call whoever has the same program, on lists that they are given (update exchange, BitTorrent,
/// coins, file synchronization): most of those others are gone when they are called.
pub(crate) const fn is_of_peers(port: u16) -> bool {
    matches!(
        port,
        1214 | 6881..=6889 | 7680 | 8333 | 18_080 | 22_000 | 30_303 | 51_413
    )
}

/// Service that is known on a port, or what else goes there on purpose.
#[must_use]
pub(crate) fn service(port: u16, protocol: u8) -> Option<&'static str> {
    if protocol == UDP && TRACEROUTE.contains(&port) {
        return Some("traceroute");
    }
    listens(port, protocol)
}

/// Service that listens on a port.
#[must_use]
pub(crate) fn listens(port: u16, protocol: u8) -> Option<&'static str> {
    let wanted = match protocol {
        TCP => T,
        UDP => U,
        _ => return None,
    };
    if PROTOCOLS[port as usize] & wanted == 0 {
        return None;
    }
    let at = TABLE.binary_search_by_key(&port, |(port, ..)| *port).ok()?;
    let (_, protocols, name) = TABLE[at];
    (protocols & wanted != 0).then_some(name)
}

/// Protocols by port: every flow asks for both of its ports several times, and most ports have no service.
static PROTOCOLS: [u8; 65_536] = {
    let mut protocols = [0; 65_536];
    let mut at = 0;
    while at < TABLE.len() {
        protocols[TABLE[at].0 as usize] = TABLE[at].1;
        at += 1;
    }
    protocols
};

const T: u8 = 1;
const U: u8 = 2;
const B: u8 = 3;

/// By port.
#[rustfmt::skip]
const TABLE: &[(u16, u8, &str)] = &[
    (7, B, "echo"), (9, B, "discard"), (11, T, "systat"), (13, B, "daytime"), (17, T, "qotd"), (19, B, "chargen"),
    (20, T, "ftp-data"), (21, T, "ftp"), (22, T, "ssh"), (23, T, "telnet"), (25, T, "smtp"), (37, B, "time"),
    (42, T, "nameserver"), (43, T, "whois"), (49, B, "tacacs"), (53, B, "domain"), (67, U, "bootps"),
    (68, U, "bootpc"), (69, U, "tftp"), (70, T, "gopher"), (79, T, "finger"), (80, B, "http"), (81, T, "http-alt"),
    (88, B, "kerberos"), (102, T, "iso-tsap"), (110, T, "pop3"), (111, B, "sunrpc"), (113, T, "ident"),
    (119, T, "nntp"), (123, U, "ntp"), (135, B, "epmap"), (137, B, "netbios-ns"), (138, U, "netbios-dgm"),
    (139, T, "netbios-ssn"), (143, T, "imap"), (161, B, "snmp"), (162, B, "snmptrap"), (177, U, "xdmcp"),
    (179, T, "bgp"), (194, T, "irc"), (199, T, "smux"), (264, T, "bgmp"), (311, T, "asip-webadmin"),
    (319, U, "ptp-event"), (320, U, "ptp-general"), (389, B, "ldap"), (427, B, "svrloc"), (443, B, "https"),
    (444, T, "snpp"), (445, T, "microsoft-ds"), (464, B, "kpasswd"), (465, T, "submissions"),
    (497, B, "retrospect"), (500, U, "isakmp"), (502, T, "modbus"), (512, T, "exec"), (513, T, "login"),
    (514, B, "shell-syslog"), (515, T, "printer"), (520, U, "router"), (521, U, "ripng"), (540, T, "uucp"),
    (543, T, "klogin"), (544, T, "kshell"), (546, U, "dhcpv6-client"), (547, U, "dhcpv6-server"),
    (548, T, "afpovertcp"), (554, B, "rtsp"), (563, T, "nntps"), (587, T, "submission"), (593, T, "http-rpc-epmap"),
    (601, T, "syslog-conn"), (623, B, "asf-rmcp"), (631, B, "ipp"), (636, T, "ldaps"), (639, T, "msdp"),
    (646, B, "ldp"), (647, T, "dhcp-failover"), (648, T, "rrp"), (674, T, "acap"), (691, T, "msexch-routing"),
    (694, U, "ha-cluster"), (700, T, "epp"), (749, B, "kerberos-adm"), (750, U, "kerberos-iv"), (773, T, "submit"),
    (843, T, "flash-policy"), (853, B, "domain-s"), (860, T, "iscsi"), (873, T, "rsync"), (902, B, "vmware-auth"),
    (953, T, "rndc"), (989, T, "ftps-data"), (990, T, "ftps"), (992, T, "telnets"), (993, T, "imaps"),
    (994, T, "ircs"), (995, T, "pop3s"), (1080, T, "socks"), (1099, T, "rmiregistry"), (1119, B, "battlenet"),
    (1194, B, "openvpn"), (1214, B, "kazaa"), (1241, T, "nessus"), (1311, T, "dell-openmanage"), (1344, T, "icap"),
    (1352, T, "lotusnote"), (1433, T, "ms-sql-s"), (1434, U, "ms-sql-m"), (1494, B, "ica"), (1512, B, "wins"),
    (1521, T, "oracle"), (1645, U, "radius-old"), (1646, U, "radius-acct-old"), (1701, U, "l2tp"),
    (1719, U, "h323gatestat"), (1720, T, "h323hostcall"), (1723, T, "pptp"), (1755, B, "ms-streaming"),
    (1812, B, "radius"), (1813, B, "radius-acct"), (1863, T, "msnp"), (1883, T, "mqtt"), (1900, U, "ssdp"),
    (1935, T, "rtmp"), (1947, B, "sentinel-license"), (1967, U, "cisco-sla"), (1985, U, "hsrp"),
    (2000, T, "cisco-sccp"), (2049, B, "nfs"), (2055, U, "netflow"), (2082, T, "cpanel"), (2083, T, "cpanel-ssl"),
    (2086, T, "whm"), (2087, T, "whm-ssl"), (2095, T, "webmail"), (2096, T, "webmail-ssl"), (2102, T, "zephyr-srv"),
    (2123, U, "gtp-control"), (2152, U, "gtp-user"), (2181, T, "zookeeper"), (2195, T, "apns"),
    (2196, T, "apns-feedback"), (2222, T, "ssh-alt"), (2375, T, "docker"), (2376, T, "docker-s"),
    (2377, T, "swarm"), (2379, T, "etcd-client"), (2380, T, "etcd-server"), (2404, T, "iec-104"),
    (2427, U, "mgcp-gateway"), (2483, T, "oracle-db"), (2484, T, "oracle-db-s"), (2525, T, "smtp-alt"),
    (2598, T, "citrix-session"), (2638, T, "sybase"), (2701, T, "sms-rcinfo"), (2710, T, "bittorrent-tracker"),
    (2775, T, "smpp"), (2811, T, "gridftp"), (2947, T, "gpsd"), (2967, B, "symantec-av"), (3000, T, "http-dev"),
    (3020, T, "cifs"), (3050, T, "firebird"), (3074, B, "xbox-live"), (3128, T, "http-proxy"), (3205, T, "isns"),
    (3260, T, "iscsi-target"), (3268, T, "msft-gc"), (3269, T, "msft-gc-ssl"), (3283, B, "apple-remote-desktop"),
    (3306, T, "mysql"), (3310, T, "clamd"), (3343, U, "ms-cluster"), (3389, B, "ms-wbt-server"), (3478, B, "stun"),
    (3479, B, "stun-alt"), (3480, U, "facetime"), (3481, U, "stun-teams"), (3493, T, "nut"), (3544, U, "teredo"),
    (3632, T, "distcc"), (3659, B, "apple-sasl"), (3689, B, "daap"), (3690, T, "svn"), (3702, U, "ws-discovery"),
    (3784, U, "bfd-control"), (3785, U, "bfd-echo"), (3868, B, "diameter"), (4070, T, "spotify"),
    (4118, T, "netadmin"), (4172, B, "pcoip"), (4190, T, "sieve"), (4222, T, "nats"), (4244, T, "viber"),
    (4317, T, "otlp-grpc"), (4318, T, "otlp-http"), (4369, T, "epmd"), (4443, T, "https-alt"), (4460, T, "nts-ke"),
    (4500, U, "ipsec-nat-t"), (4505, T, "salt-publish"), (4506, T, "salt-request"), (4569, U, "iax"),
    (4739, B, "ipfix"), (4786, T, "smart-install"), (4789, U, "vxlan"), (4791, U, "rocev2"), (4840, B, "opcua"),
    (4843, T, "opcua-tls"), (4899, T, "radmin"), (5000, T, "upnp"), (5001, B, "iperf"), (5004, U, "rtp"),
    (5005, U, "rtcp"), (5044, T, "beats"), (5050, T, "yahoo-messenger"), (5060, B, "sip"), (5061, B, "sips"),
    (5093, U, "sentinel-lm"), (5104, U, "facetime-media"), (5190, T, "aol"), (5201, B, "iperf3"),
    (5222, T, "xmpp-client"), (5223, T, "xmpp-ssl"), (5228, T, "google-push"), (5229, T, "google-push"),
    (5230, T, "google-push"), (5242, B, "viber"), (5246, U, "capwap-control"), (5247, U, "capwap-data"),
    (5269, T, "xmpp-server"), (5280, T, "xmpp-bosh"), (5349, B, "stuns"), (5351, U, "nat-pmp"), (5353, U, "mdns"),
    (5355, B, "llmnr"), (5357, T, "wsdapi"), (5358, T, "wsdapi-s"), (5405, U, "corosync"), (5432, T, "postgresql"),
    (5500, T, "vnc-listen"), (5555, T, "adb"), (5601, T, "kibana"), (5631, T, "pcanywhere-data"),
    (5632, U, "pcanywhere-status"), (5666, T, "nrpe"), (5671, T, "amqps"), (5672, T, "amqp"), (5683, B, "coap"),
    (5684, B, "coaps"), (5693, T, "ncpa"), (5722, T, "dfs-replication"), (5800, T, "vnc-http"), (5900, T, "vnc"),
    (5901, T, "vnc-1"), (5902, T, "vnc-2"), (5903, T, "vnc-3"), (5938, B, "teamviewer"), (5984, T, "couchdb"),
    (5985, T, "winrm"), (5986, T, "winrm-s"), (6000, T, "x11"), (6001, T, "x11-1"), (6002, T, "x11-2"),
    (6081, U, "geneve"), (6343, U, "sflow"), (6379, T, "redis"), (6443, T, "kubernetes"), (6514, B, "syslog-tls"),
    (6568, T, "anydesk"), (6588, T, "http-proxy-alt"), (6600, T, "mpd"), (6633, T, "openflow-old"),
    (6653, T, "openflow"), (6665, T, "ircu"), (6666, T, "ircu"), (6667, T, "ircu"), (6668, T, "ircu"),
    (6669, T, "ircu"), (6679, T, "ircs-alt"), (6697, T, "ircs-u"), (6771, U, "bittorrent-lsd"), (6783, B, "weave"),
    (6881, B, "bittorrent"), (6882, B, "bittorrent"), (6883, B, "bittorrent"), (6884, B, "bittorrent"),
    (6885, B, "bittorrent"), (6886, B, "bittorrent"), (6887, B, "bittorrent"), (6888, B, "bittorrent"),
    (6889, B, "bittorrent"), (6969, B, "bittorrent-tracker"), (7000, B, "afs3-fileserver"), (7001, T, "weblogic"),
    (7002, T, "weblogic-s"), (7070, B, "realserver"), (7077, T, "spark"), (7199, T, "cassandra-jmx"),
    (7275, B, "oma-ulp"), (7443, T, "https-alt"), (7474, T, "neo4j"), (7547, T, "cwmp"),
    (7680, T, "delivery-optimization"), (7687, T, "neo4j-bolt"), (7946, B, "swarm-gossip"), (8000, T, "http-alt"),
    (8001, T, "http-alt"), (8002, T, "http-alt"), (8005, T, "tomcat-shutdown"), (8006, T, "proxmox"),
    (8008, T, "http-alt"), (8009, T, "ajp-googlecast"), (8010, T, "xmpp-file"), (8020, T, "hadoop"),
    (8030, T, "yarn"), (8042, T, "yarn-node"), (8074, T, "gadu-gadu"), (8080, T, "http-alt"), (8081, T, "http-alt"),
    (8082, T, "http-alt"), (8083, T, "http-alt"), (8085, T, "http-alt"), (8086, T, "influxdb"),
    (8088, T, "http-alt"), (8089, T, "splunkd"), (8090, T, "http-alt"), (8091, T, "couchbase"),
    (8096, T, "jellyfin"), (8112, T, "deluge"), (8123, T, "home-assistant"), (8125, U, "statsd"),
    (8140, T, "puppet"), (8161, T, "activemq"), (8172, T, "ms-deploy"), (8200, T, "vault"),
    (8222, T, "vmware-http"), (8291, T, "winbox"), (8300, T, "consul"), (8301, B, "consul-serf"),
    (8302, B, "consul-serf-wan"), (8332, T, "bitcoin-rpc"), (8333, T, "bitcoin"), (8400, T, "cvd"),
    (8403, T, "commvault"), (8443, T, "https-alt"), (8472, U, "vxlan-linux"), (8500, T, "consul-http"),
    (8530, T, "wsus"), (8531, T, "wsus-s"), (8545, T, "ethereum-rpc"), (8554, B, "rtsp-alt"),
    (8600, B, "consul-dns"), (8649, B, "ganglia"), (8728, T, "mikrotik-api"), (8729, T, "mikrotik-api-s"),
    (8765, T, "ultraseek"), (8801, U, "zoom"), (8802, T, "zoom"), (8834, T, "nessus-web"), (8883, T, "mqtt-s"),
    (8888, T, "http-alt"), (8983, T, "solr"), (9000, T, "http-alt"), (9002, T, "http-alt"), (9042, T, "cassandra"),
    (9043, T, "websphere"), (9060, T, "websphere"), (9080, T, "http-alt"), (9090, T, "http-alt"),
    (9091, T, "transmission"), (9092, T, "kafka"), (9093, T, "kafka-s"), (9100, T, "jetdirect"),
    (9160, T, "cassandra-thrift"), (9200, T, "elasticsearch"), (9300, T, "elasticsearch-node"), (9306, T, "sphinx"),
    (9389, T, "ad-web-services"), (9418, T, "git"), (9443, T, "https-alt"), (9600, B, "omron-fins"),
    (9987, U, "teamspeak"), (9993, B, "zerotier"), (9996, U, "netflow-alt"), (9999, T, "http-alt"),
    (10000, B, "webmin"), (10001, U, "ubiquiti-discovery"), (10050, T, "zabbix-agent"),
    (10051, T, "zabbix-trapper"), (10123, T, "sccm-notify"), (10161, B, "snmp-tls"), (10162, B, "snmptrap-tls"),
    (10250, T, "kubelet"), (10443, T, "https-alt"), (11210, T, "couchbase-data"), (11211, B, "memcached"),
    (11371, T, "hkp"), (11434, T, "ollama"), (13720, T, "netbackup"), (13724, T, "vnetd"),
    (15672, T, "rabbitmq-mgmt"), (16384, U, "apple-media"), (16393, U, "facetime-media"),
    (16402, U, "facetime-media"), (16403, U, "facetime-media"), (16472, U, "facetime-media"), (16992, T, "amt"),
    (16993, T, "amt-s"), (17500, B, "dropbox-lan"), (18080, T, "monero-p2p"), (18083, T, "emqx"),
    (19132, U, "minecraft-bedrock"), (19302, B, "stun-google"), (19303, B, "stun-google"),
    (19304, B, "stun-google"), (19305, B, "stun-google"), (19306, U, "stun-google"), (19307, U, "stun-google"),
    (19308, U, "stun-google"), (19309, U, "stun-google"), (19999, T, "netdata"), (20000, B, "dnp3"),
    (21027, U, "syncthing-discovery"), (22000, B, "syncthing"), (25565, T, "minecraft"), (25826, U, "collectd"),
    (26257, T, "cockroachdb"), (27015, B, "source-engine"), (27017, T, "mongodb"), (27018, T, "mongodb-shard"),
    (27036, B, "steam-remote-play"), (28017, T, "mongodb-web"), (29418, T, "gerrit"), (30303, B, "ethereum"),
    (32400, T, "plex"), (32412, U, "plex-gdm"), (32414, U, "plex-gdm"), (32469, T, "plex-dlna"),
    (34962, B, "profinet-rt"), (34963, B, "profinet-rtm"), (34964, B, "profinet-cm"), (37008, U, "tzsp"),
    (41641, U, "tailscale"), (44818, B, "ethernet-ip"), (47808, U, "bacnet"), (50000, T, "db2"),
    (51413, B, "transmission-peer"), (51820, U, "wireguard"), (54915, U, "logitech-arx"),
    (57621, U, "spotify-connect"), (60000, U, "mosh"), (61616, T, "activemq"), (62078, T, "iphone-sync"),
    (64738, B, "mumble"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        assert!(
            TABLE
                .iter()
                .all(|(port, protocols, name)| *port > 0 && (1..=B).contains(protocols) && !name.is_empty())
        );
    }

    #[test]
    fn by_port_and_protocol() {
        assert_eq!(service(443, TCP), Some("https"));
        assert_eq!(service(443, UDP), Some("https"));
        assert_eq!(
            (service(22, UDP), service(4444, TCP), service(80, 132)),
            (None, None, None)
        );
    }
}
