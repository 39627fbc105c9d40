//! What a flow table is told: when flows end, and how much it may hold.

use std::time::Duration;

use super::entry::Entry;
use super::{ICMP, ICMPV6, TCP, UDP, last_report, second, state};

/// After how much silence a flow ends, and how often a long one is reported. Event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP with packets from both sides. Slips gives Zeek 60 minutes (`tcp_inactivity_timeout`).
    pub tcp: Duration,
    /// TCP with packets from one side only: 1 minute (`tcp_attempt_delay` of Slips).
    pub tcp_attempt: Duration,
    /// TCP after FIN from both sides or RST: 5 seconds for stragglers (Zeek's `tcp_close_delay`).
    pub tcp_closed: Duration,
    /// 1 minute, as Zeek.
    pub udp: Duration,
    /// 1 minute, as Zeek.
    pub icmp: Duration,
    /// Every other protocol: 1 minute.
    pub other: Duration,
    /// A flow that lives longer is reported every so often with [`FlowEnd::Active`]; `None`: only at its end.
    pub active: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            tcp: 60 * minute,
            tcp_attempt: minute,
            tcp_closed: Duration::from_secs(5),
            udp: minute,
            icmp: minute,
            other: minute,
            active: Some(5 * minute),
        }
    }
}

/// What ends flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Timeouts(Timeouts),
    /// One flow per key for the whole input.
    Never,
}

/// What happens when the table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The flow that would be looked at next ends early with [`FlowEnd::Evicted`]; counted.
    Evict,
    /// [`FlowTable::packet`] fails.
    Fail,
}

/// Settings of a [`FlowTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTableConfig {
    pub expiry: Expiry,
    /// Most flows at once; at most 2³¹.
    pub max_flows: usize,
    pub when_full: WhenFull,
}

impl FlowTableConfig {
    /// A million flows at once: what fits into 256 MiB with everything around it.
    pub const DEFAULT_MAX_FLOWS: usize = 1 << 20;
}

impl Default for FlowTableConfig {
    fn default() -> Self {
        Self {
            expiry: Expiry::Timeouts(Timeouts::default()),
            max_flows: Self::DEFAULT_MAX_FLOWS,
            when_full: WhenFull::Evict,
        }
    }
}

/// The table is full and may not evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max_flows} flows at once")]
pub struct TableFull {
    pub max_flows: usize,
}

/// What the table did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Flows in the table now.
    pub flows: usize,
    /// Flows that ended early because the table was full.
    pub evicted: u64,
    /// Later fragments whose first fragment was not seen: they count in a flow with ports 0.
    pub orphan_fragments: u64,
    /// Packets that an observation point saw of a flow that has more points than the table lists. They are no loss:
    /// the flow's totals are those of the points that saw it first.
    pub unlisted_points: u64,
}

impl Timeouts {
    pub(super) fn shortest(&self) -> Duration {
        self.tcp
            .min(self.tcp_attempt)
            .min(self.tcp_closed)
            .min(self.udp)
            .min(self.icmp)
            .min(self.other)
    }

    /// Silence that ends a flow.
    #[inline]
    pub(super) const fn idle(&self, entry: &Entry) -> Duration {
        match entry.key.protocol {
            TCP if state::is_over(entry.flags) => self.tcp_closed,
            TCP if entry.counts[0].packets == 0 || entry.counts[1].packets == 0 => self.tcp_attempt,
            TCP => self.tcp,
            UDP => self.udp,
            ICMP | ICMPV6 => self.icmp,
            _ => self.other,
        }
    }

    /// Second at which the flow is to be looked at.
    pub(super) fn due(&self, entry: &Entry) -> i64 {
        let silent = second(entry.last).saturating_add(seconds(self.idle(entry)));
        match self.active {
            Some(active) => silent.min(second(last_report(entry)).saturating_add(seconds(active))),
            None => silent,
        }
        .saturating_add(1)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
