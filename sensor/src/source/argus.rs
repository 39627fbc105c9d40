//! Argus' flows as `ra` prints them: a header line that names the columns, apart by commas or tabs.

use std::net::IpAddr;

use lynceus_model::flow::{ConnState, Flow, FlowEnd, FlowUpdate, Reported, Service, Totals};

use super::log::facts::{self, Ends, ICMP, ICMPV6, TCP};
use super::log::{Parser, Reason, Refusal, Row, bad, time};
use crate::flow_table::state_of_flags;

/// Columns that are read.
const COLUMNS: [&str; 14] = [
    "StartTime",
    "Dur",
    "Proto",
    "SrcAddr",
    "Sport",
    "Dir",
    "DstAddr",
    "Dport",
    "State",
    "TotPkts",
    "TotBytes",
    "SrcPkts",
    "SrcBytes",
    "Label",
];
const START: usize = 0;
const DUR: usize = 1;
const PROTO: usize = 2;
const SRC: usize = 3;
const SPORT: usize = 4;
const DIR: usize = 5;
const DST: usize = 6;
const DPORT: usize = 7;
const STATE: usize = 8;
const PACKETS: usize = 9;
const BYTES: usize = 10;
const SRC_PACKETS: usize = 11;
const SRC_BYTES: usize = 12;
const LABEL: usize = 13;

/// Reads `ra`'s output.
#[derive(Default)]
pub(super) struct Argus {
    separator: char,
    /// Of each column of the file which of [`COLUMNS`] it is.
    columns: Vec<Option<usize>>,
}

/// Whether a line names columns of Argus.
pub(super) fn is_header(line: &str) -> bool {
    ["SrcAddr", "DstAddr", "Proto"]
        .iter()
        .all(|name| line.split([',', '\t']).any(|column| column.trim() == *name))
}

impl Argus {
    fn header(&mut self, line: &str) {
        self.separator = if line.contains('\t') { '\t' } else { ',' };
        let name = |column: &str| COLUMNS.iter().position(|known| *known == column.trim());
        self.columns = line.split(self.separator).map(name).collect();
    }

    fn row(&self, line: &str) -> Result<FlowUpdate, Refusal> {
        let mut row = [""; COLUMNS.len()];
        let mut count = 0;
        // A label may have commas in it; it is the last column.
        for (value, column) in line.splitn(self.columns.len(), self.separator).zip(&self.columns) {
            count += 1;
            if let Some(column) = column {
                row[*column] = value.trim();
            }
        }
        if count < self.columns.len() {
            return Err(bad(format!(
                "{count} columns, and the header names {}",
                self.columns.len()
            )));
        }
        update(&row)
    }
}

