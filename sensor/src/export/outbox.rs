//! Between the pipeline, which stores batches, and the sender, which reads and acknowledges them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lynceus_model::status::{Fill, Gap, GapReason, Loss, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::{BatchId, BootId, Content, StreamId};
use lynceus_proto::v1;
use prost::Message;
use tokio::sync::Notify;

use super::Exporter;
use super::counters::Counters;
use super::spool::{Disk, Entry, Limits, Meta, OpenError, Recovery, Spool};
use crate::block::Desk;
use crate::clock;

/// The disk of a running sensor.
pub type AnyDisk = Box<dyn Disk + Send>;

/// See the module. Shared by the two threads.
#[derive(Debug)]
pub struct Outbox {
    sensor: SensorId,
    stream: StreamId,
    inner: Mutex<Inner>,
    /// Something new to send.
    pub(super) news: Notify,
    pub(super) counters: Arc<Counters>,
    /// What the collector asks to be blocked.
    pub blocks: Arc<Desk>,
}

#[derive(Debug)]
struct Inner {
    /// `None` after [`Outbox::close`].
    spool: Option<Spool<AnyDisk>>,
    /// Last number given to a batch.
    seq: u64,
    status: Option<SensorStatus>,
}

impl Outbox {
    /// Opens the spool and begins a new stream of batches.
    ///
    /// # Errors
    /// The spool cannot be opened.
    pub fn open(
        sensor: SensorId,
        boot: BootId,
        disk: AnyDisk,
        limits: Limits,
    ) -> Result<(Self, Recovery), OpenError> {
        let (spool, recovery) = Spool::open(disk, limits, clock::now())?;
        let outbox = Self {
            sensor,
            stream: StreamId { boot, stream: 0 },
            inner: Mutex::new(Inner {
                spool: Some(spool),
                seq: 0,
                status: None,
            }),
            news: Notify::new(),
            counters: Arc::default(),
            blocks: Arc::default(),
        };
        Ok((outbox, recovery))
    }

    /// Numbers and stores a batch, with the gaps that came up since the last one.
    pub fn store(&self, content: Content, now: Timestamp) {
        let mut inner = self.lock();
        let Inner {
            spool: Some(spool),
            seq,
            ..
        } = &mut *inner
        else {
            return;
        };
        spool.expire(now);
        let mut payload = v1::Payload::from(content);
        let gaps = spool.take_losses();
        if !gaps.is_empty() {
            // In a batch of their own: should it not find room, nothing else is lost with them.
            let alone = v1::Payload {
                gaps: gaps.iter().cloned().map(Into::into).collect(),
                ..v1::Payload::default()
            };
            if self.push(spool, seq, &alone, now).is_err() {
                spool.restore_losses(&gaps);
            }
        }
        let own_gaps = std::mem::take(&mut payload.gaps);
        if !own_gaps.is_empty() {
            let alone = v1::Payload {
                gaps: own_gaps,
                ..v1::Payload::default()
            };
            if self.push(spool, seq, &alone, now).is_err() {
                let gaps: Vec<Gap> = alone
                    .gaps
                    .into_iter()
                    .filter_map(|gap| gap.try_into().ok())
                    .collect();
                spool.restore_losses(&gaps);
            }
        }
        if !payload.updates.is_empty() {
            payload.split(|part| match part {
                Ok(part) => {
                    if let Err((reason, meta)) = self.push(spool, seq, &part, now) {
                        spool.lose(reason, &meta);
                    }
                }
                Err(part) => {
                    let batch = self.seal(0, &part);
                    spool.lose(GapReason::TooLarge, &meta(&batch, &part, now));
                }
            });
        }
        drop(inner);
        self.news.notify_one();
    }

    fn push(
        &self,
        spool: &mut Spool<AnyDisk>,
        seq: &mut u64,
        payload: &v1::Payload,
        now: Timestamp,
    ) -> Result<(), (GapReason, Meta)> {
        let batch = self.seal(*seq + 1, payload);
        let meta = meta(&batch, payload, now);
        spool
            .push(&batch.encode_to_vec(), meta)
            .map_err(|reason| (reason, meta))?;
        // A number that was not stored is used again: the sequence has no holes of its own.
        *seq += 1;
        Counters::add(&self.counters.batches_stored, 1);
        Ok(())
    }

