//! Compares flow lines (`lynceus flows`, from a file or an interface) with the truth of a capture, by the rules of
//! `../shared/tools/compare_flows.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What is compared beyond packets, IP bytes and TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// First and last time to the millisecond.
    pub times: bool,
    /// Bytes of the frames.
    pub frames: bool,
}

/// Which IP header made the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Outer,
    Inner,
}

impl Layer {
    /// Name on the command line and in the truth.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
        }
    }
}

/// The fields of a flow line that the truth knows.
#[derive(Clone, Debug, Deserialize)]
pub struct FlowLine {
    pub first: f64,
    pub last: f64,
    pub src_ip: IpAddr,
    pub src_port: Option<u16>,
    pub dst_ip: IpAddr,
    pub dst_port: Option<u16>,
    pub proto: u8,
    pub packets_out: u64,
    pub packets_in: u64,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub wire_bytes_out: u64,
    pub wire_bytes_in: u64,
    pub tcp_flags_out: Option<u8>,
    pub tcp_flags_in: Option<u8>,
    pub state: String,
    pub community_id: String,
}

/// Reads flow lines.
///
/// # Errors
/// A line is not a flow; the error names it.
pub fn flow_lines(text: &[u8]) -> Result<Vec<FlowLine>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .with_context(|| format!("not a flow: {}", String::from_utf8_lossy(line)))
        })
        .collect()
}

/// Every difference between the truth and the flows, in words; empty where they are equal.
///
/// # Errors
/// The truth cannot be read.
pub fn compare(truth: &Path, layer: Layer, checks: Checks, flows: &[FlowLine]) -> Result<Vec<String>> {
    let rows = truth_rows(truth)?;
    let layer = match rows.iter().any(|row| row.layer == Layer::Inner.name()) {
        true => layer,
        false => Layer::Outer,
    };
    let rows: Vec<TruthRow> = rows.into_iter().filter(|row| row.layer == layer.name()).collect();
    let fragmented: BTreeSet<u8> = rows
        .iter()
        .filter(|row| row.fragments > 0)
        .map(|row| row.proto)
        .collect();
    let mut expected = BTreeMap::new();
    for row in &rows {
        let (Ok(a), Ok(b)) = (row.a.parse(), row.b.parse()) else {
            continue;
        };
        let ends = ((a, row.a_port), (b, row.b_port));
        let (key, swap) = key(row.proto, ends, fragmented.contains(&row.proto));
        add(
            expected.entry(key).or_default(),
            swap,
            &[row.side_a(), row.side_b()],
            (row.first, row.last),
        );
    }
    let mut found = BTreeMap::new();
    for flow in flows {
        let ends = (
            (flow.src_ip, flow.src_port.unwrap_or(0)),
            (flow.dst_ip, flow.dst_port.unwrap_or(0)),
        );
        let (key, swap) = key(flow.proto, ends, fragmented.contains(&flow.proto));
        add(
            found.entry(key).or_default(),
            swap,
            &flow_sides(flow),
            (flow.first, flow.last),
        );
    }
    let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    let mut differences = Vec::new();
    for key in keys {
        match (expected.get(key), found.get(key)) {
            (Some(want), Some(have)) => {
                if let Some(what) = difference(key.0, want, have, checks) {
                    differences.push(format!(
                        "{key:?} differs in {what}: truth {want:?}, flows {have:?}"
                    ));
                }
            }
            (Some(want), None) => differences.push(format!("{key:?} only in truth: {want:?}")),
            (None, have) => differences.push(format!("{key:?} only in flows: {have:?}")),
        }
    }
    Ok(differences)
}

/// Protocol, then both ends in order.
type Key = (u8, (IpAddr, u16), (IpAddr, u16));

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    packets: u64,
    ip_bytes: u64,
    frame_bytes: u64,
    flags: u8,
}

#[derive(Debug)]
struct Total {
    sides: [Side; 2],
    first: f64,
    last: f64,
}

impl Default for Total {
    fn default() -> Self {
        Self {
            sides: [Side::default(); 2],
            first: f64::INFINITY,
            last: f64::NEG_INFINITY,
        }
    }
}

