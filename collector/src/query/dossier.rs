//! Dossiers: what the collector knows of an address. Put together when asked, kept for some minutes.

mod files;
mod seen;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lynceus_enrich::dossier::{Dossier, MAX_FACTS};
use lynceus_enrich::fact::{Fact, Field, Item, Matched, Reason, Source, Value};
use lynceus_enrich::latency;
use lynceus_enrich::offline::tables::Tables;
use lynceus_enrich::provider;
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;
use tonic::Status;

use super::{QueryService, address};
use crate::knowledge::Facts;
use crate::rows;
use files::Files;

/// Dossiers that are kept: at about 8 kB each some 32 MiB.
pub const MAX_KEPT: usize = 4096;
/// After that a dossier is put together anew: feeds and services change.
pub const MAX_AGE: Duration = Duration::from_secs(300);
/// Longest text of a fact from elsewhere, bytes.
const MAX_TEXT: usize = 4096;

const FEEDS: Source = Source::new("feeds");

/// Dossiers that were asked for, the user's files, and what providers said to `lynceus ip` on this machine.
#[derive(Debug, Default)]
pub struct Dossiers {
    kept: Mutex<HashMap<IpAddr, Arc<Dossier>>>,
    files: Files,
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    /// Kept ones that made room for others, because they were old or too many.
    pub evicted: AtomicU64,
}

impl Dossiers {
    fn get(&self, ip: IpAddr, now: Timestamp) -> Option<Arc<Dossier>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept
            .get(&ip)
            .filter(|dossier| now.since(dossier.at) < MAX_AGE)
            .cloned();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn put(&self, dossier: Arc<Dossier>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT && !kept.contains_key(&dossier.ip) {
            let before = kept.len();
            kept.retain(|_, old| dossier.at.since(old.at) < MAX_AGE);
            if kept.len() >= MAX_KEPT {
                // Rare: so many within minutes. All of them are cheap to make again.
                kept.clear();
            }
            self.evicted
                .fetch_add((before - kept.len()) as u64, Ordering::Relaxed);
        }
        kept.insert(dossier.ip, dossier);
    }
}

impl QueryService {
    /// What is known of an address, at most [`MAX_AGE`] old. May block: call it where that is allowed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn dossier(&self, ip: IpAddr) -> Result<Arc<Dossier>, Status> {
        let ip = ip.to_canonical();
        let now = crate::now();
        if let Some(dossier) = self.dossiers.get(ip, now) {
            return Ok(dossier);
        }
        let mut dossier = Dossier::new(ip, now);
        let known = self.dossiers.files.known(now);
        known.local.describe(&mut dossier);
        match Tables::embedded() {
            Ok(tables) => {
                tables.describe(&mut dossier);
                known.published.describe(&mut dossier);
                let handshakes = self.seen(&mut dossier)?;
                dossier.add(listed(&self.live.facts(), ip));
                // Nobody is asked; what was said stands with its date.
                match known.history.recall(ip, i64::MAX) {
                    Ok(answers) => dossier.extend(answers.iter().flat_map(provider::facts)),
                    Err(error) => tracing::warn!(%error, "the history of answers cannot be read"),
                }
                tables.conclude(&mut dossier);
                // After all who claim a place.
                latency::facts::describe(&mut dossier, &handshakes.observations, handshakes.last);
            }
            Err(damaged) => return Err(Status::data_loss(damaged.to_string())),
        }
        let dossier = Arc::new(dossier);
        self.dossiers.put(Arc::clone(&dossier));
        Ok(dossier)
    }
}

/// Feeds that list the address: none of them is an answer too, if a feed of addresses is loaded.
#[must_use]
pub fn listed(facts: &Facts, ip: IpAddr) -> Fact {
    let Some(hits) = facts.feeds().ip(ip) else {
        let reason = Reason::NoData("feed of addresses".into());
        return Fact::unknown(Field::Feeds, reason, FEEDS);
    };
    let taken = hits.iter().map(|hit| Timestamp::from_secs(hit.taken)).min();
    let names: Value = hits.into_iter().map(|hit| Item::Text(hit.feed)).collect();
    Fact::new(Field::Feeds, names, FEEDS).as_of(taken)
}

