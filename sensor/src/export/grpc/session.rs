//! One connection: hello, welcome, then batches out and acknowledgements in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use lynceus_proto::batch::StreamId;
use lynceus_proto::session::{Ack, Hello, Welcome};
use lynceus_proto::v1;
use lynceus_proto::v1::collector_message::Message as Incoming;
use lynceus_proto::v1::ingest_client::IngestClient;
use lynceus_proto::v1::sensor_message::Message as Outgoing;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::in_flight::{InFlight, Sent};
use super::{Command, End, SenderOptions};
use crate::export::counters::Counters;
use crate::export::outbox::Outbox;
use crate::export::spool::Entry;

/// Bytes that are read from the spool at once.
const READ_BYTES: u64 = 2 << 20;
/// The collector answers a hello at once, it only has to look up a few numbers.
const WELCOME_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Session {
    outbox: Arc<Outbox>,
    options: SenderOptions,
    commands: watch::Receiver<Command>,
    /// Next entry to read from the spool.
    next: u64,
    /// Read, not sent.
    ready: VecDeque<(Entry, v1::Batch)>,
    in_flight: InFlight,
    /// What the collector had at the beginning.
    committed: BTreeMap<StreamId, u64>,
    credit: u64,
    last_progress: Instant,
    progress: bool,
}

