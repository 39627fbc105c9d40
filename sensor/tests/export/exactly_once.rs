//! Whatever dies, every stored batch arrives once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lynceus_model::profile::ProfileDelta;
use lynceus_model::status::{GapReason, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId, WindowUpdate};
use lynceus_proto::batch::{BootId, Content};
use lynceus_sensor::export::Exporter;
use lynceus_sensor::export::grpc::{self, Command, SenderOptions, Transport};
use lynceus_sensor::export::outbox::Outbox;
use lynceus_sensor::export::spool::{Directory, Limits, Memory, WhenFull};
use lynceus_sensor::export::target::Target;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::collector::{Collector, Deed};

pub(crate) const LIMITS: Limits = Limits {
    segment_bytes: 4 << 20,
    max_bytes: 64 << 20,
    max_age: Duration::from_secs(3600),
    when_full: WhenFull::DropOldest,
};

/// Content that is recognised by its number.
pub(crate) fn content(number: i64) -> Content {
    let window = WindowId {
        profile: [192, 0, 2, 1].into(),
        start: Timestamp(number),
    };
    let update = WindowUpdate {
        delta: Box::new(ProfileDelta::new(window)),
        stage: Stage::Refreshed,
        flows: Vec::new(),
        apps: Vec::new(),
    };
    Content {
        updates: vec![update],
        gaps: Vec::new(),
    }
}

/// Numbers in the order of their commits.
fn numbers(collector: &Collector) -> Vec<i64> {
    let memory = collector.memory.lock().unwrap();
    let updates = memory.batches.iter().flat_map(|(_, content)| &content.updates);
    updates.map(|update| update.delta.window.start.0).collect()
}

struct Sender {
    commands: watch::Sender<Command>,
    task: JoinHandle<()>,
}

pub(crate) fn fast(transport: Transport) -> SenderOptions {
    SenderOptions {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        ack_timeout: Duration::from_millis(500),
        transport,
        ..SenderOptions::default()
    }
}

fn send(outbox: &Arc<Outbox>, socket: &Path, transport: Transport) -> Sender {
    let (commands, told) = watch::channel(Command::Run);
    let target = Target::new(&format!("unix:{}", socket.display()), None).unwrap();
    let task = tokio::spawn(grpc::run(Arc::clone(outbox), target, fast(transport), told));
    Sender { commands, task }
}

impl Sender {
    async fn drain(self) {
        self.commands.send(Command::Drain).unwrap();
        timeout(Duration::from_secs(60), self.task)
            .await
            .expect("everything is acknowledged in time")
            .unwrap();
    }

