//! Detectors in processes of their own over a real Redis: whoever is killed or stopped, what is found is what the
//! collector would have found by itself, and each finding is there once.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "other tests want the rest")]
mod daemon;
#[path = "support/program.rs"]
mod program;
#[path = "store/redis_server.rs"]
#[allow(dead_code, reason = "other tests want the rest")]
mod redis_server;
#[path = "support/traffic.rs"]
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lynceus_model::flow::Endpoint;
use lynceus_proto::v1;
use lynceus_proto::v1::query_client::QueryClient;

use daemon::Daemon;
use redis_server::RedisServer;
use traffic::{batches, beacon, get, sighting, updates};

const PATIENCE: Duration = Duration::from_secs(120);
/// What is moved out: one detector by its name, and a group.
const MODULES: &str = "[modules]\nexternal = [\"horizontal_scan\", \"steady\"]\n\
    groups.steady = [\"beaconing\", \"vertical_scan\", \"command_and_control\"]\n";

/// `lynceus-collector module NAME`; does not outlive its test.
struct Module(Child);

impl Module {
    fn start(name: &str, store: &str) -> Self {
        Self::start_with(name, store, &[])
    }

    fn start_with(name: &str, store: &str, options: &[&OsStr]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lynceus-collector"))
            .args(["module", name, "--store", store])
            .args(options)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, name: &str) {
        daemon::signal(name, self.0.id());
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.signal("-KILL");
        self.0.wait().unwrap();
    }

