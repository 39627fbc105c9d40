//! A collector that only remembers, and dies when the test wants it to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lynceus_model::status::SensorStatus;
use lynceus_proto::batch::{Batch, BatchId, Content, StreamId};
use lynceus_proto::session::{Ack, Hello, Welcome};
use lynceus_proto::v1::collector_message::Message as Outgoing;
use lynceus_proto::v1::ingest_server::{Ingest, IngestServer};
use lynceus_proto::v1::sensor_message::Message as Incoming;
use lynceus_proto::{limits, v1};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// What a collector does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    CommitAndAck,
    /// The connection ends before anything happened.
    DieBeforeCommit,
    /// Committed, but the sensor does not hear of it.
    DieAfterCommit,
    /// Committed; the acknowledgement comes with a later one.
    Silent,
    Refuse,
}

/// What survives the collector's death.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) committed: BTreeMap<StreamId, u64>,
    pub(crate) batches: Vec<(BatchId, Content)>,
    pub(crate) duplicates: u64,
    pub(crate) status: Option<SensorStatus>,
    pub(crate) clients_with_certificate: u64,
}

type Decide = Arc<dyn Fn(&BatchId) -> Deed + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) memory: Arc<Mutex<Memory>>,
    decide: Decide,
    pub(crate) credit: u64,
}

impl Collector {
    pub(crate) fn new(decide: impl Fn(&BatchId) -> Deed + Send + Sync + 'static) -> Self {
        Self {
            memory: Arc::default(),
            decide: Arc::new(decide),
            credit: 8_192,
        }
    }

    pub(crate) fn service(&self) -> IngestServer<Self> {
        IngestServer::new(self.clone()).max_decoding_message_size(limits::MESSAGE_BYTES)
    }

    /// Listens on a unix socket until the handle is aborted.
    pub(crate) fn serve(&self, socket: &PathBuf) -> JoinHandle<()> {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let router = Server::builder().add_service(self.service());
        tokio::spawn(async move { router.serve_with_incoming(listener).await.unwrap() })
    }

    /// `None`: die now.
    fn take(&self, wire: v1::Batch) -> Option<Option<Ack>> {
        let batch = Batch::try_from(wire).unwrap();
        let BatchId { stream, seq, .. } = batch.id;
        let ack = |refused| Ack {
            stream,
            seq,
            credit_bytes: None,
            refused,
        };
        let mut memory = self.memory.lock().unwrap();
        if memory.committed.get(&stream).is_some_and(|done| seq <= *done) {
            memory.duplicates += 1;
            return Some(Some(ack(None)));
        }
        let deed = (self.decide)(&batch.id);
        if deed == Deed::DieBeforeCommit {
            return None;
        }
        memory.committed.insert(stream, seq);
        if deed != Deed::Refuse {
            memory.batches.push((batch.id, batch.content));
        }
        match deed {
            Deed::CommitAndAck => Some(Some(ack(None))),
            Deed::Refuse => Some(Some(ack(Some("no".to_owned())))),
            Deed::Silent => Some(None),
            Deed::DieAfterCommit | Deed::DieBeforeCommit => None,
        }
    }
}

#[tonic::async_trait]
impl Ingest for Collector {
    type StreamStream = ReceiverStream<Result<v1::CollectorMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::SensorMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        if request
            .peer_certs()
            .is_some_and(|certificates| !certificates.is_empty())
        {
            self.memory.lock().unwrap().clients_with_certificate += 1;
        }
        let mut incoming = request.into_inner();
        let (answers, stream) = mpsc::channel(4);
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                let answer = match message.message.unwrap() {
                    Incoming::Hello(hello) => {
                        let hello = Hello::try_from(hello).unwrap();
                        let memory = collector.memory.lock().unwrap();
                        let known = hello.streams.iter().filter_map(|stream| {
                            let seq = *memory.committed.get(stream)?;
                            Some(Ack {
                                stream: *stream,
                                seq,
                                credit_bytes: None,
                                refused: None,
                            })
                        });
                        Outgoing::Welcome(
                            Welcome {
                                committed: known.collect(),
                                credit_bytes: collector.credit,
                            }
                            .into(),
                        )
                    }
                    Incoming::Status(status) => {
                        collector.memory.lock().unwrap().status = Some(status.try_into().unwrap());
                        continue;
                    }
                    Incoming::Batch(batch) => match collector.take(batch) {
                        None => return,
                        Some(None) => continue,
                        Some(Some(ack)) => Outgoing::Ack(ack.into()),
                    },
                };
                if answers
                    .send(Ok(v1::CollectorMessage {
                        message: Some(answer),
                    }))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn send(&self, request: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        let batch = request.into_inner().batch.unwrap();
        match self.take(batch) {
            None | Some(None) => Err(Status::unavailable("dying")),
            Some(Some(ack)) => Ok(Response::new(v1::SendResponse {
                ack: Some(ack.into()),
            })),
        }
    }
}
