//! From a profile to its features.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{COUNT, Values, place_of};
use crate::profile::{Key, ProfileDelta, Table, TupleKey};

/// What the profile itself does not say; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extras {
    pub dst_asns: Option<u64>,
    pub dst_countries: Option<u64>,
    pub new_peers: Option<f64>,
    /// Bits.
    pub dns_name_entropy: Option<f64>,
    pub new_fingerprints: Option<u64>,
    /// Incoming flows are counted in profiles of servers.
    pub incoming: bool,
    /// Nats.
    pub hour_surprisal: Option<f64>,
    pub hosting_ratio: Option<f64>,
}

/// Symbols with a period that a tuple needs before its rhythm says something.
const MIN_SYMBOLS: usize = 8;

impl Values {
    /// The features of a window as it is known.
    #[must_use]
    pub fn of(profile: &ProfileDelta, extras: &Extras) -> Self {
        let totals = &profile.totals;
        let (open, silent) = (&totals.client_established, &totals.client_not_established);
        let flows = (open.flows + silent.flows) as f64;
        let sent = open.bytes_sent.saturating_add(silent.bytes_sent) as f64;
        let received = open.bytes_received.saturating_add(silent.bytes_received) as f64;
        let packets = open.packets_sent.saturating_add(silent.packets_sent) as f64;
        let any = |value: f64| (flows > 0.0).then_some(value);
        let minutes = profile
            .span
            .map_or(1.0, |(first, last)| last.since(first).as_secs_f64())
            .max(1.0)
            / 60.0;
        let (regularity, entropy) = rhythm(profile);
        let came = totals.server_established.flows + totals.server_not_established.flows;
        let counted = extras.incoming || came > 0;
        let mut values = [None; COUNT];
        let mut put = |name: &str, value: Option<f64>| {
            if let Some(place) = place_of(name) {
                values[place] = value;
            }
        };
        put("flows", Some(flows));
        put("flow_rate", any(flows / minutes));
        put("fail_ratio", ratio(silent.flows as f64, flows));
        put("dst_ips", Some(distinct(&profile.client_peers, |key| key.ip)));
        put(
            "dst_ports",
            Some(distinct(&profile.client_ports, |key| (key.protocol, key.port))),
        );
        put("ports_of_one_host", any(ports_of_one_host(&profile.out_tuples)));
        put("silent_targets", Some(profile.attempts.distinct().round()));
        put(
            "asked_targets",
            Some((profile.arp_targets.distinct() + profile.icmp_targets.distinct()).round()),
        );
        put("dst_asns", extras.dst_asns.map(|count| count as f64));
        put("dst_countries", extras.dst_countries.map(|count| count as f64));
        put("new_peers", extras.new_peers.map(f64::round));
        put("bytes_out", Some(sent));
        put("bytes_in", Some(received));
        put("bytes_to_one_host", any(bytes_to_one_host(profile)));
        put("packets_out", Some(packets));
        put("mean_packet_out", ratio(sent, packets));
        put("upload_ratio", ratio(sent, sent + received));
        put(
            "median_duration",
            profile.flow_durations.quantile(0.5).map(|micros| micros / 1e6),
        );
        put("median_flow_bytes", profile.flow_bytes.quantile(0.5));
        put("regularity", regularity);
        put("letters_entropy", entropy);
        put("dns_messages", Some(profile.apps.dns as f64));
        put(
            "dns_nxdomain_ratio",
            ratio(profile.apps.dns_nxdomain as f64, profile.apps.dns as f64),
        );
        put("dns_name_entropy", extras.dns_name_entropy);
        put(
            "new_fingerprints",
            extras.new_fingerprints.map(|count| count as f64),
        );
        put("server_flows", counted.then_some(came as f64));
        put(
            "server_peers",
            counted.then(|| distinct(&profile.server_peers, |key| key.ip)),
        );
        put("hour_surprisal", extras.hour_surprisal);
        put("hosting_ratio", extras.hosting_ratio);
        Self::new(values)
    }
}

