//! Blocking: what operators and alerts ask for, kept in the store, told to the sensors that take part, and written down.
//!
//! The collector only asks. Each sensor decides by its own configuration and allow-list, and forgets what it was asked
//! when the lease ends (`docs/decisions/0096-blocks-are-leases.md`).

mod records;
pub mod service;
mod sink;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lynceus_model::address::Network;
use lynceus_model::alert::Alert;
use lynceus_model::block::{BlockId, BlockOrder, BlockOrders, BlockStatus, may_block, probation};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use lynceus_proto::block::octets;
use lynceus_proto::{limits, v1};
use tokio::sync::watch;

pub use self::sink::BlockSink;
use crate::store::{Store, StoreError};

/// What the configuration says of blocking.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    pub enabled: bool,
    /// Sensors count and drop nothing.
    pub dry_run: bool,
    pub on_alert: bool,
    /// Sensors keep a block at most so long without hearing of it again.
    pub lease: Duration,
    pub plan: WindowPlan,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("blocking is off; the collector's configuration has `enabled = false` in [block]")]
    Off,
    #[error("{0}: {1}")]
    Refused(Network, Cow<'static, str>),
    #[error("{0} is not blocked")]
    NotBlocked(Network),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Longest block: a typing mistake must not last.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
/// Alerts that one block names.
const MOST_ALERTS: usize = 256;
/// Alerts that are remembered so that a replay of the log does not block again; older ones are too old to block.
const REMEMBERED: usize = 65_536;

/// Blocks and who is told of them.
pub struct Control {
    options: ControlOptions,
    store: Arc<dyn Store>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    sensors: AtomicU32,
}

#[derive(Default)]
struct State {
    active: BTreeMap<Network, v1::Block>,
    alerts: HashSet<[u8; 16]>,
    /// What a sensor last said: its counters begin anew when it is started again.
    last: HashMap<(BlockId, SensorId, bool), (u64, u64)>,
    /// Blocks that ended within the last minutes: sensors still tell their last numbers.
    ended: HashMap<BlockId, v1::Block>,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Operator,
    Alert([u8; 16]),
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Alert(_) => "alert",
        }
    }
}

