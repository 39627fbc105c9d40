//! What goes wrong: errors, limits, vendors that fail, a machine without network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lynceus_enrich::discipline::{Clock, Desk, Options, SystemClock};
use lynceus_enrich::provider::{Quota, Status};

use crate::server::{Http, says};
use crate::{Held, folders, ip, one, only, open, report, settings};

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