impl Extras {
    /// Hosts of a window that none of the earlier windows knows; an estimate where the table had to let rows go, and
    /// `None` where there is no earlier window.
    #[must_use]
    pub fn new_peers(profile: &ProfileDelta, earlier: &[ProfileDelta]) -> Option<f64> {
        if earlier.is_empty() {
            return None;
        }
        let known: BTreeSet<IpAddr> = earlier
            .iter()
            .flat_map(|window| window.client_peers.rows().map(|(key, _)| key.ip))
            .collect();
        let hosts: BTreeSet<IpAddr> = profile.client_peers.rows().map(|(key, _)| key.ip).collect();
        let new = hosts.iter().filter(|ip| !known.contains(ip)).count();
        Some(new as f64 * weight(&profile.client_peers))
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// How many keys stand behind each row that is kept.
fn weight<K: Key>(table: &Table<K>) -> f64 {
    if table.truncated() && !table.is_empty() {
        table.distinct() / table.len() as f64
    } else {
        1.0
    }
}

/// Distinct parts of keys; scaled up from the sample in a table that had to let rows go.
fn distinct<K: Key, P: Ord>(table: &Table<K>, part: impl Fn(&K) -> P) -> f64 {
    let parts: BTreeSet<P> = table.rows().map(|(key, _)| part(key)).collect();
    (parts.len() as f64 * weight(table)).round()
}

fn ports_of_one_host(tuples: &Table<TupleKey>) -> f64 {
    let mut ports: BTreeMap<IpAddr, BTreeSet<(u8, u16)>> = BTreeMap::new();
    for (key, _) in tuples.rows() {
        ports.entry(key.ip).or_default().insert((key.protocol, key.port));
    }
    let most = ports.values().map(BTreeSet::len).max().unwrap_or(0);
    // One port stays one port, however many hosts there are.
    if most <= 1 {
        most as f64
    } else {
        (most as f64 * weight(tuples)).round()
    }
}

fn bytes_to_one_host(profile: &ProfileDelta) -> f64 {
    let mut sent: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let rows = profile
        .client_peers
        .rows()
        .map(|(key, cell)| (key.ip, cell.counts.bytes_sent));
    let heavy = profile
        .client_peers
        .heavy()
        .map(|(key, sums)| (key.ip, sums.bytes_sent));
    for (ip, bytes) in rows.chain(heavy) {
        let sum = sent.entry(ip).or_default();
        *sum = sum.saturating_add(bytes);
    }
    sent.values().max().copied().unwrap_or(0) as f64
}

/// Share of periodic symbols in the most regular outgoing tuple, and the entropy of the symbols of all.
fn rhythm(profile: &ProfileDelta) -> (Option<f64>, Option<f64>) {
    let mut symbols = [0_u64; 128];
    let mut most: Option<f64> = None;
    for (_, key, letters) in profile.letters.entries().filter(|(_, key, _)| !key.incoming) {
        let says_period = |byte: &u8| byte.is_ascii_alphabetic();
        let periods: Vec<u8> = letters.text.bytes().filter(says_period).collect();
        for byte in &periods {
            symbols[usize::from(*byte)] += 1;
        }
        // Several flows at one moment are strongly periodic by the rules of letters; a channel is more than a burst.
        let is_timed = key.protocol != 0 && letters.text.bytes().any(|byte| b",+*".contains(&byte));
        if periods.len() >= MIN_SYMBOLS && is_timed {
            let regular = periods.iter().filter(|byte| (b'a'..=b'i').contains(byte)).count();
            let share = regular as f64 / periods.len() as f64;
            most = Some(most.map_or(share, |most| most.max(share)));
        }
    }
    let all: u64 = symbols.iter().sum();
    let entropy = (all >= MIN_SYMBOLS as u64).then(|| entropy(&symbols));
    (most, entropy)
}

/// Bits.
fn entropy(counts: &[u64]) -> f64 {
    let all = counts.iter().sum::<u64>() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = *count as f64 / all;
            -share * libm::log2(share)
        })
        .sum::<f64>()
        // One symbol: minus zero.
        .abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::CommunityId;
    use crate::profile::{Cell, Counts, Draws, Earliest, LetterKey, Letters, PeerKey};
    use crate::time::Timestamp;
    use crate::window::{SensorId, WindowId};

