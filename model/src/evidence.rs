//! Evidence: one finding about one profile in one window, with its explanation.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::flow::CommunityId;
use crate::time::Timestamp;

/// How bad it is if it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThreatLevel {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl ThreatLevel {
    /// Weight in the accumulated threat, as in Slips.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Info => 0.0,
            Self::Low => 0.2,
            Self::Medium => 0.5,
            Self::High => 0.8,
            Self::Critical => 1.0,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How sure it is that it is true: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// Clamps into 0..=1; not-a-number becomes 0.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// What was found. Names are Slips' (`HORIZONTAL_PORT_SCAN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvidenceType {
    HorizontalPortScan,
    VerticalPortScan,
    IcmpAddressScan,
    IcmpTimestampScan,
    IcmpAddressMaskScan,
    ArpScan,
    LongConnection,
    DataUpload,
}

impl EvidenceType {
    pub const ALL: [Self; 8] = [
        Self::HorizontalPortScan,
        Self::VerticalPortScan,
        Self::IcmpAddressScan,
        Self::IcmpTimestampScan,
        Self::IcmpAddressMaskScan,
        Self::ArpScan,
        Self::LongConnection,
        Self::DataUpload,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HorizontalPortScan => "HORIZONTAL_PORT_SCAN",
            Self::VerticalPortScan => "VERTICAL_PORT_SCAN",
            Self::IcmpAddressScan => "ICMP_ADDRESS_SCAN",
            Self::IcmpTimestampScan => "ICMP_TIMESTAMP_SCAN",
            Self::IcmpAddressMaskScan => "ICMP_ADDRESS_MASK_SCAN",
            Self::ArpScan => "ARP_SCAN",
            Self::LongConnection => "LONG_CONNECTION",
            Self::DataUpload => "DATA_UPLOAD",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Side of the traffic on which the attacker of an evidence stands. Only [`AttackerSide::Source`] adds to the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttackerSide {
    Source,
    Destination,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub id: EvidenceId,
    pub kind: EvidenceType,
    /// Whose profile it stands in.
    pub profile: IpAddr,
    pub window_start: Timestamp,
    /// Number of the window for people.
    pub window: i64,
    pub attacker: IpAddr,
    pub attacker_side: AttackerSide,
    pub victim: Option<IpAddr>,
    pub dst_port: Option<u16>,
    /// IP protocol number.
    pub protocol: Option<u8>,
    pub threat_level: ThreatLevel,
    pub confidence: Confidence,
    /// One sentence for people.
    pub description: String,
    pub explanation: Explanation,
    /// At most [`Evidence::MAX_FLOWS`]; `explanation` gives the whole number where there were more.
    pub flows: Vec<CommunityId>,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Evidence {
    /// Bound of `flows`: enough to look at, small enough to travel.
    pub const MAX_FLOWS: usize = 64;
}

/// UUIDv5 of (sensor, type, profile, window start, key of the detector): a replay gives the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EvidenceId(pub [u8; 16]);

/// The data-driven reason for an evidence.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Explanation {
    pub features: Vec<Feature>,
    pub text: String,
}

/// One number that the detector looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub name: Cow<'static, str>,
    pub value: f64,
    pub unit: Cow<'static, str>,
    /// What would be usual, where the detector knows.
    pub baseline: Option<f64>,
    /// From where on it counts.
    pub threshold: Option<f64>,
}
