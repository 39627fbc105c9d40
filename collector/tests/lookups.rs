//! Outside services end to end: a detector asks, a local server answers, the next sighting is evidence.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/https.rs"]
mod https;
#[path = "support/state.rs"]
mod state;
#[allow(dead_code, reason = "made for scans")]
#[path = "support/traffic.rs"]
mod traffic;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use https::{Answer, Request, Server};
use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::knowledge::Facts;
use lynceus_collector::lookups::{LookupConfig, Lookups};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{MemoryStore, Store};
use lynceus_detect::context::{Indicator, Knowledge as _};
use lynceus_model::app::{AppEvent, Dns, DnsAnswer, DnsData, File, TlsServer};
use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use lynceus_model::flow::Endpoint;
use lynceus_model::time::Timestamp;
use lynceus_proto::batch::Batch;
use state::State;
use traffic::{PLAN, SENSOR, get, sighting};

const SERVER: &str = "93.184.216.34";

fn server() -> Endpoint {
    Endpoint {
        ip: SERVER.parse().unwrap(),
        port: 80,
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn key(folder: &Path) -> PathBuf {
    let path = folder.join("key");
    std::fs::write(&path, "s3cret\n").unwrap();
    path
}

/// A collector that knows these facts.
fn collector(facts: Arc<Facts>) -> (Arc<dyn Store>, Collector) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let options = DispatchOptions {
        engine: EngineOptions {
            facts,
            ..EngineOptions::new(SENSOR, PLAN)
        },
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(3600),
    };
    let collector = Collector::start(Arc::clone(&store), options).unwrap();
    (store, collector)
}

/// Sees the same twice; between the sightings the services give so many answers.
fn twice(
    config: &LookupConfig,
    folder: &Path,
    https: Option<&Server>,
    answers: u64,
    see: impl Fn(i64) -> Batch,
) -> Vec<Evidence> {
    let lookups = Lookups::with_roots(config, folder, https.map(Server::roots))
        .unwrap()
        .unwrap();
    let facts = Arc::new(Facts::default());
    facts.set_lookups(Arc::clone(&lookups));
    let (store, collector) = collector(facts);
    collector.ingest().accept(see(1)).unwrap();
    collector.flush().unwrap();
    let counters = lookups.counters();
    until("the services answer", || {
        counters.answered.load(Ordering::Relaxed) >= answers
    });
    assert_eq!(
        counters.failed.load(Ordering::Relaxed) + counters.refused.load(Ordering::Relaxed),
        0
    );
    collector.ingest().accept(see(2)).unwrap();
    collector.flush().unwrap();
    collector.shutdown();
    let probes = std::fs::read_to_string(folder.join("probes.jsonl")).unwrap();
    assert!(!probes.contains("s3cret") && probes.lines().count() > 0);
    State::of(&*store).evidence
}

fn of(evidence: &[Evidence], kind: EvidenceType) -> Vec<&Evidence> {
    evidence.iter().filter(|evidence| evidence.kind == kind).collect()
}

fn in_second_window(evidence: &[&Evidence]) {
    assert!(!evidence.is_empty());
    assert!(
        evidence
            .iter()
            .all(|evidence| evidence.window_start == Timestamp::from_secs(2 * 3600)),
        "the first sighting was not known yet: {evidence:?}"
    );
}

fn virustotal_says(malicious: u32) -> Answer {
    let stats = format!(r#"{{"malicious":{malicious},"suspicious":0,"harmless":40,"undetected":20}}"#);
    Answer::new(
        200,
        &format!(r#"{{"data":{{"attributes":{{"last_analysis_stats":{stats}}}}}}}"#),
    )
}

fn virustotal(folder: &Path, server: &Server) -> LookupConfig {
    let mut config = LookupConfig::default();
    config.virustotal.enabled = true;
    config.virustotal.key_file = Some(key(folder));
    config.virustotal.url = server.url("");
    config
}

fn dns(name: &str, answer: &str) -> AppEvent {
    AppEvent::Dns(Dns {
        response: true,
        name: name.to_owned(),
        query_type: 1,
        answers: vec![DnsAnswer {
            record_type: 1,
            ttl: 60,
            data: DnsData::Address(answer.parse().unwrap()),
        }],
        ..Dns::default()
    })
}

#[test]
fn virustotal_knows_a_domain() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let memory = Arc::clone(&asked);
    let server = Server::start(move |request: &Request| {
        assert_eq!(request.header("x-apikey"), Some("s3cret"));
        memory.lock().unwrap().push(request.target.clone());
        virustotal_says(if request.target.contains("evil") { 50 } else { 0 })
    });
    let folder = tempfile::tempdir().unwrap();
    let config = virustotal(folder.path(), &server);
    let resolver = Endpoint {
        ip: "10.0.0.1".parse().unwrap(),
        port: 53,
    };
    let found = twice(&config, folder.path(), Some(&server), 1, |hour| {
        sighting(hour, resolver, dns("evil.example.com", "93.184.216.34"))
    });
    let listed = of(&found, EvidenceType::ThreatIntelligenceBlacklistedDomain);
    in_second_window(&listed);
    assert!(
        listed[0].description.contains("VirusTotal: 50 of 110 engines"),
        "{}",
        listed[0].description
    );
    let asked = asked.lock().unwrap();
    assert!(
        asked.contains(&"/domains/evil.example.com".to_owned()),
        "{asked:?}"
    );
    assert!(
        asked.iter().all(|target| !target.contains("10.0.0.")),
        "own addresses stay here: {asked:?}"
    );
}

#[test]
fn virustotal_knows_a_url_and_urlhaus_too() {
    let server = Server::start(|request: &Request| {
        if request.target.starts_with("/urls/") {
            return virustotal_says(60);
        }
        let body = String::from_utf8(request.body.clone()).unwrap();
        if request.target != "/v1/url/" || request.header("auth-key") != Some("s3cret") {
            return Answer::new(404, "");
        }
        assert_eq!(body, "url=http%3A%2F%2Fevil.example.com%2Fbad.exe");
        Answer::new(
            200,
            r#"{"query_status":"ok","threat":"malware_download","url_status":"online","tags":["emotet"]}"#,
        )
    });
    let folder = tempfile::tempdir().unwrap();
    let see = |hour| sighting(hour, self::server(), get("evil.example.com", "/bad.exe"));
    let found = twice(
        &virustotal(folder.path(), &server),
        folder.path(),
        Some(&server),
        2,
        see,
    );
    let listed = of(&found, EvidenceType::ThreatIntelligenceMaliciousUrl);
    in_second_window(&listed);
    assert_eq!(listed[0].threat_level, ThreatLevel::Medium);

    let folder = tempfile::tempdir().unwrap();
    let mut config = LookupConfig::default();
    config.urlhaus.enabled = true;
    config.urlhaus.key_file = Some(key(folder.path()));
    config.urlhaus.url = server.url("");
    let found = twice(&config, folder.path(), Some(&server), 1, see);
    let listed = of(&found, EvidenceType::ThreatIntelligenceMaliciousUrl);
    in_second_window(&listed);
    assert!(
        listed[0].description.contains("malware_download"),
        "{}",
        listed[0].description
    );
}

#[test]
fn files_are_known_by_their_hash() {
    const MD5: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start(|request: &Request| match request.target.as_str() {
        "/v1/payload/" => {
            assert_eq!(request.body, format!("md5_hash={MD5}").into_bytes());
            Answer::new(
                200,
                r#"{"query_status":"ok","signature":"Emotet","file_type":"exe","virustotal":{"percent":"43.10"}}"#,
            )
        }
        target if target == format!("/lookup/md5/{MD5}") => Answer::new(200, r#"{"hashlookup:trust":10}"#),
        target if target == format!("/files/{MD5}") => virustotal_says(60),
        _ => Answer::new(404, ""),
    });
    let see = |hour| {
        let file = File {
            md5: Some(MD5.to_ascii_uppercase()),
            ..File::default()
        };
        sighting(hour, self::server(), AppEvent::File(Box::new(file)))
    };
    for (service, level) in [
        ("urlhaus", ThreatLevel::Medium),
        ("hashlookup", ThreatLevel::Critical),
        ("virustotal", ThreatLevel::Medium),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = LookupConfig::default();
        match service {
            "urlhaus" => {
                config.urlhaus.enabled = true;
                config.urlhaus.key_file = Some(key(folder.path()));
                config.urlhaus.url = server.url("");
            }
            "hashlookup" => {
                config.hashlookup.enabled = true;
                config.hashlookup.url = server.url("");
            }
            _ => config = virustotal(folder.path(), &server),
        }
        let found = twice(&config, folder.path(), Some(&server), 1, see);
        let listed = of(&found, EvidenceType::MaliciousDownloadedFile);
        in_second_window(&listed);
        assert!(
            listed.iter().any(|evidence| evidence.threat_level == level),
            "{service}: {listed:?}"
        );
    }
}

#[test]
fn registries_know_how_old_a_domain_is() {
    let server = Server::start(|request: &Request| {
        assert_eq!(request.header("accept"), Some("application/rdap+json"));
        // Ten days before the epoch, in which the sightings are.
        let date = if request.target == "/domain/example.com" {
            "1969-12-22T00:00:00Z"
        } else {
            "1960-01-01T00:00:00Z"
        };
        let event = format!(r#"{{"eventAction":"registration","eventDate":"{date}"}}"#);
        Answer::new(
            200,
            &format!(r#"{{"objectClassName":"domain","events":[{event}]}}"#),
        )
    });
    let folder = tempfile::tempdir().unwrap();
    let mut config = LookupConfig::default();
    config.rdap.enabled = true;
    config.rdap.url = server.url("");
    let found = twice(&config, folder.path(), Some(&server), 1, |hour| {
        sighting(hour, self::server(), get("www.example.com", "/"))
    });
    let young = of(&found, EvidenceType::YoungDomain);
    in_second_window(&young);
    assert!(
        young[0].description.contains("registered 10 days before"),
        "{}",
        young[0].description
    );
    let folder = tempfile::tempdir().unwrap();
    let old = twice(&config, folder.path(), Some(&server), 1, |hour| {
        sighting(hour, self::server(), get("www.example.org", "/"))
    });
    assert!(of(&old, EvidenceType::YoungDomain).is_empty());
}

#[test]
fn a_server_is_probed_and_its_jarm_is_listed() {
    let https = Server::start(|_| Answer::new(200, ""));
    let endpoint = Endpoint {
        ip: IpAddr::from([127, 0, 0, 1]),
        port: https.port(),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut config = LookupConfig::default();
    config.jarm.enabled = true;
    // Servers that no command-and-control finding names are left alone.
    let careful = Lookups::start(&config, folder.path()).unwrap().unwrap();
    let address = std::net::SocketAddr::new(endpoint.ip, endpoint.port);
    assert_eq!(careful.jarm(address), None);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!folder.path().join("probes.jsonl").exists());

    config.jarm.every_server = true;
    let lookups = Lookups::start(&config, folder.path()).unwrap().unwrap();
    let facts = Arc::new(Facts::default());
    facts.set_lookups(Arc::clone(&lookups));
    assert_eq!(facts.jarm(endpoint), None);
    until("the server is probed", || {
        lookups.counters().answered.load(Ordering::Relaxed) == 1
    });
    let jarm = facts.jarm(endpoint).unwrap();
    assert_eq!(jarm.len(), 62);
    assert_ne!(jarm, "0".repeat(62), "it speaks TLS");

    // Listed in a feed, the next handshake is evidence.
    let feed = folder.path().join("jarm.txt");
    std::fs::write(&feed, format!("{jarm}\n")).unwrap();
    let mut of_feed = lynceus_collector::feeds::FeedConfig::file("own", &feed);
    of_feed.kind = "jarm".to_owned();
    lynceus_collector::feeds::load_once(vec![of_feed], None, folder.path(), Arc::clone(&facts)).unwrap();
    let (store, collector) = collector(facts);
    let hello = AppEvent::TlsServer(TlsServer::default());
    collector.ingest().accept(sighting(1, endpoint, hello)).unwrap();
    collector.flush().unwrap();
    collector.shutdown();
    let found = State::of(&*store).evidence;
    assert!(!of(&found, EvidenceType::MaliciousJarm).is_empty(), "{found:?}");
}

#[test]
fn queues_are_bounded_failures_are_no_answers_and_detectors_do_not_wait() {
    // It answers when nothing is left to be asked.
    let (answer, answers) = channel::<()>();
    let server = Server::start(move |_| {
        let _ = answers.recv();
        Answer::new(500, "")
    });
    let folder = tempfile::tempdir().unwrap();
    let mut config = virustotal(folder.path(), &server);
    config.queue = 2;
    config.answers = 16;
    let lookups = Lookups::with_roots(&config, folder.path(), Some(server.roots()))
        .unwrap()
        .unwrap();
    let facts = Facts::default();
    facts.set_lookups(Arc::clone(&lookups));
    // None of these waits for an answer, or this would not end.
    for number in 0..200_u8 {
        assert_eq!(facts.listed(Indicator::Ip(IpAddr::from([8, 8, 8, number]))), None);
    }
    assert!(lookups.counters().refused.load(Ordering::Relaxed) >= 190);
    // The same question is not queued again while it waits.
    let refused = lookups.counters().refused.load(Ordering::Relaxed);
    assert_eq!(facts.listed(Indicator::Ip(IpAddr::from([8, 8, 8, 0]))), None);
    assert_eq!(lookups.counters().refused.load(Ordering::Relaxed), refused);
    drop(answer);
}