/// For gRPC.
#[must_use]
pub fn to_wire(dossier: &Dossier) -> v1::GetDossierResponse {
    v1::GetDossierResponse {
        ip: rows::address_bytes(dossier.ip),
        at: dossier.at.0,
        facts: dossier.facts().iter().map(fact_to_wire).collect(),
        refused: dossier.refused,
    }
}

fn fact_to_wire(fact: &Fact) -> v1::Fact {
    use v1::fact::Value as Wire;
    let value = match &fact.value {
        Value::Text(text) => Wire::Text(text.to_string()),
        Value::Integer(value) => Wire::Integer(*value),
        Value::Real(value) => Wire::Real(*value),
        Value::Flag(value) => Wire::Flag(*value),
        Value::Set(items) => {
            let mut set = v1::FactSet::default();
            for item in items {
                match item {
                    Item::Integer(value) => set.integers.push(*value),
                    Item::Text(text) => set.texts.push(text.clone()),
                }
            }
            Wire::Set(set)
        }
        Value::Unknown(reason) => Wire::Unknown(reason.to_string()),
    };
    v1::Fact {
        field: fact.field.name().to_owned(),
        source: fact.source.name().to_owned(),
        as_of: fact.as_of.map(|time| time.0),
        first: fact.matched.map(|range| rows::address_bytes(range.first)),
        last: fact.matched.map(|range| rows::address_bytes(range.last)),
        value: Some(value),
    }
}

/// Back from gRPC. A field that this program does not know yet is left out.
///
/// # Errors
/// An answer makes no sense; the error names the field.
pub fn from_wire(answer: v1::GetDossierResponse) -> Result<Dossier, Status> {
    let mut dossier = Dossier::new(address("ip", &answer.ip)?, Timestamp(answer.at));
    if answer.facts.len() > MAX_FACTS {
        return Err(Status::invalid_argument(format!("facts: more than {MAX_FACTS}")));
    }
    for fact in answer.facts {
        if let Some(field) = Field::from_name(&fact.field) {
            dossier.add(fact_from_wire(field, fact)?);
        }
    }
    dossier.refused = answer.refused;
    Ok(dossier)
}

