//! Windows of a made-up network, some with a planted cause: what an account should name is known.
//!
//! Our own model of traffic, so it can only show that the parts fit together; real captures are another matter.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_detect::outlier::{Closed, Role};
use lynceus_model::outlier::features::place_of;
use lynceus_model::outlier::patterns::Item;
use lynceus_model::outlier::{COUNT, FEATURES, Values};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};

/// SplitMix64, so that a seed gives the same network everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// 0 to 1, never either.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Median and deviation of the logarithm.
    pub(crate) fn lognormal(&mut self, median: f64, deviation: f64) -> f64 {
        median * (deviation * self.normal()).exp()
    }
}

/// What is planted, with the features that an account should name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) name: &'static str,
    pub(crate) features: &'static [&'static str],
}

pub(crate) const CAUSES: [Cause; 12] = [
    cause("horizontal scan", &["dst_ips", "silent_targets", "new_peers"]),
    cause(
        "vertical scan",
        &["ports_of_one_host", "dst_ports", "silent_targets"],
    ),
    cause(
        "exfiltration",
        &["bytes_out", "bytes_to_one_host", "upload_ratio"],
    ),
    cause("beacon", &["regularity", "letters_entropy"]),
    cause("generated names", &["dns_nxdomain_ratio", "dns_name_entropy"]),
    cause("tunnel in DNS", &["dns_messages", "dns_name_entropy"]),
    cause("new places", &["dst_countries", "dst_asns"]),
    cause("new software", &["new_fingerprints"]),
    cause("odd hour", &["hour_surprisal"]),
    cause("sweep by ARP", &["asked_targets"]),
    cause("password guessing", &["flow_rate", "flows"]),
    cause("rush on a server", &["server_flows", "server_peers"]),
];

