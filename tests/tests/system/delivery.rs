//! Law 1 from the wire to the collector's log, with the real daemons while packets come: the collector is killed, the
//! spool is full, the sensor is started again. What arrived and what gap records tell is held against the sender's count.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, LogRange, Store};
use lynceus_model::status::{Gap, GapReason};
use lynceus_proto::batch::Content;
use lynceus_proto::v1;
use lynceus_tests::frames::{Host, RST, Tcp, tcp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::{FrameSocket, Sent, pin_to_cpu};
use prost::Message;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
/// Where the sensor tells its numbers, in the receiver's namespace.
const STATUS: ([u8; 4], u16) = ([127, 0, 0, 1], 9610);
const TARGET: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));
/// Frames a second: a third of what the daemons take without optimization on two cores.
const RATE: u32 = 4_000;

#[test]
fn a_collector_that_is_killed_under_load_misses_nothing() {
    let Some(_root) = need_root() else { return };
    let scene = Scene::new("max = \"1GiB\"").unwrap();
    let mut collector = scene.collector().unwrap();
    let sensor = scene.sensor().unwrap();
    let flows = 0..12 * RATE;
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| scene.send(flows.clone()));
        // Flows end five seconds after their packet, so batches are under way at each of these.
        std::thread::sleep(Duration::from_secs(6));
        for _ in 0..3 {
            std::thread::sleep(Duration::from_secs(1));
            collector.kill();
            std::thread::sleep(Duration::from_millis(300));
            collector = scene.collector().unwrap();
        }
        sender.join().expect("the sender does not panic").unwrap()
    });
    let seen = scene.at_rest(sent.frames).unwrap();
    // The collector is away when the sensor ends, comes back, and gets the rest.
    collector.kill();
    sensor.signal(libc::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let collector = scene.collector().unwrap();
    let ended = sensor.wait(PATIENCE).unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    collector.terminate(PATIENCE).unwrap();
    let stored = scene.stored().unwrap();
    println!(
        "{sent:?}; {seen:?}; {} flows stored, {:?}",
        stored.flows.len(),
        stored.gaps
    );
    assert_eq!(stored.gaps, []);
    assert_eq!(stored.packets, sent.frames - seen.refused);
    assert_eq!(stored.flows.len() as u64, stored.packets, "each packet is a flow");
}

#[test]
fn what_a_full_spool_drops_stands_in_gap_records() {
    let Some(_root) = need_root() else { return };
    // 48,000 flows take more than two segments.
    let scene = Scene::new("segment = \"4MiB\"\nmax = \"8MiB\"").unwrap();
    let sensor = scene.sensor().unwrap();
    let sent = scene.send(0..12 * RATE).unwrap();
    let seen = scene.at_rest(sent.frames).unwrap();
    sensor.signal(libc::SIGTERM).unwrap();
    scene.spool_has_dropped().unwrap();
    let collector = scene.collector().unwrap();
    let ended = sensor.wait(PATIENCE).unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    collector.terminate(PATIENCE).unwrap();
    let stored = scene.stored().unwrap();
    let dropped: u64 = stored
        .gaps
        .iter()
        .map(|gap| gap.flows.expect("a full spool knows what it drops"))
        .sum();
    println!(
        "{sent:?}; {seen:?}; {} flows stored, {dropped} in {:?}",
        stored.flows.len(),
        stored.gaps
    );
    assert!(
        stored.gaps.iter().all(|gap| gap.reason == GapReason::SpoolFull),
        "{:?}",
        stored.gaps
    );
    assert!(dropped > 0, "the spool was never full");
    assert!(!stored.flows.is_empty(), "nothing was kept");
    assert_eq!(stored.flows.len() as u64 + dropped, sent.frames - seen.refused);
}

