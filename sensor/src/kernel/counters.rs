//! The counters of the hooks as people and the accounting law want them.

use std::collections::HashMap;

use lynceus_model::status::{Counter, Fill, Loss, Moved, PointStatus};
use sensor_ebpf::counters::{FRAGMENT_UNKNOWN, PointCounters, RefusedPacket, Tally};
use sensor_ebpf::flow::{HookDirection, Point};
use sensor_ebpf::heads::HeadRefused;
use sensor_ebpf::parse::Degraded;

use super::attach::Mechanism;

/// Everything that one sweep read. Exact when no packet came meanwhile; under load within [`Counted::moved`].
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// `CLOCK_MONOTONIC`, nanoseconds; 0 before the first sweep.
    pub read_at: u64,
    /// Every slot that counted something.
    pub counted: Vec<Counted>,
    /// What is in the entries of the flow cache.
    pub resident: HashMap<Point, Tally>,
    /// Times that a program interrupted another one on its CPU: must stay 0.
    pub nested: u64,
    /// Entries of the flow cache.
    pub cache: Filled,
    /// Slots of the fullest record ring since the sweep before.
    pub fullest_ring: Filled,
    /// Bytes of payload heads that were found in their ring at once since the sweep before.
    pub head_ring: Filled,
    /// Fragmented datagrams whose ports are remembered.
    pub fragments: Filled,
    /// Sources of payload heads whose credit is remembered.
    pub head_sources: Filled,
}

/// Counters of a slot, summed over the CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub slot: u32,
    pub counters: PointCounters,
    /// While the entries were read.
    pub moved: Moved,
}

/// Fill of a bounded store; orders by how much is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filled {
    pub used: u64,
    pub limit: u64,
}

/// An observation point that has or had a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub interface: String,
    pub point: Point,
    pub slot: u32,
    pub mechanism: Mechanism,
}

impl Snapshot {
    /// The accounting law of every point, in the order in which they were attached. An interface that came back (with
    /// another index) continues its counts.
    #[must_use]
    pub fn points(&self, observed: &[Observed]) -> Vec<PointStatus> {
        let mut points: Vec<PointStatus> = Vec::new();
        for observed in observed {
            let egress = observed.point.direction == HookDirection::Egress;
            let of_slot = |counted: &&Counted| counted.slot == observed.slot;
            let found = self.counted.iter().find(of_slot).copied();
            let Counted { counters, moved, .. } = found.unwrap_or_default();
            let resident = self
                .resident
                .get(&observed.point)
                .map_or(0, |tally| tally.packets);
            let hook = hook_name(observed.mechanism).to_owned();
            let same =
                |point: &&mut PointStatus| point.interface == observed.interface && point.egress == egress;
            if let Some(before) = points.iter_mut().find(same) {
                before.hook = hook;
                before.seen += counters.seen.packets;
                before.recorded += counters.recorded.packets;
                before.resident += resident;
                before.blocked += counters.blocked.packets;
                before.moved.add(moved);
                merge(&mut before.refused, refused(&counters));
                merge(&mut before.degraded, degraded(&counters));
            } else {
                points.push(PointStatus {
                    interface: observed.interface.clone(),
                    egress,
                    hook,
                    seen: counters.seen.packets,
                    recorded: counters.recorded.packets,
                    resident,
                    refused: refused(&counters),
                    degraded: degraded(&counters),
                    blocked: counters.blocked.packets,
                    moved,
                });
            }
        }
        points
    }

    /// What the kernel programs let go besides packets: payload heads and precise times.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        let mut sum = PointCounters::default();
        for counted in &self.counted {
            sum.add(&counted.counters);
        }
        let heads = HeadRefused::ALL
            .into_iter()
            .zip(sum.heads_refused)
            .map(|(reason, count)| Loss {
                stage: "kernel".into(),
                reason: reason.name().into(),
                unit: "heads".into(),
                count,
            });
        let clock = Loss {
            stage: "kernel".into(),
            reason: "clock_rate".into(),
            unit: "handshake times".into(),
            count: sum.clock_refused,
        };
        heads.chain([clock]).filter(|loss| loss.count != 0).collect()
    }

    /// Fill of the kernel's stores.
    #[must_use]
    pub fn fills(&self) -> Vec<Fill> {
        let fill = |name: &'static str, filled: Filled, unit: &'static str| Fill {
            name: name.into(),
            used: filled.used,
            limit: filled.limit,
            unit: unit.into(),
        };
        vec![
            fill("flow cache", self.cache, "entries"),
            fill("fullest record ring", self.fullest_ring, "slots"),
            fill("head ring", self.head_ring, "bytes"),
            fill("fragments", self.fragments, "datagrams"),
            fill("head sources", self.head_sources, "addresses"),
        ]
    }
}

