//! Blocking on request of the collector: orders come in over the session, the pipeline's thread turns them into rules of
//! the kernel programs.
//!
//! No rule outlives the lease of its orders, and the kernel ignores a rule that has expired: a collector that is gone
//! leaves no block behind. What the allow-list covers is never blocked ([`allow`]).

pub mod allow;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lynceus_model::address::Network;
use lynceus_model::block::{BlockId, BlockOrders, BlockStatus, may_block};
use lynceus_model::status::Fill;
use sensor_ebpf::block::{ALLOW, BLOCK_RULES, BLOCK_SLOTS, BlockRule, COUNT, DROP};
use sensor_ebpf::counters::Tally;

use self::allow::AllowList;
use crate::clock::monotonic;

/// How long the numbers of a block that ended are still told, so that its last packets are not missed.
const TELL_ENDED: u64 = 60_000_000_000;
/// Rules of one trie for the allow-list; the rest is for blocks.
const MOST_EXCEPTIONS: usize = (BLOCK_RULES - BLOCK_SLOTS) as usize;

/// Between the session with the collector and the thread that owns the kernel programs. Holds the newest orders only.
#[derive(Debug, Default)]
pub struct Desk {
    takes: AtomicBool,
    inner: Mutex<Papers>,
}

#[derive(Debug, Default)]
struct Papers {
    orders: Option<(BlockOrders, u64)>,
    collector: Vec<IpAddr>,
}

impl Desk {
    /// Somebody does what the orders say.
    pub fn open(&self) {
        self.takes.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.takes.load(Ordering::Acquire)
    }

    /// Takes new orders, now.
    pub fn put(&self, orders: BlockOrders) {
        self.lock().orders = Some((orders, monotonic()));
    }

    /// Where the collector is.
    pub fn set_collector(&self, addresses: Vec<IpAddr>) {
        self.lock().collector = addresses;
    }

    /// Orders that came since the last call, and when they came (`CLOCK_MONOTONIC`, nanoseconds).
    #[must_use]
    pub fn take(&self) -> Option<(BlockOrders, u64)> {
        self.lock().orders.take()
    }