    /// As a kill does, in the middle of whatever it did.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Deterministic pseudo-random numbers from a printed seed.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9);
        println!("SEED={seed}");
        Self(Arc::new(AtomicU64::new(seed | 1)))
    }

    fn roll(&self, sides: u64) -> u64 {
        let step = |word: u64| {
            let word = word ^ (word << 13);
            let word = word ^ (word >> 7);
            word ^ (word << 17)
        };
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(step(word)))
            .unwrap();
        step(before) % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_dies_at_random_points() {
    deaths(Transport::Stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_dies_at_random_points_without_streams() {
    deaths(Transport::Unary).await;
}

async fn deaths(transport: Transport) {
    const BATCHES: i64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ingest.sock");
    let dice = Dice::new();
    let own = dice.clone();
    let collector = Collector::new(move |_| match own.roll(30) {
        0 => Deed::DieBeforeCommit,
        1 => Deed::DieAfterCommit,
        2..6 if transport == Transport::Stream => Deed::Silent,
        _ => Deed::CommitAndAck,
    });
    let (outbox, _) = Outbox::open(
        SensorId([1; 16]),
        BootId([2; 16]),
        Box::new(Memory::default()),
        LIMITS,
    )
    .unwrap();
    let outbox = Arc::new(outbox);
    let sender = send(&outbox, &socket, transport);

    // The whole program dies now and then, not only a connection.
    let (killer, dice_of_killer, path) = (collector.clone(), dice.clone(), socket.clone());
    let killing = tokio::spawn(async move {
        for _ in 0..10 {
            let server = killer.serve(&path);
            sleep(Duration::from_millis(20 + dice_of_killer.roll(60))).await;
            server.abort();
            let _ = server.await;
        }
    });
    let mut exporter = Arc::clone(&outbox);
    for number in 0..BATCHES {
        exporter.export(content(number)).unwrap();
        if dice.roll(10) == 0 {
            sleep(Duration::from_millis(dice.roll(10))).await;
        }
    }
    killing.await.unwrap();
    let server = collector.serve(&socket);
    sender.drain().await;
    server.abort();
    assert_eq!(
        numbers(&collector),
        (0..BATCHES).collect::<Vec<_>>(),
        "each once, in order"
    );
    assert!(outbox.is_empty());
    println!(
        "duplicates dropped: {}",
        collector.memory.lock().unwrap().duplicates
    );
}

/// Opens the directory that a killed sender's threads may hold for a moment longer; a killed process holds nothing.
async fn open_spool(path: &Path) -> Directory {
    for _ in 0..500 {
        match Directory::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                sleep(Duration::from_millis(10)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the killed sender does not let go of its spool within five seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sensor_that_is_killed_goes_on_from_its_spool() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, spool) = (
        directory.path().join("ingest.sock"),
        directory.path().join("spool"),
    );
    let dice = Dice::new();
    let collector = Collector::new(|_| Deed::CommitAndAck);
    let server = collector.serve(&socket);
    let mut number = 0;
    for boot in 1..=12_u8 {
        let disk = Box::new(open_spool(&spool).await);
        let (outbox, recovery) = Outbox::open(SensorId([1; 16]), BootId([boot; 16]), disk, LIMITS).unwrap();
        assert_eq!(recovery.killed, boot > 1);
        let mut outbox = Arc::new(outbox);
        let sender = send(&outbox, &socket, Transport::Stream);
        for _ in 0..20 {
            outbox.export(content(number)).unwrap();
            number += 1;
            sleep(Duration::from_micros(dice.roll(2_000))).await;
        }
        if boot == 12 {
            sender.drain().await;
            outbox.close();
        } else {
            sender.kill().await;
        }
    }
    server.abort();
    assert_eq!(
        numbers(&collector),
        (0..number).collect::<Vec<_>>(),
        "each once, in order"
    );
    let memory = collector.memory.lock().unwrap();
    let gaps: Vec<_> = memory
        .batches
        .iter()
        .flat_map(|(_, content)| &content.gaps)
        .collect();
    assert_eq!(gaps.len(), 11, "each kill is a gap");
    assert!(
        gaps.iter()
            .all(|gap| gap.reason == GapReason::SensorKilled && gap.flows.is_none())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_batch_becomes_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ingest.sock");
    let collector = Collector::new(|id| {
        if id.seq == 2 {
            Deed::Refuse
        } else {
            Deed::CommitAndAck
        }
    });
    let server = collector.serve(&socket);
    let (outbox, _) = Outbox::open(
        SensorId([1; 16]),
        BootId([2; 16]),
        Box::new(Memory::default()),
        LIMITS,
    )
    .unwrap();
    let mut outbox = Arc::new(outbox);
    let sender = send(&outbox, &socket, Transport::Stream);
    for number in 0..3 {
        outbox.export(content(number)).unwrap();
    }
    while !outbox.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let status = SensorStatus {
        name: "edge".to_owned(),
        ..SensorStatus::default()
    };
    outbox.report(status.clone()).unwrap();
    while collector.memory.lock().unwrap().status.is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    sender.drain().await;
    server.abort();
    assert_eq!(numbers(&collector), [0, 2]);
    let memory = collector.memory.lock().unwrap();
    assert_eq!(memory.status, Some(status));
    let gaps: Vec<_> = memory
        .batches
        .iter()
        .flat_map(|(_, content)| &content.gaps)
        .collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].reason, gaps[0].updates), (GapReason::Refused, Some(1)));
}

/// The collector is away for longer than the spool can bridge: what is kept arrives, what is not is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_tells_what_it_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ingest.sock");
    let mut collector = Collector::new(|_| Deed::CommitAndAck);
    collector.credit = 1 << 20;
    let limits = Limits {
        max_bytes: 10 << 20,
        ..LIMITS
    };
    let (outbox, _) = Outbox::open(
        SensorId([1; 16]),
        BootId([2; 16]),
        Box::new(Memory::default()),
        limits,
    )
    .unwrap();
    let mut outbox = Arc::new(outbox);
    let sender = send(&outbox, &socket, Transport::Stream);
    // 300 updates of about 100 KB: three times what fits.
    let stored = 300;
    for number in 0..stored {
        let mut content = content(number);
        let flow = crate::export::tls::flow();
        content.updates[0].flows = vec![flow; 700];
        outbox.export(content).unwrap();
    }
    let server = collector.serve(&socket);
    outbox.flush(Timestamp(0));
    sender.drain().await;
    server.abort();
    let arrived = numbers(&collector);
    assert!(arrived.is_sorted() && arrived.last() == Some(&(stored - 1)));
    let memory = collector.memory.lock().unwrap();
    let gaps = memory.batches.iter().flat_map(|(_, content)| &content.gaps);
    let told: u64 = gaps
        .inspect(|gap| assert_eq!(gap.reason, GapReason::SpoolFull))
        .filter_map(|gap| gap.updates)
        .sum();
    assert!(told > 100);
    assert_eq!(
        arrived.len() as u64 + told,
        stored.cast_unsigned(),
        "arrived and told are all"
    );
}
