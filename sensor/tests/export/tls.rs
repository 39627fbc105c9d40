//! Certificates on both sides.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;
use lynceus_sensor::export::Exporter;
use lynceus_sensor::export::grpc::{self, Command, Transport};
use lynceus_sensor::export::outbox::Outbox;
use lynceus_sensor::export::spool::Memory;
use lynceus_sensor::export::target::{Target, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::collector::{Collector, Deed};
use super::exactly_once::{LIMITS, content, fast};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key for a name.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

async fn serve(collector: &Collector, authority: &Authority) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(&authority.pem));
    let router = Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(collector.service());
    let task = tokio::spawn(async move {
        router
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    });
    (address, task)
}

fn files(directory: &Path, authority: &str, certificate: &(String, String)) -> TlsFiles {
    let files = TlsFiles {
        ca: directory.join("ca.pem"),
        certificate: directory.join("sensor.pem"),
        key: directory.join("sensor.key"),
    };
    fs::write(&files.ca, authority).unwrap();
    fs::write(&files.certificate, &certificate.0).unwrap();
    fs::write(&files.key, &certificate.1).unwrap();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_the_right_authority_get_through() {
    let directory = tempfile::tempdir().unwrap();
    let sensor = SensorId([7; 16]);
    let (ours, theirs) = (Authority::new(), Authority::new());
    let collector = Collector::new(|_| Deed::CommitAndAck);
    let (address, server) = serve(&collector, &ours).await;
    let (outbox, _) = Outbox::open(sensor, BootId([2; 16]), Box::new(Memory::default()), LIMITS).unwrap();
    let mut outbox = Arc::new(outbox);
    outbox.export(content(1)).unwrap();

    // A certificate that somebody else signed: the collector lets nothing through.
    let wrong = files(
        directory.path(),
        &ours.pem,
        &theirs.issue(&format!("{sensor}.sensor.lynceus")),
    );
    let url = format!("https://localhost:{}", address.port());
    let target = Target::new(&url, Some(wrong)).unwrap();
    let (commands, told) = watch::channel(Command::Drain);
    let task = tokio::spawn(grpc::run(
        Arc::clone(&outbox),
        target,
        fast(Transport::Stream),
        told,
    ));
    sleep(Duration::from_millis(300)).await;
    assert!(!outbox.counters().is_connected() && !task.is_finished());
    assert!(collector.memory.lock().unwrap().batches.is_empty());

    // New files are taken without a restart.
    files(
        directory.path(),
        &ours.pem,
        &ours.issue(&format!("{sensor}.sensor.lynceus")),
    );
    timeout(Duration::from_secs(60), task)
        .await
        .expect("it gets through")
        .unwrap();
    drop(commands);
    {
        let memory = collector.memory.lock().unwrap();
        assert_eq!(memory.batches.len(), 1);
        assert_eq!(memory.clients_with_certificate, 1);
    }

    // A collector that we do not trust gets nothing.
    outbox.export(content(2)).unwrap();
    let distrusting = files(
        directory.path(),
        &theirs.pem,
        &ours.issue(&format!("{sensor}.sensor.lynceus")),
    );
    let target = Target::new(&url, Some(distrusting)).unwrap();
    let (commands, told) = watch::channel(Command::Run);
    let task = tokio::spawn(grpc::run(
        Arc::clone(&outbox),
        target,
        fast(Transport::Stream),
        told,
    ));
    sleep(Duration::from_millis(300)).await;
    commands.send(Command::Stop).unwrap();
    timeout(Duration::from_secs(60), task)
        .await
        .expect("it stops when told")
        .unwrap();
    assert_eq!(collector.memory.lock().unwrap().batches.len(), 1);
    server.abort();
}

pub(crate) fn flow() -> FlowUpdate {
    let end = |last, port| Endpoint {
        ip: [192, 0, 2, last].into(),
        port,
    };
    let totals = Totals {
        packets: 10,
        bytes: 10_000,
        wire_bytes: 10_140,
        tcp_flags: 27,
        flag_counts: [1; 8],
    };
    let flow = Flow {
        tuple: FiveTuple {
            originator: end(1, 40_000),
            responder: end(2, 443),
            protocol: 6,
        },
        community_id: CommunityId([5; 20]),
        first: Timestamp::from_secs(1_700_000_000),
        last: Timestamp::from_secs(1_700_000_009),
        out: totals,
        back: totals,
        state: ConnState::Sf,
        icmp: None,
        vlan: Vec::new(),
        tunnel: None,
        rtt: Some(Duration::from_millis(12)),
        seen_at: Vec::new(),
        service: lynceus_model::flow::Service::Unseen,
        reported: None,
    };
    FlowUpdate {
        flow,
        new_out: totals,
        new_back: totals,
        part: 0,
        end: FlowEnd::Closed,
    }
}