const fn cause(name: &'static str, features: &'static [&'static str]) -> Cause {
    Cause { name, features }
}

/// One machine with its habits.
struct Host {
    ip: IpAddr,
    role: Role,
    size: f64,
    upload: f64,
    regularity: f64,
    port: &'static str,
    asn: u64,
}

pub(crate) struct Network {
    random: Random,
    hosts: Vec<Host>,
}

/// A window and what was planted in it.
pub(crate) struct Window {
    pub(crate) closed: Closed,
    pub(crate) cause: Option<usize>,
}

impl Network {
    /// 70 % desktops, 20 % servers, 10 % things.
    pub(crate) fn new(seed: u64, hosts: usize) -> Self {
        let mut random = Random::new(seed);
        let hosts = (0..hosts)
            .map(|number| {
                let role = match number % 10 {
                    0..7 => Role::Client,
                    7..9 => Role::Server,
                    _ => Role::Group(0),
                };
                Host {
                    ip: IpAddr::from([10, 1, (number / 250) as u8, (number % 250) as u8]),
                    role,
                    size: random.lognormal(1.0, 0.6),
                    upload: random.between(0.1, 0.4),
                    regularity: random.between(0.1, 0.5),
                    port: ["443/tcp", "80/tcp", "53/udp", "22/tcp"][(random.next() % 4) as usize],
                    asn: random.next() % 40,
                }
            })
            .collect();
        Self { random, hosts }
    }

    /// All windows of an hour; `planted` of them, one after the other, get the next cause.
    pub(crate) fn hour(&mut self, hour: i64, planted: usize) -> Vec<Window> {
        let count = self.hosts.len();
        let mut causes = vec![None; count];
        for cause in 0..planted {
            let at = (self.random.next() % count as u64) as usize;
            causes[at] = Some((hour as usize * planted + cause) % CAUSES.len());
        }
        (0..count)
            .map(|number| {
                let mut values = self.usual(number);
                if let Some(cause) = causes[number] {
                    plant(&mut values, cause, &mut self.random);
                }
                let host = &self.hosts[number];
                let start = Timestamp::from_secs(hour * 3600);
                let items = [("port", host.port.to_owned()), ("asn", format!("AS{}", host.asn))]
                    .into_iter()
                    .chain([("hour", format!("{:02}", hour.rem_euclid(24)))])
                    .map(|(attribute, value)| Item {
                        attribute: attribute.to_owned(),
                        value,
                    })
                    .collect::<BTreeSet<_>>();
                Window {
                    closed: Closed {
                        window: WindowId {
                            profile: host.ip,
                            start,
                        },
                        sensor: SensorId([3; 16]),
                        number: hour,
                        span: (start, start),
                        role: host.role,
                        values,
                        items,
                        types: 0,
                        flows: Vec::new(),
                    },
                    cause: causes[number],
                }
            })
            .collect()
    }

    /// Packets follow flows, bytes follow packets, hosts follow flows; servers have more of it, things less.
    fn usual(&mut self, number: usize) -> Values {
        let host = &self.hosts[number];
        let random = &mut self.random;
        let (busy, serves) = match host.role {
            Role::Server => (2.0, true),
            Role::Group(_) => (0.3, false),
            _ => (1.0, false),
        };
        let flows = (random.lognormal(120.0 * busy * host.size, 0.5)).round().max(1.0);
        let failed = (random.between(0.0, 0.08) * flows).round();
        let hosts = (random.lognormal(0.2, 0.3).min(0.9) * flows).round().max(1.0);
        let packets = (flows * random.lognormal(25.0, 0.3)).round();
        let mean = random.lognormal(240.0, 0.15);
        let sent = packets * mean;
        let upload = (host.upload + 0.06 * random.normal()).clamp(0.02, 0.9);
        let queries = (flows * random.between(0.2, 0.5)).round();
        let mut values = Values::default();
        let mut put = |name: &str, value: f64| {
            let place = place_of(name).expect("a feature of the list");
            let value = if FEATURES[place].whole {
                value.round()
            } else {
                value
            };
            values.set(place, Some(value.max(0.0)));
        };
        put("flows", flows);
        put("flow_rate", flows / random.between(50.0, 60.0));
        put("fail_ratio", failed / flows);
        put("dst_ips", hosts);
        put("dst_ports", random.lognormal(4.0, 0.4));
        put("ports_of_one_host", 1.0 + (random.unit() * 2.5).floor());
        put("silent_targets", failed.min(hosts));
        put("asked_targets", random.lognormal(3.0, 0.5));
        put("dst_asns", (hosts * 0.3).max(1.0));
        put(
            "dst_countries",
            1.0 + (random.unit() * random.unit() * 8.0).floor(),
        );
        put("new_peers", hosts * random.between(0.0, 0.3));
        put("bytes_out", sent);
        put("bytes_in", sent * (1.0 - upload) / upload);
        put("bytes_to_one_host", sent * random.between(0.15, 0.5));
        put("packets_out", packets);
        put("mean_packet_out", mean);
        put("upload_ratio", upload);
        put("median_duration", random.lognormal(0.8, 0.5));
        put("median_flow_bytes", random.lognormal(4_000.0, 0.4));
        put(
            "regularity",
            (host.regularity + 0.07 * random.normal()).clamp(0.0, 1.0),
        );
        put("letters_entropy", random.between(3.2, 4.2));
        put("dns_messages", queries);
        put("dns_nxdomain_ratio", random.between(0.0, 0.06));
        put("dns_name_entropy", 2.4 + 0.15 * random.normal());
        put("new_fingerprints", f64::from(u8::from(random.unit() < 0.02)));
        // Incoming flows are counted: who serves nobody has few of them.
        let (flows, peers) = if serves {
            (
                random.lognormal(900.0 * host.size, 0.4),
                random.lognormal(60.0 * host.size, 0.3),
            )
        } else {
            let flows = (random.unit() * 4.0).floor();
            (flows, flows.min(2.0))
        };
        put("server_flows", flows);
        put("server_peers", peers);
        put("hour_surprisal", random.between(0.6, 2.2));
        put("hosting_ratio", 0.3);
        assert_eq!(values.present().count(), COUNT);
        values
    }
}

/// What the cause does to a window, beside its main features also those that go along.
fn plant(values: &mut Values, cause: usize, random: &mut Random) {
    let get = |values: &Values, name: &str| values.get(place_of(name).expect("a feature")).unwrap_or(0.0);
    let mut put = |name: &str, value: f64| {
        let place = place_of(name).expect("a feature of the list");
        let value = if FEATURES[place].whole {
            value.round()
        } else {
            value
        };
        values.set(place, Some(value));
    };
    match CAUSES[cause].name {
        "horizontal scan" => {
            let targets = random.between(2_000.0, 9_000.0).round();
            put("dst_ips", targets);
            put("silent_targets", targets * 0.95);
            put("new_peers", targets * 0.99);
            put("flows", targets * 1.1);
            put("flow_rate", targets * 1.1 / 55.0);
            put("fail_ratio", random.between(0.8, 0.99));
        }
        "vertical scan" => {
            let ports = random.between(200.0, 2_000.0).round();
            put("ports_of_one_host", ports);
            put("dst_ports", ports * 1.02);
            put("silent_targets", ports * 0.95);
            put("fail_ratio", random.between(0.7, 0.98));
        }
        "exfiltration" => {
            let factor = random.between(40.0, 200.0);
            let sent = get(values, "bytes_out");
            let received = get(values, "bytes_in");
            let mut put =
                |name: &str, value: f64| values.set(place_of(name).expect("a feature"), Some(value));
            put("bytes_out", sent * factor);
            put("bytes_to_one_host", sent * (factor - 1.0));
            put("upload_ratio", sent * factor / (sent * factor + received));
        }
        "beacon" => {
            put("regularity", random.between(0.97, 1.0));
            put("letters_entropy", random.between(0.05, 0.5));
        }
        "generated names" => {
            put("dns_nxdomain_ratio", random.between(0.6, 0.95));
            put("dns_name_entropy", random.between(3.6, 4.0));
        }
        "tunnel in DNS" => {
            put("dns_messages", random.between(20_000.0, 60_000.0));
            put("dns_name_entropy", random.between(4.2, 4.9));
        }
        "new places" => {
            let countries = random.between(40.0, 70.0).round();
            put("dst_countries", countries);
            put("dst_asns", countries * random.between(9.0, 20.0));
        }
        "new software" => put("new_fingerprints", random.between(6.0, 12.0)),
        "odd hour" => put("hour_surprisal", random.between(5.0, 6.5)),
        "sweep by ARP" => put("asked_targets", random.between(150.0, 254.0)),
        "password guessing" => {
            let flows = random.between(15_000.0, 60_000.0).round();
            put("flows", flows);
            put("flow_rate", flows / random.between(5.0, 20.0));
            put("median_flow_bytes", random.between(1_800.0, 2_400.0));
        }
        _ => {
            put("server_flows", random.between(60_000.0, 200_000.0));
            put("server_peers", random.between(6_000.0, 20_000.0));
        }
    }
}
