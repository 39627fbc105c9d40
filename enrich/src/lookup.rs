//! Services that detectors' findings need: is this address, domain, URL or file known to be bad, how old is a domain, how
//! does a TLS server answer. Each asks and decodes; who may be asked how often is [`crate::discipline::Gate`]'s.

mod hashlookup;
mod jarm;
mod urlhaus;
mod virustotal;

use lynceus_model::evidence::ThreatLevel;

pub use hashlookup::{HashLookup, INFO as HASHLOOKUP};
pub use jarm::{INFO as JARM, probe};
pub use urlhaus::{INFO as URLHAUS, UrlHaus};
pub use virustotal::VirusTotal;

/// A service's word that something is bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub service: &'static str,
    pub level: ThreatLevel,
    pub description: String,
    pub tags: Vec<String>,
}

/// The level of a share of those who call something bad, 0 to 1, as the levels' own values divide it.
fn level_of(share: f64) -> ThreatLevel {
    match share {
        share if share > 0.8 => ThreatLevel::Critical,
        share if share > 0.5 => ThreatLevel::High,
        share if share > 0.2 => ThreatLevel::Medium,
        share if share > 0.0 => ThreatLevel::Low,
        _ => ThreatLevel::Info,
    }
}

/// As `application/x-www-form-urlencoded`.
fn form(name: &str, value: &str) -> (&'static str, String) {
    let value = crate::provider::encoded(value);
    ("application/x-www-form-urlencoded", format!("{name}={value}"))
}
