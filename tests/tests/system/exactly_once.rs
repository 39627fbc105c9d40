//! Law 3: kill -9 of sensor or collector at any point loses no acknowledged batch and stores none twice.
//!
//! The real daemons on a unix socket. The sensor reads a capture that this test writes into its standard input, each
//! packet a flow that nothing else has; after the kills the collector's log is read with its own library.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and print its seed"
)]

mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, LogRange, Store, StreamId};
use lynceus_model::status::GapReason;
use lynceus_proto::batch::Content;
use lynceus_proto::v1;
use lynceus_tests::program::built;
use prost::Message;

use self::traffic::feed;

/// Points at which one of the daemons is killed; the environment's `KILLS` makes it another number.
const KILLS: u32 = 100;

/// A child that does not outlive its test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is waited for before a kill, so that all stages of the way meet one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Anything: under load this is mostly between sending and acknowledgement.
    Any,
    /// The daemon that was started last opens its files, recovers, connects.
    Start,
    /// The collector welcomed the sensor.
    Handshake,
    /// A batch was acknowledged; the next ones are under way or in a commit.
    Acknowledgement,
    /// The spool is being written.
    Spool,
    /// The collector's log is being written.
    Commit,
}

impl Moment {
    const ALL: [Self; 6] = [
        Self::Any,
        Self::Start,
        Self::Handshake,
        Self::Acknowledgement,
        Self::Spool,
        Self::Commit,
    ];
    /// Then the kill comes anyway.
    const PATIENCE: Duration = Duration::from_millis(1_500);

    /// False if it did not come.
    fn wait(self, bench: &Bench, dice: &mut Dice) -> bool {
        let spare = Duration::from_micros(dice.roll(4_000));
        if !matches!(self, Self::Start | Self::Handshake) {
            // Traffic between the kills: most of them shall meet daemons at work.
            thread::sleep(Duration::from_millis(dice.roll(500)));
        }
        let came = match self {
            Self::Any => true,
            Self::Start => {
                thread::sleep(Duration::from_millis(dice.roll(60)));
                true
            }
            Self::Handshake => bench.await_log("the collector takes batches"),
            Self::Acknowledgement => bench.await_log("acknowledged boot="),
            Self::Spool => bench.await_growth("sensor/spool"),
            Self::Commit => bench.await_growth("store"),
        };
        thread::sleep(spare);
        came
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Sensor,
    Collector,
}

#[test]
fn a_hundred_kills_lose_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(directory.path());
    let mut dice = Dice::new();
    let kills = std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(KILLS);
    println!("KILLS={kills}");
    let begun = Instant::now();
    let mut collector = bench.collector();
    let mut sensor = Some(bench.sensor());
    let mut moments: BTreeMap<Moment, u32> = BTreeMap::new();
    let (mut sensor_kills, mut started) = (0, Victim::Sensor);
    for _ in 0..kills {
        let moment = Moment::ALL[usize::try_from(dice.roll(6)).unwrap()];
        let victim = match (moment, dice.roll(2)) {
            (Moment::Start, _) => started,
            (_, 0) => Victim::Sensor,
            _ => Victim::Collector,
        };
        if moment.wait(&bench, &mut dice) {
            *moments.entry(moment).or_default() += 1;
        }
        bench.tell_on_panic(|| match victim {
            Victim::Sensor => {
                sensor.take().unwrap().kill();
                sensor = Some(bench.sensor());
                sensor_kills += 1;
            }
            Victim::Collector => {
                kill(&mut collector);
                thread::sleep(Duration::from_millis(dice.roll(50)));
                collector = bench.collector();
            }
        });
        started = victim;
    }
    let killed = begun.elapsed();
    bench.tell_on_panic(|| sensor.take().unwrap().end());
    let drained = begun.elapsed();
    // SIGTERM, so that the store is closed in order; what is durable must not depend on it.
    bench.tell_on_panic(|| terminate(&mut collector));