/// Name of a mechanism in reports and metrics.
#[must_use]
pub const fn hook_name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::XdpNative => "xdp-native",
        Mechanism::XdpGeneric => "xdp-generic",
        Mechanism::Tcx => "tcx",
        Mechanism::Clsact => "clsact",
    }
}

fn refused(counters: &PointCounters) -> Vec<Counter> {
    let named = RefusedPacket::all()
        .map(RefusedPacket::name)
        .zip(counters.refused.map(|tally| tally.packets));
    nonzero(named)
}

fn degraded(counters: &PointCounters) -> Vec<Counter> {
    let names = Degraded::ALL
        .into_iter()
        .map(Degraded::name)
        .chain(["fragment_unknown"]);
    debug_assert_eq!(
        Degraded::ALL.len(),
        FRAGMENT_UNKNOWN,
        "the extra reason comes last"
    );
    nonzero(names.zip(counters.degraded))
}

fn nonzero(named: impl Iterator<Item = (&'static str, u64)>) -> Vec<Counter> {
    named
        .filter(|(_, count)| *count != 0)
        .map(|(reason, count)| Counter {
            reason: reason.into(),
            count,
        })
        .collect()
}

fn merge(into: &mut Vec<Counter>, from: Vec<Counter>) {
    for counter in from {
        match into.iter_mut().find(|before| before.reason == counter.reason) {
            Some(before) => before.count += counter.count,
            None => into.push(counter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(ifindex: u32, slot: u32, mechanism: Mechanism) -> Observed {
        let point = Point {
            ifindex,
            direction: HookDirection::Ingress,
        };
        Observed {
            interface: "eth0".to_owned(),
            point,
            slot,
            mechanism,
        }
    }

    fn counted(slot: u32, seen: u64, recorded: u64, arp: u64) -> Counted {
        let mut counters = PointCounters::default();
        counters.seen.packets = seen;
        counters.recorded.packets = recorded;
        let reason = RefusedPacket::Parse(sensor_ebpf::parse::Refused::Arp);
        counters.refused[reason.index()].packets = arp;
        let moved = Moved { seen: 2, recorded: 1 };
        Counted {
            slot,
            counters,
            moved,
        }
    }

    #[test]
    fn an_interface_that_came_back_continues_its_counts() {
        let points = [
            observed(4, 1, Mechanism::XdpNative),
            observed(9, 2, Mechanism::Tcx),
        ];
        let snapshot = Snapshot {
            counted: vec![counted(1, 100, 60, 3), counted(2, 10, 0, 4)],
            resident: HashMap::from([
                (
                    points[0].point,
                    Tally {
                        packets: 37,
                        bytes: 0,
                    },
                ),
                (points[1].point, Tally { packets: 6, bytes: 0 }),
            ]),
            ..Snapshot::default()
        };
        let statuses = snapshot.points(&points);
        assert_eq!(statuses.len(), 1);
        assert_eq!(
            (statuses[0].seen, statuses[0].recorded, statuses[0].resident),
            (110, 60, 43)
        );
        assert_eq!(
            statuses[0].refused,
            [Counter {
                reason: "arp".into(),
                count: 7
            }]
        );
        assert_eq!(statuses[0].hook, "tcx");
        assert_eq!(statuses[0].unaccounted(), 0);
        let moved = Moved { seen: 4, recorded: 2 };
        assert_eq!(statuses[0].moved, moved);
    }

    #[test]
    fn a_point_without_packets_is_there_with_zeros() {
        let statuses = Snapshot::default().points(&[observed(4, 1, Mechanism::Clsact)]);
        assert_eq!((statuses[0].seen, statuses[0].unaccounted()), (0, 0));
        assert!(statuses[0].refused.is_empty());
    }
}
