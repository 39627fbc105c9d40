//! What tables and screens show, independent of where it comes from (a collector, a result folder, this process).

mod tables;

use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use crate::timeline::Entry;

/// Everything at a glance: all profiles with their windows, and how the sensors are doing.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    pub profiles: Vec<ProfileView>,
    /// What each sensor last said about itself.
    pub sensors: Vec<SensorStatus>,
    /// There are more profiles than these.
    pub more: bool,
}

/// One IP address.
#[derive(Clone, Debug)]
pub struct ProfileView {
    pub ip: IpAddr,
    /// An address of the machine that the sensor runs on.
    pub me: bool,
    /// In order of time; the newest ones.
    pub windows: Vec<WindowView>,
    /// Windows before those.
    pub earlier_windows: u64,
}

impl ProfileView {
    /// Highest accumulated threat of its windows.
    #[must_use]
    pub fn threat(&self) -> f64 {
        self.windows
            .iter()
            .map(|window| window.threat)
            .fold(0.0, f64::max)
    }

    #[must_use]
    pub fn flagged(&self) -> bool {
        self.windows.iter().any(|window| window.alerts > 0)
    }

    #[must_use]
    pub fn evidence(&self) -> u64 {
        self.windows.iter().map(|window| window.evidence).sum()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.windows.iter().map(|window| window.bytes).sum()
    }

    #[must_use]
    pub fn flows(&self) -> u64 {
        self.windows.iter().map(|window| window.flows).sum()
    }

    /// The window that a reader wants first: the most threatening, else the newest.
    #[must_use]
    pub fn most_telling(&self) -> Option<&WindowView> {
        let rank = |window: &&WindowView| (window.alerts, window.threat, window.start);
        self.windows.iter().max_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
        })
    }
}

/// One window of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowView {
    pub start: Timestamp,
    pub end: Timestamp,
    /// For people: 1 is the first one.
    pub number: i64,
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
    pub evidence: u64,
    pub alerts: u64,
    /// Accumulated threat: all that any alert of this window took and what stands open.
    pub threat: f64,
    /// Sum from which on there is an alert.
    pub threshold: f64,
}

/// Everything about one window that the screens show.
#[derive(Clone, Debug)]
pub struct WindowDetail {
    pub id: WindowId,
    pub end: Timestamp,
    pub number: i64,
    /// In order of time.
    pub entries: Vec<Entry>,
    /// Flows that the timeline leaves out: there are more than it shows at once.
    pub left_out: u64,
    pub evidence: Vec<Evidence>,
    pub alerts: Vec<Alert>,
    pub tables: Tables,
}

/// The tables behind Kalipso's hotkeys.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub source_ports: Histogram,
    pub destination_ips: Histogram,
    pub destination_ports: Histogram,
    pub server_ports: Histogram,
    /// Destination ports with their addresses, profile as client.
    pub ports_and_ips: Histogram,
    pub out_tuples: Vec<TupleView>,
    pub in_tuples: Vec<TupleView>,
    /// There are more tuples than these.
    pub tuples_truncated: bool,
}

/// Counts by key, for flows that were established and for those that were not.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    pub established: Vec<HistogramRow>,
    pub not_established: Vec<HistogramRow>,
    /// The profile reached its bound: totals are exact, these lists are a sample with the largest rows.
    pub truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramRow {
    /// `443/tcp HTTPS`, `10.0.0.1 tcp`.
    pub key: String,
    /// Where the row is about one address.
    pub ip: Option<IpAddr>,
    /// Where it is about one port.
    pub port: Option<u16>,
    /// IP protocol number.
    pub protocol: u8,
    /// The sketch's estimate, not a count.
    pub estimated: bool,
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
}

/// A peer, its port and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TupleView {
    /// `93.184.216.34 443/tcp`
    pub key: String,
    pub ip: IpAddr,
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    pub name: Option<String>,
    /// Behavioral letters.
    pub letters: String,
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
}