    /// SIGTERM; it ends well.
    fn end(mut self) {
        self.signal("-TERM");
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn traffic() -> Vec<v1::Batch> {
    let mut all = updates(30, 40);
    all.extend(beacon());
    batches(&all, 5).iter().map(daemon::seal).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_elsewhere_is_what_is_found_inside() {
    let Some(redis) = RedisServer::start("always") else {
        return;
    };
    let sealed = traffic();
    let inside = {
        let directory = tempfile::tempdir().unwrap();
        let collector = Daemon::start(directory.path()).await;
        collector.send(&sealed, &mut 0).await;
        let found = settled(&collector).await;
        collector.terminate();
        found
    };
    let moved = |evidence: &&v1::Evidence| MOVED.contains(&evidence.kind.as_str());
    let expected: usize = inside.iter().filter(moved).count();
    assert!(expected >= 10, "{expected}");

    let directory = tempfile::tempdir().unwrap();
    let settings = format!("engine = \"redis\"\nredis_url = \"{}\"\n", redis.tcp_url());
    let start = || Daemon::start_with(directory.path(), &settings, MODULES);
    let mut collector = start().await;
    let mut acknowledged = 0;
    let part = |tenths: usize| &sealed[..sealed.len() * tenths / 10];
    collector.send(part(3), &mut acknowledged).await;
    // A process that took entries and died with them in its hands.
    let taken = take_and_die(&redis);
    assert_eq!(taken, 7);

    let steady = Module::start("steady", &redis.tcp_url());
    let first = Module::start("horizontal_scan", &redis.tcp_url());
    until(&collector, "the claimed entries are done", |status| {
        status["horizontal_scan"].position > Some(7)
    })
    .await;
    assert_eq!(consumers(&redis).len(), 1, "the dead one is forgotten");

    // Killed in the middle; a second one takes over.
    let second = Module::start("horizontal_scan", &redis.tcp_url());
    collector.send(part(5), &mut acknowledged).await;
    first.kill();
    collector.send(part(6), &mut acknowledged).await;
    until(&collector, "the second took over", |status| {
        status["horizontal_scan"].restarts == 1
    })
    .await;

    // One that hangs loses its lease; what it says later is not taken.
    second.signal("-STOP");
    let third = Module::start("horizontal_scan", &redis.tcp_url());
    collector.send(part(8), &mut acknowledged).await;
    until(&collector, "the third took over", |status| {
        status["horizontal_scan"].restarts == 2
    })
    .await;
    second.signal("-CONT");

    // The collector dies as well; then everybody goes on.
    daemon::kill(collector.process.id());
    collector.wait();
    drop(collector);
    let collector = start().await;
    collector.send(&sealed, &mut acknowledged).await;
    assert_eq!(acknowledged, sealed.len() as u64);
    let found = settled(&collector).await;
    let ids: BTreeSet<&[u8]> = found.iter().map(|evidence| evidence.id.as_slice()).collect();
    assert_eq!(ids.len(), found.len());
    let (found, inside) = (said(&found), said(&inside));
    let missing = inside
        .iter()
        .find(|(id, evidence)| found.get(*id) != Some(*evidence));
    assert!(
        missing.is_none(),
        "{missing:?} is {:?}",
        missing.and_then(|(id, _)| found.get(id))
    );
    assert_eq!(found.len(), inside.len());

    let status = status(&collector).await;
    assert_eq!(status["horizontal_scan"].state, "attached");
    assert!(status["horizontal_scan"].restarts >= 2);
    assert_eq!(status["steady"].last_fault, None);
    assert!(
        !status.contains_key("vertical_scan"),
        "it does not run in the collector"
    );
    let metrics = collector.http("/metrics").await;
    assert!(metrics.contains("lynceus_collector_module_running{module=\"steady\"} 1"));
    let shown = as_people_see_it(&collector).await;
    assert!(shown.contains("horizontal_scan: attached"), "{shown}");

    // Asked to end, a process gives its place back.
    steady.end();
    until(&collector, "the module is away", |status| {
        status["steady"].state == "away"
    })
    .await;
    drop((second, third));
    collector.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_bounded_and_what_it_loses_is_counted() {
    let Some(redis) = RedisServer::start("always") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("engine = \"redis\"\nredis_url = \"{}\"\n", redis.tcp_url());
    let modules = "[modules]\nexternal = [\"horizontal_scan\"]\nstream_entries = 10\n";
    let collector = Daemon::start_with(directory.path(), &settings, modules).await;
    let sealed = traffic();
    collector.send(&sealed, &mut 0).await;
    let entries = sealed.len() as u64;
    assert!(entries > 20);
    let lost = entries - 10;
    until(&collector, "what was trimmed is counted", |status| {
        status["horizontal_scan"].refused == lost
    })
    .await;
    let away = &status(&collector).await["horizontal_scan"];
    assert_eq!(away.state, "away");
    assert_eq!(
        away.last_fault,
        Some(format!("{lost} entries went before it came to them"))
    );
    let metrics = collector.http("/metrics").await;
    assert!(
        metrics.contains(&format!("lynceus_collector_module_stream_trimmed_total {lost}")),
        "{metrics}"
    );
    let length: u64 = redis::cmd("XLEN")
        .arg(UPDATES)
        .query(&mut redis.connection())
        .unwrap();
    assert_eq!(length, 10);

    // Whoever comes now reads what is left, and says what it could not see.
    let module = Module::start("horizontal_scan", &redis.tcp_url());
    until(&collector, "it reads what is left", |status| {
        status["horizontal_scan"].position == Some(entries)
    })
    .await;
    module.end();
    collector.terminate();
}

/// An outside service is asked by the process that has the detector; the collector itself asks nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_asks_outside_services_itself() {
    let Some(redis) = RedisServer::start("always") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let settings = format!("engine = \"redis\"\nredis_url = \"{}\"\n", redis.tcp_url());
    let sections = "[modules]\nexternal = [\"young_domain\"]\n";
    let collector = Daemon::start_with(directory.path(), &settings, sections).await;
    let state = directory.path().join("outside");
    let file = directory.path().join("module.toml");
    let config = format!(
        "[store]\ndirectory = \"{}\"\n[knowledge]\nstate = \"{}\"\n[knowledge.rdap]\nenabled = true\nurl = \"{}\"\n",
        directory.path().join("module").display(),
        state.display(),
        registry()
    );
    std::fs::write(&file, config).unwrap();
    let _module = Module::start_with(
        "young_domain",
        &redis.tcp_url(),
        &["--config".as_ref(), file.as_ref()],
    );
    let server = Endpoint {
        ip: "93.184.216.34".parse().unwrap(),
        port: 80,
    };
    let deadline = Instant::now() + PATIENCE;
    let (mut sealed, mut acknowledged) = (Vec::new(), 0);
    // Asked at the first sighting, known at a later one.
    let found = loop {
        assert!(
            Instant::now() < deadline,
            "nothing after {} sightings",
            sealed.len()
        );
        let hour = i64::try_from(sealed.len()).unwrap() + 1;
        sealed.push(daemon::seal(&sighting(hour, server, get("www.example.com", "/"))));
        collector.send(&sealed, &mut acknowledged).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let evidence = collector.evidence().await;
        if let Some(found) = evidence.into_iter().find(|found| found.kind == "YOUNG_DOMAIN") {
            break found;
        }
    };
    assert!(
        found.description.contains("registered 10 days before"),
        "{}",
        found.description
    );
    assert!(
        state.join("young_domain/probes.jsonl").is_file(),
        "who was asked is on record"
    );
    collector.terminate();
}

/// A registry that says of every domain that it was registered ten days before the epoch, in which the sightings are.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            // The head ends with an empty line; whoever goes away before it gets no answer.
            if !request.any(|line| line.is_ok_and(|line| line.is_empty())) {
                continue;
            }
            let body = r#"{"objectClassName":"domain","events":[{"eventAction":"registration","eventDate":"1969-12-22T00:00:00Z"}]}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/rdap+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn a_module_that_nobody_moved_out_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.toml");
    let told = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lynceus-collector"))
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told("[modules]\nexternal = [\"horizontal_scna\"]\n").contains("horizontal_scna"));
    let embedded = format!(
        "[modules]\nexternal = [\"horizontal_scan\"]\n[store]\ndirectory = \"{}\"\n",
        directory.path().display()
    );
    assert!(told(&embedded).contains("redis"));
}

/// Kinds that the moved detectors say.
const MOVED: [&str; 4] = [
    "HORIZONTAL_PORT_SCAN",
    "VERTICAL_PORT_SCAN",
    "BEACONING",
    "COMMAND_AND_CONTROL_CHANNEL",
];
const UPDATES: &str = "lynceus:{modules}:updates";

/// What is the same wherever a finding is made. The account of its window and the threat that it has accumulated are as of
/// the moment when the collector takes it, which is later for what is found elsewhere.
fn said(found: &[v1::Evidence]) -> BTreeMap<Vec<u8>, v1::Evidence> {
    let plain = |evidence: &v1::Evidence| {
        let mut evidence = evidence.clone();
        evidence.account = None;
        evidence.accumulated = None;
        if let Some(explanation) = &mut evidence.explanation {
            explanation.features.retain(|feature| {
                !feature.name.starts_with("window's") && !feature.name.starts_with("peers'")
            });
        }
        (evidence.id.clone(), evidence)
    };
    found.iter().map(plain).collect()
}

/// As a consumer that reads and never acknowledges.
fn take_and_die(redis: &RedisServer) -> usize {
    let mut connection = redis.connection();
    let deadline = Instant::now() + PATIENCE;
    // The stream begins with the first entry.
    while redis::cmd("XLEN")
        .arg(UPDATES)
        .query::<u64>(&mut connection)
        .unwrap()
        < 7
    {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    redis::cmd("XGROUP")
        .arg(&["CREATE", UPDATES, "horizontal_scan", "0"])
        .exec(&mut connection)
        .unwrap();
    let taken: Vec<(String, Vec<redis::Value>)> = redis::cmd("XREADGROUP")
        .arg(&[
            "GROUP",
            "horizontal_scan",
            "dead",
            "COUNT",
            "7",
            "STREAMS",
            UPDATES,
            ">",
        ])
        .query(&mut connection)
        .unwrap();
    taken[0].1.len()
}

fn consumers(redis: &RedisServer) -> Vec<redis::Value> {
    redis::cmd("XINFO")
        .arg(&["CONSUMERS", UPDATES, "horizontal_scan"])
        .query(&mut redis.connection())
        .unwrap()
}

/// All evidence, when every module is through with every entry and nothing comes any more.
async fn settled(collector: &Daemon) -> Vec<v1::Evidence> {
    let deadline = Instant::now() + PATIENCE;
    let (mut before, mut same) = (Vec::new(), 0);
    while same < 6 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = collector.evidence().await;
        let positions: Vec<Option<u64>> = status(collector)
            .await
            .into_values()
            .filter_map(|module| module.position.map(Some))
            .collect();
        let even = positions.windows(2).all(|pair| pair[0] == pair[1]);
        same = if now == before && even && !now.is_empty() {
            same + 1
        } else {
            0
        };
        before = now;
    }
    before
}

async fn status(collector: &Daemon) -> BTreeMap<String, v1::ModuleStatus> {
    let mut client = QueryClient::new(collector.channel());
    let request = v1::GetStatusRequest {};
    let status = client.get_status(request).await.unwrap().into_inner();
    let modules = status.collector.unwrap().modules;
    modules
        .into_iter()
        .map(|module| (module.name.clone(), module))
        .collect()
}

async fn until(collector: &Daemon, what: &str, holds: impl Fn(&BTreeMap<String, v1::ModuleStatus>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = status(collector).await;
        if now.contains_key("horizontal_scan") && holds(&now) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: {:?}",
            now.get("horizontal_scan")
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// `lynceus status`.
async fn as_people_see_it(collector: &Daemon) -> String {
    let connect = format!("unix:{}", collector.socket().display());
    let shown = tokio::task::spawn_blocking(move || {
        let output = Command::new(program::lynceus())
            .args(["status", "--connect", &connect])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    });
    shown.await.unwrap()
}
