//! The kernel programs packet by packet (`BPF_PROG_TEST_RUN`) beside an empty program and a hash map, on the same packets
//! in turns; then reading the full cache and merging records in user space.
//!
//! `cargo xtask bench kernel`; needs root. Prints the tables of `docs/benchmarks.md`. `--only WORD` (a hook or a column,
//! any number of them) measures a part; `--object FILE` takes another object than the built-in one.
#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

use std::hint::black_box;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lynceus_sensor::clock::WallClock;
use lynceus_sensor::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use lynceus_sensor::kernel::load::{Kernel, Options};
use lynceus_sensor::kernel::maps::{Cache, Counters, HeadRing, RecordRing};
use lynceus_tests::mutator::{Flows, HashDesign, Layer, Mutator, TABLE, empty};
use lynceus_tests::need_root;
use lynceus_tests::traffic::pin_to_cpu;
use sensor_ebpf::counters::{PointCounters, RefusedPacket};
use sensor_ebpf::flow::{
    FlowKey, FlowRecord, Handshake, HookDirection, Point, Side, SideCounters, v4_mapped,
};

/// Packets that a program gets in one turn: twice the slots of the record ring.
const PACKETS: u32 = 1 << 16;
/// Turns of each program: all flows of a table pass in them.
const ROUNDS: usize = TABLE / PACKETS as usize;
/// Twice what the flood and its warm-up need, so that the hash map refuses nothing.
const HASH_ENTRIES: u32 = 1 << 21;
const MERGED: usize = 1 << 20;
const LAYERS: [Layer; 2] = [Layer::Xdp, Layer::Tc];
/// Columns of the first tables.
const CASES: [&str; 6] = ["1 flow", "1 k", "1 M", "Zipf 1 M", "flood", "SYN flood"];

fn main() -> Result<()> {
    let Some(_root) = need_root() else { return Ok(()) };
    let wanted = Wanted::from_arguments(std::env::args().skip(1))?;
    let mut designs = Designs::load(wanted.object.as_deref())?;
    for layer in LAYERS {
        if wanted.layer(layer) {
            packets(layer, &wanted, &mut designs)?;
        }
    }
    read(&mut designs)?;
    if wanted.only.is_empty() {
        merge()?;
    }
    Ok(())
}

/// What the command line asks for; everything where it says nothing.
#[derive(Default)]
struct Wanted {
    only: Vec<String>,
    object: Option<PathBuf>,
}

impl Wanted {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // What `cargo bench` adds.
                "--bench" => {}
                "--only" => wanted.only.push(arguments.next().context("--only what?")?),
                "--object" => wanted.object = Some(arguments.next().context("--object which?")?.into()),
                _ => bail!("unknown argument `{argument}`; --only and --object are known"),
            }
        }
        let known: Vec<&str> = LAYERS.iter().map(|layer| layer.name()).chain(CASES).collect();
        for word in &wanted.only {
            ensure!(known.contains(&word.as_str()), "`{word}` is none of {known:?}");
        }
        Ok(wanted)
    }

    fn layer(&self, layer: Layer) -> bool {
        self.among(layer.name(), &LAYERS.map(Layer::name))
    }

    fn case(&self, name: &str) -> bool {
        self.among(name, &CASES)
    }

    fn among(&self, name: &str, all: &[&str]) -> bool {
        let mut asked = self
            .only
            .iter()
            .filter(|word| all.contains(&word.as_str()))
            .peekable();
        asked.peek().is_none() || asked.any(|word| word == name)
    }
}

/// One set of options of the sensor.
struct Design {
    name: &'static str,
    slot: u32,
    kernel: Kernel,
    cache: Cache,
    counters: Counters,
}

struct Designs {
    ours: Vec<Design>,
    stop: Arc<AtomicBool>,
    drain: Option<JoinHandle<Result<()>>>,
}

