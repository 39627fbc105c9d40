//! mTLS: a sensor speaks for itself only, and nobody without a certificate speaks at all.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/traffic.rs"]
mod traffic;

use std::path::Path;
use std::time::{Duration, Instant};

use lynceus_collector::app;
use lynceus_collector::config::{Config, Store, Tls};
use lynceus_model::window::SensorId;
use lynceus_proto::v1;
use lynceus_proto::v1::ingest_client::IngestClient;
use lynceus_proto::v1::query_client::QueryClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use traffic::{SENSOR, batches, updates};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key for a DNS name.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

async fn connect(
    port: u16,
    authority: &Authority,
    own: Option<(String, String)>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("collector.test");
    if let Some((certificate, key)) = own {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}"))
        .unwrap()
        .tls_config(tls)
        .unwrap();
    endpoint.connect().await
}

/// Waits until it listens.
async fn until_up(port: u16) {
    let begin = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn config(directory: &Path, authority: &Authority, port: u16) -> Config {
    let (certificate, key) = authority.issue("collector.test");
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Config {
        listen: format!("127.0.0.1:{port}"),
        http_listen: String::new(),
        tls: Some(Tls {
            certificate: file("collector.pem", &certificate),
            key: file("collector.key", &key),
            client_ca: file("ca.pem", &authority.pem),
        }),
        store: Store {
            directory: directory.join("store"),
            ..Store::default()
        },
        ..Config::default()
    }
}

async fn send(channel: Channel, sensor: SensorId) -> Result<(), tonic::Status> {
    let mut batch = batches(&updates(1, 2), usize::MAX).remove(0);
    batch.id.sensor = sensor;
    let request = v1::SendRequest {
        batch: Some(v1::Batch::seal(&batch.id, &batch.content.into())),
        status: None,
    };
    IngestClient::new(channel).send(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_decide_who_speaks_for_whom() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let config = config(directory.path(), &authority, port);
    let server = tokio::spawn(app::run(config, async move {
        let _ = ended.await;
    }));
    until_up(port).await;
    let name = uuid::Uuid::from_bytes(SENSOR.0).hyphenated().to_string();

    let sensor = connect(port, &authority, Some(authority.issue(&name)))
        .await
        .unwrap();
    send(sensor.clone(), SENSOR).await.unwrap();
    let other = send(sensor.clone(), SensorId([1; 16])).await.unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied, "{other}");
    let reads = QueryClient::new(sensor)
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap_err();
    assert_eq!(reads.code(), Code::PermissionDenied, "{reads}");

    let reader = connect(port, &authority, Some(authority.issue("analyst.example")))
        .await
        .unwrap();
    let status = QueryClient::new(reader.clone())
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap();
    assert_eq!(status.into_inner().collector.unwrap().accepted_position, 1);
    let sends = send(reader, SENSOR).await.unwrap_err();
    assert_eq!(sends.code(), Code::PermissionDenied, "{sends}");

    let foreign = Authority::new();
    for own in [None, Some(foreign.issue(&name))] {
        // With TLS 1.3 the refusal may come with the first call instead of the handshake.
        let refused = match connect(port, &authority, own).await {
            Ok(channel) => send(channel, SENSOR).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    end.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_an_error_not_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let config = Config {
        listen: format!("unix:{}", directory.path().join("socket").display()),
        http_listen: taken.local_addr().unwrap().to_string(),
        store: Store {
            directory: directory.path().join("store"),
            ..Store::default()
        },
        ..Config::default()
    };
    let error = app::run(config, std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("http_listen"), "{error:#}");
}