    fn empty() -> ProfileDelta {
        ProfileDelta::new(WindowId {
            profile: [10, 0, 0, 1].into(),
            start: Timestamp(0),
        })
    }

    fn value(profile: &ProfileDelta, name: &str) -> Option<f64> {
        Values::of(profile, &Extras::default()).get(place_of(name).unwrap())
    }

    fn cell(bytes: u64) -> Cell {
        let counts = Counts {
            flows: 1,
            packets_sent: 1,
            packets_received: 1,
            bytes_sent: bytes,
            bytes_received: 1,
        };
        Cell {
            counts,
            draws: Draws::new(7, &counts),
            earliest: Earliest {
                first: Timestamp(0),
                community_id: CommunityId([0; 20]),
                packets: 1,
            },
            last: Timestamp(1),
        }
    }

    fn peer(number: u8, established: bool) -> PeerKey {
        PeerKey {
            established,
            protocol: 6,
            ip: [192, 0, 2, number].into(),
        }
    }

    #[test]
    fn nothing_is_not_zero() {
        let profile = empty();
        assert_eq!(value(&profile, "fail_ratio"), None);
        assert_eq!(value(&profile, "server_flows"), None);
        assert_eq!(value(&profile, "dst_asns"), None);
        assert_eq!(value(&profile, "flows"), Some(0.0));
    }

    #[test]
    fn numbers_of_a_window() {
        let mut profile = empty();
        profile.totals.client_established = Counts {
            flows: 3,
            packets_sent: 10,
            bytes_sent: 1_000,
            bytes_received: 3_000,
            packets_received: 9,
        };
        profile.totals.client_not_established.flows = 1;
        profile.span = Some((Timestamp(0), Timestamp::from_secs(120)));
        profile.apps.dns = 4;
        profile.apps.dns_nxdomain = 1;
        // One host, once established and once not, is one host.
        profile.client_peers.add(peer(1, true), &cell(300));
        profile.client_peers.add(peer(1, false), &cell(400));
        profile.client_peers.add(peer(2, true), &cell(300));
        for (name, expected) in [
            ("fail_ratio", 0.25),
            ("flow_rate", 2.0),
            ("mean_packet_out", 100.0),
            ("upload_ratio", 0.25),
            ("dns_nxdomain_ratio", 0.25),
            ("dst_ips", 2.0),
            ("bytes_to_one_host", 700.0),
        ] {
            assert_eq!(value(&profile, name), Some(expected), "{name}");
        }
        let mut earlier = empty();
        assert_eq!(Extras::new_peers(&profile, &[]), None);
        earlier.client_peers.add(peer(2, true), &cell(1));
        assert_eq!(Extras::new_peers(&profile, &[earlier]), Some(1.0));
    }

    #[test]
    fn rhythm_of_the_most_regular_tuple() {
        let mut profile = empty();
        let mut put = |port, text: &str| {
            let key = LetterKey {
                incoming: false,
                protocol: 6,
                port,
                ip: [192, 0, 2, 1].into(),
            };
            let letters = Letters {
                version: 9,
                text: text.to_owned(),
            };
            profile.letters.put(SensorId([1; 16]), key, letters);
        };
        put(443, "11a,a,a,a,a,a,R,a,");
        put(80, "11R,R,R,R,R,R,R,R,");
        put(53, "11aaaaaaaaaaaaaa");
        assert_eq!(value(&profile, "regularity"), Some(7.0 / 8.0));
        assert!(value(&profile, "letters_entropy").unwrap() > 0.5);
    }
}