impl Designs {
    fn load(object: Option<&Path>) -> Result<Self> {
        let object = object
            .map(|path| std::fs::read(path).with_context(|| format!("failed to read {}", path.display())))
            .transpose()?;
        let bare = Options {
            heads: None,
            precise_times: 0,
            ..Options::default()
        };
        let sized = |bits: u32| Options {
            cache_entries: 1 << bits,
            ..bare
        };
        let (mut ours, mut rings, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for (name, options) in [
            (
                "as it comes: 2^13 entries, heads, precise handshakes",
                Options::default(),
            ),
            ("2^13 entries, no heads, coarse handshakes", sized(13)),
            ("2^12 entries, same", sized(12)),
            ("2^14 entries, same", sized(14)),
        ] {
            let (mut kernel, readers) = match &object {
                Some(object) => Kernel::load_object(object, &options)?,
                None => Kernel::load(&options)?,
            };
            // Test runs happen at the loopback interface. A point that no one registered costs a look-up a packet.
            let slot = kernel.register(Point {
                ifindex: 1,
                direction: HookDirection::Ingress,
            })?;
            rings.extend(readers.rings);
            heads.push(readers.heads);
            ours.push(Design {
                name,
                slot,
                kernel,
                cache: readers.cache,
                counters: readers.counters,
            });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let drain = std::thread::spawn(move || drain(rings, heads, &stopped));
        Ok(Self {
            ours,
            stop,
            drain: Some(drain),
        })
    }
}

impl Drop for Designs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(drain) = self.drain.take() {
            let _ = drain.join();
        }
    }
}

