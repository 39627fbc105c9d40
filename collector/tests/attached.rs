//! A module in a program of its own, in Python, on a real collector: whoever is killed, each finding is there once.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "support/daemon.rs"]
#[allow(dead_code, reason = "other tests want the rest")]
mod daemon;
#[path = "support/program.rs"]
mod program;
#[path = "support/python.rs"]
mod python;
#[path = "support/traffic.rs"]
mod traffic;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lynceus_proto::v1;
use lynceus_proto::v1::from_module::Message as From;
use lynceus_proto::v1::module_client::ModuleClient;
use lynceus_proto::v1::query_client::QueryClient;
use lynceus_proto::v1::to_module::Message as To;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use daemon::Daemon;
use traffic::{batches, telnet};

const HOSTS: u8 = 40;
/// Hosts, servers, windows.
const FINDINGS: usize = HOSTS as usize * 3 * 2;
const PATIENCE: Duration = Duration::from_secs(120);

/// The example as a process that does not outlive its test.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Python {
    fn start(interpreter: &Path, stubs: &Path, socket: &Path) -> Self {
        let child = Command::new(interpreter)
            .arg(example().join("module.py"))
            .arg("--collector")
            .arg(format!("unix:{}", socket.display()))
            .arg("--stubs")
            .arg(stubs)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/module-python")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_loses_and_doubles_nothing() {
    let Some(interpreter) = python::interpreter() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let stubs = directory.path().join("stubs");
    let made = Command::new("sh")
        .arg(example().join("stubs.sh"))
        .arg(&stubs)
        .status();
    assert!(made.unwrap().success());

    let sealed: Vec<v1::Batch> = batches(&telnet(HOSTS), 3).iter().map(daemon::seal).collect();
    let mut acknowledged = 0;
    let mut collector = Daemon::start(directory.path()).await;
    // What was there before it came, it is caught up with.
    collector
        .send(&sealed[..sealed.len() / 3], &mut acknowledged)
        .await;
    let module = Python::start(&interpreter, &stubs, collector.socket());
    until(&collector, 5).await;
    daemon::kill(module.0.id());
    drop(module);
    collector
        .send(&sealed[..sealed.len() / 2], &mut acknowledged)
        .await;
    let module = Python::start(&interpreter, &stubs, collector.socket());
    collector
        .send(&sealed[..sealed.len() * 2 / 3], &mut acknowledged)
        .await;
    until(&collector, FINDINGS / 3).await;
    daemon::kill(collector.process.id());
    collector.wait();
    drop(collector);
    // The module finds the next collector by itself.
    let collector = Daemon::start(directory.path()).await;
    collector.send(&sealed, &mut acknowledged).await;
    assert_eq!(acknowledged, sealed.len() as u64);
    until(&collector, FINDINGS).await;
    let before = found(&collector).await;
    let ids: BTreeSet<&[u8]> = before.iter().map(|evidence| evidence.id.as_slice()).collect();
    assert_eq!((before.len(), ids.len()), (FINDINGS, FINDINGS));
    let status = status(&collector, "telnet").await;
    assert_eq!((status.state.as_str(), status.last_fault), ("attached", None));
    let metrics = collector.http("/metrics").await;
    assert!(metrics.contains("lynceus_collector_module_running{module=\"telnet\"} 1"));
    assert!(metrics.contains("lynceus_collector_module_restarts_total{module=\"arp_scan\"} 0"));

    // As people see it.
    let connect = format!("unix:{}", collector.socket().display());
    let shown = tokio::task::spawn_blocking(move || {
        Command::new(program::lynceus())
            .args(["evidence", "--json", "--connect", &connect])
            .output()
            .unwrap()
    });
    let shown = String::from_utf8(shown.await.unwrap().stdout).unwrap();
    let lines = shown
        .lines()
        .filter(|line| line.contains("passwords travel in the clear"));
    assert_eq!(lines.count(), FINDINGS, "{shown}");

    // Once more from the log: the same evidence, and nobody is told twice.
    drop(module);
    let mut collector = collector;
    daemon::kill(collector.process.id());
    collector.wait();
    drop(collector);
    let collector = Daemon::start(directory.path()).await;
    assert_eq!(found(&collector).await, before);
    let file = std::fs::read_to_string(directory.path().join("evidence.jsonl")).unwrap();
    assert_eq!(file.matches("passwords travel in the clear").count(), FINDINGS);
    collector.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_module_does_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Daemon::start(directory.path()).await;
    let sealed: Vec<v1::Batch> = batches(&telnet(2), 1).iter().map(daemon::seal).collect();
    let mut acknowledged = 0;
    collector.send(&sealed, &mut acknowledged).await;

    let refused = attach(&collector, hello("No Name", 0)).await.err().unwrap();
    assert!(refused.message().contains("name"), "{refused}");

    // No more under way than it asked for.
    let (to, mut answers) = attach(&collector, hello("narrow", 2)).await.unwrap();
    let mut cursors = Vec::new();
    // The two come as soon as the machine can; a third would come at once behind them.
    let wait = |got: usize| {
        if got < 2 {
            PATIENCE
        } else {
            Duration::from_millis(700)
        }
    };
    while let Ok(answer) = tokio::time::timeout(wait(cursors.len()), answers.message()).await {
        if let Some(To::Updates(updates)) = answer.unwrap().unwrap().message {
            cursors.push(updates.cursor);
            let delta = updates.updates[0].delta.as_ref().unwrap();
            assert!(delta.totals.is_some() && delta.out_tuples.is_none());
        }
    }
    assert_eq!(cursors, [1, 2]);
    let finding = |key: &str, profile: Vec<u8>| v1::Finding {
        profile,
        key: key.to_owned(),
        threat_level: v1::ThreatLevel::Low.into(),
        confidence: 1.0,
        description: "found".to_owned(),
        first: 3_600_000_000_001,
        ..v1::Finding::default()
    };
    let say = |message| v1::FromModule {
        message: Some(message),
    };
    to.send(say(From::Finding(finding("bad", vec![1]))))
        .await
        .unwrap();
    to.send(say(From::Finding(finding("good", vec![10, 0, 1, 1]))))
        .await
        .unwrap();
    to.send(say(From::Ack(v1::ModuleAck { cursor: 1 })))
        .await
        .unwrap();
    let Some(To::Refused(refused)) = answers.message().await.unwrap().unwrap().message else {
        panic!("the bad finding was not refused")
    };
    assert_eq!(refused.key, "bad");
    assert!(refused.reason.contains("profile"), "{}", refused.reason);
    let Some(To::Updates(third)) = answers.message().await.unwrap().unwrap().message else {
        panic!("no third entry")
    };
    assert_eq!(third.cursor, 3);
    until(&collector, 1).await;
    // An entry that was never sent cannot be done.
    to.send(say(From::Ack(v1::ModuleAck { cursor: 999 })))
        .await
        .unwrap();
    let error = answers.message().await.unwrap_err();
    assert!(error.message().contains("999"), "{error}");
    let metrics = collector.http("/metrics").await;
    assert!(metrics.contains("lynceus_collector_refused_total{reason=\"invalid_finding\"} 1"));
    let status = status(&collector, "narrow").await;
    assert_eq!((status.position, status.findings), (Some(1), Some(1)));

    // It goes on where it stopped.
    let (_to, mut answers) = attach(&collector, hello("narrow", 2)).await.unwrap();
    let Some(To::Welcome(welcome)) = answers.message().await.unwrap().unwrap().message else {
        panic!("no welcome")
    };
    assert_eq!(welcome.cursor, 1);
    let Some(To::Updates(next)) = answers.message().await.unwrap().unwrap().message else {
        panic!("no entry")
    };
    assert_eq!(next.cursor, 2);
    collector.terminate();
}

