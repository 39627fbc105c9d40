//! The intake: batches come in, are checked, become durable, are acknowledged, and go on to dispatch.
//!
//! [`Ingest`] serves both ways: the gRPC service ([`service`]) and a sensor in the same process. One thread commits;
//! whatever waits when it is free becomes one append, so the more there is, the fewer syncs it takes. When dispatch is
//! behind, its queue fills, then ours, then senders wait: nothing is dropped.

pub mod service;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use lynceus_model::status::SensorStatus;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::{Batch, Content};
use lynceus_proto::module::Said;
use lynceus_proto::v1;
use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::attach::Seat;
use crate::dispatch::{Logged, Work};
use crate::rows;
use crate::shared::{Shared, add};
use crate::store::{Admitted, Entry, Flush, Mark, Span, Store, StoreError, StreamId, key_hash};

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Not now: the store is full or broken. The sender keeps the batch and comes again.
    #[error("{reason}")]
    Unavailable { reason: String },
    /// The collector is ending.
    #[error("the collector is stopping")]
    Stopping,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable now.
    Stored,
    /// It was durable before.
    Duplicate,
}

/// Takes batches. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    jobs: mpsc::Sender<Order>,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

/// What the commit thread is told.
enum Order {
    Take(Box<Job>),
    /// Pass on that everything before is to be written.
    Flush(SyncSender<()>),
    Stop,
}

struct Job {
    stream: StreamId,
    entry: Entry,
    content: Content,
    /// Of a module instead of a sensor.
    said: Option<Said>,
    room: Option<OwnedSemaphorePermit>,
    done: oneshot::Sender<Result<Accepted, IngestError>>,
}

/// Jobs that wait for the commit thread: a few groups. Bytes are bounded by the callers.
const QUEUE: usize = 64;
/// Payload bytes of one append: a commit takes some ten milliseconds at most.
const GROUP_BYTES: usize = 4 << 20;