impl Control {
    /// Reads what is still to be blocked.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(options: ControlOptions, store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut state = State::default();
        for block in records::blocks(store.as_ref(), REMEMBERED)? {
            let alerts = block.alerts.iter().filter_map(|id| id.as_slice().try_into().ok());
            state.alerts.extend::<Vec<[u8; 16]>>(alerts.collect());
            if block.ended.is_none()
                && let Some(network) = network_of(&block)
            {
                state.active.insert(network, block);
            }
        }
        Ok(Self {
            options,
            store,
            state: Mutex::new(state),
            changed: watch::channel(0).0,
            sensors: AtomicU32::new(0),
        })
    }

    #[must_use]
    pub const fn options(&self) -> &ControlOptions {
        &self.options
    }

    /// Blocks a prefix, or changes how it is blocked.
    ///
    /// # Errors
    /// Blocking is off, the prefix is too wide, there are too many blocks, or the store does not take it.
    pub fn block(
        &self,
        network: Network,
        time: Duration,
        dry_run: bool,
        reason: &str,
        now: Timestamp,
    ) -> Result<v1::Block, ControlError> {
        let time = i64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(time));
        self.put(network, until, dry_run, reason, Origin::Operator, now)
    }

    /// Blocks the profile of an alert on probation; a further alert adds a window. `None`: nothing was to be done.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn alert(&self, alert: &Alert, now: Timestamp) -> Result<Option<v1::Block>, ControlError> {
        if !self.options.enabled || !self.options.on_alert {
            return Ok(None);
        }
        let width = i64::try_from(self.options.plan.width.as_nanos()).unwrap_or(i64::MAX);
        let id = alert.id.0;
        let network = Network::host(alert.profile.to_canonical());
        let before = {
            let mut state = self.lock();
            // What happened long ago, read from a file or a spool, is no reason to block now.
            if alert.last.0.saturating_add(width.saturating_mul(2)) < now.0 || !state.alerts.insert(id) {
                return Ok(None);
            }
            if state.alerts.len() > REMEMBERED {
                state.alerts = HashSet::from([id]);
            }
            state.active.get(&network).map(|block| Timestamp(block.until))
        };
        let until = probation(&self.options.plan, now, before);
        let reason = format!("alert: sum {:.1} of {:.1}", alert.sum, alert.threshold);
        match self.put(network, until, false, &reason, Origin::Alert(id), now) {
            // It is written down.
            Err(ControlError::Refused(..)) => Ok(None),
            done => done.map(Some),
        }
    }

    fn put(
        &self,
        network: Network,
        until: Timestamp,
        dry_run: bool,
        reason: &str,
        origin: Origin,
        now: Timestamp,
    ) -> Result<v1::Block, ControlError> {
        if !self.options.enabled {
            return Err(ControlError::Off);
        }
        if let Err(why) = may_block(network) {
            records::refused(self.store.as_ref(), network, origin, &why, now)?;
            return Err(ControlError::Refused(network, why));
        }
        let mut state = self.lock();
        if !state.active.contains_key(&network) && state.active.len() >= limits::BLOCKS {
            return Err(ControlError::Refused(
                network,
                "4096 blocks are active already".into(),
            ));
        }
        let mut block = state.active.get(&network).cloned().unwrap_or_else(|| v1::Block {
            id: uuid::Uuid::new_v4().as_bytes().to_vec(),
            address: octets(network),
            prefix: u32::from(network.prefix()),
            since: now.0,
            ..v1::Block::default()
        });
        let action = if state.active.contains_key(&network) {
            "changed"
        } else {
            "blocked"
        };
        (block.until, block.dry_run) = (until.0, dry_run);
        block.reason = reason.chars().take(200).collect();
        origin.name().clone_into(&mut block.origin);
        if let Origin::Alert(id) = origin
            && block.alerts.len() < MOST_ALERTS
        {
            block.alerts.push(id.to_vec());
        }
        records::write(self.store.as_ref(), &block, action, &block.reason, now)?;
        tracing::warn!(%network, action, origin = block.origin, reason = block.reason,
            dry_run = dry_run || self.options.dry_run, until = until.0, "block");
        state.active.insert(network, block.clone());
        drop(state);
        self.changed.send_modify(|version| *version += 1);
        Ok(block)
    }

    /// Ends a block.
    ///
    /// # Errors
    /// It is not there, or the store does not take it.
    pub fn unblock(&self, network: Network, reason: &str, now: Timestamp) -> Result<v1::Block, ControlError> {
        if !self.options.enabled {
            return Err(ControlError::Off);
        }
        self.end(network, "unblocked", reason, now)
    }

    fn end(
        &self,
        network: Network,
        action: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<v1::Block, ControlError> {
        let mut state = self.lock();
        let Some(mut block) = state.active.get(&network).cloned() else {
            return Err(ControlError::NotBlocked(network));
        };
        block.ended = Some(now.0);
        records::write(self.store.as_ref(), &block, action, reason, now)?;
        tracing::warn!(%network, action, reason, packets = block.packets, "block ended");
        state.active.remove(&network);
        if let Some(id) = id_of(&block) {
            state.ended.insert(id, block.clone());
        }
        drop(state);
        self.changed.send_modify(|version| *version += 1);
        Ok(block)
    }

    /// Ends what has expired and forgets what ended minutes ago. Call it every second.
    pub fn tick(&self, now: Timestamp) {
        let over: Vec<Network> = {
            let mut state = self.lock();
            let old = now.0.saturating_sub(300_000_000_000);
            state
                .ended
                .retain(|_, block| block.ended.is_some_and(|ended| ended > old));
            let State {
                active, ended, last, ..
            } = &mut *state;
            let known: HashSet<BlockId> = active.values().chain(ended.values()).filter_map(id_of).collect();
            last.retain(|(id, ..), _| known.contains(id));
            let over = active.iter().filter(|(_, block)| block.until <= now.0);
            over.map(|(network, _)| *network).collect()
        };
        for network in over {
            if let Err(error) = self.end(network, "expired", "", now) {
                tracing::error!(%network, %error, "the end of a block is not written down");
            }
        }
    }

    /// What sensors are to do now.
    #[must_use]
    pub fn orders(&self, now: Timestamp) -> BlockOrders {
        let state = self.lock();
        let orders = state.active.iter().filter_map(|(network, block)| {
            let remaining = u64::try_from(block.until.saturating_sub(now.0)).ok()?;
            Some(BlockOrder {
                id: id_of(block)?,
                network: *network,
                remaining: Duration::from_nanos(remaining),
                dry_run: block.dry_run || self.options.dry_run,
            })
        });
        BlockOrders {
            blocks: orders.collect(),
            lease: self.options.lease,
        }
    }

    /// A sensor that takes orders, until the guard goes.
    pub fn follow(self: &Arc<Self>) -> Follower {
        self.sensors.fetch_add(1, Ordering::Relaxed);
        Follower {
            changed: self.changed.subscribe(),
            control: Arc::clone(self),
        }
    }

    #[must_use]
    pub fn sensors(&self) -> u32 {
        self.sensors.load(Ordering::Relaxed)
    }

    /// Adds up what a sensor says of its blocks.
    pub fn note(&self, sensor: SensorId, statuses: &[BlockStatus], now: Timestamp) {
        let mut state = self.lock();
        let State {
            active, ended, last, ..
        } = &mut *state;
        let mut by_id: HashMap<BlockId, &mut v1::Block> =
            ended.iter_mut().map(|(id, block)| (*id, block)).collect();
        by_id.extend(
            active
                .values_mut()
                .filter_map(|block| Some((id_of(block)?, block))),
        );
        let mut changed = Vec::new();
        for status in statuses {
            let Some(block) = by_id.get_mut(&status.id) else {
                continue;
            };
            let before = last.insert(
                (status.id, sensor, status.dry_run),
                (status.packets, status.bytes),
            );
            let more = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
            let (packets, bytes) = before.unwrap_or_default();
            let (packets, bytes) = (more(status.packets, packets), more(status.bytes, bytes));
            let refused = status.refused.as_ref().map(ToString::to_string);
            let at = block
                .sensors
                .iter()
                .position(|one| one.sensor_id == sensor.0 && one.dry_run == status.dry_run);
            let one = match at {
                Some(at) => &mut block.sensors[at],
                None => {
                    block.sensors.push(v1::SensorBlock {
                        sensor_id: sensor.0.to_vec(),
                        dry_run: status.dry_run,
                        ..v1::SensorBlock::default()
                    });
                    block.sensors.last_mut().expect("one was pushed")
                }
            };
            if packets == 0 && at.is_some() && one.refused == refused {
                continue;
            }
            one.packets += packets;
            one.bytes += bytes;
            one.refused = refused;
            block.packets += packets;
            block.bytes += bytes;
            changed.push(records::put(block));
        }
        drop(state);
        if !changed.is_empty()
            && let Err(error) = self.store.write(&changed, crate::store::Flush::Buffered)
        {
            tracing::warn!(%error, at = now.0, "the counts of blocks are not kept");
        }
    }

    /// Active blocks by prefix, then, if asked for, those that ended, the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self, ended: bool) -> Result<Vec<v1::Block>, StoreError> {
        let mut blocks: Vec<v1::Block> = self.lock().active.values().cloned().collect();
        if ended {
            let kept = records::blocks(self.store.as_ref(), 1000)?;
            blocks.extend(kept.into_iter().filter(|block| block.ended.is_some()));
        }
        Ok(blocks)
    }

    /// What was done, the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn log(&self) -> Result<Vec<v1::BlockRecord>, StoreError> {
        records::log(self.store.as_ref())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Changes under the lock are whole assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who is told when the orders change.
pub struct Follower {
    pub changed: watch::Receiver<u64>,
    pub control: Arc<Control>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.control.sensors.fetch_sub(1, Ordering::Relaxed);
    }
}

fn id_of(block: &v1::Block) -> Option<BlockId> {
    block.id.as_slice().try_into().ok().map(BlockId)
}

fn network_of(block: &v1::Block) -> Option<Network> {
    let address = match block.address.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(block.address.as_slice()).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(block.address.as_slice()).ok()?),
    };
    Network::new(address, u8::try_from(block.prefix).ok()?)
}

#[cfg(test)]
mod tests;
