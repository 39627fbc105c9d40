//! Every way out against a receiver of its own kind: HTTPS, TAXII, syslog over UDP, TCP, TLS and a local socket, files.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/https.rs"]
mod https;

use std::io::BufReader;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use https::{Answer, Server};
use lynceus_collector::output::{Output, OutputConfig};
use lynceus_collector::sink::Sink as _;
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel,
};
use lynceus_model::time::Timestamp;
use serde_json::Value;

fn evidence(number: u8, level: ThreatLevel) -> Evidence {
    Evidence {
        id: EvidenceId([number; 16]),
        kind: EvidenceType::DataUpload,
        profile: "10.0.0.1".parse().unwrap(),
        window_start: Timestamp(0),
        window: 1,
        attacker: "10.0.0.1".parse().unwrap(),
        attacker_side: AttackerSide::Source,
        victim: Some("192.0.2.1".parse().unwrap()),
        subject: None,
        dst_port: Some(443),
        protocol: Some(6),
        threat_level: level,
        confidence: Confidence::new(1.0),
        description: format!("upload {number}"),
        explanation: Explanation::default(),
        flows: Vec::new(),
        first: Timestamp(0),
        last: Timestamp(0),
        revision: 0,
        account: None,
        related: Vec::new(),
        accumulated: None,
        src_port: None,
    }
}

fn config(format: &str, to: &str) -> OutputConfig {
    OutputConfig {
        name: "test".to_owned(),
        format: format.to_owned(),
        to: to.to_owned(),
        min_level: "info".to_owned(),
        evidence: true,
        authorization_file: None,
        ca: None,
        spool_mib: 1,
    }
}

fn trusting(server: &Server, directory: &Path, format: &str, to: &str) -> OutputConfig {
    let ca = directory.join("ca.pem");
    std::fs::write(&ca, server.pem()).unwrap();
    OutputConfig {
        ca: Some(ca),
        ..config(format, to)
    }
}

fn delivered(output: &Output, count: u64) {
    let counters = output.counters();
    let begin = Instant::now();
    while counters.delivered.load(Ordering::Relaxed) < count {
        assert!(begin.elapsed() < Duration::from_secs(60), "{counters:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_webhook_that_stumbles_gets_everything_once_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::start({
        let calls = Arc::clone(&calls);
        move |request| {
            assert_eq!(request.header("authorization"), Some("Bearer secret"));
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => Answer::new(503, "").with("retry-after", "0"),
                1 => Answer::new(500, ""),
                _ => {
                    tell.lock().unwrap().send(request.body.clone()).unwrap();
                    Answer::new(204, "")
                }
            }
        }
    });
    let token = directory.path().join("token");
    std::fs::write(&token, "Bearer secret\n").unwrap();
    let mut settings = trusting(&server, directory.path(), "ecs", &server.url("/hook"));
    settings.authorization_file = Some(token);
    settings.min_level = "low".to_owned();
    let mut output = settings.start(directory.path()).unwrap();
    output.evidence(&evidence(1, ThreatLevel::Info)).unwrap();
    output.evidence(&evidence(2, ThreatLevel::High)).unwrap();
    output.evidence(&evidence(3, ThreatLevel::Low)).unwrap();
    delivered(&output, 2);
    drop(output);
    let ids: Vec<String> = told
        .try_iter()
        .map(|body| {
            let event: Value = serde_json::from_slice(&body).unwrap();
            event["event"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected = [2, 3].map(|number| EvidenceId([number; 16]).to_string());
    assert_eq!(ids, expected, "in order, and nothing below the level");
}

#[test]
fn every_format_arrives_at_a_server_as_what_it_says_it_is() {
    for (format, begins, path) in [
        ("eve", "{", "/alert/signature"),
        ("idmef", "{", "/Description"),
        ("ecs", "{", "/message"),
        ("ocsf", "{", "/message"),
        ("slack", "{", "/text"),
        ("json", "{", "/description"),
        ("stix", "{", "/objects/1/name"),
        ("cef", "CEF:0|", ""),
        ("alerts-log", "", ""),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (tell, told) = channel();
        let tell = std::sync::Mutex::new(tell);
        let server = Server::start(move |request| {
            tell.lock().unwrap().send(request.body.clone()).unwrap();
            Answer::new(200, "")
        });
        let settings = trusting(&server, directory.path(), format, &server.url("/in"));
        let mut output = settings.start(directory.path()).unwrap();
        output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
        delivered(&output, 1);
        let body = String::from_utf8(told.recv().unwrap()).unwrap();
        assert!(
            body.starts_with(begins) && body.contains("upload 1"),
            "{format}: {body}"
        );
        if !path.is_empty() {
            let message: Value = serde_json::from_str(&body).unwrap();
            let text = message.pointer(path).and_then(Value::as_str);
            assert!(
                text.is_some_and(|text| text.contains("upload 1")),
                "{format}: {body}"
            );
        }
    }
}

#[test]
fn what_a_receiver_refuses_for_good_does_not_hold_up_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let bad = String::from_utf8_lossy(&request.body).contains("upload 1");
        Answer::new(if bad { 400 } else { 200 }, "")
    });
    let settings = trusting(&server, directory.path(), "slack", &server.url("/hook"));
    let mut output = settings.start(directory.path()).unwrap();
    output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
    let counters = output.counters();
    let begin = Instant::now();
    while counters.rejected.load(Ordering::Relaxed) < 1 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    output.evidence(&evidence(2, ThreatLevel::High)).unwrap();
    delivered(&output, 1);
}

