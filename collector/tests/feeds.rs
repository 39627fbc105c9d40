//! Feeds from files, an HTTPS server and a TAXII server, and a whitelist that changes.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/https.rs"]
mod https;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use https::{Answer, Server};
use lynceus_collector::feeds::{FeedConfig, Keeper, load_once};
use lynceus_collector::knowledge::Facts;
use lynceus_detect::context::{Indicator, Knowledge as _};

fn listed(facts: &Facts, ip: &str) -> Option<usize> {
    facts
        .listed(Indicator::Ip(ip.parse().unwrap()))
        .map(|hits| hits.len())
}

/// Waits for what a thread of the keeper brings about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn by_url(server: &Server, path: &str) -> FeedConfig {
    FeedConfig {
        path: None,
        url: Some(server.url(path)),
        ..FeedConfig::file("remote", "")
    }
}

fn keep(feed: FeedConfig, server: &Server, cache: &Path, facts: &Arc<Facts>) -> Keeper {
    Keeper::start(vec![feed], None, cache, Arc::clone(facts), Some(server.roots())).unwrap()
}

#[test]
fn a_file_is_read_at_the_start_and_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.csv");
    fs::write(&path, "ip,threat_level\n192.0.2.1,high\nnonsense,low\n").unwrap();
    let facts = Arc::new(Facts::default());
    assert_eq!(
        listed(&facts, "192.0.2.1"),
        None,
        "nothing is loaded, so nothing is known"
    );
    let keeper = Keeper::start(
        vec![FeedConfig::file("bad", &path)],
        None,
        directory.path(),
        Arc::clone(&facts),
        None,
    )
    .unwrap();
    assert_eq!(listed(&facts, "192.0.2.1"), Some(1));
    assert_eq!(listed(&facts, "192.0.2.2"), Some(0));
    let known = facts.known();
    assert_eq!((known[0].indicators, known[0].bad), (1, 1));
    fs::write(&path, "ip,threat_level\n192.0.2.2,high\n").unwrap();
    until("the new file is read", || listed(&facts, "192.0.2.2") == Some(1));
    assert_eq!(listed(&facts, "192.0.2.1"), Some(0));
    fs::remove_file(&path).unwrap();
    until("the loss is told", || facts.known()[0].error.is_some());
    assert_eq!(listed(&facts, "192.0.2.2"), Some(1), "the last good copy stays");
    drop(keeper);
}

#[test]
fn a_url_is_fetched_once_and_then_only_asked_whether_it_changed() {
    let asked = Arc::new(AtomicU32::new(0));
    let server = Server::start({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.fetch_add(1, Ordering::SeqCst);
            match request.header("if-none-match") {
                Some("\"v1\"") => Answer::new(304, ""),
                _ => Answer::new(200, "192.0.2.1\n").with("etag", "\"v1\""),
            }
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let facts = Arc::new(Facts::default());
    let keeper = keep(by_url(&server, "/list.txt"), &server, cache.path(), &facts);
    until("it is fetched", || listed(&facts, "192.0.2.1") == Some(1));
    drop(keeper);
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // A start within the refresh time asks nobody and knows what was known.
    let facts = Arc::new(Facts::default());
    let keeper = keep(by_url(&server, "/list.txt"), &server, cache.path(), &facts);
    assert_eq!(listed(&facts, "192.0.2.1"), Some(1));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(keeper);

    // After it, the server says that nothing changed; the copy stays and is young again.
    let stamp = cache.path().join("remote.json");
    let old = fs::read_to_string(&stamp).unwrap();
    let fetched = old
        .split("\"fetched\":")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    fs::write(&stamp, old.replace(fetched, "1000")).unwrap();
    let facts = Arc::new(Facts::default());
    let keeper = keep(by_url(&server, "/list.txt"), &server, cache.path(), &facts);
    until("it is asked for", || asked.load(Ordering::SeqCst) == 2);
    until("the stamp is new", || {
        !fs::read_to_string(&stamp).unwrap().contains("\"fetched\":1000,")
    });
    assert_eq!(listed(&facts, "192.0.2.1"), Some(1));
    drop(keeper);
}

#[test]
fn failures_keep_the_last_copy_and_are_told() {
    let cache = tempfile::tempdir().unwrap();
    for (answer, said) in [
        (Answer::new(429, "").with("retry-after", "7"), "answers 429"),
        (Answer::new(500, ""), "answers 500"),
        (Answer::new(200, &"a".repeat(3 << 20)), "longer than"),
    ] {
        let server = Server::start(move |_| answer.clone());
        let facts = Arc::new(Facts::default());
        let feed = FeedConfig {
            max_mib: 2,
            ..by_url(&server, "/x")
        };
        let keeper = keep(feed, &server, cache.path(), &facts);
        until(said, || {
            facts.known()[0]
                .error
                .as_deref()
                .is_some_and(|error| error.contains(said))
        });
        assert_eq!(facts.known()[0].taken, None);
        assert_eq!(listed(&facts, "192.0.2.1"), None, "unknown, not unlisted");
        drop(keeper);
    }
    // A server whose certificate nobody vouches for.
    let server = Server::start(|_| Answer::new(200, "192.0.2.1\n"));
    let facts = Arc::new(Facts::default());
    load_once(
        vec![by_url(&server, "/x")],
        None,
        cache.path(),
        Arc::clone(&facts),
    )
    .unwrap();
    assert!(facts.known()[0].error.is_some());
    assert_eq!(listed(&facts, "192.0.2.1"), None);
}

#[test]
fn a_taxii_collection_is_read_page_by_page() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        assert_eq!(
            request.header("accept"),
            Some("application/taxii+json;version=2.1")
        );
        let object = |ip: &str| {
            format!(
                r#"{{"type":"indicator","spec_version":"2.1","name":"n","pattern":"[ipv4-addr:value = '{ip}']"}}"#
            )
        };
        let body = if request.target.contains("next=two") {
            format!(r#"{{"more":false,"objects":[{}]}}"#, object("192.0.2.2"))
        } else {
            format!(
                r#"{{"more":true,"next":"two","objects":[{}]}}"#,
                object("192.0.2.1")
            )
        };
        Answer::new(200, &body).with("content-type", "application/taxii+json;version=2.1")
    });
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "Bearer secret\n").unwrap();
    let facts = Arc::new(Facts::default());
    let feed = FeedConfig {
        taxii: true,
        authorization_file: Some(token),
        ..by_url(&server, "/api/collections/1/objects/")
    };
    let keeper = keep(feed, &server, directory.path(), &facts);
    until("both pages are there", || listed(&facts, "192.0.2.2") == Some(1));
    assert_eq!(listed(&facts, "192.0.2.1"), Some(1));
    drop(keeper);
}

#[test]
fn a_whitelist_is_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("whitelist.conf");
    fs::write(&path, "ip,192.0.2.1,both,alerts\nbad line\n").unwrap();
    let facts = Arc::new(Facts::default());
    let keeper = Keeper::start(
        Vec::new(),
        Some(path.clone()),
        directory.path(),
        Arc::clone(&facts),
        None,
    )
    .unwrap();
    assert_eq!(facts.whitelist().len(), 1);
    fs::write(&path, "ip,192.0.2.1,both,alerts\nip,192.0.2.2,both,alerts\n").unwrap();
    until("the new file is read", || facts.whitelist().len() == 2);
    drop(keeper);
    let missing = directory.path().join("none");
    assert!(Keeper::start(Vec::new(), Some(missing), directory.path(), facts, None).is_err());
}