impl Ingest {
    /// Makes the intake and the work of its thread.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        work: SyncSender<Work>,
    ) -> (Self, impl FnOnce() + Send + 'static) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let ingest = Self {
            jobs,
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
        };
        let committer = Committer { store, shared, work };
        (ingest, move || committer.run(queue))
    }

    /// Takes a batch of a sensor in this process and waits until it is durable. Not for async code.
    ///
    /// # Errors
    /// The store refuses or the collector stops; the batch may be offered again.
    pub fn accept(&self, batch: Batch) -> Result<Accepted, IngestError> {
        let payload = if self.store.keeps_log() {
            v1::Payload::from(batch.content.clone()).encode_to_vec().into()
        } else {
            Bytes::new()
        };
        self.accept_encoded(batch, payload)
    }

    /// As [`Ingest::accept`] for a batch that came over the wire: the log keeps the bytes of its payload as they came.
    ///
    /// # Errors
    /// The store refuses or the collector stops; the batch may be offered again.
    pub fn accept_encoded(&self, batch: Batch, payload: Bytes) -> Result<Accepted, IngestError> {
        let (done, answer) = oneshot::channel();
        let job = self.job(batch, payload, None, done);
        self.jobs
            .blocking_send(Order::Take(Box::new(job)))
            .map_err(|_| IngestError::Stopping)?;
        answer.blocking_recv().unwrap_or(Err(IngestError::Stopping))
    }

    /// Takes a batch with its encoded payload; the answer comes when it is durable.
    ///
    /// # Errors
    /// The collector stops.
    pub(crate) async fn offer(
        &self,
        batch: Batch,
        payload: Bytes,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<Accepted, IngestError>>, IngestError> {
        let (done, answer) = oneshot::channel();
        let job = self.job(batch, payload, Some(room), done);
        self.jobs
            .send(Order::Take(Box::new(job)))
            .await
            .map_err(|_| IngestError::Stopping)?;
        Ok(answer)
    }

    /// Makes durable what a module found and how far it has come.
    ///
    /// # Errors
    /// Not now, or the collector stops; it may be said again.
    pub(crate) async fn say(&self, seat: &Seat, said: Said) -> Result<(), IngestError> {
        let name = format!("lynceus module {}", seat.name());
        let stream = StreamId {
            sensor: SensorId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes()),
            boot: [0; 16],
            stream: 0,
        };
        // Held until the entry is stored, so that two connections of one module never use one number.
        let mut last = seat.seq().await;
        let known = || {
            let marks = self.store.marks();
            let mark = marks.iter().find(|(known, _)| *known == stream);
            mark.map_or(0, |(_, mark)| mark.acknowledged())
        };
        let seq = last.unwrap_or_else(known) + 1;
        let payload = v1::Payload {
            said: Some(said.clone().into()),
            ..v1::Payload::default()
        };
        let entry = Entry {
            stream,
            seq,
            span: None,
            keys: Vec::new(),
            payload: payload.encode_to_vec().into(),
        };
        let (done, answer) = oneshot::channel();
        let job = Job {
            stream,
            entry,
            content: Content::default(),
            said: Some(said),
            room: None,
            done,
        };
        let sent = self.jobs.send(Order::Take(Box::new(job))).await;
        sent.map_err(|_| IngestError::Stopping)?;
        answer.await.unwrap_or(Err(IngestError::Stopping))?;
        *last = Some(seq);
        Ok(())
    }

    /// Notes what a sensor says about itself; the newest one holds. Blocks for the store.
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn status(&self, sensor: SensorId, status: SensorStatus) -> Result<(), StoreError> {
        let row = rows::SensorRow {
            sensor,
            status,
            received_at: crate::now(),
        };
        self.store
            .write(&[rows::put_sensor(&row, false)], Flush::Buffered)
    }

    /// Waits until the effects of everything accepted so far are in the tables. Not for async code.
    ///
    /// # Errors
    /// The collector stops.
    pub fn flush(&self) -> Result<(), IngestError> {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        self.jobs
            .blocking_send(Order::Flush(done))
            .map_err(|_| IngestError::Stopping)?;
        answer.recv().map_err(|_| IngestError::Stopping)
    }

    /// Takes nothing more; what was accepted is finished. Also good where async code drops a collector.
    pub(crate) fn stop(&self) {
        // Full: the commit thread is at work and makes room. Closed: already gone is as good.
        while let Err(mpsc::error::TrySendError::Full(_)) = self.jobs.try_send(Order::Stop) {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// How far the streams have come.
    pub(crate) fn marks(&self) -> Vec<(StreamId, Mark)> {
        self.store.marks()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn job(
        &self,
        batch: Batch,
        payload: Bytes,
        room: Option<OwnedSemaphorePermit>,
        done: oneshot::Sender<Result<Accepted, IngestError>>,
    ) -> Job {
        let stream = StreamId {
            sensor: batch.id.sensor,
            boot: batch.id.stream.boot.0,
            stream: batch.id.stream.stream,
        };
        let entry = Entry {
            stream,
            seq: batch.id.seq,
            span: (!batch.content.is_empty()).then_some(Span {
                first: batch.first,
                last: batch.last,
            }),
            keys: if self.store.keeps_log() {
                keys_of(&batch.content)
            } else {
                Vec::new()
            },
            payload,
        };
        Job {
            stream,
            entry,
            content: batch.content,
            said: None,
            room,
            done,
        }
    }
}

/// The thread that commits.
struct Committer {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    work: SyncSender<Work>,
}

impl Committer {
    fn run(self, mut queue: mpsc::Receiver<Order>) {
        let mut next = queue.blocking_recv();
        while let Some(order) = next.take() {
            match order {
                Order::Take(job) => {
                    let mut bytes = job.entry.payload.len();
                    let mut group = vec![*job];
                    while bytes < GROUP_BYTES
                        && let Ok(order) = queue.try_recv()
                    {
                        match order {
                            Order::Take(job) => {
                                bytes += job.entry.payload.len();
                                group.push(*job);
                            }
                            other => {
                                next = Some(other);
                                break;
                            }
                        }
                    }
                    if !self.commit(group) {
                        return;
                    }
                }
                Order::Flush(done) => {
                    if self.work.send(Work::Flush(done)).is_err() {
                        return;
                    }
                }
                Order::Stop => return,
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
    }

    /// False when dispatch is gone.
    fn commit(&self, mut group: Vec<Job>) -> bool {
        let entries: Vec<Entry> = group
            .iter_mut()
            .map(|job| {
                let empty = Entry {
                    stream: job.stream,
                    seq: job.entry.seq,
                    span: None,
                    keys: Vec::new(),
                    payload: Bytes::new(),
                };
                std::mem::replace(&mut job.entry, empty)
            })
            .collect();
        let bytes: u64 = entries.iter().map(|entry| entry.payload.len() as u64).sum();
        let admitted = match self.store.append(entries) {
            Ok(admitted) => admitted,
            Err(error) => return self.refuse(group, &error),
        };
        let counters = &self.shared.counters;
        add(&counters.bytes, bytes);
        let mut logged = Vec::with_capacity(group.len());
        for (job, admitted) in group.into_iter().zip(admitted) {
            let accepted = match admitted {
                Admitted::Duplicate => {
                    add(&counters.duplicates, 1);
                    Accepted::Duplicate
                }
                Admitted::Stored { position, missing } => {
                    if job.said.is_none() {
                        self.count(&job.content);
                    }
                    if let Some((first, last)) = missing {
                        let (boot, stream) = (crate::json::uuid(job.stream.boot), job.stream.stream);
                        tracing::warn!(%boot, stream, first, last, "sequence numbers are missing");
                        add(&counters.missing, last - first + 1);
                    }
                    logged.push(Logged {
                        position,
                        sensor: job.stream.sensor,
                        content: job.content,
                        said: job.said,
                        _room: job.room,
                    });
                    Accepted::Stored
                }
            };
            // The sender may be gone; the batch is durable all the same.
            let _ = job.done.send(Ok(accepted));
        }
        logged.is_empty() || self.work.send(Work::Logged(logged)).is_ok()
    }

    fn count(&self, content: &Content) {
        let counters = &self.shared.counters;
        add(&counters.batches, 1);
        add(&counters.updates, content.updates.len() as u64);
        add(&counters.gaps, content.gaps.len() as u64);
        add(
            &counters.flows,
            content
                .updates
                .iter()
                .map(|update| update.flows.len() as u64)
                .sum(),
        );
        add(
            &counters.apps,
            content
                .updates
                .iter()
                .map(|update| update.apps.len() as u64)
                .sum(),
        );
    }

    fn refuse(&self, group: Vec<Job>, error: &StoreError) -> bool {
        tracing::error!(%error, batches = group.len(), "batches not stored; their senders keep them");
        let reason = match error {
            StoreError::Full { .. } => "store_full",
            _ => "store_failed",
        };
        for job in group {
            self.shared.counters.refuse(reason);
            let refused = IngestError::Unavailable {
                reason: error.to_string(),
            };
            let _ = job.done.send(Err(refused));
        }
        if matches!(error, StoreError::Fenced) {
            self.shared.set_fatal(error.to_string());
            return false;
        }
        true
    }
}

/// Hashes of what a query may ask for: addresses and Community IDs.
fn keys_of(content: &Content) -> Vec<u64> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut keys = Vec::new();
    for update in &content.updates {
        addresses.push(update.delta.window.profile);
        for flow in &update.flows {
            addresses.extend([flow.flow.tuple.originator.ip, flow.flow.tuple.responder.ip]);
            keys.push(key_hash(&flow.flow.community_id.0));
        }
        for app in &update.apps {
            addresses.extend([app.tuple.originator.ip, app.tuple.responder.ip]);
            keys.extend(app.community_id.map(|id| key_hash(&id.0)));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    keys.extend(addresses.into_iter().map(|ip| key_hash(&rows::address_key(ip))));
    keys
}
