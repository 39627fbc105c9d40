//! The page and the API over a real collector: every link leads somewhere, every answer is as described, and nobody gets
//! more than he may.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/traffic.rs"]
mod traffic;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use lynceus_collector::control::{Control, ControlOptions};
use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, Store};
use lynceus_collector::web::{Role, TokenConfig, Web, WebOptions, new_token};
use lynceus_model::status::{PointStatus, Position, SensorStatus};
use serde_json::Value;
use tower::ServiceExt as _;
use traffic::{PLAN, SENSOR, batches, updates};

/// A collector that saw a scanner, and its page.
struct Site {
    collector: Collector,
    control: Arc<Control>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        // Intake blocks.
        tokio::task::block_in_place(Self::make)
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(folder.path())).unwrap());
        let control = ControlOptions {
            enabled: true,
            dry_run: false,
            on_alert: false,
            lease: Duration::from_secs(60),
            plan: PLAN,
        };
        let control = Arc::new(Control::open(control, Arc::clone(&store)).unwrap());
        let options = DispatchOptions {
            engine: EngineOptions::new(SENSOR, PLAN),
            sinks: Vec::new(),
            retention: Retention::default(),
            checkpoint: Duration::from_secs(3600),
        };
        let collector = Collector::start(store, options).unwrap();
        for batch in batches(&updates(12, 25), 64) {
            collector.ingest().accept(batch).unwrap();
        }
        let point = PointStatus {
            interface: "veth<0>".into(),
            hook: "tcx".into(),
            seen: 10,
            recorded: 9,
            resident: 1,
            ..PointStatus::default()
        };
        let status = SensorStatus {
            name: "gate".into(),
            points: vec![point],
            // Lisbon.
            position: Some(Position {
                latitude: 38.72,
                longitude: -9.14,
                error_km: 5.0,
            }),
            ..SensorStatus::default()
        };
        collector.ingest().status(SENSOR, status).unwrap();
        collector.flush().unwrap();
        Self {
            collector,
            control,
            _folder: folder,
        }
    }

    fn router(&self, tokens: Vec<TokenConfig>) -> Router {
        let options = WebOptions {
            tokens,
            control: Some(Arc::clone(&self.control)),
            hosts: vec!["lynceus.example".into()],
            ..WebOptions::default()
        };
        Web::new(self.collector.query(), options).unwrap().router()
    }
}