#[test]
fn a_sensor_that_is_started_again_goes_on_with_nothing_counted_twice() {
    let Some(_root) = need_root() else { return };
    let scene = Scene::new("max = \"1GiB\"").unwrap();
    let collector = scene.collector().unwrap();
    let first = scene.sensor().unwrap();
    let before = scene.send(0..3 * RATE).unwrap();
    let seen_before = scene.at_rest(before.frames).unwrap();
    let ended = first.terminate(PATIENCE).unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    // Nobody watches now.
    let unseen = scene.send(3 * RATE..4 * RATE).unwrap();
    let mut second = scene.sensor().unwrap();
    let middle = scene.send(4 * RATE..6 * RATE).unwrap();
    let seen_middle = scene.at_rest(middle.frames).unwrap();
    // What this one had in memory is lost, and told as a gap that nobody can measure.
    second.kill();
    let third = scene.sensor().unwrap();
    let after = scene.send(6 * RATE..9 * RATE).unwrap();
    let seen_after = scene.at_rest(after.frames).unwrap();
    let ended = third.terminate(PATIENCE).unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    collector.terminate(PATIENCE).unwrap();
    let stored = scene.stored().unwrap();
    println!(
        "sent {before:?}, unseen {unseen:?}, {middle:?}, {after:?}; stored {}, {:?}",
        stored.packets, stored.gaps
    );
    let of = |flows: Range<u32>| stored.flows.range(flows).count() as u64;
    assert_eq!(of(0..3 * RATE), before.frames - seen_before.refused);
    assert_eq!(of(3 * RATE..4 * RATE), 0, "flows that no sensor saw");
    assert!(of(4 * RATE..6 * RATE) <= middle.frames - seen_middle.refused);
    assert_eq!(of(6 * RATE..9 * RATE), after.frames - seen_after.refused);
    let killed: Vec<GapReason> = stored.gaps.iter().map(|gap| gap.reason).collect();
    assert_eq!(killed, [GapReason::SensorKilled]);
    assert_eq!(stored.gaps[0].flows, None);
}

/// A veth pair with a sensor on its receiving end, and a collector.
struct Scene {
    pair: Pair,
    directory: TempDir,
}

/// The ingress point as `/metrics` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    seen: u64,
    recorded: u64,
    resident: u64,
    refused: u64,
}

#[derive(Default)]
struct Stored {
    /// By number.
    flows: BTreeSet<u32>,
    packets: u64,
    gaps: Vec<Gap>,
}

impl Scene {
    fn new(spool: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().display();
        std::fs::write(
            directory.path().join("sensor.toml"),
            format!(
                "state_dir = \"{path}/sensor\"\n[capture]\ninterfaces = [\"{}\"]\nhook = \"tcx\"\n\
                 [profiles]\nrefresh = \"1s\"\n[collector]\nurl = \"unix:{path}/ingest.sock\"\nbatch_delay = \"100ms\"\n\
                 drain_timeout = \"60s\"\n[spool]\n{spool}\n[status]\nreport = \"100ms\"\n",
                Pair::RX
            ),
        )?;
        std::fs::write(
            directory.path().join("collector.toml"),
            format!(
                "listen = \"unix:{path}/ingest.sock\"\nhttp_listen = \"\"\n[store]\ndirectory = \"{path}/store\"\n"
            ),
        )?;
        Ok(Self {
            pair: Pair::new(VethOptions::default())?,
            directory,
        })
    }

    fn collector(&self) -> Result<Running> {
        let mut command = std::process::Command::new(built("lynceus-collector")?);
        command
            .arg("--config")
            .arg(self.directory.path().join("collector.toml"));
        Running::start(command, "listening", PATIENCE)
    }

    fn sensor(&self) -> Result<Running> {
        let mut command = self.pair.receiver.command(built("lynceus-sensor")?);
        command
            .arg("--config")
            .arg(self.directory.path().join("sensor.toml"));
        Running::start(command, "the sensor runs", PATIENCE)
    }