fn fact_from_wire(field: Field, fact: v1::Fact) -> Result<Fact, Status> {
    use v1::fact::Value as Wire;
    let short = |text: String| {
        if text.len() > MAX_TEXT {
            Err(Status::invalid_argument(format!(
                "{}: a text of more than {MAX_TEXT} bytes",
                field.name()
            )))
        } else {
            Ok(text)
        }
    };
    let value = match fact.value {
        Some(Wire::Text(text)) => Value::from(short(text)?),
        Some(Wire::Integer(value)) => Value::Integer(value),
        Some(Wire::Real(value)) => Value::Real(value),
        Some(Wire::Flag(value)) => Value::Flag(value),
        Some(Wire::Set(set)) => {
            let mut items: BTreeSet<Item> = set.integers.into_iter().map(Item::Integer).collect();
            for text in set.texts {
                items.insert(Item::Text(short(text)?));
            }
            Value::Set(items)
        }
        Some(Wire::Unknown(reason)) => Value::Unknown(Reason::Failed(short(reason)?)),
        None => return Err(Status::invalid_argument(format!("{}: no value", field.name()))),
    };
    let matched = match (fact.first, fact.last) {
        (Some(first), Some(last)) => Some(Matched {
            first: address("first", &first)?,
            last: address("last", &last)?,
        }),
        _ => None,
    };
    let source = Source(short(fact.source)?.into());
    Ok(Fact::new(field, value, source)
        .as_of(fact.as_of.map(Timestamp))
        .matched(matched))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dossier(ip: &str, at: i64) -> Arc<Dossier> {
        Arc::new(Dossier::new(ip.parse().unwrap(), Timestamp::from_secs(at)))
    }

    #[test]
    fn what_goes_over_the_wire_comes_back() {
        let mut dossier = Dossier::new(
            "94.31.29.154".parse().unwrap(),
            Timestamp::from_secs(1_782_907_200),
        );
        let tables = Tables::embedded().unwrap();
        tables.describe(&mut dossier);
        tables.conclude(&mut dossier);
        let ports = [Item::Integer(443), Item::Text("tcp/443 tls".to_owned())];
        dossier.add(Fact::new(
            Field::Services,
            ports.into_iter().collect::<Value>(),
            Source::new("sensors"),
        ));
        // What services said goes the same way.
        let lists = [Item::from("bad.example")].into_iter().collect::<Value>();
        dossier.extend([
            Fact::new(Field::DnsblListed, lists, Source::new("dnsbl")),
            Fact::new(Field::Reputation, "malicious", Source::new("greynoise")),
            Fact::new(Field::ReverseDnsConfirmed, false, Source::new("reverse_dns")),
            Fact::new(Field::PingMin, 0.25, Source::new("ping")),
        ]);
        assert_eq!(from_wire(to_wire(&dossier)).unwrap(), dossier);
        let unknown = listed(&Facts::default(), dossier.ip);
        let back = fact_from_wire(Field::Feeds, fact_to_wire(&unknown)).unwrap();
        assert_eq!(back.value.to_string(), "unknown (no feed of addresses here)");
    }

    #[test]
    fn nonsense_from_the_wire_is_an_error() {
        let good = to_wire(&dossier("192.0.2.1", 0));
        assert!(from_wire(good.clone()).is_ok());
        let bad = v1::GetDossierResponse {
            ip: vec![1, 2, 3],
            ..good.clone()
        };
        assert!(from_wire(bad).is_err());
        let fact = |field: &str, value| v1::Fact {
            field: field.to_owned(),
            value,
            ..v1::Fact::default()
        };
        let with = |facts| v1::GetDossierResponse {
            facts,
            ..good.clone()
        };
        assert!(from_wire(with(vec![fact("asn", None)])).is_err());
        let long = Some(v1::fact::Value::Text("x".repeat(MAX_TEXT + 1)));
        assert!(from_wire(with(vec![fact("city", long)])).is_err());
        assert!(from_wire(with(vec![v1::Fact::default(); MAX_FACTS + 1])).is_err());
        let later = from_wire(with(vec![fact("of a later version", None)])).unwrap();
        assert!(later.facts().is_empty());
    }

    #[test]
    fn kept_dossiers_have_an_age_and_a_bound() {
        let dossiers = Dossiers::default();
        dossiers.put(dossier("192.0.2.1", 1000));
        let at = |seconds| dossiers.get("192.0.2.1".parse().unwrap(), Timestamp::from_secs(seconds));
        assert!(at(1000).is_some());
        assert!(at(1299).is_some());
        assert!(at(1300).is_none(), "five minutes old");
        for host in 0..MAX_KEPT as u32 + 10 {
            let ip = std::net::Ipv4Addr::from_bits(0x0a00_0000 + host);
            dossiers.put(dossier(&ip.to_string(), 1000 + i64::from(host) / 10));
        }
        let kept = dossiers.kept.lock().unwrap().len() as u64;
        assert!(kept <= MAX_KEPT as u64);
        let evicted = dossiers.evicted.load(Ordering::Relaxed);
        assert_eq!(kept + evicted, MAX_KEPT as u64 + 11);
        assert_eq!(dossiers.hits.load(Ordering::Relaxed), 2);
        assert_eq!(dossiers.misses.load(Ordering::Relaxed), 1);
    }
}