#[test]
fn a_dead_receiver_holds_nobody_up_and_loses_nothing_that_fits() {
    let directory = tempfile::tempdir().unwrap();
    // A port that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let to = format!("syslog+tcp://127.0.0.1:{port}");
    let begin = Instant::now();
    let mut output = config("eve", &to).start(directory.path()).unwrap();
    for number in 0..100 {
        output.evidence(&evidence(number, ThreatLevel::High)).unwrap();
    }
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "dispatch waits for nobody"
    );
    let mut refused = 0;
    for _ in 0..20_000 {
        refused += u32::from(output.evidence(&evidence(200, ThreatLevel::High)).is_err());
    }
    assert!(refused > 0, "the spool has a bound");
    assert_eq!(
        output.counters().refused.load(Ordering::Relaxed),
        u64::from(refused)
    );
    drop(output);

    // The next start delivers what waited, in order.
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let output = config("eve", &to).start(directory.path()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    for number in 0..100_u8 {
        let event = octet_counted(&mut reader);
        assert_eq!(event["lynceus"]["id"], EvidenceId([number; 16]).to_string());
    }
    drop(reader);
    drop(output);
}

/// The JSON of one RFC 6587 frame.
fn octet_counted(reader: &mut impl std::io::BufRead) -> Value {
    let mut length = Vec::new();
    reader.read_until(b' ', &mut length).unwrap();
    let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).unwrap();
    message(&frame)
}

/// What stands behind the header of an RFC 5424 message.
fn message(frame: &[u8]) -> Value {
    let text = std::str::from_utf8(frame).unwrap();
    assert!(text.starts_with("<108>1 "), "{text}");
    let json = text.splitn(8, ' ').nth(7).unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn syslog_by_datagrams() {
    let directory = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = directory.path().join("log.sock");
    let unix = UnixDatagram::bind(&path).unwrap();
    let mut buffer = vec![0; 65_536];
    let to = format!("syslog+udp://{}", udp.local_addr().unwrap());
    let mut output = config("eve", &to).start(&directory.path().join("udp")).unwrap();
    output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
    let length = udp.recv(&mut buffer).unwrap();
    assert_eq!(message(&buffer[..length])["alert"]["signature"], "upload 1");
    let to = format!("syslog+unix:{}", path.display());
    let mut output = config("eve", &to).start(&directory.path().join("unix")).unwrap();
    output.evidence(&evidence(2, ThreatLevel::High)).unwrap();
    let length = unix.recv(&mut buffer).unwrap();
    assert_eq!(message(&buffer[..length])["alert"]["signature"], "upload 2");
}

#[test]
fn syslog_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (server, frames): (Server, Receiver<Vec<u8>>) = Server::raw();
    let to = format!("syslog+tls://localhost:{}", server.port());
    let settings = trusting(&server, directory.path(), "eve", &to);
    let mut output = settings.start(directory.path()).unwrap();
    output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
    let bytes = frames.recv_timeout(Duration::from_secs(60)).unwrap();
    let event = octet_counted(&mut BufReader::new(&bytes[..]));
    assert_eq!(event["alert"]["signature"], "upload 1");
}

#[test]
fn taxii_gets_envelopes() {
    let directory = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::start(move |request| {
        assert_eq!(
            request.header("content-type"),
            Some("application/taxii+json;version=2.1")
        );
        tell.lock().unwrap().send(request.body.clone()).unwrap();
        Answer::new(202, "{}")
    });
    let to = format!("taxii+{}", server.url("/collections/1/objects/"));
    let settings = trusting(&server, directory.path(), "stix", &to);
    let mut output = settings.start(directory.path()).unwrap();
    output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
    delivered(&output, 1);
    let envelope: Value = serde_json::from_slice(&told.recv().unwrap()).unwrap();
    let types: Vec<_> = envelope["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["type"].clone())
        .collect();
    assert_eq!(types, ["identity", "indicator"]);
}

#[test]
fn a_file_goes_on_after_it_was_rotated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log/alerts.log");
    let mut output = config("alerts-log", &format!("file:{}", path.display()))
        .start(directory.path())
        .unwrap();
    output.evidence(&evidence(1, ThreatLevel::High)).unwrap();
    delivered(&output, 1);
    std::fs::rename(&path, directory.path().join("log/alerts.log.1")).unwrap();
    output.evidence(&evidence(2, ThreatLevel::High)).unwrap();
    delivered(&output, 2);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("Detected upload 2 Threat level: high.") && !text.contains("upload 1"),
        "{text}"
    );
}

#[test]
fn settings_that_cannot_work_are_named() {
    for (format, to, named) in [
        ("xml", "file:/tmp/x", "outputs.test.format"),
        ("eve", "ftp://x", "outputs.test.to"),
        ("eve", "syslog+tls://localhost", "needs `ca`"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let error = config(format, to).start(directory.path()).unwrap_err();
        assert!(format!("{error:#}").contains(named), "{error:#}");
    }
}