#[derive(Deserialize)]
struct TruthRow {
    kind: String,
    #[serde(default)]
    layer: String,
    #[serde(default)]
    proto: u8,
    #[serde(default)]
    a: String,
    #[serde(default)]
    a_port: u16,
    #[serde(default)]
    b: String,
    #[serde(default)]
    b_port: u16,
    #[serde(default)]
    a_packets: u64,
    #[serde(default)]
    b_packets: u64,
    #[serde(default)]
    a_frame_bytes: u64,
    #[serde(default)]
    b_frame_bytes: u64,
    #[serde(default)]
    a_ip_bytes: u64,
    #[serde(default)]
    b_ip_bytes: u64,
    #[serde(default)]
    a_flags: String,
    #[serde(default)]
    b_flags: String,
    #[serde(default)]
    first: f64,
    #[serde(default)]
    last: f64,
    #[serde(default)]
    fragments: u64,
}

impl TruthRow {
    fn side_a(&self) -> Side {
        Side {
            packets: self.a_packets,
            ip_bytes: self.a_ip_bytes,
            frame_bytes: self.a_frame_bytes,
            flags: flag_bits(&self.a_flags),
        }
    }

    fn side_b(&self) -> Side {
        Side {
            packets: self.b_packets,
            ip_bytes: self.b_ip_bytes,
            frame_bytes: self.b_frame_bytes,
            flags: flag_bits(&self.b_flags),
        }
    }
}

fn truth_rows(path: &Path) -> Result<Vec<TruthRow>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        // Rows of other kinds use the same names for other things.
        let kind: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), number + 1))?;
        if kind["kind"] == "flow" {
            let row: TruthRow =
                serde_json::from_value(kind).with_context(|| format!("{}:{}", path.display(), number + 1))?;
            debug_assert_eq!(row.kind, "flow");
            rows.push(row);
        }
    }
    Ok(rows)
}

fn flow_sides(flow: &FlowLine) -> [Side; 2] {
    [
        Side {
            packets: flow.packets_out,
            ip_bytes: flow.bytes_out,
            frame_bytes: flow.wire_bytes_out,
            flags: flow.tcp_flags_out.unwrap_or(0),
        },
        Side {
            packets: flow.packets_in,
            ip_bytes: flow.bytes_in,
            frame_bytes: flow.wire_bytes_in,
            flags: flow.tcp_flags_in.unwrap_or(0),
        },
    ]
}

/// The key of two ends without direction, and whether they had to be swapped (`None`: both are alike).
fn key(proto: u8, ends: ((IpAddr, u16), (IpAddr, u16)), by_pair: bool) -> (Key, Option<bool>) {
    let has_ports = matches!(proto, 6 | 17 | 33 | 132 | 136) && !by_pair;
    let (mut left, mut right) = ends;
    if !has_ports {
        left.1 = 0;
        right.1 = 0;
    }
    if left == right {
        ((proto, left, right), None)
    } else if left > right {
        ((proto, right, left), Some(true))
    } else {
        ((proto, left, right), Some(false))
    }
}

fn add(total: &mut Total, swap: Option<bool>, sides: &[Side; 2], times: (f64, f64)) {
    for (number, side) in sides.iter().enumerate() {
        let at = swap.map_or(0, |swap| number ^ usize::from(swap));
        let into = &mut total.sides[at];
        into.packets += side.packets;
        into.ip_bytes += side.ip_bytes;
        into.frame_bytes += side.frame_bytes;
        into.flags |= side.flags;
    }
    total.first = total.first.min(times.0);
    total.last = total.last.max(times.1);
}

fn difference(proto: u8, want: &Total, have: &Total, checks: Checks) -> Option<&'static str> {
    let differs = |of: fn(&Side) -> u64| {
        want.sides
            .iter()
            .zip(&have.sides)
            .any(|(one, other)| of(one) != of(other))
    };
    if differs(|side| side.packets) {
        Some("packets")
    } else if differs(|side| side.ip_bytes) {
        Some("IP bytes")
    } else if proto == 6 && differs(|side| u64::from(side.flags)) {
        Some("flags")
    } else if checks.frames && differs(|side| side.frame_bytes) {
        Some("frame bytes")
    } else if checks.times
        && ((want.first - have.first).abs() >= 1.5e-3 || (want.last - have.last).abs() >= 1.5e-3)
    {
        Some("times")
    } else {
        None
    }
}

fn flag_bits(letters: &str) -> u8 {
    letters
        .chars()
        .filter_map(|letter| "FSRPAUEC".find(letter))
        .fold(0, |bits, bit| bits | 1 << bit)
}