    let stored = bench.stored();
    let acknowledged = bench.acknowledged();
    let resent = bench.count("sensor.log", |line| {
        line.contains("the last sensor was killed") && field(line, "batches=") != Some("0")
    });
    println!(
        "{kills} kills ({sensor_kills} of the sensor) in {killed:.0?}, drained after {drained:.0?}, all in {:.0?}; {moments:?}; \
         {} flows sent, {} stored in {} batches of {} streams; acknowledgements seen of {} streams, {} batches; \
         {resent} sensors found batches that nobody had acknowledged",
        begun.elapsed(),
        bench.flows.load(Ordering::Relaxed),
        stored.flows,
        stored.batches,
        stored.highest.len(),
        acknowledged.len(),
        acknowledged.values().sum::<u64>(),
    );
    let ended_empty = bench.count("sensor.log", |line| {
        line.contains("the sensor ends;") && field(line, "batches=") == Some("0")
    });
    assert_eq!(
        ended_empty, 1,
        "the last sensor ended, and nothing waits in its spool"
    );
    let enough = u64::from(kills);
    assert!(
        stored.flows as u64 > 20 * enough,
        "too little traffic to prove anything"
    );
    assert!(
        acknowledged.values().sum::<u64>() > 3 * enough,
        "too few acknowledgements to prove anything"
    );
    if kills >= KILLS {
        assert_eq!(
            moments.len(),
            Moment::ALL.len(),
            "not every moment came: {moments:?}"
        );
    }
    for (boot, seq) in acknowledged {
        let highest = stored.highest.get(&boot).copied().unwrap_or(0);
        assert!(
            seq <= highest,
            "batch {seq} of {boot:x} was acknowledged, the store has {highest}"
        );
    }
    // One gap speaks for kills in a row: a sensor that was killed before it stored anything has nothing to add.
    let told = stored.killed_gaps;
    assert!(told <= sensor_kills, "{told} gaps for {sensor_kills} kills");
    assert!(told > 0 || sensor_kills == 0, "no kill was told");
}

struct Bench {
    directory: PathBuf,
    sensor: PathBuf,
    collector: PathBuf,
    /// Number of the next flow.
    flows: Arc<AtomicU32>,
}

impl Bench {
    fn new(directory: &Path) -> Self {
        let bench = Self {
            directory: directory.to_owned(),
            sensor: built("lynceus-sensor").unwrap(),
            collector: built("lynceus-collector").unwrap(),
            flows: Arc::default(),
        };
        let path = directory.display();
        std::fs::write(
            directory.join("sensor.toml"),
            format!(
                "state_dir = \"{path}/sensor\"\n[capture]\nfiles = [\"-\"]\n[profiles]\nrefresh = \"1s\"\n\
                 [collector]\nurl = \"unix:{path}/ingest.sock\"\nbatch_delay = \"5ms\"\ndrain_timeout = \"60s\"\n[status]\nlisten = \"\"\n"
            ),
        )
        .unwrap();
        std::fs::write(
            directory.join("collector.toml"),
            format!("listen = \"unix:{path}/ingest.sock\"\nhttp_listen = \"\"\n[store]\ndirectory = \"{path}/store\"\n"),
        )
        .unwrap();
        bench
    }

