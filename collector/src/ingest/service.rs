//! The gRPC side of the intake.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use lynceus_model::status::SensorStatus;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::{Batch, BatchId};
use lynceus_proto::session::{Ack, Hello, Welcome};
use lynceus_proto::{Invalid, limits, v1};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Accepted, Ingest, IngestError};
use crate::auth::Peer;
use crate::control::Control;
use crate::store::StreamId;

/// The service that sensors talk to.
#[derive(Clone)]
pub struct IngestService {
    ingest: Ingest,
    /// One permit a KiB of payload that is between the network and the tables, over all sensors.
    room: Arc<Semaphore>,
    room_bytes: u64,
    /// Width of the windows that the detectors expect.
    width: Duration,
    control: Option<Arc<Control>>,
}

/// Acknowledgements that wait to be sent to one sensor; as many batches may be under way.
const UNDER_WAY: usize = 256;

impl IngestService {
    /// `room_bytes`: payload of all sensors that may be in memory; at least one batch of the largest size.
    #[must_use]
    pub fn new(ingest: Ingest, room_bytes: u64, width: Duration) -> Self {
        let room_bytes = room_bytes.max(limits::BATCH_BYTES as u64);
        Self {
            ingest,
            room: Arc::new(Semaphore::new(
                usize::try_from(room_bytes / 1024).unwrap_or(usize::MAX >> 4),
            )),
            room_bytes,
            width,
            control: None,
        }
    }

    /// Tells sensors what to block, and hears what they say of it.
    #[must_use]
    pub fn with_control(self, control: Arc<Control>) -> Self {
        Self {
            control: Some(control),
            ..self
        }
    }

    /// A fair share of the room, so that many sensors cannot promise themselves more than there is.
    fn credit(&self) -> u64 {
        let share = self.room_bytes / self.ingest.shared().connections().max(1);
        share.clamp(limits::BATCH_BYTES as u64, 16 << 20)
    }

