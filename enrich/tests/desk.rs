//! The discipline in front of providers, with real HTTP behind it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "desk/faults.rs"]
mod faults;
#[path = "desk/many.rs"]
mod many;
#[path = "support/server.rs"]
mod server;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lynceus_enrich::discipline::{Clock, Desk, Folders, Leave, Options};
use lynceus_enrich::provider::{Answer, Leak, Secret, Settings, Status};
use lynceus_enrich::wire::Entry;
use serde_json::json;
use server::{Http, says};

/// Moves when somebody sleeps, or when told.
struct Held(AtomicI64);

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_790_000_000_000)))
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for Held {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep(&self, time: Duration) {
        self.0
            .fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn folders(folder: &Path) -> Folders {
    Folders {
        cache: folder.join("cache"),
        state: folder.join("state"),
    }
}

fn only(names: &[&str]) -> Options {
    Options {
        leave: Leave {
            active: true,
            max_leak: Leak::Vendor,
        },
        only: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Options::default()
    }
}

fn settings(url: &str) -> Settings {
    let mut settings = Settings::default();
    (settings.virustotal.api_key, settings.virustotal.api_url) = (Secret::new("k"), url.to_owned());
    settings.internetdb.api_url = url.to_owned();
    settings.rdap.api_url = url.to_owned();
    settings
}

fn open(settings: &Settings, folder: &Path, options: Options, clock: &Arc<Held>) -> Desk {
    let clock: Arc<dyn Clock> = Arc::<Held>::clone(clock);
    Desk::open(settings, &folders(folder), options, clock).unwrap()
}

fn report(malicious: u32) -> String {
    json!({"data": {"attributes": {"last_analysis_stats": {"malicious": malicious, "harmless": 60}, "asn": 64500}}}).to_string()
}

fn one(desk: &Desk, address: &str) -> Answer {
    desk.ask(ip(address), None).remove(0)
}

#[test]
fn without_leave_nothing_is_sent_and_the_reason_is_told() {
    let server = Http::start(|_| says(200, report(1)));
    let folder = tempfile::tempdir().unwrap();
    let clock = Held::new();
    let cases = [
        (Leave::PASSIVE, "--active"),
        (
            Leave {
                active: true,
                max_leak: Leak::Dns,
            },
            "--max-leak dns",
        ),
    ];
    for (leave, reason) in cases {
        let options = Options {
            leave,
            ..only(&["virustotal", "network"])
        };
        let desk = open(&settings(&server.url()), folder.path(), options, &clock);
        let answers = desk.ask(ip("8.8.8.8"), None);
        assert_eq!(
            answers[0].status,
            Status::Found,
            "what needs no packet is answered"
        );
        assert_eq!(answers[1].status, Status::NotAllowed);
        assert!(answers[1].error.as_ref().unwrap().contains(reason));
        assert!(desk.announce()[0].held_back.as_ref().unwrap().contains(reason));
        assert_eq!(desk.wire().log().written(), 0);
    }
    assert!(server.asked().is_empty());
    assert!(!folder.path().join("state/probes.jsonl").exists());
}

#[test]
fn every_request_is_in_the_probe_log_before_and_kept_after() {
    let server = Http::start(|_| says(200, report(1)));
    let folder = tempfile::tempdir().unwrap();
    let clock = Held::new();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["virustotal"]),
        &clock,
    );
    assert_eq!(desk.announce()[0].held_back, None);
    let first = one(&desk, "8.8.8.8");
    assert_eq!((first.status, first.from_cache), (Status::Found, false));
    let log = std::fs::read_to_string(folder.path().join("state/probes.jsonl")).unwrap();
    let entries: Vec<Entry> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].provider.as_str(), entries[0].about, entries[0].leak),
        ("virustotal", Some(ip("8.8.8.8")), Leak::Vendor)
    );
    assert_eq!(entries[0].to, server.address.to_string());

    // Another run knows it, also without leave; after a day it asks again.
    let passive = Options {
        leave: Leave::PASSIVE,
        ..only(&["virustotal"])
    };
    let again = open(&settings(&server.url()), folder.path(), passive, &clock);
    let kept = one(&again, "8.8.8.8");
    assert!(kept.from_cache && kept.columns == first.columns);
    clock.pass(86_401);
    assert_eq!(one(&again, "8.8.8.8").status, Status::NotAllowed);
    assert_eq!(one(&desk, "8.8.8.8").status, Status::Found);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_probe_that_cannot_be_logged_is_not_sent() {
    let server = Http::start(|_| says(200, report(1)));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("state/probes.jsonl")).unwrap();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["virustotal"]),
        &Held::new(),
    );
    let answer = one(&desk, "8.8.8.8");
    assert_eq!(answer.status, Status::Failed);
    assert!(answer.error.unwrap().contains("probe log"));
    assert!(server.asked().is_empty());
}

#[test]
fn one_answer_of_a_registry_serves_the_whole_network() {
    let server = Http::start(|_| {
        let network = json!({"objectClassName": "ip network", "handle": "H", "startAddress": "8.8.8.0", "endAddress": "8.8.8.255"});
        says(200, network.to_string())
    });
    let folder = tempfile::tempdir().unwrap();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["rdap"]),
        &Held::new(),
    );
    for address in ["8.8.8.8", "8.8.8.9", "8.8.8.200"] {
        let answer = one(&desk, address);
        assert_eq!((answer.status, answer.ip), (Status::Found, ip(address)));
    }
    assert_eq!(server.asked().len(), 1);
    one(&desk, "8.8.9.1");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn what_is_not_routable_is_asked_of_nobody() {
    let server = Http::start(|_| says(200, report(1)));
    let folder = tempfile::tempdir().unwrap();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["virustotal", "rdap"]),
        &Held::new(),
    );
    for address in ["10.0.0.1", "127.0.0.1", "192.0.2.1", "fd00::1", "100.64.0.1"] {
        for answer in desk.ask(ip(address), None) {
            assert_eq!(answer.status, Status::NotGloballyRoutable, "{address}");
        }
    }
    assert!(server.asked().is_empty());
}

#[test]
fn unknown_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Held::new();
    let error = Desk::open(
        &Settings::default(),
        &folders(folder.path()),
        only(&["virustotl"]),
        clock,
    )
    .err()
    .unwrap();
    assert!(
        error.contains("virustotl") && error.contains("virustotal"),
        "{error}"
    );
}
