//! How long the page takes with a million pieces of evidence: overview, lists at their begin and deep inside, searches.
//! `cargo xtask bench page` runs it; it prints a markdown table.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use lynceus_collector::dispatch::EngineOptions;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::rows::{self, EvidenceRow};
use lynceus_collector::store::{Change, EmbeddedOptions, EmbeddedStore, Flush, Position, Store};
use lynceus_collector::web::{Web, WebOptions};
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel,
};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowId};
use lynceus_proto::v1;
use tower::ServiceExt as _;

const PROFILES: u64 = 10_000;
/// `LYNCEUS_BENCH_EVIDENCE` asks for another number.
const USUAL_EVIDENCE: u64 = 1_000_000;
/// Each page is asked for so often; the middle time counts.
const TIMES: usize = 5;
const PLAN: WindowPlan = WindowPlan {
    origin: Timestamp(0),
    width: WindowPlan::DEFAULT_WIDTH,
};

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let evidence = std::env::var("LYNCEUS_BENCH_EVIDENCE").map_or(USUAL_EVIDENCE, |text| {
        text.parse().expect("LYNCEUS_BENCH_EVIDENCE is a number")
    });
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()), evidence);
    let begin = Instant::now();
    let options = EngineOptions::new(SensorId([1; 16]), PLAN);
    let query = Collector::look(Arc::new(open(folder.path())), options)
        .unwrap()
        .expect("there is no log that the tables could be behind");
    let opened = begin.elapsed();
    let router = Web::new(query, WebOptions::default()).unwrap().router();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{evidence} pieces of evidence of {PROFILES} profiles in an embedded store\n");
    println!("| page | time | size |\n|---|---:|---:|");
    println!("| store opened | {} | |", text(opened));
    let far = evidence / 10;
    let paths = [
        ("overview, first", "/".to_owned()),
        ("overview, again", "/".to_owned()),
        ("profiles", "/profiles".to_owned()),
        ("evidence, newest first", "/search?kind=evidence".to_owned()),
        (
            "evidence, behind nine tenths of it",
            format!("/search?kind=evidence&q=before%3A{far}"),
        ),
        (
            "search that matches every hundredth",
            "/search?kind=evidence&q=port%3A23".to_owned(),
        ),
        (
            "search without a match",
            "/search?kind=evidence&q=port%3A7".to_owned(),
        ),
        (
            "one profile's evidence",
            "/search?kind=evidence&q=profile%3A10.1.0.7".to_owned(),
        ),
        ("an address's dossier", "/ip/8.8.8.8".to_owned()),
    ];
    for (what, path) in paths {
        let times = if what == "overview, first" { 1 } else { TIMES };
        let mut took = Vec::new();
        let mut size = 0;
        for _ in 0..times {
            let begin = Instant::now();
            size = runtime.block_on(get(&router, &path)).len();
            took.push(begin.elapsed());
        }
        took.sort_unstable();
        println!("| {what} | {} | {} kB |", text(took[times / 2]), size / 1000);
    }
    let (first, last) = runtime.block_on(pages(&router));
    println!("| API, page 1 of 1,000 pieces of evidence | {} | |", text(first));
    println!("| API, page 100 | {} | |", text(last));
}

fn text(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedOptions::new(folder)).unwrap()
}

/// One piece of evidence a second of event time, profile after profile.
fn fill(store: &EmbeddedStore, evidence: u64) {
    let mut changes: Vec<Change> = Vec::new();
    for at in 0..evidence {
        let found = found(at);
        changes.extend(rows::put_evidence(&EvidenceRow {
            position: Position(0),
            order: at / PROFILES,
            weight: 0.2,
            evidence: found,
        }));
        if changes.len() >= 8192 {
            store
                .write(&std::mem::take(&mut changes), Flush::Buffered)
                .unwrap();
        }
    }
    for host in 0..PROFILES.min(evidence) {
        let summary = v1::WindowSummary {
            start: 0,
            end: 3_600_000_000_000,
            number: 1,
            flows: 10 + host % 90,
            packets: 1000,
            bytes: 700_000,
            evidence: evidence / PROFILES,
            threat: host as f64 / 1000.0,
            threshold: 15.0,
            ..v1::WindowSummary::default()
        };
        let window = WindowId {
            profile: profile(host),
            start: Timestamp(0),
        };
        changes.extend(rows::put_summary(window, &summary));
    }
    store.write(&changes, Flush::Durable).unwrap();
}

fn profile(host: u64) -> IpAddr {
    Ipv4Addr::from_bits(0x0a01_0000 + host as u32).into()
}

fn found(at: u64) -> Evidence {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&at.to_be_bytes());
    let mut flow = [0; 20];
    flow[..8].copy_from_slice(&at.to_be_bytes());
    let own = profile(at % PROFILES);
    let victim = IpAddr::from(Ipv4Addr::from_bits(
        0x0800_0000 + (at.wrapping_mul(2_654_435_761) as u32 >> 8),
    ));
    let time = Timestamp::from_secs(at as i64);
    let port = if at.is_multiple_of(100) {
        23
    } else {
        1000 + (at % 5000) as u16
    };
    Evidence {
        id: EvidenceId(id),
        kind: EvidenceType::LongConnection,
        profile: own,
        window_start: Timestamp(0),
        window: 1,
        attacker: own,
        attacker_side: AttackerSide::Source,
        victim: Some(victim),
        subject: None,
        revision: 0,
        account: None,
        related: Vec::new(),
        accumulated: None,
        src_port: None,
        dst_port: Some(port),
        protocol: Some(6),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(1.0),
        description: format!("Long connection: {own} to {victim} port {port}/tcp, 2 h."),
        explanation: Explanation::default(),
        flows: vec![CommunityId(flow)],
        first: time,
        last: time,
    }
}

async fn get(router: &Router, path: &str) -> String {
    let request = Request::get(path)
        .header(header::HOST, "127.0.0.1:7444")
        .body(Body::empty())
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let body = to_bytes(answer.into_body(), 64 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Time of the first page and of the hundredth, following `next`.
async fn pages(router: &Router) -> (Duration, Duration) {
    let mut path = "/api/v1/evidence?limit=1000".to_owned();
    let (mut first, mut last) = (Duration::ZERO, Duration::ZERO);
    for number in 0..100 {
        let begin = Instant::now();
        let page: serde_json::Value = serde_json::from_str(&get(router, &path).await).unwrap();
        last = begin.elapsed();
        if number == 0 {
            first = last;
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/evidence?limit=1000&page={next}");
    }
    (first, last)
}
