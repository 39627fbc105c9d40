//! Tables and samples of a profile, whole or with the sketches of what they had to forget.

use lynceus_model::profile::{Attempt, Cell, Distinct, Draws, Earliest, Heavy, Sample, Sums, Table};
use lynceus_model::time::Timestamp;

use super::counts::counts_of;
use super::key::WireKey;
use crate::field::{Checked, Invalid, Problem, community_id, list, required};
use crate::v1;

pub(super) fn table<K: WireKey>(
    field: &'static str,
    wire: Option<v1::Table>,
    limit: u16,
) -> Checked<Table<K>> {
    let Some(wire) = wire else {
        return Ok(Table::new(limit));
    };
    let read = || {
        let rows = list("rows", wire.rows, usize::from(limit), |mut row| {
            Ok((key(row.key.take())?, cell(row)?))
        })?;
        let overflow = wire.overflow.map(overflow).transpose()?;
        rows_with_sketch(rows.len(), overflow.is_some())?;
        Ok(Table::from_parts(limit, rows, overflow))
    };
    read().map_err(|error: Invalid| error.inside(field))
}

/// Nothing is sent for an empty table.
pub(super) fn table_of<K: WireKey>(table: &Table<K>) -> Option<v1::Table> {
    if table.is_empty() {
        return None;
    }
    let rows = table.rows().map(|(key, cell)| v1::Row {
        key: Some(key.to_wire()),
        counts: counts_of(cell.counts),
        draw_bytes: cell.draws.bytes,
        draw_flows: cell.draws.flows,
        earliest: Some(cell.earliest.into()),
        last: cell.last.0,
    });
    let overflow = table.overflow().map(|(distinct, heavy)| v1::Overflow {
        distinct: distinct.registers().to_vec(),
        sums: heavy.sums.cells().to_vec(),
        by_bytes: draws_of(&heavy.by_bytes),
        by_flows: draws_of(&heavy.by_flows),
    });
    Some(v1::Table {
        rows: rows.collect(),
        overflow,
    })
}

pub(super) fn sample<K: WireKey>(
    field: &'static str,
    wire: Option<v1::Sample>,
    limit: u16,
) -> Checked<Sample<K, Attempt>> {
    let Some(wire) = wire else {
        return Ok(Sample::new(limit));
    };
    let read = || {
        let rows = list("rows", wire.rows, usize::from(limit), |mut row| {
            Ok((key(row.key.take())?, attempt(row)?))
        })?;
        let distinct = wire.distinct.map(|registers| distinct(&registers)).transpose()?;
        rows_with_sketch(rows.len(), distinct.is_some())?;
        Ok(Sample::from_parts(limit, rows, distinct))
    };
    read().map_err(|error: Invalid| error.inside(field))
}

pub(super) fn sample_of<K: WireKey>(sample: &Sample<K, Attempt>) -> Option<v1::Sample> {
    if sample.is_empty() {
        return None;
    }
    let rows = sample.rows().map(|(key, attempt)| v1::Attempt {
        key: Some(key.to_wire()),
        flows: attempt.flows,
        packets: attempt.packets,
        earliest: Some(attempt.earliest.into()),
        last: attempt.last.0,
    });
    Some(v1::Sample {
        rows: rows.collect(),
        distinct: sample
            .distinct_sketch()
            .map(|distinct| distinct.registers().to_vec()),
    })
}

/// A table forgets rows only when it is full.
fn rows_with_sketch(rows: usize, sketch: bool) -> Checked<()> {
    if rows == 0 && sketch {
        return Err(Invalid::new("rows", Problem::Missing));
    }
    Ok(())
}

fn key<K: WireKey>(wire: Option<v1::Key>) -> Checked<K> {
    K::from_wire(required("key", wire)?).map_err(|error| error.inside("key"))
}

fn cell(wire: v1::Row) -> Checked<Cell> {
    Ok(Cell {
        counts: wire.counts.unwrap_or_default().into(),
        draws: Draws {
            bytes: wire.draw_bytes,
            flows: wire.draw_flows,
        },
        earliest: earliest(wire.earliest)?,
        last: Timestamp(wire.last),
    })
}

fn attempt(wire: v1::Attempt) -> Checked<Attempt> {
    Ok(Attempt {
        flows: wire.flows,
        packets: wire.packets,
        earliest: earliest(wire.earliest)?,
        last: Timestamp(wire.last),
    })
}

fn earliest(wire: Option<v1::Earliest>) -> Checked<Earliest> {
    let wire = required("earliest", wire)?;
    Ok(Earliest {
        first: Timestamp(wire.first),
        community_id: community_id("earliest.community_id", &wire.community_id)?,
        packets: wire.packets,
    })
}

impl From<Earliest> for v1::Earliest {
    fn from(earliest: Earliest) -> Self {
        Self {
            first: earliest.first.0,
            community_id: earliest.community_id.0.to_vec(),
            packets: earliest.packets,
        }
    }
}

fn overflow<K: WireKey>(wire: v1::Overflow) -> Checked<(Distinct, Heavy<K>)> {
    let sums = Sums::from_cells(&wire.sums).ok_or_else(|| {
        Invalid::new(
            "overflow.sums",
            Problem::Length {
                length: wire.sums.len(),
                expected: "1536 numbers",
            },
        )
    })?;
    let heavy = Heavy {
        sums,
        by_bytes: draws("overflow.by_bytes", wire.by_bytes)?,
        by_flows: draws("overflow.by_flows", wire.by_flows)?,
    };
    Ok((distinct(&wire.distinct)?, heavy))
}

fn distinct(registers: &[u8]) -> Checked<Distinct> {
    Distinct::from_registers(registers).ok_or_else(|| {
        Invalid::new(
            "distinct",
            Problem::Mismatch {
                what: "1024 registers of at most 55 are needed",
            },
        )
    })
}

fn draws<K: WireKey>(field: &'static str, wire: Vec<v1::Draw>) -> Checked<Vec<(u64, K)>> {
    list(field, wire, Heavy::<K>::LIMIT, |draw| {
        Ok((draw.number, key(draw.key)?))
    })
}

fn draws_of<K: WireKey>(draws: &[(u64, K)]) -> Vec<v1::Draw> {
    draws
        .iter()
        .map(|(number, key)| v1::Draw {
            number: *number,
            key: Some(key.to_wire()),
        })
        .collect()
}
