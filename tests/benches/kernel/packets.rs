//! What a packet costs in each program, and what became of the packets.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Result, ensure};
use lynceus_tests::mutator::{Flows, HashDesign, Layer, Mutator, TABLE, empty};
use lynceus_tests::traffic::pin_to_cpu;
use sensor_ebpf::counters::{PointCounters, RefusedPacket};

use super::designs::{Design, Designs};
use super::traffic::{DATA, SYN, frame, permuted, zipf};
use super::{Wanted, median};

/// Packets that a program gets in one turn: twice the slots of the record ring.
pub(super) const PACKETS: u32 = 1 << 16;
/// Turns of each program: all flows of a table pass in them.
const ROUNDS: usize = TABLE / PACKETS as usize;
/// Twice what the flood and its warm-up need, so that the hash map refuses nothing.
const HASH_ENTRIES: u32 = 1 << 21;
/// Columns of the tables.
pub(super) const CASES: [&str; 6] = ["1 flow", "1 k", "1 M", "Zipf 1 M", "flood", "SYN flood"];

/// Both tables of a hook: what a packet costs, and what was recorded and refused meanwhile.
pub(super) fn measure_all(layer: Layer, wanted: &Wanted, designs: &mut Designs) -> Result<()> {
    pin_to_cpu(0)?;
    let nothing = empty(layer)?;
    let data = frame(DATA, b"sixsix");
    let syn = frame(SYN, &[]);
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
                "{} / {} / {} / {}",
                after.records - before.records,
                after.cold_records - before.cold_records,
                after.refused[ring].packets - before.refused[ring].packets,
                after.heads_sent - before.heads_sent
            )
        });
        println!(
            "| {}: records / with cold fields / packets refused (ring full) / heads | {cells} |",
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

fn join<T>(columns: &[T], cell: impl Fn(&T) -> String) -> String {
    columns.iter().map(cell).collect::<Vec<_>>().join(" | ")
}

fn ratio(column: &Column, design: usize) -> String {
    match column.over.last() {
        Some(hash) if column.over[design] > 0.0 => format!("1/{:.1}", hash / column.over[design]),
        _ => "–".to_owned(),
    }
}
