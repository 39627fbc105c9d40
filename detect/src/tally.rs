//! Counting things of one kind into one finding that grows, instead of a finding for each.

mod growing;
mod messages;

pub(crate) use growing::{Growing, PerWindow};
pub(crate) use messages::Tallies;

use lynceus_model::evidence::Evidence;
use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;

use crate::services::has_ports;

/// How often a thing was seen in a window, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally<D = ()> {
    pub(crate) count: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The first [`Evidence::MAX_FLOWS`], each once.
    pub(crate) flows: Vec<CommunityId>,
    /// Port of the client, while all share one.
    from: SharedPort,
    /// What a detector remembers beside.
    pub(crate) detail: D,
    /// Count at the last saying.
    said: u64,
}

/// The client's port of several flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SharedPort {
    #[default]
    NotTold,
    One(u16),
    Several,
}

impl<D> Tally<D> {
    /// A flow whose client is the profile.
    pub(crate) fn add_flow(&mut self, flow: &Flow) {
        self.add(flow.first, flow.last, Some(flow.community_id));
        self.add_port(flow.tuple.protocol, flow.client_server().0.port);
    }

    /// The client's port of what was added last, if its protocol has ports.
    pub(crate) fn add_port(&mut self, protocol: u8, port: u16) {
        self.from = match self.from {
            _ if !has_ports(protocol) => return,
            SharedPort::NotTold => SharedPort::One(port),
            SharedPort::One(known) if known == port => return,
            SharedPort::One(_) | SharedPort::Several => SharedPort::Several,
        };
    }

    /// See [`Evidence::src_port`].
    pub(crate) const fn client_port(&self) -> Option<u16> {
        match self.from {
            SharedPort::One(port) => Some(port),
            SharedPort::NotTold | SharedPort::Several => None,
        }
    }

    pub(crate) fn add(&mut self, first: Timestamp, last: Timestamp, flow: Option<CommunityId>) {
        if self.count == 0 {
            (self.first, self.last) = (first, last);
        }
        self.count += 1;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        if let Some(flow) = flow
            && self.flows.len() < Evidence::MAX_FLOWS
            && !self.flows.contains(&flow)
        {
            if self.flows.is_empty() {
                // Most have one: not the room for four that a vector begins with.
                self.flows.reserve_exact(1);
            }
            self.flows.push(flow);
        }
    }

    /// Adds what another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.from = match (self.from, other.from) {
            (SharedPort::NotTold, port) | (port, SharedPort::NotTold) => port,
            (mine, theirs) if mine == theirs => mine,
            _ => SharedPort::Several,
        };
        for flow in &other.flows {
            self.add(other.first, other.last, Some(*flow));
        }
        self.count = self.count - other.flows.len() as u64 + other.count;
    }

    /// Whether it is to be said now: at `least` for the first time, when it doubled, and at the end if it grew.
    pub(crate) fn is_due(&mut self, least: u64, stage: Stage) -> bool {
        let due = match stage {
            Stage::Partial => false,
            _ if self.count < least.max(1) => false,
            Stage::Closed => self.count > self.said,
            Stage::Refreshed => self.said == 0 || self.count >= self.said.saturating_mul(2),
        };
        if due {
            self.said = self.count;
        }
        due
    }

    /// Number of the saying: how much it grew since it was first seen, so that it does not depend on how deltas were cut.
    pub(crate) fn revision(&self) -> u32 {
        u32::try_from(self.count.saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

/// Sizes at which a finding is said anew: `least`, and `factor` times as many again and again.
pub(crate) const fn is_step(count: u64, least: u64, factor: u64) -> bool {
    let mut step = if least == 0 { 1 } else { least };
    while step < count {
        step = step.saturating_mul(factor);
    }
    step == count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let reached: Vec<u64> = (0..=100).filter(|count| is_step(*count, 10, 2)).collect();
        assert_eq!(reached, [10, 20, 40, 80]);
    }
}