    /// Waits until the sensor has removed the first segment of its spool to make room.
    fn spool_has_dropped(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut segments = Vec::new();
            for entry in std::fs::read_dir(self.directory.path().join("sensor/spool"))? {
                let name = entry?.file_name();
                // Named by the number of their first batch, from 0.
                let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
                segments.extend(number.map(str::parse::<u64>).transpose()?);
            }
            if segments.iter().min().is_some_and(|first| *first > 0) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the spool has room: {segments:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a frame for each number; each is a flow that ends at once.
    fn send(&self, mut flows: Range<u32>) -> Result<Sent> {
        self.pair.sender.run(|| {
            pin_to_cpu(0)?;
            FrameSocket::open(Pair::TX)?.send_made(Some(RATE), |buffer| {
                *buffer = frame(flows.next()?);
                Some(())
            })
        })
    }

    /// Waits until the sensor has seen so many packets, and checks the law there.
    fn at_rest(&self, seen: u64) -> Result<Numbers> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let numbers = self.numbers()?;
            let placed = numbers.recorded + numbers.resident + numbers.refused;
            if (numbers.seen, placed) == (seen, seen) {
                return Ok(numbers);
            }
            ensure!(numbers.seen <= seen, "{numbers:?}, {seen} were sent");
            ensure!(Instant::now() < deadline, "{numbers:?}, {seen} were sent");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn numbers(&self) -> Result<Numbers> {
        let page = self.pair.receiver.run(|| -> Result<String> {
            let mut stream = TcpStream::connect_timeout(&SocketAddr::from(STATUS), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        })?;
        let point = format!("{{interface=\"{}\",direction=\"ingress\"", Pair::RX);
        let sum = |name: &str| {
            let name = format!("lynceus_sensor_packets_{name}{point}");
            let lines = page.lines().filter(|line| line.starts_with(&name));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            values.sum()
        };
        Ok(Numbers {
            seen: sum("seen_total"),
            recorded: sum("recorded_total"),
            resident: sum("resident"),
            refused: sum("refused_total"),
        })
    }

    /// Reads the collector's log. A flow that is there twice is an error.
    fn stored(&self) -> Result<Stored> {
        let store = EmbeddedStore::open(&EmbeddedOptions::new(self.directory.path().join("store")))?;
        let mut stored = Stored::default();
        store.read_log(&LogRange::default(), &mut |record| {
            let payload = v1::Payload::decode(record.payload).expect("a stored batch");
            let content = Content::try_from(payload).expect("a stored batch");
            for update in content.updates.iter().flat_map(|update| &update.flows) {
                let tuple = update.flow.tuple;
                let number = number(tuple.originator.ip, tuple.originator.port, tuple.responder.port);
                assert!(stored.flows.insert(number), "{tuple:?} is there twice");
                stored.packets += update.new_out.packets + update.new_back.packets;
            }
            stored.gaps.extend(content.gaps);
            ControlFlow::Continue(())
        })?;
        Ok(stored)
    }
}

/// The frame of a flow: sixteen clients, and what of the number is left stands in the ports.
fn frame(number: u32) -> Vec<u8> {
    let client = Host::new(Ipv4Addr::new(10, 0, 0, 1 + (number & 15) as u8));
    let header = Tcp {
        source_port: 1024 + (number >> 4 & 0x3fff) as u16,
        destination_port: 1 + (number >> 18) as u16,
        flags: RST,
        ..Tcp::default()
    };
    tcp(&client, &TARGET, header, &[])
}

/// The number of a flow.
fn number(client: std::net::IpAddr, source_port: u16, destination_port: u16) -> u32 {
    let std::net::IpAddr::V4(client) = client else {
        panic!("{client} was never sent")
    };
    let host = u32::from(client.octets()[3]) - 1;
    host | u32::from(source_port - 1024) << 4 | u32::from(destination_port - 1) << 18
}

#[test]
fn the_number_of_a_flow_comes_back() {
    for flow in [0, 15, 16, 47_999, 300_000] {
        let frame = frame(flow);
        let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let client = std::net::IpAddr::from([frame[26], frame[27], frame[28], frame[29]]);
        assert_eq!(number(client, port(34), port(36)), flow);
    }
}