    /// Checks a batch and hands it to the intake. The outer error ends the stream, the inner one is the answer to a
    /// batch that will never be good.
    async fn take(&self, wire: v1::Batch, peer: &Peer) -> Result<Result<(BatchId, Answer), Ack>, Status> {
        let id = wire.identity().map_err(|error| self.invalid(&error))?;
        peer.may_speak_for(id.sensor)?;
        let permits =
            u32::try_from(wire.payload.len().min(limits::BATCH_BYTES) / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        let room = room.map_err(|_| Status::unavailable("the collector is stopping"))?;
        let payload = wire.payload.clone();
        let batch = match Batch::try_from(wire) {
            Ok(batch) => batch,
            Err(error) => {
                self.count_invalid(&error);
                tracing::warn!(sensor = %crate::json::uuid(id.sensor.0), seq = id.seq, %error, "batch refused for good");
                return Ok(Err(Ack {
                    stream: id.stream,
                    seq: id.seq,
                    credit_bytes: None,
                    refused: Some(error.to_string()),
                }));
            }
        };
        let answer = self
            .ingest
            .offer(batch, payload, room)
            .await
            .map_err(unavailable)?;
        Ok(Ok((id, answer)))
    }

    async fn note_status(&self, sensor: SensorId, wire: v1::SensorStatus) -> Result<(), Status> {
        let status = SensorStatus::try_from(wire).map_err(|error| self.invalid(&error))?;
        if let Some(control) = &self.control
            && !status.blocks.is_empty()
        {
            let (control, blocks) = (Arc::clone(control), status.blocks.clone());
            let noted = tokio::task::spawn_blocking(move || control.note(sensor, &blocks, crate::now()));
            noted
                .await
                .map_err(|_| Status::internal("the status was not handled"))?;
        }
        let ingest = self.ingest.clone();
        let noted = tokio::task::spawn_blocking(move || ingest.status(sensor, status)).await;
        match noted {
            Ok(Ok(())) => Ok(()),
            // The next status replaces this one anyway.
            Ok(Err(error)) => {
                tracing::warn!(%error, "sensor status not kept");
                Ok(())
            }
            Err(_) => Err(Status::internal("the status was not handled")),
        }
    }

    fn welcome(&self, hello: &Hello) -> Welcome {
        let asked: BTreeSet<StreamId> = hello
            .streams
            .iter()
            .map(|stream| StreamId {
                sensor: hello.sensor,
                boot: stream.boot.0,
                stream: stream.stream,
            })
            .collect();
        let known = self
            .ingest
            .marks()
            .into_iter()
            .filter(|(stream, _)| asked.contains(stream));
        let committed = known.map(|(stream, mark)| Ack {
            stream: lynceus_proto::batch::StreamId {
                boot: lynceus_proto::batch::BootId(stream.boot),
                stream: stream.stream,
            },
            seq: mark.acknowledged(),
            credit_bytes: None,
            refused: None,
        });
        Welcome {
            committed: committed.collect(),
            credit_bytes: self.credit(),
        }
    }

    fn count_invalid(&self, error: &Invalid) {
        // List numbers would make a reason of each position.
        let mut field = error.field.clone();
        while let (Some(open), Some(close)) = (field.find('['), field.find(']')) {
            if open > close {
                break;
            }
            field.replace_range(open..=close, "");
        }
        self.ingest.shared().counters.refuse(&format!("invalid_{field}"));
    }

    fn invalid(&self, error: &Invalid) -> Status {
        self.count_invalid(error);
        Status::invalid_argument(error.to_string())
    }

    async fn serve(
        &self,
        mut messages: Streaming<v1::SensorMessage>,
        peer: Peer,
        answers: &mpsc::Sender<Result<v1::CollectorMessage, Status>>,
        waiting: &mpsc::Sender<Waiting>,
    ) -> Result<(), Status> {
        use v1::sensor_message::Message as Says;
        let Some(first) = messages.next().await else {
            return Ok(());
        };
        let Some(Says::Hello(hello)) = first?.message else {
            return Err(Status::failed_precondition("the first message must be a hello"));
        };
        let hello = Hello::try_from(hello).map_err(|error| self.invalid(&error))?;
        peer.may_speak_for(hello.sensor)?;
        if hello.window_width != Some(self.width) {
            let theirs = hello
                .window_width
                .map_or_else(|| "one over all time".to_owned(), |width| format!("{width:?}"));
            let text = format!(
                "the sensor's windows are {theirs} wide (profiles.window), the collector's {:?} (windows.width)",
                self.width
            );
            tracing::warn!(sensor = %crate::json::uuid(hello.sensor.0), text, "sensor refused");
            return Err(Status::failed_precondition(text));
        }
        let _connected = self.ingest.shared().connect(hello.sensor);
        tracing::info!(sensor = %crate::json::uuid(hello.sensor.0), streams = hello.streams.len(), "sensor connected");
        let welcome = v1::collector_message::Message::Welcome(self.welcome(&hello).into());
        let welcome = v1::CollectorMessage {
            message: Some(welcome),
        };
        answers.send(Ok(welcome)).await.map_err(|_| gone())?;
        let control = self
            .control
            .as_ref()
            .filter(|control| hello.takes_blocks && control.options().enabled);
        let _orders = control.map(|control| Ordering::start(control, answers.clone()));
        while let Some(message) = messages.next().await {
            match message?.message {
                Some(Says::Batch(batch)) => {
                    let waits = match self.take(batch, &peer).await? {
                        Ok((id, _)) if id.sensor != hello.sensor => {
                            return Err(Status::invalid_argument("sensor_id: not that of the hello"));
                        }
                        Ok((id, answer)) => Waiting::For(id, answer),
                        Err(refused) => Waiting::Said(refused),
                    };
                    waiting.send(waits).await.map_err(|_| gone())?;
                }
                Some(Says::Status(status)) => self.note_status(hello.sensor, status).await?,
                Some(Says::Hello(_)) => return Err(Status::failed_precondition("one hello is enough")),
                None => return Err(Status::invalid_argument("message: not known")),
            }
        }
        Ok(())
    }
}

/// The task that tells a sensor what to block, in time for its lease; ends with its connection.
struct Ordering(tokio::task::JoinHandle<()>);

impl Ordering {
    fn start(control: &Arc<Control>, answers: mpsc::Sender<Result<v1::CollectorMessage, Status>>) -> Self {
        let mut follower = control.follow();
        Self(tokio::spawn(async move {
            loop {
                follower.changed.mark_unchanged();
                let orders = follower.control.orders(crate::now());
                let message = v1::collector_message::Message::BlockOrders(orders.into());
                let message = v1::CollectorMessage {
                    message: Some(message),
                };
                if answers.send(Ok(message)).await.is_err() {
                    return;
                }
                let renew = follower.control.options().lease / 3;
                tokio::select! {
                    _ = follower.changed.changed() => {}
                    () = tokio::time::sleep(renew) => {}
                }
            }
        }))
    }
}

impl Drop for Ordering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Answer = oneshot::Receiver<Result<Accepted, IngestError>>;

/// Acknowledgements leave in the order in which batches came.
enum Waiting {
    For(BatchId, Answer),
    Said(Ack),
}

#[tonic::async_trait]
impl v1::ingest_server::Ingest for IngestService {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::CollectorMessage, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::SensorMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let peer = Peer::of(&request);
        let messages = request.into_inner();
        let (answers, sent) = mpsc::channel(UNDER_WAY);
        let (waiting, mut queue) = mpsc::channel(UNDER_WAY);
        let service = self.clone();
        let to_sensor = answers.clone();
        tokio::spawn(async move {
            if let Err(status) = service.serve(messages, peer, &to_sensor, &waiting).await {
                // The sensor may be gone; then nobody has to be told.
                let _ = to_sensor.send(Err(status)).await;
            }
        });
        let service = self.clone();
        tokio::spawn(async move {
            while let Some(next) = queue.recv().await {
                let answer = match next {
                    Waiting::Said(ack) => Ok(ack),
                    Waiting::For(id, answer) => settled(&id, answer, Some(service.credit())).await,
                };
                let ended = answer.is_err();
                let message = answer.map(|ack| v1::CollectorMessage {
                    message: Some(v1::collector_message::Message::Ack(ack.into())),
                });
                if answers.send(message).await.is_err() || ended {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(sent))))
    }

    async fn send(&self, request: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        let peer = Peer::of(&request);
        let request = request.into_inner();
        let batch = request
            .batch
            .ok_or_else(|| Status::invalid_argument("batch: missing"))?;
        let (ack, sensor) = match self.take(batch, &peer).await? {
            Ok((id, answer)) => (settled(&id, answer, None).await?, Some(id.sensor)),
            Err(refused) => (refused, None),
        };
        if let (Some(status), Some(sensor)) = (request.status, sensor) {
            self.note_status(sensor, status).await?;
        }
        Ok(Response::new(v1::SendResponse {
            ack: Some(ack.into()),
        }))
    }
}

async fn settled(id: &BatchId, answer: Answer, credit_bytes: Option<u64>) -> Result<Ack, Status> {
    match answer.await.unwrap_or(Err(IngestError::Stopping)) {
        Ok(Accepted::Stored | Accepted::Duplicate) => Ok(Ack {
            stream: id.stream,
            seq: id.seq,
            credit_bytes,
            refused: None,
        }),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(error: IngestError) -> Status {
    Status::unavailable(error.to_string())
}

fn gone() -> Status {
    Status::cancelled("the sensor is gone")
}
