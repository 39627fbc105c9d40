//! What flows and messages of an open window say beyond its profile.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::EvidenceType;
use lynceus_model::window::SensorId;

use crate::ProfileUpdate;
use crate::names::{entropy, is_own, registrable};

/// Kept from the first to the last update of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Open {
    /// Names asked for, and the sum of their entropies in bits.
    pub names: u64,
    pub entropy: f64,
    /// JA4 of its ClientHellos.
    pub fingerprints: BTreeSet<String>,
    /// Those that nobody showed before.
    pub new_fingerprints: u64,
    /// Registrable domains of server names, with how often.
    pub domains: BTreeMap<String, u64>,
    pub vlans: BTreeSet<u16>,
    /// Bit n: evidence of the type at place n of [`EvidenceType::ALL`].
    pub types: u128,
    pub updates: u64,
    /// Sensors that have not said that it is over.
    pub holders: BTreeSet<SensorId>,
}

/// Values of an attribute that are kept of a window: what is shared by outliers is rarely the ninth of something.
const MAX_VALUES: usize = 8;
/// Sensors that are waited for with one window; what comes of others after that is late.
const MAX_HOLDERS: usize = 16;
/// Steps of a bit in which entropies are added up, so that their sum is the same in any order.
const STEPS: f64 = (1_u64 << 20) as f64;

/// JA4 that were shown by anybody, by their hash: two generations, so that the bound holds and what is in use stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    pub young: BTreeSet<u64>,
    pub old: BTreeSet<u64>,
    pub forgotten: u64,
}

impl Fingerprints {
    /// Twice this many: 1 MB. Large networks show some thousands.
    const LIMIT: usize = 16_384;

    /// Whether it was not there before.
    fn is_new(&mut self, hash: u64) -> bool {
        if self.young.contains(&hash) {
            return false;
        }
        let known = self.old.remove(&hash);
        if self.young.len() >= Self::LIMIT {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
        !known
    }
}

impl Open {
    pub(super) fn hear(&mut self, update: &ProfileUpdate<'_>, known: &mut Fingerprints) {
        self.updates += 1;
        for record in update.apps {
            match &record.event {
                AppEvent::Dns(dns) if !dns.response && !dns.multicast && !is_own(&dns.name) => {
                    let labels = dns.name.strip_suffix(registrable(&dns.name)).unwrap_or_default();
                    let chosen = if labels.is_empty() {
                        dns.name.split('.').next().unwrap_or_default()
                    } else {
                        labels.trim_end_matches('.')
                    };
                    self.names += 1;
                    self.entropy += (entropy(chosen) * STEPS).round() / STEPS;
                }
                AppEvent::TlsClient(hello) => {
                    if !hello.ja4.is_empty() {
                        let new = known.is_new(hash_of(&hello.ja4));
                        self.new_fingerprints += u64::from(new);
                        if self.fingerprints.len() < MAX_VALUES {
                            self.fingerprints.insert(hello.ja4.clone());
                        }
                    }
                    if let Some(name) = &hello.server_name {
                        let domain = registrable(name);
                        if self.domains.len() < MAX_VALUES || self.domains.contains_key(domain) {
                            *self.domains.entry(domain.to_owned()).or_default() += 1;
                        }
                    }
                }
                _ => {}
            }
        }
        for report in update.flows {
            for vlan in &report.flow.vlan {
                if self.vlans.len() < MAX_VALUES {
                    self.vlans.insert(*vlan);
                }
            }
        }
    }

    pub(super) fn saw(&mut self, kind: EvidenceType) {
        if let Some(place) = EvidenceType::ALL.iter().position(|known| *known == kind) {
            self.types |= 1 << place;
        }
    }

    /// A sensor saw it; true if it was the first that it waits for.
    pub(super) fn hold(&mut self, sensor: SensorId) -> bool {
        let first = self.holders.is_empty();
        if self.holders.len() < MAX_HOLDERS {
            self.holders.insert(sensor);
        }
        first
    }

    /// A sensor is through with it; true if it was the last that it waited for.
    pub(super) fn release(&mut self, sensor: SensorId) -> bool {
        self.holders.remove(&sensor) && self.holders.is_empty()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }

    /// Bits a character; `None` where no name was asked for.
    pub(super) fn name_entropy(&self) -> Option<f64> {
        (self.names > 0).then(|| self.entropy / self.names as f64)
    }
}

/// FNV-1a: the same on every machine.
fn hash_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