    /// Shows the ends of the logs when something went wrong.
    fn tell_on_panic(&self, action: impl FnOnce()) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action));
        if let Err(panic) = outcome {
            for name in ["sensor.log", "collector.log"] {
                let log = std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!("{name}:\n{}", lines[lines.len().saturating_sub(25)..].join("\n"));
            }
            std::panic::resume_unwind(panic);
        }
    }

    fn log(&self, name: &str) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join(name))
            .unwrap()
    }

    fn collector(&self) -> Daemon {
        let child = Command::new(&self.collector)
            .arg("--config")
            .arg(self.directory.join("collector.toml"))
            .stdin(Stdio::null())
            .stderr(self.log("collector.log"))
            .spawn()
            .unwrap();
        Daemon(child)
    }

    fn sensor(&self) -> Sensor {
        let mut child = Command::new(&self.sensor)
            .arg("--config")
            .arg(self.directory.join("sensor.toml"))
            .env("RUST_LOG", "info,lynceus_sensor::export=debug")
            .stdin(Stdio::piped())
            .stderr(self.log("sensor.log"))
            .spawn()
            .unwrap();
        let (input, flows, stop) = (
            child.stdin.take().unwrap(),
            Arc::clone(&self.flows),
            Arc::new(AtomicBool::new(false)),
        );
        let stopping = Arc::clone(&stop);
        let feeder = thread::spawn(move || feed(input, &flows, &stopping));
        Sensor {
            child: Daemon(child),
            stop,
            feeder,
        }
    }

    /// Waits until the sensor writes another line with this text.
    fn await_log(&self, text: &str) -> bool {
        let log = File::open(self.directory.join("sensor.log")).unwrap();
        let mut at = log.metadata().unwrap().len();
        let mut tail = String::new();
        until(|| {
            let mut bytes = vec![0; 64 << 10];
            let count = log.read_at(&mut bytes, at).unwrap();
            at += count as u64;
            tail.push_str(&String::from_utf8_lossy(&bytes[..count]));
            tail.contains(text)
        })
    }

    /// Waits until the files below a directory have another size together.
    fn await_growth(&self, name: &str) -> bool {
        let path = self.directory.join(name);
        let before = size(&path);
        until(|| size(&path) != before)
    }

    fn count(&self, name: &str, is_meant: impl Fn(&str) -> bool) -> usize {
        let log = std::fs::read_to_string(self.directory.join(name)).unwrap();
        log.lines().filter(|line| is_meant(line)).count()
    }

    /// Highest number of each boot that the sensor logged as acknowledged.
    fn acknowledged(&self) -> BTreeMap<u128, u64> {
        let log = std::fs::read_to_string(self.directory.join("sensor.log")).unwrap();
        let mut highest = BTreeMap::new();
        // Whole lines only: one write each, and a kill does not cut a write.
        for line in log.lines().filter(|line| line.contains("acknowledged boot=")) {
            let boot: u128 = field(line, "boot=").unwrap().parse().unwrap();
            let seq: u64 = field(line, "seq=").unwrap().parse().unwrap();
            let known = highest.entry(boot).or_insert(0);
            *known = seq.max(*known);
        }
        highest
    }

    /// Reads the collector's log; panics if anything is there twice or missing in between.
    fn stored(&self) -> Stored {
        let store = EmbeddedStore::open(&EmbeddedOptions::new(self.directory.join("store"))).unwrap();
        let mut stored = Stored::default();
        let mut last: BTreeMap<StreamId, u64> = BTreeMap::new();
        let mut flows = BTreeSet::new();
        store
            .read_log(&LogRange::default(), &mut |record| {
                let before = last.insert(record.stream, record.seq).unwrap_or(0);
                assert_eq!(
                    record.seq,
                    before + 1,
                    "twice, out of order or missing in {:?}",
                    record.stream
                );
                let content = Content::try_from(v1::Payload::decode(record.payload).unwrap()).unwrap();
                for update in content.updates.iter().flat_map(|update| &update.flows) {
                    let tuple = update.flow.tuple;
                    assert!(flows.insert((tuple, update.part)), "{tuple:?} is there twice");
                }
                // A kill costs what was in memory, never what was written: no gap has another reason.
                for gap in &content.gaps {
                    assert_eq!(gap.reason, GapReason::SensorKilled, "{gap:?}");
                    stored.killed_gaps += 1;
                }
                stored.batches += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        stored.flows = flows.len();
        for (stream, seq) in last {
            stored.highest.insert(u128::from_be_bytes(stream.boot), seq);
        }
        stored
    }
}

#[derive(Default)]
struct Stored {
    flows: usize,
    batches: usize,
    killed_gaps: u32,
    highest: BTreeMap<u128, u64>,
}

/// A running sensor and the thread that feeds it.
struct Sensor {
    child: Daemon,
    stop: Arc<AtomicBool>,
    feeder: JoinHandle<()>,
}

impl Sensor {
    fn kill(mut self) {
        kill(&mut self.child);
        self.feeder.join().unwrap();
    }

    /// The capture ends, and with it the sensor, when everything is acknowledged.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.feeder.join().unwrap();
        wait(&mut self.child, Duration::from_secs(120));
    }
}

fn kill(child: &mut Daemon) {
    child.0.kill().unwrap();
    child.0.wait().unwrap();
}

fn terminate(child: &mut Daemon) {
    let pid = i32::try_from(child.0.id()).unwrap();
    // SAFETY: kill takes two integers; the child has not been waited for, so its id is still its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    wait(child, Duration::from_secs(60));
}

fn wait(child: &mut Daemon, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        if Instant::now() > deadline {
            kill(child);
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The word behind `name` in a line of a log.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(name).nth(1)?.split_whitespace().next()
}

fn until(mut came: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Moment::PATIENCE;
    while Instant::now() < deadline {
        if came() {
            return true;
        }
        thread::sleep(Duration::from_micros(500));
    }
    false
}

/// Bytes of all files below a directory; files that go away meanwhile have none.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .map(|(meta, path)| if meta.is_dir() { size(&path) } else { meta.len() })
        .sum()
}

/// Pseudo-random numbers from a printed seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9);
        println!("SEED={seed}");
        // Spread, so that small seeds differ from each other; never 0, where the generator stands still.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
