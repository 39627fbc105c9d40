//! How much one collector takes: batches as they come from the network are decoded, checked, made durable, merged into
//! windows and shown to all detectors. `cargo xtask bench collector` runs it; it prints a markdown table.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

#[path = "../tests/store/redis_server.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod redis_server;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{
    EmbeddedOptions, EmbeddedStore, MemoryStore, RedisOptions, RedisStore, Store,
};
use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, StreamId};
use lynceus_proto::v1;

/// As the programs have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Flows of one run, from so many profiles, by so many sensors that send at the same time.
/// `LYNCEUS_BENCH_FLOWS` asks for another number.
const USUAL_FLOWS: u64 = 300_000;
const PROFILES: u64 = 2_000;
const SENSORS: u8 = 4;
/// Flows per second of event time and sensor: what the refresh of 10 s makes deltas of.
const RATE: u64 = 5_000;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let directory = std::env::var_os("LYNCEUS_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let sensors: Vec<Vec<v1::Batch>> = (0..SENSORS).map(sensor).collect();
    let bytes: usize = sensors.iter().flatten().map(|batch| batch.payload.len()).sum();
    let batches: usize = sensors.iter().map(Vec::len).sum();
    let flows = flows();
    println!(
        "{flows} flows of {PROFILES} profiles from {SENSORS} sensors in {batches} batches, {} MB encoded\n",
        bytes / 1_000_000
    );
    println!("| store | flows/s | deltas/s | flows per CPU second | stored bytes per flow |");
    println!("|---|---:|---:|---:|---:|");
    measure("memory, nothing kept of the log", &sensors, || {
        Arc::new(MemoryStore::new(0))
    });
    measure(
        "embedded, fdatasync before each acknowledgement",
        &sensors,
        || embedded(&directory),
    );
    if let Some(server) = redis_server::RedisServer::start("always") {
        measure("Redis, appendfsync always (its own process)", &sensors, || {
            redis(&server)
        });
    }
    if let Some(server) = redis_server::RedisServer::start("everysec") {
        measure("Redis, appendfsync everysec (weak)", &sensors, || redis(&server));
    }
}

fn embedded(directory: &Path) -> Arc<dyn Store> {
    let own = directory.join(format!("lynceus-bench-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&own);
    Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(own)).unwrap())
}

fn redis(server: &redis_server::RedisServer) -> Arc<dyn Store> {
    Arc::new(RedisStore::open(&RedisOptions::new(server.url())).unwrap())
}

fn measure(name: &str, sensors: &[Vec<v1::Batch>], open: impl Fn() -> Arc<dyn Store>) {
    let store = open();
    let plan = WindowPlan {
        origin: Timestamp(0),
        width: WindowPlan::DEFAULT_WIDTH,
    };
    let options = DispatchOptions {
        engine: EngineOptions::new(SensorId([1; 16]), plan),
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(30),
    };
    let collector = Collector::start(Arc::clone(&store), options).unwrap();
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for batches in sensors {
            let ingest = collector.ingest();
            scope.spawn(move || {
                for batch in batches {
                    let payload = batch.payload.clone();
                    let batch = Batch::try_from(batch.clone()).unwrap();
                    ingest.accept_encoded(batch, payload).unwrap();
                }
            });
        }
    });
    collector.flush().unwrap();
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let totals = collector.shared().counters.totals();
    let total = |wanted: &str| {
        totals
            .iter()
            .find(|(name, _)| *name == wanted)
            .map_or(0, |(_, count)| *count)
    };
    let flows = total("flows");
    assert_eq!(flows, self::flows());
    let stored = store.status().log_bytes as f64 / flows as f64;
    println!(
        "| {name} | {:.0} | {:.0} | {:.0} | {stored:.0} |",
        flows as f64 / wall,
        total("updates") as f64 / wall,
        flows as f64 / cpu
    );
    collector.shutdown();
    drop(store);
    let own = std::env::var_os("LYNCEUS_BENCH_DIR").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    let _ = std::fs::remove_dir_all(own.join(format!("lynceus-bench-{}", std::process::id())));
}

fn flows() -> u64 {
    let wanted = std::env::var("LYNCEUS_BENCH_FLOWS").ok();
    wanted.map_or(USUAL_FLOWS, |text| {
        text.parse().expect("LYNCEUS_BENCH_FLOWS is a number")
    })
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Fields behind the name, which may hold blanks: 14 and 15 in proc(5), in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// What one sensor sends: window updates in batches of about 1,000 flows.
fn sensor(number: u8) -> Vec<v1::Batch> {
    let id = SensorId([number + 1; 16]);
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: id,
        carry_bytes: usize::MAX >> 1,
        ..ProfilerConfig::default()
    });
    let mut updates = Vec::new();
    let mut seed = u64::from(number) + 1;
    for at in 0..flows() / u64::from(SENSORS) {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        profiler.observe(flow(seed >> 16, at));
    }
    profiler.finish();
    profiler.drain(&mut updates);
    let mut batches = Vec::new();
    let mut content = Content::default();
    let mut flows = 0;
    for update in updates {
        flows += update.flows.len();
        content.updates.push(update);
        if flows >= 1000 {
            batches.push(seal(id, batches.len(), std::mem::take(&mut content)));
            flows = 0;
        }
    }
    if !content.is_empty() {
        batches.push(seal(id, batches.len(), content));
    }
    batches
}

fn seal(sensor: SensorId, index: usize, content: Content) -> v1::Batch {
    let id = BatchId {
        sensor,
        stream: StreamId {
            boot: BootId([1; 16]),
            stream: 1,
        },
        seq: index as u64 + 1,
    };
    v1::Batch::seal(&id, &content.into())
}

fn flow(random: u64, at: u64) -> FlowUpdate {
    let first = Timestamp(i64::try_from(at * (1_000_000_000 / RATE)).unwrap());
    let host = random % PROFILES;
    let mut community_id = [0; 20];
    community_id[..8].copy_from_slice(&random.to_be_bytes());
    community_id[8..16].copy_from_slice(&random.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let totals = |packets: u64| Totals {
        packets,
        bytes: packets * 700,
        wire_bytes: packets * 714,
        tcp_flags: 0x1b,
        flag_counts: [1, 1, 0, packets as u32, packets as u32, 0, 0, 0],
    };
    let (out, back) = (totals(4 + random % 40), totals(3 + random % 90));
    let end = |ip: [u8; 4], port| Endpoint {
        ip: IpAddr::V4(Ipv4Addr::from(ip)),
        port,
    };
    let server = random >> 20;
    FlowUpdate {
        flow: Flow {
            tuple: FiveTuple {
                originator: end(
                    [10, 1, (host >> 8) as u8, host as u8],
                    32_768 + (random % 28_000) as u16,
                ),
                responder: end([151, 101, (server % 7) as u8, (server % 251) as u8], 443),
                protocol: 6,
            },
            community_id: CommunityId(community_id),
            first,
            last: first.saturating_add(Duration::from_millis(20 + random % 4000)),
            out,
            back,
            state: ConnState::Sf,
            icmp: None,
            vlan: Vec::new(),
            tunnel: None,
            rtt: Some(Duration::from_micros(200 + random % 30_000)),
            seen_at: Vec::new(),
            service: lynceus_model::flow::Service::Unseen,
            reported: None,
        },
        new_out: out,
        new_back: back,
        part: 0,
        end: FlowEnd::Closed,
    }
}