struct Page {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Page {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn ask(router: &Router, request: Request<Body>) -> Page {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    Page {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn get(router: &Router, path: &str) -> Page {
    let request = Request::get(path)
        .header(header::HOST, "127.0.0.1:7444")
        .header(header::ACCEPT, "text/html");
    ask(router, request.body(Body::empty()).unwrap()).await
}

/// Addresses of this site that a page names.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .filter(|link| link.starts_with('/'))
        .map(|link| link.replace("&amp;", "&").replace("&#38;", "&"))
        .collect()
}

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

/// What the description names.
fn paths(description: &Value) -> Vec<String> {
    description["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_api_is_as_described() {
    let site = Site::new();
    let router = site.router(Vec::new());
    let description = get(&router, "/api/v1/openapi.json").await.json();
    let evidence = get(&router, "/api/v1/evidence?limit=3").await.json();
    assert_eq!(evidence["items"].as_array().unwrap().len(), 3);
    let one = &evidence["items"][0];
    let alert = &get(&router, "/api/v1/alerts").await.json()["items"][0];
    assert_eq!(alert["profile"], "10.0.0.66");
    for path in paths(&description) {
        let id = if path.contains("alerts") {
            &alert["id"]
        } else {
            &one["id"]
        };
        let start = if path.contains("alerts") {
            &alert["window_start"]
        } else {
            &one["window_start"]
        };
        let asked = path
            .replace("{ip}", "10.0.0.66")
            .replace("{start}", &start.to_string())
            .replace("{id}", id.as_str().unwrap());
        let page = get(&router, &asked).await;
        assert_eq!(page.status, StatusCode::OK, "{asked}: {}", page.body);
        let mut schema =
            description["paths"][&path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
                .clone();
        schema["components"] = description["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let answer = page.json();
        let errors: Vec<String> = validator
            .iter_errors(&answer)
            .map(|error| format!("{} {error}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{asked}: {errors:?}");
        if let Some(items) = answer.get("items").and_then(Value::as_array) {
            let may_be_empty = path.ends_with("blocks");
            assert!(may_be_empty || !items.is_empty(), "{asked}");
        }
    }
    // Pages put together are the whole, each item once.
    let all = get(&router, "/api/v1/evidence?limit=1000").await.json();
    let all: Vec<&Value> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["id"])
        .collect();
    let (mut pieces, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(
            &router,
            &format!("/api/v1/evidence?limit=2&q=10.0.0.66&page={next}"),
        )
        .await
        .json();
        pieces.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        match page["next"].as_str() {
            Some(token) => next = token.to_owned(),
            None => break,
        }
    }
    assert_eq!(pieces.iter().collect::<Vec<_>>(), all);
    for (path, status) in [
        ("/api/v1/evidence?limit=0", 400),
        ("/api/v1/evidence?page=zz", 400),
        ("/api/v1/evidence?q=colour:red", 400),
        ("/api/v1/profiles/nowhere", 400),
        ("/api/v1/profiles/10.9.9.9", 404),
        ("/api/v1/nothing", 404),
    ] {
        let page = get(&router, path).await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.body);
        assert_eq!(page.json()["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_tokens_and_forms_are_held_to() {
    let site = Site::new();
    let [(reader, a), (analyst, b), (admin, c)] =
        [("r", Role::Read), ("an", Role::Analyst), ("ad", Role::Admin)]
            .map(|(name, role)| new_token(name, role).unwrap());
    let router = site.router(vec![a, b, c]);
    // Nobody: people are led to the login, scripts are told.
    let page = get(&router, "/profiles?q=1").await;
    assert_eq!(page.headers[header::LOCATION], "/login?next=%2Fprofiles%3Fq%3D1");
    let page = get(&router, "/api/v1/status").await;
    assert_eq!(
        (
            page.status,
            page.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
        ),
        (StatusCode::UNAUTHORIZED, "Bearer")
    );
    let post = |path: &str, cookie: &str, body: String| {
        Request::post(path)
            .header(header::HOST, "127.0.0.1:7444")
            .header(header::ORIGIN, "http://127.0.0.1:7444")
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    };
    let page = ask(&router, post("/login", "", "token=wrong".into())).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(!page.headers.contains_key(header::SET_COOKIE));
    let mut outcomes = Vec::new();
    for token in [&reader, &analyst, &admin] {
        let page = ask(
            &router,
            post("/login", "", format!("token={token}&next=%2Fblocks")),
        )
        .await;
        assert_eq!(
            (page.status, &page.headers[header::LOCATION]),
            (StatusCode::SEE_OTHER, &"/blocks".parse().unwrap())
        );
        let cookie = page.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let with = |path: &str| {
            Request::get(path)
                .header(header::HOST, "127.0.0.1:7444")
                .header(header::COOKIE, &cookie)
                .body(Body::empty())
                .unwrap()
        };
        let blocks = ask(&router, with("/blocks")).await.body;
        let csrf = blocks
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .and_then(|part| part.split('"').next());
        let csrf = csrf.unwrap_or("").to_owned();
        for mode in ["dry", "drop"] {
            let form =
                |csrf: &str| format!("csrf={csrf}&network=203.0.113.7&minutes=5&mode={mode}&reason=test");
            let forged = ask(&router, post("/blocks", &cookie, form("0"))).await;
            assert_eq!(forged.status, StatusCode::FORBIDDEN, "{}", forged.body);
            outcomes.push(
                ask(&router, post("/blocks", &cookie, form(&csrf)))
                    .await
                    .status
                    .as_u16(),
            );
        }
        let out = ask(&router, post("/logout", &cookie, String::new())).await;
        assert_eq!(out.status, StatusCode::SEE_OTHER);
        assert_eq!(ask(&router, with("/blocks")).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(outcomes, [403, 403, 303, 403, 303, 303]);
    let bearer = Request::get("/api/v1/blocks").header(header::AUTHORIZATION, format!("Bearer {reader}"));
    let blocks = ask(&router, bearer.body(Body::empty()).unwrap()).await.json();
    assert_eq!(blocks["items"][0]["network"], "203.0.113.7/32");
    assert_eq!(blocks["items"][0]["reason"], "ad on the page: test");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_neither_read_nor_write() {
    let site = Site::new();
    let router = site.router(Vec::new());
    for (host, status) in [
        ("127.0.0.1:7444", 200),
        ("localhost:7444", 200),
        ("[::1]:7444", 200),
        ("lynceus.example", 200),
        // A name of somebody else that points to this machine.
        ("evil.example:7444", 421),
    ] {
        let request = Request::get("/")
            .header(header::HOST, host)
            .body(Body::empty())
            .unwrap();
        assert_eq!(ask(&router, request).await.status.as_u16(), status, "{host}");
    }
    let request = Request::post("/unblock")
        .header(header::HOST, "127.0.0.1:7444")
        .header(header::ORIGIN, "http://evil.example")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = ask(
        &router,
        request.body(Body::from("csrf=&network=10.0.0.1")).unwrap(),
    )
    .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
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
    let until = tokio::time::timeout(Duration::from_secs(20), async {
        while !text.contains("event: windows") {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    });
    until.await.unwrap();
    assert!(text.contains("\"profiles\":["), "{text}");
}

/// WCAG 2.1 §1.4.3: 4.5 to 1 for text, and 3 to 1 (§1.4.11) for the parts of charts that carry meaning.
#[test]
fn colors_have_enough_contrast_in_both_themes() {
    let path = format!("{}/assets/style.css", env!("CARGO_MANIFEST_DIR"));
    let css = std::fs::read_to_string(path).unwrap();
    let block = |begin: &str| -> std::collections::BTreeMap<String, [f64; 3]> {
        let at = css.find(begin).unwrap_or_else(|| panic!("no {begin}"));
        let body = css[at + begin.len()..].split('}').next().unwrap();
        let lines = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        lines
            .map(|(name, hex)| {
                let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                (name.to_owned(), [part(0), part(2), part(4)])
            })
            .collect()
    };
    let light = block(":root {");
    let dark = block(":root[data-theme=\"dark\"] {");
    assert_eq!(
        dark,
        block(":root:not([data-theme=\"light\"]) {"),
        "the dark theme stands twice"
    );
    let luminance = |[r, g, b]: [f64; 3]| {
        let linear = |part: f64| {
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    };
    let contrast = |a: [f64; 3], b: [f64; 3]| {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    let mut checked = 0;
    for (theme, colors) in [("light", &light), ("dark", &dark)] {
        let mut check = |front: &str, back: &str, least: f64| {
            let ratio = contrast(colors[front], colors[back]);
            assert!(
                ratio >= least,
                "{theme}: {front} on {back} has {ratio:.2}, needs {least}"
            );
            checked += 1;
        };
        for front in ["text", "quiet", "link", "bad", "some", "good", "low"] {
            for back in ["page", "panel", "slot"] {
                check(front, back, 4.5);
            }
        }
        for name in ["bad", "some", "good", "info", "low"] {
            check(name, &format!("{name}-back"), 4.5);
        }
        for mark in ["accent", "focus", "bad", "some", "low", "period-1", "period-3"] {
            check(mark, "panel", 3.0);
        }
    }
    assert_eq!(checked, 2 * (21 + 5 + 7));
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
