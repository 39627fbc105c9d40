//! Over time and of many addresses: history, order, one question for all who ask.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lynceus_enrich::discipline::{Clock, Options, Run};
use lynceus_enrich::provider::{Quota, Status};
use serde_json::json;

use crate::server::{Http, says};
use crate::{Held, ip, one, only, open, report, settings};

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
