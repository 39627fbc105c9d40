//! How a sensor is doing: the accounting law of each observation point, fill of its stores, and what was lost.

use std::borrow::Cow;

use crate::time::Timestamp;

/// What a sensor says about itself. Counters are cumulative since `started`; a later status replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SensorStatus {
    /// Name for people, as the host name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Release of the kernel; `None` when a file is read.
    pub kernel: Option<String>,
    pub started: Timestamp,
    /// When the counters were read (wall clock).
    pub read_at: Timestamp,
    pub points: Vec<PointStatus>,
    /// What each stage behind the hook let go.
    pub losses: Vec<Loss>,
    pub fills: Vec<Fill>,
    /// Mean cost of a run of the kernel programs, each of which handles one packet or one super packet (GRO, TSO); `None`
    /// where the kernel does not measure it (`sysctl kernel.bpf_stats_enabled=1`, Linux 5.1).
    pub nanos_per_packet: Option<f64>,
    /// What was asked to be blocked, and what ended in the last minute.
    pub blocks: Vec<crate::block::BlockStatus>,
    /// Where it stands, if somebody said so.
    pub position: Option<Position>,
}

/// A place on the Earth as it was configured: what round-trip times are measured from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees, within ±90.
    pub latitude: f64,
    /// Degrees, within ±180.
    pub longitude: f64,
    /// How far the sensor may be from there, in km; at least 0.
    pub error_km: f64,
}

impl Position {
    /// `None` unless every number is within its bounds.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64, error_km: f64) -> Option<Self> {
        let good = (-90.0..=90.0).contains(&latitude)
            && (-180.0..=180.0).contains(&longitude)
            && (0.0..=Self::MAX_ERROR_KM).contains(&error_km);
        good.then_some(Self {
            latitude,
            longitude,
            error_km,
        })
    }

    /// Half the circumference: whoever is farther off knows nothing.
    pub const MAX_ERROR_KM: f64 = 20_016.0;
}

/// Packets of one observation point. The accounting law: `seen` = `recorded` + `resident` + sum of `refused`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PointStatus {
    pub interface: String,
    pub egress: bool,
    /// How the program is attached: `xdp-native`, `xdp-generic`, `tcx`, `clsact`, `file`.
    pub hook: String,
    /// Packets that the hook was called for.
    pub seen: u64,
    /// Packets in flow records that left the kernel table.
    pub recorded: u64,
    /// Packets in entries that are still in the table.
    pub resident: u64,
    /// Packets without a flow, by reason.
    pub refused: Vec<Counter>,
    /// Packets that have a flow although something was wrong with them, by reason.
    pub degraded: Vec<Counter>,
    /// Packets that were dropped on purpose. They are in flows as all others and no part of the law.
    pub blocked: u64,
    /// What went on while the table was read; all 0 at rest.
    pub moved: Moved,
}

/// Packets that moved while a table was read entry by entry. They bound what the two sides of the law may differ by: who
/// came behind the reader is seen and not found (at most `seen`), who left behind the reader is found twice (at most
/// `recorded`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moved {
    pub seen: u64,
    pub recorded: u64,
}

impl Moved {
    /// Adds what moved on another CPU or at another point; saturates.
    pub const fn add(&mut self, other: Self) {
        self.seen = self.seen.saturating_add(other.seen);
        self.recorded = self.recorded.saturating_add(other.recorded);
    }
}

impl PointStatus {
    /// Packets that the law cannot place and that cannot have moved while it was read: 0, at rest and under load. Below
    /// 0: so many were counted twice.
    #[must_use]
    pub fn missing(&self) -> i128 {
        let off = self.unaccounted();
        let least = -i128::from(self.moved.recorded);
        let most = i128::from(self.moved.seen);
        off - off.clamp(least, most)
    }

    /// Seen less placed: 0 at rest, and under load what moved while it was read ([`Self::moved`]).
    #[must_use]
    pub fn unaccounted(&self) -> i128 {
        let refused: u128 = self.refused.iter().map(|counter| u128::from(counter.count)).sum();
        let placed = u128::from(self.recorded) + u128::from(self.resident) + refused;
        i128::from(self.seen) - i128::try_from(placed).unwrap_or(i128::MAX)
    }
}

/// A count with the name of its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub reason: Cow<'static, str>,
    pub count: u64,
}

