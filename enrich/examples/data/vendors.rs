//! Makers of network cards: the registries MA-L, MA-M, MA-S and IAB.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use lynceus_enrich::offline::write::{Writer, text};

/// First and last address of a block, and whose it is.
type Block = (u64, u64, String);

pub(crate) fn write(writer: &mut Writer, folder: &Path) -> anyhow::Result<()> {
    let mut blocks = Vec::new();
    for file in ["oui.csv", "mam.csv", "oui36.csv", "iab.csv"] {
        read(&folder.join(file), &mut blocks)?;
    }
    let mut names: BTreeMap<&str, u32> = blocks.iter().map(|(_, _, name)| (name.as_str(), 0)).collect();
    for (at, number) in names.values_mut().enumerate() {
        *number = at as u32 + 1;
    }
    let ranges = flatten(&blocks, |name| names[name]);
    writer.ranges("mac", &ranges)?;
    let rows: Vec<_> = names
        .keys()
        .map(|name| (vec![(*name).to_owned()], Vec::new()))
        .collect();
    writer.records("records", &rows, 1, 0)?;
    Ok(())
}

/// Lines `registry, assignment, organization, address`.
fn read(path: &Path, blocks: &mut Vec<Block>) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_path(path).with_context(|| path.display().to_string())?;
    for line in reader.byte_records() {
        let line = line?;
        let field = |at: usize| String::from_utf8_lossy(line.get(at).unwrap_or_default()).into_owned();
        let assignment = field(1);
        let bits = assignment.len() as u32 * 4;
        ensure!((24..=40).contains(&bits), "{assignment:?} is no assignment");
        let first = u64::from_str_radix(&assignment, 16)? << (48 - bits);
        blocks.push((first, first | ((1 << (48 - bits)) - 1), text(&field(2))));
    }
    Ok(())
}

/// Blocks in blocks: the narrower one wins.
fn flatten(blocks: &[Block], number: impl Fn(&str) -> u32) -> Vec<(u64, u32)> {
    let mut sorted: Vec<&Block> = blocks.iter().collect();
    // The wider block first where two begin together; the first of two equal ones stays.
    sorted.sort_by_key(|(first, last, _)| (*first, std::cmp::Reverse(*last)));
    sorted.dedup_by_key(|(first, last, _)| (*first, *last));
    let mut open: Vec<(u64, u32)> = Vec::new();
    let mut ranges = Vec::new();
    let close = |open: &mut Vec<(u64, u32)>, ranges: &mut Vec<(u64, u32)>, until: u64| {
        while let Some((last, _)) = open.last().copied().filter(|(last, _)| *last < until) {
            open.pop();
            ranges.push((last + 1, open.last().map_or(0, |(_, outer)| *outer)));
        }
    };
    for (first, last, name) in sorted {
        close(&mut open, &mut ranges, *first);
        ranges.push((*first, number(name)));
        open.push((*last, number(name)));
    }
    close(&mut open, &mut ranges, u64::MAX);
    ranges
}
