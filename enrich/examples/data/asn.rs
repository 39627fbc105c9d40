//! Autonomous systems: CSV of first and last address, number, organization.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, bail};
use lynceus_enrich::offline::write::{Writer, text};

use crate::Cut;

type Line = (IpAddr, IpAddr, u32, String);

pub(crate) fn write(writer: &mut Writer, folder: &Path) -> anyhow::Result<()> {
    let (v4, v6) = (
        read(&folder.join("asn-ipv4.csv"))?,
        read(&folder.join("asn-ipv6.csv"))?,
    );
    // One system may have two spellings of its name: each is a record.
    let mut systems: BTreeMap<(u32, &str), u32> = v4
        .iter()
        .chain(&v6)
        .map(|(_, _, number, name)| ((*number, name.as_str()), 0))
        .collect();
    for (at, record) in systems.values_mut().enumerate() {
        *record = at as u32 + 1;
    }
    let (mut small, mut large) = (Cut(Vec::new()), Cut(Vec::new()));
    for (first, last, number, name) in v4.iter().chain(&v6) {
        let record = systems[&(*number, name.as_str())];
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => small.add(first.to_bits(), last.to_bits(), record)?,
            (IpAddr::V6(first), IpAddr::V6(last)) => large.add(first.to_bits(), last.to_bits(), record)?,
            _ => bail!("{first} to {last}: two families"),
        }
    }
    writer.ranges("v4", &small.0)?;
    writer.ranges("v6", &large.0)?;
    let rows: Vec<_> = systems
        .keys()
        .map(|(number, name)| (vec![text(name)], vec![i64::from(*number)]))
        .collect();
    writer.records("records", &rows, 1, 1)?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .with_context(|| path.display().to_string())?;
    let lines: Result<Vec<Line>, _> = reader.deserialize().collect();
    lines.with_context(|| path.display().to_string())
}
