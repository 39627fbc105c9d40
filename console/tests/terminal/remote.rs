//! A collector on another machine, as far as the console can tell: mTLS, and it goes away and comes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use lynceus_collector::app;
use lynceus_collector::config::{Config, Store, Tls};
use lynceus_collector::web::WebConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::sync::oneshot;

use super::tmux::Tmux;

/// Files with a certificate authority, and what it issued to the collector and to a reader.
struct Certificates(PathBuf);

impl Certificates {
    fn write(folder: &Path) -> Self {
        let own = Self(folder.to_owned());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        std::fs::write(own.file("ca.pem"), root).unwrap();
        let issuer = Issuer::new(params, key);
        for (name, of) in [("collector", "127.0.0.1"), ("reader", "analyst.example")] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![of.to_owned()])
                .unwrap()
                .signed_by(&key, &issuer)
                .unwrap();
            std::fs::write(own.file(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(own.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        own
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A collector that serves what an analysis left.
struct Serving {
    end: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Serving {
    fn start(results: &Path, certificates: &Certificates, port: u16) -> Self {
        let config = Config {
            listen: format!("127.0.0.1:{port}"),
            http_listen: String::new(),
            tls: Some(Tls {
                certificate: certificates.file("collector.pem"),
                key: certificates.file("collector.key"),
                client_ca: certificates.file("ca.pem"),
            }),
            store: Store {
                directory: results.join("store"),
                ..Store::default()
            },
            web: WebConfig {
                listen: String::new(),
                ..WebConfig::default()
            },
            ..Config::default()
        };
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(app::run(config, async move {
                let _ = ended.await;
            }))
        });
        Self { end, thread }
    }

    fn stop(self) {
        self.end.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_remote_collector_is_read_by_mtls_and_a_lost_connection_is_shown_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, super::capture()).unwrap();
    let results = super::analyzed(folder.path(), &file);
    let certificates = Certificates::write(folder.path());
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let arguments = |reader: bool| {
        let ca = certificates.file("ca.pem");
        let mut all = vec!["--connect".to_owned(), format!("127.0.0.1:{port}")];
        all.extend(["--ca".to_owned(), ca.display().to_string()]);
        if reader {
            for (name, file) in [("--cert", "reader.pem"), ("--key", "reader.key")] {
                all.extend([name.to_owned(), certificates.file(file).display().to_string()]);
            }
        }
        all
    };
    // It is not there yet: that is told, too.
    let lynceus = env!("CARGO_BIN_EXE_lynceus");
    let command = format!("{lynceus} console {}", arguments(true).join(" "));
    let Some(tmux) = Tmux::start(110, 30, &[], &command) else {
        return;
    };
    let serving = Serving::start(&results, &certificates, port);
    tmux.wait_for(&["192.168.1.7", "Horizontal port scan"]);
    let stranger = Command::new(lynceus)
        .arg("alerts")
        .args(arguments(false))
        .output()
        .unwrap();
    assert!(!stranger.status.success(), "without a certificate nobody reads");

    serving.stop();
    let lost = tmux.wait_for(&["connection lost, trying again"]);
    assert!(
        lost.contains("Horizontal port scan"),
        "the screen keeps what it has: {lost}"
    );
    let serving = Serving::start(&results, &certificates, port);
    tmux.wait_until("the connection is mended", |picture| {
        picture.contains("192.168.1.7") && !picture.contains("connection lost")
    });
    tmux.press("q");
    tmux.wait_for_the_end();
    serving.stop();
}