impl Session {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        options: SenderOptions,
        commands: watch::Receiver<Command>,
    ) -> Self {
        Self {
            outbox,
            options,
            commands,
            next: 0,
            ready: VecDeque::new(),
            in_flight: InFlight::default(),
            committed: BTreeMap::new(),
            credit: options.max_in_flight,
            last_progress: Instant::now(),
            progress: false,
        }
    }

    /// The collector took part in this session.
    pub(super) const fn made_progress(&self) -> bool {
        self.progress
    }

    pub(super) async fn stream(&mut self, client: IngestClient<Channel>) -> End {
        match self.run_stream(client).await {
            Ok(()) => End::Told,
            Err(error) => End::Failed(error),
        }
    }

    async fn run_stream(&mut self, mut client: IngestClient<Channel>) -> anyhow::Result<()> {
        // One message waits for the network at a time; the others wait in the spool.
        let (outgoing, requests) = mpsc::channel(1);
        self.load().await;
        let hello = Hello {
            sensor: self.outbox.sensor(),
            streams: self.streams(),
            window_width: self.options.window_width,
            takes_blocks: self.outbox.blocks.is_open(),
        };
        outgoing
            .try_send(message(Outgoing::Hello(hello.into())))
            .context("the stream is closed")?;
        let opened = timeout(WELCOME_WITHIN, client.stream(ReceiverStream::new(requests))).await;
        let mut incoming = opened.context("the collector does not answer")??.into_inner();
        self.welcome(&mut incoming).await?;
        loop {
            self.load().await;
            if self.is_drained() {
                return Ok(());
            }
            let may_send = self.may_send();
            let deadline = self.last_progress + self.options.ack_timeout;
            tokio::select! {
                received = incoming.message() => match received? {
                    Some(v1::CollectorMessage { message: Some(Incoming::Ack(ack)) }) => self.acked(&ack.try_into()?),
                    Some(v1::CollectorMessage { message: Some(Incoming::BlockOrders(orders)) }) if self.outbox.blocks.is_open() => {
                        self.outbox.blocks.put(orders.try_into()?);
                    }
                    Some(_) => bail!("the collector sent something else than an acknowledgement"),
                    None => bail!("the collector closed the stream"),
                },
                permit = outgoing.reserve(), if may_send => {
                    let permit = permit.context("the stream is closed")?;
                    if let Some(batch) = self.next_batch() {
                        permit.send(message(Outgoing::Batch(batch)));
                    }
                }
                () = self.outbox.news.notified() => {
                    if let Some(status) = self.outbox.take_status() {
                        // It may be dropped: the next one says more.
                        let _ = outgoing.try_send(message(Outgoing::Status(status.into())));
                    }
                }
                _ = self.commands.changed() => {}
                () = sleep_until(deadline), if !self.in_flight.is_empty() => {
                    bail!("no acknowledgement for {} s", self.options.ack_timeout.as_secs());
                }
            }
        }
    }

    pub(super) async fn unary(&mut self, client: IngestClient<Channel>) -> End {
        match self.run_unary(client).await {
            Ok(()) => End::Told,
            Err(error) => End::Failed(error),
        }
    }

    async fn run_unary(&mut self, mut client: IngestClient<Channel>) -> anyhow::Result<()> {
        loop {
            self.load().await;
            if self.is_drained() {
                return Ok(());
            }
            let Some(batch) = self.next_batch() else {
                tokio::select! {
                    () = self.outbox.news.notified() => {}
                    _ = self.commands.changed() => {}
                }
                continue;
            };
            // A status travels with the next batch.
            let status = self.outbox.take_status().map(Into::into);
            let batch = Some(batch);
            let request = client.send(v1::SendRequest { batch, status });
            let response = timeout(self.options.ack_timeout, request)
                .await
                .context("the collector does not answer")??;
            self.greeted();
            if let Some(ack) = response.into_inner().ack {
                self.acked(&ack.try_into()?);
            }
            if !self.in_flight.is_empty() {
                bail!("the collector answered without an acknowledgement");
            }
        }
    }

    async fn welcome(&mut self, incoming: &mut Streaming<v1::CollectorMessage>) -> anyhow::Result<()> {
        let first = timeout(WELCOME_WITHIN, incoming.message())
            .await
            .context("the collector does not welcome us")??;
        let Some(v1::CollectorMessage {
            message: Some(Incoming::Welcome(welcome)),
        }) = first
        else {
            bail!("the collector did not answer the hello with a welcome");
        };
        let welcome = Welcome::try_from(welcome)?;
        self.credit = welcome.credit_bytes.min(self.options.max_in_flight);
        self.committed = welcome
            .committed
            .into_iter()
            .map(|ack| (ack.stream, ack.seq))
            .collect();
        self.greeted();
        tracing::info!(credit_bytes = self.credit, "the collector takes batches");
        Ok(())
    }

    fn greeted(&mut self) {
        if !self.progress {
            self.progress = true;
            self.last_progress = Instant::now();
            Counters::add(&self.outbox.counters.connects, 1);
            self.outbox.counters.connected.store(true, Ordering::Relaxed);
        }
    }

    /// Reads from the spool what can be sent soon, and skips what the collector already has.
    async fn load(&mut self) {
        while self.ready.is_empty() {
            let (outbox, from) = (Arc::clone(&self.outbox), self.next);
            let read = tokio::task::spawn_blocking(move || outbox.read(from, READ_BYTES)).await;
            let entries = read.unwrap_or_default();
            let Some(last) = entries.last() else {
                return;
            };
            self.next = last.index + 1;
            for entry in entries {
                self.take_in(entry);
            }
        }
        while let Some((entry, batch)) = self.ready.front()
            && self.in_flight.is_empty()
            && self.has_committed(batch)
        {
            self.outbox.ack(entry.index);
            self.ready.pop_front();
        }
    }

    fn take_in(&mut self, entry: Entry) {
        match v1::Batch::decode(entry.bytes.as_slice()) {
            Ok(batch) => self.ready.push_back((
                Entry {
                    bytes: Vec::new(),
                    ..entry
                },
                batch,
            )),
            Err(error) => {
                // Intact by its checksum, but not ours: a spool of another version.
                tracing::warn!(%error, index = entry.index, "an entry of the spool is no batch");
                self.outbox.refused(entry.index);
            }
        }
    }

    fn has_committed(&self, batch: &v1::Batch) -> bool {
        batch
            .identity()
            .is_ok_and(|id| self.committed.get(&id.stream).is_some_and(|seq| id.seq <= *seq))
    }

    /// The stream of the oldest batch and the one that is written now. Duplicates of others are sent again, and the
    /// collector drops them.
    fn streams(&self) -> Vec<StreamId> {
        let oldest = self
            .ready
            .front()
            .and_then(|(_, batch)| batch.identity().ok())
            .map(|id| id.stream);
        let mut streams: Vec<StreamId> = oldest.into_iter().chain([self.outbox.stream()]).collect();
        streams.dedup();
        streams
    }

    fn may_send(&self) -> bool {
        let front = self.ready.front();
        front.is_some_and(|(_, batch)| self.in_flight.has_credit(batch.payload.len() as u64, self.credit))
    }

    fn next_batch(&mut self) -> Option<v1::Batch> {
        let (entry, batch) = self.ready.pop_front()?;
        let Ok(id) = batch.identity() else {
            self.outbox.refused(entry.index);
            return None;
        };
        if self.in_flight.is_empty() {
            self.last_progress = Instant::now();
        }
        let bytes = batch.payload.len() as u64;
        self.in_flight.push(Sent {
            index: entry.index,
            stream: id.stream,
            seq: id.seq,
            bytes,
        });
        Counters::add(&self.outbox.counters.batches_sent, 1);
        Counters::add(&self.outbox.counters.bytes_sent, bytes);
        Some(batch)
    }

    fn acked(&mut self, ack: &Ack) {
        if let Some(credit) = ack.credit_bytes {
            self.credit = credit.min(self.options.max_in_flight);
        }
        let done = self.in_flight.acknowledged(ack);
        let Some(last) = done.last() else {
            return;
        };
        if let Some(reason) = &ack.refused
            && last.seq == ack.seq
        {
            tracing::warn!(seq = ack.seq, reason, "the collector refused a batch for good");
            self.outbox.refused(last.index);
        }
        // Before it has any effect: whoever kills us behind it finds it in the log.
        tracing::debug!(
            boot = u128::from_be_bytes(ack.stream.boot.0),
            seq = ack.seq,
            "acknowledged"
        );
        self.last_progress = Instant::now();
        Counters::add(&self.outbox.counters.batches_acked, done.len() as u64);
        self.outbox.ack(last.index);
    }

    fn is_drained(&self) -> bool {
        *self.commands.borrow() == Command::Drain
            && self.ready.is_empty()
            && self.in_flight.is_empty()
            && self.outbox.is_empty()
    }
}

const fn message(message: Outgoing) -> v1::SensorMessage {
    v1::SensorMessage {
        message: Some(message),
    }
}
