//! Neighbour solicitations that wait for their advertisement. What was answered is no news of the one who asked: routers
//! and servers ask for every neighbour they have. ARP, where Slips' rule holds, counts each request.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::app::{Arp, Discovery};
use crate::flow::CommunityId;
use crate::profile::{Attempt, Earliest};
use crate::seeded::Seeded;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Solicitations {
    waiting: HashMap<Question, Attempt, Seeded>,
    /// By the time of the first request.
    order: BTreeSet<(Timestamp, Question)>,
}

/// Who asks, and for whom.
type Question = (IpAddr, IpAddr);

/// Who asked for whom, how often, and when the answer was overdue.
pub(super) type Unanswered = (IpAddr, IpAddr, Attempt, Timestamp);

/// A host asks three times, a second apart (RFC 4861 §10: MAX_MULTICAST_SOLICIT, RETRANS_TIMER).
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// About 4 MB; a link with more hosts than its neighbour caches hold asks for less within the three seconds.
const LIMIT: usize = 16_384;

impl Solicitations {
    /// An answer to one who asked.
    pub(super) fn answered(&mut self, arp: &Arp) {
        const REPLY: u16 = 2;
        if arp.operation == REPLY
            && let Some(attempt) = self.waiting.remove(&(arp.target, arp.sender))
        {
            let question = (arp.target, arp.sender);
            self.order.remove(&(attempt.earliest.first, question));
        }
    }

    /// Whether somebody looks for an address: not whether it is free (from `::`), and not whether a known neighbour is
    /// still there (to that host only).
    pub(super) fn asks(arp: &Arp, said: &Discovery) -> bool {
        const REQUEST: u16 = 1;
        arp.operation == REQUEST
            && said.to.is_multicast()
            && !said.from.is_unspecified()
            && arp.sender != arp.target
    }

    pub(super) fn ask(&mut self, arp: &Arp, time: Timestamp, flow: Option<CommunityId>) {
        let earliest = Earliest {
            first: time,
            community_id: flow.unwrap_or(CommunityId([0; 20])),
            packets: 1,
        };
        let question = (arp.sender, arp.target);
        if let Some(known) = self.waiting.get_mut(&question) {
            // Again; a file may be out of order, but the place in the order stays that of the first that came.
            known.packets += 1;
            known.flows += 1;
            known.last = known.last.max(time);
            return;
        }
        let attempt = Attempt {
            flows: 1,
            packets: 1,
            earliest,
            last: time,
        };
        self.waiting.insert(question, attempt);
        self.order.insert((time, question));
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.waiting.len() > LIMIT
    }

    /// The one that has waited longest, if its answer was overdue before `now`.
    pub(super) fn pop_before(&mut self, now: Timestamp) -> Option<Unanswered> {
        let (first, question) = *self.order.first()?;
        let overdue = first.saturating_add(PATIENCE);
        if overdue >= now {
            return None;
        }
        self.order.pop_first();
        let attempt = self.waiting.remove(&question)?;
        Some((question.0, question.1, attempt, overdue))
    }
}
