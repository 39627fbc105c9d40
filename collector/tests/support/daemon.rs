//! A `lynceus-collector` of our own, spoken to over its unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lynceus_collector::config::Config;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::Batch;
use lynceus_proto::v1;
use lynceus_proto::v1::ingest_client::IngestClient;
use lynceus_proto::v1::query_client::QueryClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// Longest wait for the first answer; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Daemon {
    pub(crate) process: Child,
    socket: PathBuf,
    http: u16,
    channel: Channel,
}

#[derive(Debug)]
pub(crate) enum Said {
    Stored,
    Refused(String),
}

impl Daemon {
    pub(crate) fn group() -> SensorId {
        Config::default().group()
    }

    /// Starts one on `directory/store` and waits until it answers.
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_with(directory, "", "").await
    }

    /// `store`: further lines of `[store]`; `sections`: further sections.
    pub(crate) async fn start_with(directory: &Path, store: &str, sections: &str) -> Self {
        // Between looking for a free port and using it, somebody else may have it.
        for _ in 0..5 {
            if let Some(daemon) = Self::try_start(directory, store, sections).await {
                return daemon;
            }
        }
        panic!("it ends at once, five times");
    }

    /// `None`: it ended before it answered.
    async fn try_start(directory: &Path, store: &str, sections: &str) -> Option<Self> {
        let socket = directory.join("collector.sock");
        let http = free_port();
        let config = format!(
            "listen = \"unix:{}\"\nhttp_listen = \"127.0.0.1:{http}\"\n[store]\ndirectory = \"{}\"\n\
             window_days = 100000\n{store}[sinks]\njsonl = \"{}\"\n{sections}",
            socket.display(),
            directory.join("store").display(),
            directory.display()
        );
        let file = directory.join("collector.toml");
        std::fs::write(&file, config).unwrap();
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_lynceus-collector"))
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self {
            process,
            socket,
            http,
            channel: endpoint.connect_lazy(),
        };
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if endpoint.connect().await.is_ok() {
                return Some(daemon);
            }
            if daemon.process.try_wait().unwrap().is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no answer on {}", daemon.socket.display());
    }

    /// Sends what is not committed yet until all is acknowledged or the daemon is gone.
    pub(crate) async fn send(&self, batches: &[v1::Batch], acknowledged: &mut u64) {
        let Some(first) = batches.first() else { return };
        let hello = v1::Hello {
            sensor_id: first.sensor_id.clone(),
            streams: first.stream.clone().into_iter().collect(),
            window_width_nanos: 3_600_000_000_000,
            takes_blocks: false,
        };
        let (messages, outgoing) = mpsc::channel(4);
        let say = |message| v1::SensorMessage {
            message: Some(message),
        };
        messages
            .send(say(v1::sensor_message::Message::Hello(hello)))
            .await
            .unwrap();
        let mut client = IngestClient::new(self.channel.clone());
        let Ok(answer) = client.stream(ReceiverStream::new(outgoing)).await else {
            return;
        };
        let mut answers = answer.into_inner();
        let Ok(Some(welcome)) = answers.message().await else {
            return;
        };
        let Some(v1::collector_message::Message::Welcome(welcome)) = welcome.message else {
            panic!("no welcome")
        };
        let committed = welcome.committed.first().map_or(0, |ack| ack.seq);
        assert!(
            committed >= *acknowledged,
            "acknowledged {acknowledged}, committed {committed}"
        );
        *acknowledged = committed;
        let last = batches.len() as u64;
        let rest: Vec<v1::Batch> = batches
            .iter()
            .filter(|batch| batch.seq > committed)
            .cloned()
            .collect();
        let sender = tokio::spawn(async move {
            for batch in rest {
                if messages
                    .send(say(v1::sensor_message::Message::Batch(batch)))
                    .await
                    .is_err()
                {
                    return None;
                }
            }
            // Held until all is acknowledged, as a sensor holds its stream.
            Some(messages)
        });
        while *acknowledged < last {
            let Ok(Some(answer)) = answers.message().await else {
                break;
            };
            let Some(v1::collector_message::Message::Ack(ack)) = answer.message else {
                panic!("no ack")
            };
            assert_eq!(ack.refused, None);
            *acknowledged = ack.seq;
        }
        drop(sender.await);
    }

    pub(crate) async fn send_one(&self, batch: v1::Batch) -> Result<Said, tonic::Status> {
        let request = v1::SendRequest {
            batch: Some(batch),
            status: None,
        };
        let ack = IngestClient::new(self.channel.clone())
            .send(request)
            .await?
            .into_inner()
            .ack
            .unwrap();
        Ok(ack.refused.map_or(Said::Stored, Said::Refused))
    }

    /// All evidence, in the order of the store.
    #[allow(dead_code, reason = "only some tests ask")]
    pub(crate) async fn evidence(&self) -> Vec<v1::Evidence> {
        let mut client = QueryClient::new(self.channel.clone());
        let (mut found, mut page) = (Vec::new(), Vec::new());
        loop {
            let request = v1::ListEvidenceRequest {
                page_size: 1000,
                page,
                ..v1::ListEvidenceRequest::default()
            };
            let answer = client.list_evidence(request).await.unwrap().into_inner();
            found.extend(answer.evidence);
            page = answer.next_page;
            if page.is_empty() {
                return found;
            }
        }
    }

    pub(crate) async fn http(&self, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.http))
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[allow(dead_code, reason = "only some tests ask")]
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    #[allow(dead_code, reason = "only some tests ask")]
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks it to end and checks that it ended well.
    pub(crate) fn terminate(mut self) {
        signal("-TERM", self.process.id());
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(!self.socket.exists(), "the socket is removed");
    }

    pub(crate) fn wait(&mut self) {
        let _ = self.process.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn seal(batch: &Batch) -> v1::Batch {
    v1::Batch::seal(&batch.id, &batch.content.clone().into())
}

pub(crate) fn kill(process: u32) {
    signal("-KILL", process);
}

pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .stderr(Stdio::null())
        .status();
    assert!(sent.is_ok());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
