//! The page and the API over a real collector: every link leads somewhere, every answer is as described, and nobody gets
//! more than he may.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/traffic.rs"]
mod traffic;

#[path = "web/access.rs"]
mod access;
#[path = "web/api.rs"]
mod api;
#[path = "web/colors.rs"]
mod colors;
#[path = "web/https.rs"]
mod https;
#[path = "web/site.rs"]
mod site;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use site::{Site, get, links};
use tower::ServiceExt as _;
use traffic::batches;

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_to_a_page_without_inline_code() {
    /// Enough to reach each kind of page several times.
    const MOST: usize = 250;
    let site = Site::new();
    let router = site.router(Vec::new());
    let mut queue = VecDeque::from(["/".to_owned()]);
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let (mut kinds, mut early) = (BTreeSet::new(), BTreeSet::new());
    let mut asked = 0;
    while let Some(path) = queue.pop_front() {
        if asked == MOST {
            break;
        }
        asked += 1;
        let page = get(&router, &path).await;
        let kind = path.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
        if page.status == StatusCode::SEE_OTHER {
            let to = page.headers[header::LOCATION].to_str().unwrap().to_owned();
            if seen.insert(to.clone()) {
                queue.push_front(to);
            }
            continue;
        }
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        if path.starts_with("/api/") || path.starts_with("/assets/") {
            continue;
        }
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        for inline in [" style=", "<style", " onclick=", "javascript:", "<script>"] {
            assert!(!page.body.contains(inline), "{path} has {inline}");
        }
        // Names of interfaces and the like come from outside.
        assert!(!page.body.contains("veth<0>"), "{path}");
        assert_eq!(page.body.matches("<h1").count(), 1, "{path} has one heading");
        kinds.insert(kind);
        for link in links(&page.body) {
            if seen.insert(link.clone()) {
                // One of each kind early, so that all kinds are reached.
                let kind = link.split(['/', '?']).nth(1).unwrap_or_default();
                if early.insert(kind.to_owned()) {
                    queue.push_front(link);
                } else {
                    queue.push_back(link);
                }
            }
        }
    }
    for kind in [
        "", "profiles", "profile", "alert", "evidence", "ip", "search", "sensors", "modules", "blocks",
        "outliers", "outlier", "patterns",
    ] {
        assert!(kinds.contains(kind), "no page of /{kind} was reached: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_who_is_infected_and_why() {
    let site = Site::new();
    let router = site.router(Vec::new());
    let overview = get(&router, "/").await.body;
    assert!(overview.contains("10.0.0.66 looks infected"), "{overview}");
    let peers = links(&overview)
        .into_iter()
        .find(|link| link.ends_with("?view=peers"))
        .unwrap();
    assert!(
        get(&router, &peers).await.body.contains("192.168.7.1 tcp"),
        "{peers}"
    );
    let alert = links(&overview)
        .into_iter()
        .find(|link| link.starts_with("/alert/"))
        .unwrap();
    let alert = get(&router, &alert).await.body;
    assert!(
        alert.contains("Alert for <a href=\"/profile/10.0.0.66\">"),
        "{alert}"
    );
    assert!(
        alert.contains("horizontal port scan") && alert.contains("threshold 15.00"),
        "{alert}"
    );
    assert!(alert.contains("Without "), "{alert}");
    assert!(alert.contains("What the heaviest was compared with"), "{alert}");
    // The scanner alerted in two windows that follow each other: one leads to the other.
    let related = alert.split("Related alerts").nth(1).unwrap();
    assert!(links(related)[1].starts_with("/alert/10.0.0.66/"), "{related}");
    let rows = overview.split("Newest alerts").nth(1).unwrap();
    assert_eq!(rows.matches(">why</a>").count(), 1, "{rows}");
    let flows = alert.split("Flows behind it").nth(1).unwrap();
    assert!(flows.contains("<code>1:") && flows.contains("more"), "{flows}");
    let peers = alert.split("Who else is in it").nth(1).unwrap();
    assert!(
        peers.contains("href=\"/ip/192.168.7.") && peers.contains("unknown: no feed is loaded"),
        "{alert}"
    );
    // The whole dossier: what the sensors saw of a server, with who says so.
    let server = get(&router, "/ip/93.184.216.1").await.body;
    assert!(server.contains("443/tcp"), "{server}");
    assert!(
        server.contains("<dt>feeds</dt>") && server.contains("feed of addresses"),
        "{server}"
    );
    // And what light says of where it is: no packet was sent for it.
    assert!(server.contains("gate 3.0 ms ⇒ within 300 km"), "{server}");
    let known = get(&router, "/api/v1/ip/93.184.216.1").await.json();
    let fields = &known["dossier"]["fields"];
    let number = |field: &str| fields[field]["value"].as_f64().unwrap();
    assert!((number("light_latitude") - 38.72).abs() < 0.1 && (number("light_longitude") + 9.14).abs() < 0.1);
    assert!(
        (305.0..320.0).contains(&number("light_radius_max_km")),
        "{fields}"
    );
    assert!(number("light_radius_50_km") < number("light_radius_90_km"));
    assert_eq!(fields["light_latitude"]["sources"][0]["source"], "handshakes");
    assert!(fields["light_latitude"]["sources"][0]["as_of"].is_i64());
    // DB-IP's table has it in Warsaw.
    let refuted = fields["light_refutes"]["value"][0].as_str().unwrap();
    assert!(
        refuted.contains("gate 3.0 ms") && refuted.ends_with("(DB-IP)"),
        "{refuted}"
    );
    // An address that never was a server of anybody here is nowhere that we know of.
    let unseen = get(&router, "/api/v1/ip/8.8.8.8").await.json();
    let region = &unseen["dossier"]["fields"]["light_latitude"];
    assert!(
        region["value"].is_null() && region["unknown"][0]["reason"].is_string(),
        "{region}"
    );
    let evidence = links(&alert)
        .into_iter()
        .find(|link| link.starts_with("/evidence/"))
        .unwrap();
    let evidence = get(&router, &evidence).await.body;
    assert!(evidence.contains("The numbers behind it"), "{evidence}");
    assert!(
        evidence.contains("× no answer"),
        "the flows behind it are shown: {evidence}"
    );
    let profile = get(&router, "/profile/10.0.0.66/3600.0?view=peers").await.body;
    assert!(profile.contains("192.168.7.1 tcp"), "{profile}");
    let found = get(
        &router,
        "/search?q=type%3Ahorizontal+level%3E%3Dmedium+-port%3A99",
    )
    .await
    .body;
    assert!(found.contains("/evidence/10.0.0.66/"), "{found}");
    let flows = get(&router, "/search?kind=flows&q=dst%3A192.168.7.3+port%3C22")
        .await
        .body;
    assert!(flows.contains("20/tcp") && !flows.contains("22/tcp"), "{flows}");
    let problem = get(&router, "/search?q=colour%3Ared").await.body;
    assert!(problem.contains("there is no field"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_results_nothing_is_said_of_modules_and_feeds() {
    let site = Site::new();
    let live = get(&site.router(Vec::new()), "/modules").await.body;
    assert!(live.contains("running") && !live.contains("Not kept"), "{live}");
    assert!(live.contains("Whitelist: 0 entries."), "{live}");
    let kept = get(&site.kept(), "/modules").await.body;
    for absent in [
        "running",
        "No feed is configured",
        "0 entries",
        "started",
        "takes batches",
    ] {
        assert!(!kept.contains(absent), "{absent}: {kept}");
    }
    assert!(kept.contains("Whitelist: Not kept with the results."), "{kept}");
    assert!(kept.matches("Not kept with the results.").count() >= 3, "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_read_is_answered_with_a_page() {
    let site = Site::new();
    let router = site.router(Vec::new());
    for path in ["/ip/999.1.1.1", "/profile/nobody", "/outlier/x/0", "/alert/x/0/y"] {
        let page = get(&router, path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {}", page.body);
        assert!(page.body.starts_with("<!doctype html>"), "{path}: {}", page.body);
        assert!(!page.body.contains("Invalid URL"), "{path}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_pushed() {
    use futures_util::StreamExt as _;
    let site = Site::new();
    let router = site.router(Vec::new());
    let request = Request::get("/api/v1/events").body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = answer.into_body().into_data_stream();
    let first = stream.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: watching"), "{first:?}");
    tokio::task::block_in_place(|| {
        for mut batch in batches(&traffic::beacon(), usize::MAX) {
            // Another sensor: these batches are new.
            batch.id.sensor.0[0] ^= 1;
            site.collector.ingest().accept(batch).unwrap();
        }
    });
    let mut text = String::new();
    let until = tokio::time::timeout(Duration::from_secs(60), async {
        while !text.contains("event: windows") {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    });
    until.await.unwrap();
    assert!(text.contains("\"profiles\":["), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_why_a_window_is_odd_against_peers_and_itself() {
    let site = Site::new();
    let router = site.router(Vec::new());
    let list = get(&router, "/outliers").await.body;
    assert!(list.contains("The baseline is not warm"), "{list}");
    let dive = links(&list)
        .into_iter()
        .find(|link| link.starts_with("/outlier/10.0.0.66/"))
        .unwrap();
    let page = get(&router, &dive).await.body;
    for part in [
        "against peers",
        "against its own past",
        "of the score is",
        "Similar cases",
        "horizontal port scan",
        "Neighbors",
    ] {
        assert!(
            page.to_lowercase().contains(&part.to_lowercase()),
            "{part}: {page}"
        );
    }
    assert_eq!(
        get(&router, "/outlier/10.0.0.66").await.status,
        StatusCode::SEE_OTHER
    );
    let flagged = get(&router, "/outliers?flagged=on").await.body;
    assert!(flagged.contains("No window is flagged"), "{flagged}");
    let one = get(&router, "/api/v1/outliers?ip=10.0.0.66&limit=1").await.json();
    assert_eq!(one["items"][0]["profile"], "10.0.0.66");
    for (path, status) in [
        ("/outlier/10.9.9.9", 404),
        ("/outlier/10.0.0.66/5", 404),
        ("/outliers?ip=nobody", 400),
        ("/api/v1/outliers?limit=0", 400),
        ("/api/v1/outliers?since=x", 400),
        ("/api/v1/outliers/10.0.0.66/5", 404),
        ("/api/v1/patterns?top=0", 400),
    ] {
        let page = get(&router, path).await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.body);
    }
}