/// Takes out what the programs on the other CPU write.
fn drain(mut rings: Vec<RecordRing>, mut heads: Vec<HeadRing>, stop: &AtomicBool) -> Result<()> {
    pin_to_cpu(1)?;
    while !stop.load(Ordering::Relaxed) {
        for ring in &mut rings {
            ring.drain_raw(usize::MAX, |entry| {
                black_box(entry);
            });
        }
        for ring in &mut heads {
            ring.drain(1 << 12, |head| {
                black_box(head);
            });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn packets(layer: Layer, wanted: &Wanted, designs: &mut Designs) -> Result<()> {
    pin_to_cpu(0)?;
    let nothing = empty(layer)?;
    let data = frame(0x18, b"sixsix");
    let syn = frame(0x02, &[]);
    let tables = [permuted(1), permuted(1_000), permuted(TABLE), zipf()];
    let cases: [(Flows<'_>, &[u8]); CASES.len()] = [
        (Flows::Table(&tables[0]), &data),
        (Flows::Table(&tables[1]), &data),
        (Flows::Table(&tables[2]), &data),
        (Flows::Table(&tables[3]), &data),
        (Flows::New, &data),
        (Flows::New, &syn),
    ];
    let mut columns = Vec::new();
    for (name, (flows, frame)) in CASES.into_iter().zip(cases) {
        if !wanted.case(name) {
            continue;
        }
        columns.push((name, measure(layer, designs, &nothing, flows, frame)?));
    }
    println!(
        "| {}, ns a packet over an empty program | {} |",
        layer.name(),
        join(&columns, |(name, _)| (*name).to_owned())
    );
    println!("|---|{}", "---|".repeat(columns.len()));
    for at in 0..designs.ours.len() + 1 {
        let name = designs
            .ours
            .get(at)
            .map_or("hash map, `bpf_ktime_get_ns`", |design| design.name);
        let cells = join(&columns, |(_, column)| format!("{:.0}", column.over[at]));
        println!("| {name} | {cells} |");
    }
    println!(
        "| ours as it comes / hash map | {} |",
        join(&columns, |(_, column)| ratio(column, 0))
    );
    println!(
        "| ours without heads / hash map | {} |",
        join(&columns, |(_, column)| ratio(column, 1))
    );
    println!(
        "| empty program itself, with the mutator | {} |",
        join(&columns, |(_, column)| format!("{:.0}", column.empty))
    );
    println!();
    println!(
        "| {}, of {} packets each | {} |",
        layer.name(),
        PACKETS as usize * ROUNDS,
        join(&columns, |(name, _)| (*name).to_owned())
    );
    println!("|---|{}", "---|".repeat(columns.len()));
    for (at, design) in designs.ours.iter().enumerate() {
        let cells = join(&columns, |(_, column)| {
            let (before, after) = &column.counters[at];
            let ring = RefusedPacket::RingFull.index();
            format!(
                "{} / {} / {}",
                after.records - before.records,
                after.refused[ring].packets - before.refused[ring].packets,
                after.heads_sent - before.heads_sent
            )
        });
        println!(
            "| {}: records / packets refused (ring full) / heads | {cells} |",
            design.name
        );
    }
    println!(
        "| hash map: packets refused (full) | {} |\n",
        join(&columns, |(_, column)| column.hash_refused.to_string())
    );
    Ok(())
}

/// One distribution.
struct Column {
    empty: f64,
    /// Ours, then the hash map.
    over: Vec<f64>,
    /// Before and after the measured turns.
    counters: Vec<(PointCounters, PointCounters)>,
    hash_refused: u64,
}

fn measure(
    layer: Layer,
    designs: &mut Designs,
    nothing: &OwnedFd,
    flows: Flows<'_>,
    frame: &[u8],
) -> Result<Column> {
    let mutator = Mutator::new(layer, flows)?;
    let hash = HashDesign::new(layer, HASH_ENTRIES)?;
    let warm_up = match flows {
        Flows::Table(_) => TABLE as u32,
        Flows::New => PACKETS,
    };
    for design in &mut designs.ours {
        mutator.run(design.program(layer)?, frame, 0, warm_up)?;
    }
    mutator.run(hash.program(), frame, 0, warm_up)?;
    let before: Vec<_> = designs.ours.iter().map(Design::counted).collect();
    let (mut floor, mut times) = (Vec::new(), vec![Vec::new(); designs.ours.len() + 1]);
    for round in 1..=ROUNDS as u64 {
        let from = round * u64::from(PACKETS);
        let empty = f64::from(mutator.run(nothing.as_fd(), frame, from, PACKETS)?);
        floor.push(empty);
        for (design, times) in designs.ours.iter_mut().zip(&mut times) {
            let time = mutator.run(design.program(layer)?, frame, from, PACKETS)?;
            times.push(f64::from(time) - empty);
        }
        let time = mutator.run(hash.program(), frame, from, PACKETS)?;
        times[designs.ours.len()].push(f64::from(time) - empty);
    }
    let counters: Vec<_> = before
        .into_iter()
        .zip(designs.ours.iter().map(Design::counted))
        .collect();
    for (before, after) in &counters {
        ensure!(
            after.seen.packets - before.seen.packets == (ROUNDS * PACKETS as usize) as u64,
            "a program did not see every packet"
        );
    }
    Ok(Column {
        empty: median(floor),
        over: times.into_iter().map(median).collect(),
        counters,
        hash_refused: hash.refused()?,
    })
}

impl Design {
    fn program(&mut self, layer: Layer) -> Result<BorrowedFd<'_>> {
        let program = match layer {
            Layer::Xdp => self.kernel.xdp()?.fd(),
            Layer::Tc => self.kernel.classifier(false)?.fd(),
        };
        Ok(program.context("the program is loaded")?.as_fd())
    }

    fn counted(&self) -> PointCounters {
        self.counters.of_slot(self.slot)
    }
}

/// Every entry of the full cache of one CPU, read in place.
fn read(designs: &mut Designs) -> Result<()> {
    println!("| reading a full cache in place | entries | ns an entry |\n|---|---|---|");
    for design in &mut designs.ours {
        let mut times = Vec::new();
        let mut entries = 0;
        for _ in 0..101 {
            let start = Instant::now();
            let swept = design.cache.read(0, |record| {
                black_box(&record);
            });
            times.push(start.elapsed().as_nanos() as f64 / swept.entries as f64);
            entries = swept.entries;
        }
        ensure!(entries > 0, "the cache is full after a flood");
        println!("| {} | {entries} | {:.1} |", design.name, median(times));
    }
    println!();
    Ok(())
}

/// Records into the table of flows, in an order that is not that of memory.
fn merge() -> Result<()> {
    let mut table = FlowTable::new(FlowTableConfig {
        expiry: Expiry::Timeouts(Timeouts::default()),
        max_flows: MERGED,
        when_full: WhenFull::Fail,
    });
    let clock = WallClock::now();
    let (order, mut ended) = (permuted(MERGED), Vec::new());
    println!("| merging records into {MERGED} flows | ns a record |\n|---|---|");
    for (name, pass) in [("first record of a flow", 0), ("further record of a flow", 1)] {
        let mut times = Vec::new();
        for flows in order.chunks(1 << 12) {
            let records: Vec<FlowRecord> = flows.iter().map(|flow| record(*flow, pass)).collect();
            let start = Instant::now();
            table.records(&records, clock, &mut ended)?;
            times.push(start.elapsed().as_nanos() as f64 / records.len() as f64);
        }
        println!("| {name} | {:.1} |", median(times));
    }
    ensure!(ended.is_empty(), "no flow ended");
    Ok(())
}

fn record(flow: u32, pass: u64) -> FlowRecord {
    let time = 1_000_000_000 + pass * 10_000_000;
    let mut key = FlowKey {
        protocol: 6,
        ..FlowKey::default()
    };
    let origin = key.set_ends(
        (v4_mapped(flow.to_be_bytes()), flow as u16),
        (v4_mapped([198, 51, 100, 7]), 443),
    );
    let mut sides = [SideCounters::default(); 2];
    sides[origin as usize] = SideCounters {
        packets: 1,
        ip_bytes: 46,
        wire_bytes: 60,
        first: time,
        last: time,
        tcp_flags: 0x18,
        ttl_min: 61,
        ttl_max: 61,
        flag_counts: [0, 0, 0, 1, 1, 0, 0, 0],
        fragments: 0,
    };
    FlowRecord {
        key,
        point: Point {
            ifindex: 1,
            direction: HookDirection::Ingress,
        },
        cpu: 0,
        incarnation: u64::from(flow) * 2 + pass + 1,
        origin: if origin as usize == 0 {
            Side::Low
        } else {
            Side::High
        },
        sides,
        handshake: Handshake::default(),
        outer: None,
    }
}

/// TCP over IPv4 over Ethernet.
fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 61, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]);
    frame.extend([
        0x9c, 0x40, 1, 0xbb, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0,
    ]);
    frame.extend(payload);
    frame
}

/// Flows `0..flows` in an order without pattern, again and again.
fn permuted(flows: usize) -> Vec<u32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut order: Vec<u32> = (0..flows as u32).collect();
    for at in (1..flows).rev() {
        order.swap(at, random.below(at + 1));
    }
    order.into_iter().cycle().take(TABLE).collect()
}

/// Flow of rank `r` among a million with a share of 1 / r.
fn zipf() -> Vec<u32> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=TABLE)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    (0..TABLE)
        .map(|_| {
            let point = random.next() as f64 / u64::MAX as f64 * sum;
            sums.partition_point(|sum| *sum < point).min(TABLE - 1) as u32
        })
        .collect()
}

/// xorshift64*: the same packets in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn join<T>(columns: &[T], cell: impl Fn(&T) -> String) -> String {
    columns.iter().map(cell).collect::<Vec<_>>().join(" | ")
}

fn ratio(column: &Column, design: usize) -> String {
    match column.over.last() {
        Some(hash) if column.over[design] > 0.0 => format!("1/{:.1}", hash / column.over[design]),
        _ => "–".to_owned(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