/// Something that a stage behind the hook let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Stage of the sensor: `queue`, `profiler`, `spool`, `export` …
    pub stage: Cow<'static, str>,
    pub reason: Cow<'static, str>,
    /// What is counted: `packets`, `flows`, `heads`, `batches` …
    pub unit: Cow<'static, str>,
    pub count: u64,
}

/// How full a bounded store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    pub name: Cow<'static, str>,
    pub used: u64,
    pub limit: u64,
    /// `bytes`, `entries`, `batches`.
    pub unit: Cow<'static, str>,
}

/// A stretch of event time for which data is known to be missing. Detections in it are blind.
///
/// Counts are `None` where nobody can know them (the sensor was killed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub reason: GapReason,
    pub first: Timestamp,
    pub last: Timestamp,
    pub batches: Option<u64>,
    /// Window updates.
    pub updates: Option<u64>,
    pub flows: Option<u64>,
    pub apps: Option<u64>,
    /// Packets that stand in no flow, where the gap arose before the flow table.
    pub packets: Option<u64>,
}

impl Gap {
    /// Joins another gap of the same reason: outer bounds, sums; an unknown count stays unknown.
    pub fn absorb(&mut self, other: &Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.batches = sum(self.batches, other.batches);
        self.flows = sum(self.flows, other.flows);
        self.apps = sum(self.apps, other.apps);
        self.updates = sum(self.updates, other.updates);
        self.packets = sum(self.packets, other.packets);
    }
}

/// Why data is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// The collector was away for longer than the spool can bridge.
    SpoolFull,
    /// Older than the spool keeps.
    SpoolExpired,
    /// The disk gave back other bytes than were written.
    SpoolCorrupt,
    /// The disk refused to write.
    SpoolFailed,
    /// The sensor ended without a goodbye; what it held in memory is gone.
    SensorKilled,
    /// The collector refused the batch for good.
    Refused,
    /// One item is larger than a message may be.
    TooLarge,
    /// Numbers are missing in the sequence and the sensor did not say why.
    MissingSequence,
    /// The kernel's table was lost with the sensor before it.
    KernelTableLost,
}

impl GapReason {
    pub const ALL: [Self; 9] = [
        Self::SpoolFull,
        Self::SpoolExpired,
        Self::SpoolCorrupt,
        Self::SpoolFailed,
        Self::SensorKilled,
        Self::Refused,
        Self::TooLarge,
        Self::MissingSequence,
        Self::KernelTableLost,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::SpoolExpired => "spool_expired",
            Self::SpoolCorrupt => "spool_corrupt",
            Self::SpoolFailed => "spool_failed",
            Self::SensorKilled => "sensor_killed",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::MissingSequence => "missing_sequence",
            Self::KernelTableLost => "kernel_table_lost",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_places_every_packet() {
        let mut point = PointStatus {
            seen: 100,
            recorded: 60,
            resident: 30,
            refused: vec![Counter {
                reason: "no_ip".into(),
                count: 10,
            }],
            ..PointStatus::default()
        };
        assert_eq!(point.unaccounted(), 0);
        point.seen = 103;
        assert_eq!(point.unaccounted(), 3);
        point.seen = 99;
        assert_eq!((point.unaccounted(), point.missing()), (-1, -1));
    }

    #[test]
    fn only_what_cannot_have_moved_is_missing() {
        let point = |seen, moved| PointStatus {
            seen,
            resident: 100,
            moved,
            ..PointStatus::default()
        };
        let moved = Moved { seen: 7, recorded: 3 };
        for (seen, missing) in [(100, 0), (107, 0), (108, 1), (97, 0), (96, -1)] {
            assert_eq!(point(seen, moved).missing(), missing, "{seen}");
        }
        assert_eq!(point(107, Moved::default()).missing(), 7);
    }

    #[test]
    fn a_gap_with_unknown_counts_stays_unknown() {
        let known = Gap {
            reason: GapReason::SpoolFull,
            first: Timestamp(10),
            last: Timestamp(20),
            batches: Some(1),
            flows: Some(5),
            apps: Some(0),
            updates: Some(2),
            packets: None,
        };
        let mut joined = known.clone();
        joined.absorb(&Gap {
            first: Timestamp(5),
            last: Timestamp(12),
            flows: None,
            ..known.clone()
        });
        assert_eq!(
            joined,
            Gap {
                first: Timestamp(5),
                batches: Some(2),
                flows: None,
                updates: Some(4),
                ..known
            }
        );
    }
}