    fn seal(&self, seq: u64, payload: &v1::Payload) -> v1::Batch {
        let id = BatchId {
            sensor: self.sensor,
            stream: self.stream,
            seq,
        };
        v1::Batch::seal(&id, payload)
    }

    /// Batches from `from` on, in order; see [`Spool::read`].
    #[must_use]
    pub fn read(&self, from: u64, max_bytes: u64) -> Vec<Entry> {
        match &mut self.lock().spool {
            Some(spool) => spool.read(from, max_bytes),
            None => Vec::new(),
        }
    }

    /// Everything up to the entry is committed at the collector.
    pub fn ack(&self, index: u64) {
        if let Some(spool) = &mut self.lock().spool {
            spool.ack(index);
        }
    }

    /// The entry will never be at the collector.
    pub fn refused(&self, index: u64) {
        Counters::add(&self.counters.batches_refused, 1);
        if let Some(spool) = &mut self.lock().spool {
            spool.drop_entry(index, GapReason::Refused);
        }
    }

    /// Nothing waits to be acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// Batches that are not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.lock()
            .spool
            .as_ref()
            .map_or(0, |spool| spool.usage().entries)
    }

    /// Writes gaps that came up after the last batch.
    pub fn flush(&self, now: Timestamp) {
        self.store(Content::default(), now);
    }

    /// Ends the spool with a goodbye. What comes later is ignored.
    pub fn close(&self) {
        if let Some(spool) = self.lock().spool.take() {
            spool.close();
        }
    }

    pub(super) fn take_status(&self) -> Option<SensorStatus> {
        self.lock().status.take()
    }

    #[must_use]
    pub const fn sensor(&self) -> SensorId {
        self.sensor
    }

    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds the spool's fill and losses to a status.
    pub fn describe(&self, status: &mut SensorStatus) {
        let inner = self.lock();
        let Some(spool) = &inner.spool else {
            return;
        };
        status.fills.push(Fill {
            name: "spool".into(),
            used: spool.usage().bytes,
            limit: spool.limits().max_bytes,
            unit: "bytes".into(),
        });
        for lost in spool.lost() {
            for (unit, count) in [("batches", lost.batches), ("flows", lost.flows)] {
                status.losses.push(Loss {
                    stage: "spool".into(),
                    reason: lost.reason.name().into(),
                    unit: unit.into(),
                    count,
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of the other thread leaves nothing half done that a later call could not repair.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exporter for Arc<Outbox> {
    fn export(&mut self, content: Content) -> anyhow::Result<()> {
        self.store(content, clock::now());
        Ok(())
    }

    fn report(&mut self, status: SensorStatus) -> anyhow::Result<()> {
        self.lock().status = Some(status);
        // Gaps may have come up while nothing was stored.
        self.flush(clock::now());
        Ok(())
    }
}

fn meta(batch: &v1::Batch, payload: &v1::Payload, now: Timestamp) -> Meta {
    let counts = batch.counts.unwrap_or_default();
    let mut meta = Meta {
        stored: now,
        first: Timestamp(batch.first),
        last: Timestamp(batch.last),
        batches: u64::from(counts.updates > 0),
        updates: counts.updates.into(),
        flows: counts.flows.into(),
        apps: counts.apps.into(),
        gaps: counts.gaps.into(),
        unknown: 0,
    };
    for gap in &payload.gaps {
        let (Some(batches), Some(updates), Some(flows), Some(apps)) =
            (gap.batches, gap.updates, gap.flows, gap.apps)
        else {
            meta.unknown += 1;
            continue;
        };
        meta.batches = meta.batches.saturating_add(batches);
        meta.updates = meta.updates.saturating_add(updates);
        meta.flows = meta.flows.saturating_add(flows);
        meta.apps = meta.apps.saturating_add(apps);
    }
    meta
}
