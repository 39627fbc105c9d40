//! Identities that a replay gives again: UUIDv5 (RFC 9562) over what the thing is.

use std::net::IpAddr;

use uuid::Uuid;

use crate::alert::AlertId;
use crate::evidence::{EvidenceId, EvidenceType};
use crate::time::Timestamp;
use crate::window::{SensorId, WindowId};

impl EvidenceId {
    /// `key`: what tells this evidence from others of the type in the window; the detector's choice.
    #[must_use]
    pub fn new(sensor: SensorId, kind: EvidenceType, window: WindowId, key: &str) -> Self {
        Self(derive(sensor, kind.name(), window.profile, window.start, key))
    }
}

impl AlertId {
    /// `last`: the evidence that crossed the threshold.
    #[must_use]
    pub fn new(sensor: SensorId, window: WindowId, last: EvidenceId) -> Self {
        let key = Uuid::from_bytes(last.0).hyphenated().to_string();
        Self(derive(sensor, "ALERT", window.profile, window.start, &key))
    }
}

fn derive(sensor: SensorId, kind: &str, profile: IpAddr, start: Timestamp, key: &str) -> [u8; 16] {
    let name = format!("{kind}|{profile}|{}|{key}", start.0);
    Uuid::new_v5(&Uuid::from_bytes(sensor.0), name.as_bytes()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_finding_has_the_same_id() {
        let window = WindowId {
            profile: IpAddr::from([10, 0, 0, 1]),
            start: Timestamp(7),
        };
        let id = |key| EvidenceId::new(SensorId([1; 16]), EvidenceType::LongConnection, window, key);
        assert_eq!(id("a"), id("a"));
        assert_ne!(id("a"), id("b"));
        // Version and variant bits of UUIDv5.
        assert_eq!((id("a").0[6] >> 4, id("a").0[8] >> 6), (5, 2));
    }
}
