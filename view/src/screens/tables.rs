//! The tables behind Kalipso's hotkeys, made of a profile.

use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_model::profile::{Key, LetterKey, PeerKey, PortKey, ProfileDelta, Row, Table, TupleKey};

use super::{Histogram, HistogramRow, Tables, TupleView};
use crate::service;

impl Tables {
    /// `names`: what is known of addresses, as from DNS answers.
    #[must_use]
    pub fn of(profile: &ProfileDelta, names: &HashMap<IpAddr, String>) -> Self {
        Self {
            source_ports: ports(&profile.client_source_ports),
            destination_ips: histogram(&profile.client_peers, |key: &PeerKey| {
                let name = names
                    .get(&key.ip)
                    .map_or_else(String::new, |name| format!(" {name}"));
                About {
                    established: key.established,
                    text: format!("{} {}{name}", key.ip, service::protocol(key.protocol)),
                    ip: Some(key.ip),
                    port: None,
                    protocol: key.protocol,
                }
            }),
            destination_ports: ports(&profile.client_ports),
            server_ports: ports(&profile.server_ports),
            ports_and_ips: histogram(&profile.out_tuples, |key: &TupleKey| About {
                established: key.established,
                text: port_text(key.port, key.protocol),
                ip: Some(key.ip),
                port: service::has_ports(key.protocol).then_some(key.port),
                protocol: key.protocol,
            }),
            out_tuples: tuples(profile, false, names),
            in_tuples: tuples(profile, true, names),
            tuples_truncated: profile.out_tuples.truncated() || profile.in_tuples.truncated(),
        }
    }
}

fn ports(table: &Table<PortKey>) -> Histogram {
    histogram(table, |key| About {
        established: key.established,
        text: port_text(key.port, key.protocol),
        ip: None,
        port: service::has_ports(key.protocol).then_some(key.port),
        protocol: key.protocol,
    })
}

/// What a row is about.
struct About {
    established: bool,
    text: String,
    ip: Option<IpAddr>,
    port: Option<u16>,
    protocol: u8,
}

/// `443/tcp HTTPS`
fn port_text(port: u16, protocol: u8) -> String {
    let name = service::name(port, protocol).filter(|_| service::has_ports(protocol));
    let name = name.map_or_else(String::new, |name| format!(" {name}"));
    format!("{}{name}", service::port(port, protocol))
}

/// Rows come with most bytes first and stay in that order.
fn histogram<K: Key>(table: &Table<K>, about: impl Fn(&K) -> About) -> Histogram {
    let mut histogram = Histogram {
        truncated: table.truncated(),
        ..Histogram::default()
    };
    for row in table.top() {
        let about = about(row.key());
        let rows = if about.established {
            &mut histogram.established
        } else {
            &mut histogram.not_established
        };
        let estimated = matches!(row, Row::Estimated(..));
        rows.push(HistogramRow {
            key: if estimated {
                format!("≈ {}", about.text)
            } else {
                about.text
            },
            ip: about.ip,
            port: about.port,
            protocol: about.protocol,
            estimated,
            flows: row.flows(),
            packets: row.packets(),
            bytes: row.bytes(),
        });
    }
    histogram
}

/// Established and not established rows of a tuple added up, with the letters of the sensor that wrote most.
fn tuples(profile: &ProfileDelta, incoming: bool, names: &HashMap<IpAddr, String>) -> Vec<TupleView> {
    let mut letters: HashMap<LetterKey, (u64, &str)> = HashMap::new();
    for (_, key, written) in profile
        .letters
        .entries()
        .filter(|(_, key, _)| key.incoming == incoming)
    {
        let best = letters.entry(*key).or_insert((0, ""));
        if written.version > best.0 {
            *best = (written.version, &written.text);
        }
    }
    let table = if incoming {
        &profile.in_tuples
    } else {
        &profile.out_tuples
    };
    let mut views: Vec<TupleView> = Vec::new();
    let mut places: HashMap<LetterKey, usize> = HashMap::new();
    for row in table.top() {
        let TupleKey {
            protocol, port, ip, ..
        } = *row.key();
        let key = LetterKey {
            incoming,
            protocol,
            port,
            ip,
        };
        let place = *places.entry(key).or_insert_with(|| {
            views.push(TupleView {
                key: format!("{ip} {}", service::port(port, protocol)),
                ip,
                port,
                protocol,
                name: names.get(&ip).cloned(),
                letters: letters
                    .get(&key)
                    .map_or_else(String::new, |(_, text)| (*text).to_owned()),
                flows: 0,
                packets: 0,
                bytes: 0,
            });
            views.len() - 1
        });
        let view = &mut views[place];
        view.flows += row.flows();
        view.packets += row.packets();
        view.bytes += row.bytes();
    }
    views.sort_by(|a, b| {
        b.letters
            .len()
            .cmp(&a.letters.len())
            .then(b.bytes.cmp(&a.bytes))
            .then(a.key.cmp(&b.key))
    });
    views
}