    #[must_use]
    pub fn collector(&self) -> Vec<IpAddr> {
        self.lock().collector.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Papers> {
        // Each change is one assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where rules go: the kernel's tries, or a map of a test.
pub trait Rules {
    /// # Errors
    /// No room, or the kernel refuses.
    fn set(&mut self, network: Network, rule: BlockRule) -> anyhow::Result<()>;
    /// # Errors
    /// The kernel refuses.
    fn remove(&mut self, network: Network) -> anyhow::Result<()>;
    /// What met the rules of a slot.
    ///
    /// # Errors
    /// The kernel refuses.
    fn counts(&self, slot: u32) -> anyhow::Result<Tally>;
    /// # Errors
    /// The kernel refuses.
    fn clear(&mut self, slot: u32) -> anyhow::Result<()>;
}

/// A block that was asked for.
#[derive(Debug)]
struct Held {
    network: Network,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    expires: u64,
    slot: Option<u32>,
    refused: Option<Cow<'static, str>>,
}

/// Makes rules of orders.
#[derive(Debug)]
pub struct Blocker<R> {
    rules: R,
    installed: BTreeMap<Network, BlockRule>,
    /// By id and mode: a block that begins to drop begins to count anew.
    held: BTreeMap<(BlockId, bool), Held>,
    free: Vec<u32>,
}

impl<R: Rules> Blocker<R> {
    pub fn new(rules: R) -> Self {
        Self {
            rules,
            installed: BTreeMap::new(),
            held: BTreeMap::new(),
            free: (0..BLOCK_SLOTS).rev().collect(),
        }
    }

    /// Replaces what was asked for before. `received`: `CLOCK_MONOTONIC`, nanoseconds.
    pub fn order(&mut self, orders: &BlockOrders, received: u64) {
        for held in self.held.values_mut() {
            held.expires = held.expires.min(received);
        }
        for order in &orders.blocks {
            let time = order.remaining.min(orders.lease);
            let expires = received.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            let held = self.held.entry((order.id, order.dry_run)).or_insert(Held {
                network: order.network,
                expires,
                slot: None,
                refused: None,
            });
            (held.network, held.expires) = (order.network, expires);
        }
    }

    /// Brings the kernel's rules in line with orders, allow-list and time. `now`: `CLOCK_MONOTONIC`, nanoseconds.
    pub fn keep(&mut self, allow: &AllowList, now: u64) {
        let free = &mut self.free;
        self.held.retain(|_, held| {
            let stays = held.expires.saturating_add(TELL_ENDED) > now;
            if !stays {
                free.extend(held.slot);
            }
            stays
        });
        let mut wanted = BTreeMap::new();
        for ((_, dry_run), held) in self.held.iter_mut().filter(|(_, held)| held.expires > now) {
            held.refused = may_block(held.network)
                .err()
                .or_else(|| allow.why_not(held.network).map(Into::into));
            if held.refused.is_some() {
                continue;
            }
            if held.slot.is_none() {
                held.slot = self.free.pop();
                let cleared = held.slot.map_or(Ok(()), |slot| self.rules.clear(slot));
                if let Err(error) = cleared {
                    tracing::warn!(%error, "the counters of a block are not reset");
                }
            }
            let Some(slot) = held.slot else {
                held.refused = Some("no room for more blocks".into());
                continue;
            };
            let action = if *dry_run { COUNT } else { DROP };
            wanted.insert(held.network, BlockRule::new(held.expires, slot, action));
        }
        let inside = |network: &Network| wanted.keys().any(|blocked| blocked.covers(network));
        let exceptions: BTreeMap<Network, BlockRule> = allow
            .networks()
            .filter(inside)
            .map(|network| (network, BlockRule::new(0, 0, ALLOW)))
            .collect();
        // Rather nothing than too much.
        if exceptions.len() > MOST_EXCEPTIONS || !self.set_all(&exceptions) {
            for held in self.held.values_mut() {
                held.refused = Some("the allow-list could not be kept".into());
            }
            wanted.clear();
        }
        // Exceptions come first and go last, so no packet of theirs is ever dropped in between.
        self.remove_stale(|rule| rule.action != ALLOW, &wanted);
        if !self.set_all(&wanted) {
            for held in self.held.values_mut() {
                if !self.installed.contains_key(&held.network) && held.refused.is_none() {
                    held.refused = Some("the kernel refused the rule".into());
                }
            }
        }
        self.remove_stale(|rule| rule.action == ALLOW, &exceptions);
    }

    /// `false`: not all of them could be set.
    fn set_all(&mut self, rules: &BTreeMap<Network, BlockRule>) -> bool {
        let mut all = true;
        for (network, rule) in rules {
            if self.installed.get(network) == Some(rule) {
                continue;
            }
            match self.rules.set(*network, *rule) {
                Ok(()) => {
                    self.installed.insert(*network, *rule);
                }
                Err(error) => {
                    all = false;
                    tracing::error!(%network, error = format!("{error:#}"), "a block rule was refused");
                }
            }
        }
        all
    }

    fn remove_stale(&mut self, kind: fn(&BlockRule) -> bool, wanted: &BTreeMap<Network, BlockRule>) {
        let rules = &mut self.rules;
        self.installed.retain(|network, rule| {
            if !kind(rule) || wanted.contains_key(network) {
                return true;
            }
            // One that cannot be removed is tried again; the kernel ignores it once it has expired.
            let removed = rules.remove(*network);
            if let Err(error) = &removed {
                tracing::error!(%network, error = format!("{error:#}"), "a block rule is not removed");
            }
            removed.is_err()
        });
    }

    /// What became of each block; those that ended are told for a minute.
    #[must_use]
    pub fn statuses(&self) -> Vec<BlockStatus> {
        let status = |((id, dry_run), held): (&(BlockId, bool), &Held)| {
            let counts = held
                .slot
                .and_then(|slot| self.rules.counts(slot).ok())
                .unwrap_or_default();
            BlockStatus {
                id: *id,
                dry_run: *dry_run,
                packets: counts.packets,
                bytes: counts.bytes,
                refused: held.refused.clone(),
            }
        };
        self.held.iter().map(status).collect()
    }

    /// How full the kernel's tries are; the allow-list's rules are among them.
    #[must_use]
    pub fn fills(&self) -> [Fill; 2] {
        let fill = |name: &'static str, is_v4: bool| Fill {
            name: name.into(),
            used: self
                .installed
                .keys()
                .filter(|network| network.address().is_ipv4() == is_v4)
                .count() as u64,
            limit: u64::from(BLOCK_RULES),
            unit: "rules".into(),
        };
        [fill("block rules, IPv4", true), fill("block rules, IPv6", false)]
    }
}

/// What a pipeline's thread needs to keep blocks.
#[derive(Debug)]
pub struct Keeper<R> {
    blocker: Blocker<R>,
    desk: Arc<Desk>,
    never: Vec<Network>,
    allow: AllowList,
    looked: u64,
}

/// Between two readings of the system's tables, and between two looks at what has expired.
const READ_SYSTEM_EVERY: u64 = 10_000_000_000;
const LOOK_EVERY: u64 = 500_000_000;

impl<R: Rules> Keeper<R> {
    /// Opens the desk. `never`: networks of the configuration that are not blocked.
    pub fn new(rules: R, desk: Arc<Desk>, never: Vec<Network>) -> Self {
        desk.open();
        Self {
            blocker: Blocker::new(rules),
            desk,
            never,
            allow: AllowList::default(),
            looked: 0,
        }
    }

    /// Does what is to be done now; cheap where that is nothing. On a thread of the observed network namespace.
    pub fn work(&mut self) {
        let now = monotonic();
        let orders = self.desk.take();
        if orders.is_none() && now.saturating_sub(self.looked) < LOOK_EVERY {
            return;
        }
        if orders.is_some() || now / READ_SYSTEM_EVERY != self.looked / READ_SYSTEM_EVERY {
            self.allow = AllowList::fixed(&self.never).with_system(&self.desk.collector());
        }
        self.looked = now;
        if let Some((orders, received)) = orders {
            self.blocker.order(&orders, received);
        }
        self.blocker.keep(&self.allow, now);
    }

    #[must_use]
    pub fn statuses(&self) -> Vec<BlockStatus> {
        self.blocker.statuses()
    }

    #[must_use]
    pub fn fills(&self) -> [Fill; 2] {
        self.blocker.fills()
    }
}

#[cfg(test)]
mod tests;
