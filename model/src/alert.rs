//! From evidence to alert: accumulation in a window of a profile, with Slips' numbers.

use std::net::IpAddr;

use crate::evidence::{Confidence, EvidenceId};
use crate::flow::CommunityId;
use crate::time::Timestamp;

/// UUIDv5 of (sensor, `ALERT`, profile, window start, id of the evidence that crossed the threshold).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub [u8; 16]);

/// The accumulated threat of a profile crossed the threshold in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    pub profile: IpAddr,
    /// Number of the window for people.
    pub window: i64,
    pub window_start: Timestamp,
    /// Sum of the terms.
    pub sum: f64,
    pub threshold: f64,
    /// Heaviest first; equal weights in the order of arrival. Evidence of weight 0 (info) that was taken along stands
    /// last.
    pub terms: Vec<Term>,
    /// Flows of the terms, at most [`Alert::MAX_FLOWS`], heaviest term first, each once.
    pub flows: Vec<CommunityId>,
    /// Earliest and latest event time of the terms.
    pub first: Timestamp,
    pub last: Timestamp,
    pub confidence: Confidence,
}

impl Alert {
    /// Bound of `flows`.
    pub const MAX_FLOWS: usize = 256;
}

/// What one evidence adds to an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    pub evidence: EvidenceId,
    /// Threat level × confidence.
    pub weight: f64,
}
