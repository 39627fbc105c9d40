//! Lists in DNS (RFC 5782), read strictly: an address is listed only if the list answers as lists do. Error codes, answers
//! outside 127.0.0.0/8 (a resolver that rewrites) and lists that fail their own test are *unknown*, never *listed*.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::settings::Dnsbl;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::dns::{self, Kind, Record};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "dnsbl",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Dns,
    who: "your resolver and the operator of each list learn the address",
    quota: Quota::paced(0.1, 10),
    fresh: Some(Duration::from_secs(3600)),
    any_address: false,
    needs_position: false,
};

/// What one list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With the codes, and their names where the list documents them.
    Listed(Vec<(Ipv4Addr, Option<&'static str>)>),
    NotListed,
    Unknown(String),
}

/// Decodes the answer of a list.
#[must_use]
pub fn decode(zone: &str, reply: &dns::Reply) -> Verdict {
    let records = match reply {
        dns::Reply::NoSuchName => return Verdict::NotListed,
        dns::Reply::Records(records) => records,
    };
    let mut codes: Vec<Ipv4Addr> = records
        .iter()
        .filter_map(|record| match record {
            Record::Address(IpAddr::V4(ip)) => Some(*ip),
            _ => None,
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    if codes.is_empty() {
        // The name exists (something below it does), without an entry.
        return Verdict::NotListed;
    }
    for code in &codes {
        if let Some(error) = error(*code) {
            return Verdict::Unknown(format!("{zone} answers {code}: {error}"));
        }
    }
    let named = codes.into_iter().map(|code| (code, name(zone, code)));
    Verdict::Listed(named.collect())
}

/// Answers that say nothing of the address.
const fn error(code: Ipv4Addr) -> Option<&'static str> {
    match code.octets() {
        [127, 255, 255, 252] => Some("the name of the list is mistyped"),
        [127, 255, 255, 254] => Some("asked through a public resolver"),
        [127, 255, 255, 255] => Some("too many questions"),
        [127, 255, 255, _] => Some("an error code"),
        // RFC 5782, 5: 127.0.0.1 must not be listed, so it must not be an answer.
        [127, 0, 0, 1] => Some("not an answer of a list"),
        [127, ..] => None,
        _ => Some("outside 127.0.0.0/8; a resolver on the way rewrites answers"),
    }
}

/// Spamhaus documents its codes.
fn name(zone: &str, code: Ipv4Addr) -> Option<&'static str> {
    if !zone.to_ascii_lowercase().contains("spamhaus") {
        return None;
    }
    match code.octets() {
        [127, 0, 0, 2] => Some("SBL"),
        [127, 0, 0, 3] => Some("CSS"),
        [127, 0, 0, 4] => Some("XBL"),
        [127, 0, 0, 9] => Some("DROP"),
        [127, 0, 0, 10 | 11] => Some("PBL"),
        [127, 0, 0, 20] => Some("AuthBL"),
        [127, 0, 0, 30] => Some("BCL"),
        _ => None,
    }
}

pub(super) struct DnsblProvider {
    settings: Dnsbl,
    wire: Arc<Wire>,
    /// Zones that were tested in this run: `None`, or what is wrong. At most as many as are configured.
    tested: Mutex<HashMap<String, Option<String>>>,
}

impl DnsblProvider {
    pub(super) fn new(settings: Dnsbl, wire: Arc<Wire>) -> Self {
        Self {
            settings,
            wire,
            tested: Mutex::default(),
        }
    }

    /// RFC 5782, 5: 127.0.0.2 is listed in a list that works, 127.0.0.1 is not.
    fn test(&self, zone: &str) -> Result<Option<String>, Fault> {
        let known = self
            .tested
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(zone)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let sender = Sender {
            provider: INFO.name,
            about: None,
            leak: Leak::Dns,
        };
        let ask = |host: [u8; 4]| {
            let name = format!("{}.{zone}", dns::reversed(IpAddr::from(host)));
            let reply = self.wire.dns(sender, &name, Kind::A)?;
            Ok::<_, Fault>(decode(zone, &reply))
        };
        let fault = match (ask([127, 0, 0, 2])?, ask([127, 0, 0, 1])?) {
            (Verdict::Listed(_), Verdict::NotListed) => None,
            (Verdict::Unknown(why), _) | (_, Verdict::Unknown(why)) => Some(why),
            (Verdict::NotListed, _) => Some(format!("{zone} does not list its test entry")),
            (_, Verdict::Listed(_)) => Some(format!("{zone} lists everything")),
        };
        let mut tested = self.tested.lock().unwrap_or_else(PoisonError::into_inner);
        tested.insert(zone.to_owned(), fault.clone());
        Ok(fault)
    }

    fn verdict(&self, zone: &str, ip: IpAddr) -> Result<Verdict, Fault> {
        if let Some(why) = self.test(zone)? {
            return Ok(Verdict::Unknown(why));
        }
        let name = format!("{}.{zone}", dns::reversed(ip));
        let reply = self.wire.dns(Sender::of(&INFO, ip), &name, Kind::A)?;
        Ok(decode(zone, &reply))
    }
}

impl Provider for DnsblProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        self.settings.zones.is_empty().then_some("dnsbl.zones")
    }

    fn settings(&self) -> String {
        self.settings.zones.join(" ")
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let mut table = Table::new(INFO.name);
        let (mut listed, mut clear, mut reasons, mut unknown) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut first = None;
        for zone in &self.settings.zones {
            match self.verdict(zone, question.ip) {
                Err(fault) => {
                    unknown.push(format!("{zone} {fault}"));
                    let offline = matches!(fault, Fault::Unreachable(_)) && !self.wire.is_online();
                    first.get_or_insert(fault);
                    if offline {
                        // Nobody answers; the other lists would not either.
                        break;
                    }
                }
                Ok(Verdict::Unknown(why)) => unknown.push(why),
                Ok(Verdict::NotListed) => {
                    table.put(&format!("{zone}.listed"), Some(false));
                    clear.push(zone.clone());
                }
                Ok(Verdict::Listed(codes)) => {
                    table.put(&format!("{zone}.listed"), Some(true));
                    let words: Vec<String> = codes
                        .iter()
                        .map(|(code, name)| {
                            name.map_or_else(|| code.to_string(), |name| format!("{name} ({code})"))
                        })
                        .collect();
                    reasons.extend(words.iter().map(|word| format!("{zone} {word}")));
                    table.list(&format!("{zone}.codes"), words);
                    listed.push(zone.clone());
                }
            }
        }
        if table.is_empty() {
            return Err(first.unwrap_or_else(|| Fault::Server(unknown.join("; "), None)));
        }
        table.list("listed_in", listed);
        table.list("not_listed_in", clear);
        table.list("codes", reasons);
        if !unknown.is_empty() {
            table.list("unknown", unknown);
        }
        Ok(Reply::found(table.done()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(codes: &[[u8; 4]]) -> dns::Reply {
        let records = codes.iter().map(|code| Record::Address(IpAddr::from(*code)));
        dns::Reply::Records(records.collect())
    }

    #[test]
    fn only_real_answers_list() {
        let zone = "zen.spamhaus.org";
        assert_eq!(decode(zone, &dns::Reply::NoSuchName), Verdict::NotListed);
        let listed = decode(zone, &answer(&[[127, 0, 0, 4], [127, 0, 0, 2]]));
        assert_eq!(
            listed,
            Verdict::Listed(vec![
                (Ipv4Addr::new(127, 0, 0, 2), Some("SBL")),
                (Ipv4Addr::new(127, 0, 0, 4), Some("XBL"))
            ])
        );
        for code in [
            [127, 255, 255, 252],
            [127, 255, 255, 254],
            [127, 255, 255, 255],
            [127, 0, 0, 1],
            [203, 0, 113, 9],
        ] {
            assert!(
                matches!(decode(zone, &answer(&[code])), Verdict::Unknown(_)),
                "{code:?}"
            );
            // An error beside a code makes the code doubtful.
            assert!(matches!(
                decode(zone, &answer(&[[127, 0, 0, 2], code])),
                Verdict::Unknown(_)
            ));
        }
    }

    proptest! {
        #[test]
        fn listed_means_inside_127_and_no_error(a: u8, b: u8, c: u8, d: u8) {
            if let Verdict::Listed(_) = decode("x.example", &answer(&[[a, b, c, d]])) {
                prop_assert!(a == 127 && (b, c) != (255, 255) && (b, c, d) != (0, 0, 1));
            }
        }
    }
}