type Attached = (mpsc::Sender<v1::FromModule>, tonic::Streaming<v1::ToModule>);

async fn attach(collector: &Daemon, hello: v1::ModuleHello) -> Result<Attached, tonic::Status> {
    let (to, outgoing) = mpsc::channel(16);
    let message = Some(From::Hello(hello));
    to.send(v1::FromModule { message }).await.unwrap();
    let mut client = ModuleClient::new(collector.channel());
    let answers = client.attach(ReceiverStream::new(outgoing)).await?;
    Ok((to, answers.into_inner()))
}

fn hello(name: &str, window: u32) -> v1::ModuleHello {
    v1::ModuleHello {
        name: name.to_owned(),
        window,
        ..v1::ModuleHello::default()
    }
}

/// All evidence of modules, in the order of the store.
async fn found(collector: &Daemon) -> Vec<v1::Evidence> {
    let mut found = collector.evidence().await;
    found.retain(|evidence| evidence.kind == "REPORTED_BY_OTHER");
    found
}

async fn until(collector: &Daemon, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = found(collector).await.len();
        if now >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{now} of {count}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn status(collector: &Daemon, module: &str) -> v1::ModuleStatus {
    let mut client = QueryClient::new(collector.channel());
    let status = client
        .get_status(v1::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let modules = status.collector.unwrap().modules;
    modules.into_iter().find(|row| row.name == module).unwrap()
}
