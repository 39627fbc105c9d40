//! Lines of a whitelist file.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::pattern::Pattern;
use super::{Direction, Entry, Ignore, Organization, Whitelist};
use crate::words::plural;

/// A line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u32,
    pub why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.why)
    }
}

pub(super) fn parse(text: &str) -> (Whitelist, Vec<BadLine>) {
    let mut list = Whitelist::default();
    let mut bad = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim_start_matches('\u{feff}').trim();
        // The heading that Slips' own file has.
        let heading = line
            .to_ascii_lowercase()
            .replace(['"', ' '], "")
            .starts_with("ioctype,");
        if line.is_empty() || line.starts_with([';', '#']) || heading {
            continue;
        }
        if let Err(why) =
            entry(line, number).and_then(|(kind, value, entry)| insert(&mut list, &kind, &value, entry))
        {
            bad.push(BadLine { line: number, why });
        }
    }
    (list, bad)
}

fn entry(line: &str, number: u32) -> Result<(String, String, Entry), String> {
    let fields: Vec<String> = line
        .split(',')
        .map(|field| field.trim().trim_matches('"').to_owned())
        .collect();
    let [kind, value, direction, ignore] = fields.as_slice() else {
        return Err(format!(
            "has {}, must have 4: type,value,direction,ignore",
            plural(fields.len() as u64, "value", "values")
        ));
    };
    let direction = match direction.to_ascii_lowercase().as_str() {
        "src" => Direction::Source,
        "dst" => Direction::Destination,
        "both" => Direction::Both,
        other => return Err(format!("direction {other:?} is none of src, dst, both")),
    };
    let ignore = match ignore.to_ascii_lowercase().as_str() {
        "flows" => Ignore::Flows,
        "alerts" => Ignore::Alerts,
        "both" => Ignore::Both,
        other => return Err(format!("{other:?} is none of flows, alerts, both")),
    };
    let entry = Entry {
        line: number,
        text: line.to_owned(),
        direction,
        ignore,
    };
    Ok((kind.to_ascii_lowercase(), value.clone(), entry))
}

fn insert(list: &mut Whitelist, kind: &str, value: &str, entry: Entry) -> Result<(), String> {
    if list.len() >= Whitelist::MAX_ENTRIES {
        return Err(format!("more than {} entries", Whitelist::MAX_ENTRIES));
    }
    let linear = list.networks.len() + list.ip_patterns.len() + list.domain_patterns.len() + list.ja4.len();
    let room = || {
        if linear < Whitelist::MAX_LINEAR {
            Ok(())
        } else {
            Err(format!(
                "more than {} networks, wildcards and fingerprints",
                Whitelist::MAX_LINEAR
            ))
        }
    };
    match kind {
        "ip" => {
            if let Ok(ip) = value.parse::<IpAddr>() {
                list.ips.insert(ip, entry);
            } else if let Ok(endpoint) = value.parse::<SocketAddr>() {
                list.endpoints.insert((endpoint.ip(), endpoint.port()), entry);
            } else if value.contains('*') {
                room()?;
                put(&mut list.ip_patterns, Pattern::new(value), entry);
            } else {
                let network = value
                    .parse()
                    .map_err(|_| format!("{value:?} is no address, network or address:port"))?;
                room()?;
                put(&mut list.networks, network, entry);
            }
        }
        "domain" => {
            let name = value.trim_end_matches('.').to_ascii_lowercase();
            let plain = name.strip_prefix("*.").unwrap_or(&name);
            if plain.is_empty() || plain.contains([' ', '/', ':']) {
                return Err(format!("{value:?} is no domain"));
            }
            if name.contains('*') {
                room()?;
                put(&mut list.domain_patterns, Pattern::new(&name), entry);
            } else {
                list.domains.insert(name, entry);
            }
        }
        "mac" => {
            let mac = mac(value).ok_or_else(|| format!("{value:?} is no MAC address"))?;
            list.macs.insert(mac, entry);
        }
        "ja4" => {
            let plain = value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'*'));
            if value.is_empty() || !plain {
                return Err(format!("{value:?} is no JA4"));
            }
            room()?;
            put(&mut list.ja4, Pattern::new(value), entry);
        }
        "organization" => {
            let organization = Organization::from_name(value).ok_or_else(|| {
                let known: Vec<_> = Organization::ALL
                    .iter()
                    .map(|organization| organization.name())
                    .collect();
                format!("{value:?} is not known; there are {}", known.join(", "))
            })?;
            put(&mut list.organizations, organization, entry);
        }
        other => {
            return Err(format!(
                "type {other:?} is none of ip, domain, mac, organization, ja4"
            ));
        }
    }
    Ok(())
}

/// The last line about a value wins.
fn put<T: PartialEq>(list: &mut Vec<(T, Entry)>, value: T, entry: Entry) {
    match list.iter_mut().find(|(known, _)| *known == value) {
        Some((_, old)) => *old = entry,
        None => list.push((value, entry)),
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_lines_are_named_and_cost_only_themselves() {
        let text = "; comment\n\"IoCType\",\"IoCValue\",\"Direction\",\"IgnoreType\"\nip,192.0.2.1,both,both\nip,nonsense,both,both\n\
                    ip,192.0.2.2,left,both\ndomain,example.org\nplanet,mars,both,both\norganization,acme,both,both\n\
                    mac,zz:00:00:00:00:00,src,both\n# ip,192.0.2.9,both,both\ndomain,example.org,both,alerts";
        let (list, bad) = parse(text);
        assert_eq!(list.len(), 2);
        let lines: Vec<_> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [4, 5, 6, 7, 8, 9]);
        assert!(
            bad[4]
                .to_string()
                .starts_with("line 8: \"acme\" is not known; there are "),
            "{}",
            bad[4]
        );
        let (_, bad) = parse("nonsense\ndomain,example.org");
        assert!(bad[0].why.starts_with("has 1 value, must have 4"), "{}", bad[0]);
        assert!(bad[1].why.starts_with("has 2 values, must"), "{}", bad[1]);
    }

    #[test]
    fn the_last_line_about_a_value_wins() {
        let (list, _) = parse("ip,192.0.2.0/24,src,flows\nip,192.0.2.0/24,dst,alerts");
        assert_eq!(list.len(), 1);
        assert_eq!(list.networks[0].1.line, 2);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            let (list, bad) = parse(&text);
            prop_assert!(list.len() + bad.len() <= text.lines().count());
        }

        #[test]
        fn lines_that_look_right_do_not_panic(
            kind in "ip|domain|mac|ja4|organization", value in "[0-9a-fA-F:./*\\[\\]_ ]{0,30}", side in "src|dst|both|x",
        ) {
            let (list, bad) = parse(&format!("{kind},{value},{side},both"));
            prop_assert_eq!(list.len() + bad.len(), 1);
        }
    }
}
