//! The discipline in front of providers, with real HTTP behind it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lynceus_enrich::discipline::{Clock, Desk, Folders, Leave, Options, Run, SystemClock};
use lynceus_enrich::provider::{Answer, Leak, Quota, Secret, Settings, Status};
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
fn errors_are_never_kept_as_answers() {
    for bad in [429, 500, 401] {
        let good = Arc::new(AtomicBool::new(false));
        let server = Http::start({
            let good = Arc::clone(&good);
            move |_| {
                if good.load(Ordering::SeqCst) {
                    says(200, report(1))
                } else {
                    says(bad, "{}").with("retry-after", "300")
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let clock = Held::new();
        let desk = open(
            &settings(&server.url()),
            folder.path(),
            only(&["virustotal"]),
            &clock,
        );
        let answer = one(&desk, "8.8.8.8");
        assert!(!answer.status.is_answer(), "{bad}: {answer:?}");
        assert_eq!(desk.history().of(ip("8.8.8.8")).unwrap(), []);
        good.store(true, Ordering::SeqCst);
        clock.pass(1000);
        let answer = one(&desk, "8.8.8.8");
        assert_eq!(
            (answer.status, answer.from_cache),
            (Status::Found, false),
            "{bad}: {answer:?}"
        );
    }
}

#[test]
fn retry_after_is_waited_for_within_the_patience_and_no_longer() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Http::start({
        let count = Arc::clone(&count);
        move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => says(429, "{}").with("retry-after", "4"),
            1 => says(503, "{}").with("retry-after", "3"),
            _ => says(200, report(1)),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let clock = Held::new();
    let begin = clock.now();
    let patient = Options {
        patience: Duration::from_secs(60),
        ..only(&["virustotal"])
    };
    let desk = open(&settings(&server.url()), folder.path(), patient, &clock);
    assert_eq!(one(&desk, "8.8.8.8").status, Status::Found);
    assert_eq!((clock.now() - begin, server.asked().len()), (7, 3));

    count.store(0, Ordering::SeqCst);
    let hasty = Options {
        patience: Duration::from_secs(1),
        ..only(&["virustotal"])
    };
    let desk = open(&settings(&server.url()), folder.path(), hasty, &clock);
    assert_eq!(one(&desk, "8.8.4.4").status, Status::RateLimited);
    // And nobody asks before the time is over, not even another run.
    assert_eq!(one(&desk, "9.9.9.9").status, Status::RateLimited);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn quotas_hold_across_runs() {
    let server = Http::start(|_| says(200, report(1)));
    let folder = tempfile::tempdir().unwrap();
    let clock = Held::new();
    let plans: BTreeMap<String, Quota> = [(
        "virustotal".to_owned(),
        Quota {
            per_day: Some(2),
            ..Quota::UNLIMITED
        },
    )]
    .into();
    let statuses: Vec<Status> = (1..=4)
        .map(|number| {
            let options = Options {
                plans: plans.clone(),
                ..only(&["virustotal"])
            };
            let desk = open(&settings(&server.url()), folder.path(), options, &clock);
            one(&desk, &format!("8.8.8.{number}")).status
        })
        .collect();
    use Status::{Found, QuotaUsed};
    assert_eq!(statuses, [Found, Found, QuotaUsed, QuotaUsed]);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_failing_vendor_is_left_alone() {
    let server = Http::start(|_| says(500, ""));
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        patience: Duration::ZERO,
        ..only(&["internetdb"])
    };
    let desk = open(&settings(&server.url()), folder.path(), options, &Held::new());
    let statuses: Vec<Status> = (1..=6)
        .map(|number| one(&desk, &format!("8.8.8.{number}")).status)
        .collect();
    assert_eq!(&statuses[..3], [Status::Failed; 3]);
    assert_eq!(&statuses[3..], [Status::CircuitOpen; 3]);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn an_offline_machine_answers_fast() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}");
    let mut settings = settings(&url);
    settings.ranges.api_url = url.clone();
    settings.rdap.api_url = String::new();
    settings.rdap.bootstrap_url = url.clone();
    settings.network.dns_servers = vec![closed];
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "ranges",
        "virustotal",
        "internetdb",
        "reverse_dns",
        "cymru",
        "dnsbl",
    ];
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = Options {
        patience: Duration::from_secs(300),
        ..only(&names)
    };
    let desk = Desk::open(&settings, &folders(folder.path()), options, clock).unwrap();
    let begin = Instant::now();
    for number in 1..=20 {
        for answer in desk.ask(ip(&format!("8.8.8.{number}")), None) {
            assert!(
                matches!(
                    answer.status,
                    Status::Unreachable | Status::CircuitOpen | Status::Failed
                ),
                "{answer:?}"
            );
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
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
fn history_knows_what_was_known_and_tells_what_changed() {
    let malicious = Arc::new(AtomicUsize::new(2));
    let server = Http::start({
        let malicious = Arc::clone(&malicious);
        move |_| {
            says(
                200,
                report(u32::try_from(malicious.load(Ordering::SeqCst)).unwrap()),
            )
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let clock = Held::new();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["virustotal"]),
        &clock,
    );
    let first = clock.now();
    one(&desk, "8.8.8.8");
    malicious.store(47, Ordering::SeqCst);
    clock.pass(2 * 86_400);
    one(&desk, "8.8.8.8");
    let changes = desk.take_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (
            changes[0].column.as_str(),
            changes[0].before.clone(),
            changes[0].after.clone()
        ),
        ("virustotal.malicious", Some(json!(2)), Some(json!(47)))
    );
    assert_eq!(desk.take_changes(), []);
    let known = |at: i64| {
        let answers = desk.recall(ip("8.8.8.8"), at).unwrap();
        answers
            .first()
            .and_then(|answer| answer.column("virustotal.malicious").cloned())
    };
    assert_eq!(known(first - 1), None);
    assert_eq!(known(first + 86_400), Some(json!(2)));
    assert_eq!(known(clock.now()), Some(json!(47)));
    assert_eq!(server.asked().len(), 2, "looking back asks nobody");
}

#[test]
fn the_suspicious_are_asked_first_each_once_and_a_few_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let order = Arc::new(Mutex::new(Vec::new()));
    let server = Http::start({
        let (now, most, order) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&order));
        move |asked| {
            order.lock().unwrap().push(asked.target.clone());
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(60));
            now.fetch_sub(1, Ordering::SeqCst);
            says(404, "")
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let plans: BTreeMap<String, Quota> = [("internetdb".to_owned(), Quota::UNLIMITED)].into();
    let options = Options {
        plans,
        ..only(&["internetdb"])
    };
    let desk = open(&settings(&server.url()), folder.path(), options, &Held::new());
    let mut addresses: Vec<(IpAddr, u32)> = (1..=12)
        .map(|last| (ip(&format!("8.8.8.{last}")), last))
        .collect();
    addresses.push(addresses[3]);
    let mut taken = Vec::new();
    let stop = AtomicBool::new(false);
    let manifest = Run { max_conn: 3 }.ask(&desk, &addresses, &stop, |place, _| taken.push(place));
    assert_eq!(
        (manifest.requested, manifest.unique, manifest.skipped),
        (13, 12, 0)
    );
    assert_eq!((manifest.enriched, manifest.probes), (0, 12));
    assert_eq!(manifest.outcomes["internetdb"]["not_found"], 12);
    taken.sort_unstable();
    assert_eq!(taken, (0..12).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 3);
    let order = order.lock().unwrap();
    assert!(
        order[..3]
            .iter()
            .all(|target| ["/8.8.8.12", "/8.8.8.11", "/8.8.8.10"].contains(&target.as_str())),
        "{order:?}"
    );
    assert!(
        order[9..]
            .iter()
            .all(|target| ["/8.8.8.1", "/8.8.8.2", "/8.8.8.3"].contains(&target.as_str())),
        "{order:?}"
    );
    // A not-found is an answer: the next run asks nobody.
    let again = Run { max_conn: 3 }.ask(&desk, &addresses, &stop, |_, _| ());
    assert_eq!((again.probes, again.from_cache), (0, 12));
}

#[test]
fn two_who_ask_the_same_at_once_ask_once() {
    let server = Http::start(|_| {
        std::thread::sleep(Duration::from_millis(200));
        says(200, report(1))
    });
    let folder = tempfile::tempdir().unwrap();
    let desk = open(
        &settings(&server.url()),
        folder.path(),
        only(&["virustotal"]),
        &Held::new(),
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(one(&desk, "8.8.8.8").status, Status::Found));
        }
    });
    assert_eq!(server.asked().len(), 1);
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