impl Parser for Argus {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn line(&mut self, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal> {
        let line = line.trim_start_matches('\u{feff}');
        if line.trim().is_empty() {
            return Ok(false);
        }
        if is_header(line) {
            self.header(line);
            return Ok(false);
        }
        if self.columns.is_empty() {
            return Err(bad("a row before the header that names its columns"));
        }
        rows.push(Row::flow(self.row(line)?));
        Ok(true)
    }
}

fn update(row: &[&str; COLUMNS.len()]) -> Result<FlowUpdate, Refusal> {
    let wrong = |column: usize, what: &str| {
        let shown: String = row[column].chars().take(60).collect();
        bad(format!("`{}` is `{shown}`, not {what}", COLUMNS[column]))
    };
    let first = time::time(row[START]).ok_or_else(|| wrong(START, "a time"))?;
    let duration = time::duration(row[DUR]).ok_or_else(|| wrong(DUR, "a duration"))?;
    let protocol = facts::protocol(row[PROTO]).ok_or(Reason::NotIp)?;
    let address = |column: usize| {
        row[column]
            .parse::<IpAddr>()
            .map_err(|_| wrong(column, "an address"))
    };
    let [source, destination] = [address(SRC)?, address(DST)?];
    let ports = if matches!(protocol, ICMP | ICMPV6) {
        // 0x0403: code 4 of type 3.
        let pair = port(row[SPORT]).ok_or_else(|| wrong(SPORT, "a type and code"))?;
        [pair & 0xff, pair >> 8]
    } else {
        let read =
            |column: usize| port(row[column]).ok_or_else(|| wrong(column, "a number (let ra print with -n)"));
        [read(SPORT)?, read(DPORT)?]
    };
    let number = |column: usize| row[column].parse::<u64>().ok();
    let side = |all: usize, source: usize| match (number(all), number(source)) {
        (Some(all), Some(source)) => [source, all.saturating_sub(source)],
        (Some(all), None) => [all, 0],
        (None, source) => [source.unwrap_or(0), 0],
    };
    let (packets, bytes) = (side(PACKETS, SRC_PACKETS), side(BYTES, SRC_BYTES));
    let flags = flags(row[STATE]);
    let [mut out, mut back] = [0, 1].map(|side| Totals {
        packets: packets[side],
        // Argus counts whole frames.
        bytes: bytes[side],
        wire_bytes: bytes[side],
        tcp_flags: if protocol == TCP {
            flags.map_or(0, |flags| flags[side])
        } else {
            0
        },
        ..Totals::default()
    });
    let (mut from, mut to) = ((source, ports[0]), (destination, ports[1]));
    if row[DIR].contains("<-") && !row[DIR].contains("->") {
        // The destination began.
        std::mem::swap(&mut from, &mut to);
        std::mem::swap(&mut out, &mut back);
    }
    let ends = Ends::new(from, to, protocol);
    let (state, established) = state(row[STATE], ends.tuple.protocol, &out, &back);
    let flow = Flow {
        tuple: ends.tuple,
        community_id: ends.community_id,
        first,
        last: first.saturating_add(duration),
        state,
        icmp: ends.icmp,
        vlan: Vec::new(),
        tunnel: None,
        rtt: None,
        seen_at: Vec::new(),
        service: Service::Unseen,
        reported: Some(Box::new(Reported {
            established,
            label: (!row[LABEL].is_empty()).then(|| row[LABEL].to_owned()),
            ..Reported::default()
        })),
        out,
        back,
    };
    Ok(FlowUpdate {
        new_out: out,
        new_back: back,
        part: 0,
        end: FlowEnd::Idle,
        flow,
    })
}

/// A number, in hexadecimal digits after `0x`; protocols without ports have none.
fn port(text: &str) -> Option<u16> {
    if text.is_empty() {
        return Some(0);
    }
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// TCP flags of both sides from a state such as `FSPA_SRPA`.
fn flags(state: &str) -> Option<[u8; 2]> {
    let (source, destination) = state.split_once('_')?;
    let read = |letters: &str| {
        letters.chars().try_fold(0, |flags, letter| {
            let bit = "FSRPAUEC".find(letter)?;
            Some(flags | 1u8 << bit)
        })
    };
    Some([read(source)?, read(destination)?])
}

/// The state from TCP's flags where Argus gives them, else from its word; the word also says whether a connection came
/// about. A word about ICMP or an unknown one (`ECO`, `UNK`, `URP` …) says less than who sent packets.
fn state(word: &str, protocol: u8, out: &Totals, back: &Totals) -> (ConnState, Option<bool>) {
    if protocol == TCP && flags(word).is_some() {
        return (state_of_flags(protocol, out, back), None);
    }
    let answered = out.packets > 0 && back.packets > 0;
    let by_packets = if answered { ConnState::Sf } else { ConnState::S0 };
    let several = out.packets + back.packets > 3;
    match word {
        "CON" | "EST" => (
            if protocol == TCP {
                ConnState::S1
            } else {
                ConnState::Sf
            },
            Some(true),
        ),
        "INT" | "REQ" => (ConnState::S0, Some(false)),
        "FIN" | "CLO" => (by_packets, Some(several)),
        "RST" => (
            if several { ConnState::Rstr } else { ConnState::Rej },
            Some(several),
        ),
        _ => (by_packets, None),
    }
}

#[cfg(test)]
mod tests;
