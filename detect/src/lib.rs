//! Detectors: pure functions of profile updates and history, with bounded state of their own.
//!
//! A detector sees the updates of a window in the order in which the sensor cut them, and event time by
//! [`Detector::tick`]; no clock, no randomness. Replaying the sequence gives the same evidence with the same ids. What a
//! detector remembers only keeps it from repeating itself: an evidence that is said twice has the same id.
#![forbid(unsafe_code)]

pub mod arp_outside_localnet;
pub mod arp_scan;
pub mod connection_without_dns;
pub mod context;
pub mod data_upload;
pub mod default_certificate;
pub mod device_changing_ip;
pub mod dhcp_scan;
pub mod different_localnet;
pub mod dns_arpa_scan;
pub mod dns_without_connection;
pub mod gre_scan;
pub mod gre_tunnel;
pub mod horizontal_scan;
pub mod icmp_scan;
pub mod icmp_tunnel;
pub mod login;
pub mod long_connection;
pub mod mitm_arp;
pub mod multiple_ports;
mod neighbours;
pub mod non_http_80;
pub mod non_ssl_443;
pub mod notice;
mod own_ports;
mod port_content;
pub mod port_zero;
mod ports;
pub mod private_ip;
pub mod reconnection;
mod registry;
mod report;
mod reported;
mod services;
mod sides;
mod sightings;
pub mod slow_scan;
pub mod tor_exit_node;
pub mod unknown_port;
pub mod unsolicited_arp;
pub mod vertical_scan;

// On application messages.
pub mod blacklisted_address;
pub mod blacklisted_name;
pub mod cn_url_mismatch;
pub mod credential_stuffing;
pub mod dga_nxdomains;
pub mod dns_over_https;
pub mod dns_tunnel;
pub mod empty_connections;
pub mod executable_mime_type;
pub mod gps_location;
pub mod high_entropy_dns_answer;
pub mod http_traffic;
pub mod incompatible_cn;
pub mod incompatible_user_agent;
pub mod invalid_dns_resolution;
pub mod malicious_fingerprint;
pub mod malicious_hash;
pub mod malicious_jarm;
pub mod malicious_url;
pub mod multiple_ssh_versions;
pub mod multiple_user_agent;
pub mod password_guessing;
pub mod pastebin_download;
pub mod self_signed_certificate;
pub mod smtp_login;
pub mod ssh_successful;
pub mod suspicious_user_agent;
pub mod weird_http_method;
pub mod young_domain;

mod cert_names;
mod config;
mod listing;
mod names;
mod ssh_shape;
mod tally;
mod user_agent;
mod windows;

// On rhythm and habit.
pub mod beaconing;
pub mod command_and_control;
mod generations;
pub mod https_anomaly;
mod in_order;
pub mod letters_model;
pub mod outlier;

pub use context::Context;
pub use registry::{DetectConfig, Maker, Registry, makers};

use lynceus_model::app::AppRecord;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage};

/// What is new about a window of a profile.
#[derive(Clone, Copy, Debug)]
pub struct ProfileUpdate<'a> {
    /// The sensor, or the group of sensors, whose profiles are merged.
    pub sensor: SensorId,
    /// All that is known of the window, this update included.
    pub profile: &'a ProfileDelta,
    /// What this update added to it.
    pub delta: &'a ProfileDelta,
    /// Number of the window for people.
    pub number: i64,
    pub stage: Stage,
    /// Flow reports and messages that came with this update.
    pub flows: &'a [FlowUpdate],
    pub apps: &'a [AppRecord],
}

/// Keeps earlier windows of a profile, in whatever form: most updates never look at them.
pub trait Earlier {
    /// Newest first; as many as there are.
    fn windows(&self) -> &[ProfileDelta];
}

impl Earlier for Vec<ProfileDelta> {
    fn windows(&self) -> &[ProfileDelta] {
        self
    }
}

/// Earlier windows of the same profile, newest first; as many as the caller keeps.
#[derive(Clone, Copy)]
pub struct History<'a> {
    earlier: &'a dyn Earlier,
}

impl<'a> History<'a> {
    #[must_use]
    pub const fn new(earlier: &'a dyn Earlier) -> Self {
        Self { earlier }
    }

    #[must_use]
    pub fn windows(&self) -> &'a [ProfileDelta] {
        self.earlier.windows()
    }

    /// Mean of a number over the earlier windows; `None` where there is none.
    #[must_use]
    pub fn mean(&self, number: impl Fn(&ProfileDelta) -> f64) -> Option<f64> {
        let windows = self.windows();
        let count = windows.len();
        (count > 0).then(|| windows.iter().map(number).sum::<f64>() / count as f64)
    }
}

/// No earlier window.
impl Default for History<'_> {
    fn default() -> Self {
        const NONE: &Vec<ProfileDelta> = &Vec::new();
        Self { earlier: NONE }
    }
}

/// One kind of finding.
pub trait Detector: Send {
    /// Name in the configuration.
    fn name(&self) -> &'static str;

    /// Looks at an update. Updates of one window come in order; a [`Stage::Partial`] one is followed by another of the
    /// same moment.
    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence>;

    /// What its bounded memory has refused or forgotten since it began: findings that may be missing.
    fn refused(&self) -> u64 {
        0
    }

    /// Event time has come this far.
    fn tick(&mut self, _now: Timestamp) -> Vec<Evidence> {
        Vec::new()
    }
}
