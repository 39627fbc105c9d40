//! Blocking on request: what is asked of a sensor, and what the sensor says of it.

use std::borrow::Cow;
use std::time::Duration;

use crate::address::Network;
use crate::time::{Timestamp, WindowPlan};

/// Identity of a block, the same at collector and sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub [u8; 16]);

/// Shortest prefixes that may be blocked: a slip of the finger must not take the network away.
pub const SHORTEST_V4: u8 = 8;
pub const SHORTEST_V6: u8 = 16;

/// Packets from and to a prefix are to be dropped, or only counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOrder {
    pub id: BlockId,
    pub network: Network,
    /// From the moment in which the order is received: no clock has to agree with another.
    pub remaining: Duration,
    /// Count what would be dropped, drop nothing.
    pub dry_run: bool,
}

/// Everything that a sensor is to block. Each replaces the one before; a sensor keeps none longer than `lease` after it
/// was received, so a collector that is gone leaves no block behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOrders {
    pub blocks: Vec<BlockOrder>,
    pub lease: Duration,
}

/// What a sensor says of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStatus {
    pub id: BlockId,
    pub dry_run: bool,
    /// Packets dropped, or that would have been (`dry_run`), and their bytes on the wire. A packet counts once in each
    /// block that it met.
    pub packets: u64,
    pub bytes: u64,
    /// Why the sensor does not do it; `None`: it does.
    pub refused: Option<Cow<'static, str>>,
}

/// What is never blocked anywhere, with what it is.
const NEVER: [(&str, &str); 8] = [
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("ff00::/8", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("0.0.0.0/8", "no host"),
];

/// Entries of the allow-list that are true on every machine, with what they are.
pub fn never_blocked() -> impl Iterator<Item = (Network, &'static str)> {
    NEVER
        .into_iter()
        .filter_map(|(text, what)| Some((text.parse().ok()?, what)))
}

/// Why a block is refused: an entry of the allow-list covers all of it.
#[must_use]
pub fn allow_list_wins(entry: Network, what: &str) -> String {
    format!("the allow-list wins: {entry} ({what})")
}

/// Whether a prefix may be blocked at all.
///
/// # Errors
/// It is wider than anybody should block by one order, or lies in what is never blocked anywhere.
pub fn may_block(network: Network) -> Result<(), Cow<'static, str>> {
    let shortest = if network.is_ipv4() {
        SHORTEST_V4
    } else {
        SHORTEST_V6
    };
    if network.prefix() < shortest {
        return Err("wider than /8 (IPv4) or /16 (IPv6)".into());
    }
    let covering = never_blocked().find(|(entry, _)| entry.covers(&network));
    covering.map_or(Ok(()), |(entry, what)| Err(allow_list_wins(entry, what).into()))
}

/// Until when an alert blocks: the end of the window that holds `now`, and one window more. A further alert adds a
/// window to `before`, the time until which it was blocked.
#[must_use]
pub fn probation(plan: &WindowPlan, now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let width = i64::try_from(plan.width.as_nanos()).unwrap_or(i64::MAX);
    match before {
        Some(until) => Timestamp(until.0.saturating_add(width)),
        None => {
            let into = now.0.saturating_sub(plan.origin.0).rem_euclid(width.max(1));
            Timestamp(now.0.saturating_sub(into).saturating_add(width.saturating_mul(2)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probation_is_the_rest_of_the_window_and_one_more() {
        let plan = WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_nanos(100),
        };
        let first = probation(&plan, Timestamp(250), None);
        assert_eq!(first, Timestamp(400), "window 200..300, and one window");
        assert_eq!(probation(&plan, Timestamp(260), Some(first)), Timestamp(500));
        assert_eq!(probation(&plan, Timestamp(200), None), Timestamp(400));
    }

    #[test]
    fn the_whole_network_cannot_be_blocked() {
        for (network, may) in [
            ("0.0.0.0/0", false),
            ("10.0.0.0/7", false),
            ("10.0.0.0/8", true),
            ("192.0.2.1", true),
            ("::/0", false),
            ("2001:db8::/32", true),
        ] {
            assert_eq!(may_block(network.parse().unwrap()).is_ok(), may, "{network}");
        }
    }

    #[test]
    fn what_is_local_everywhere_is_refused_with_its_entry() {
        assert_eq!(never_blocked().count(), NEVER.len(), "each is a network");
        for (network, entry) in [
            ("127.0.0.1", "127.0.0.0/8 (loopback)"),
            ("::1", "::1/128 (loopback)"),
            ("fe80::/64", "fe80::/10 (link-local)"),
            ("224.0.0.251", "224.0.0.0/4 (multicast)"),
        ] {
            let why = may_block(network.parse().unwrap()).unwrap_err();
            assert_eq!(why, format!("the allow-list wins: {entry}"));
        }
    }
}
