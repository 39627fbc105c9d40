//! nfdump: its binary files through the program `nfdump`, and the CSV that it prints, by the names in its header.
//!
//! A row is one direction of a flow. Rows go through the flow table, which joins directions, and parts of a flow that the
//! exporter cut, as it does for packets.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowRecord, Handshake, HookDirection, Point, SideCounters};
use tempfile::TempPath;

use super::input::Input;
use super::log::facts::{self, Ends, ICMP, ICMPV6, TCP};
use super::log::{Parser, Refusal, Row, bad, time};

/// Columns that are read, by the names that versions of nfdump give them.
const COLUMNS: [&[&str]; 13] = [
    &["ts", "firstSeen", "first"],
    &["te", "lastSeen", "last"],
    &["td", "duration"],
    &["sa", "srcAddr"],
    &["da", "dstAddr"],
    &["sp", "srcPort"],
    &["dp", "dstPort"],
    &["pr", "proto"],
    &["flg", "flags", "tcpFlags"],
    &["ipkt", "pkt", "packets", "inPackets"],
    &["ibyt", "byt", "bytes", "inBytes"],
    &["opkt", "outPackets"],
    &["obyt", "outBytes"],
];
const FIRST: usize = 0;
const LAST: usize = 1;
const DURATION: usize = 2;
const SRC: usize = 3;
const DST: usize = 4;
const SPORT: usize = 5;
const DPORT: usize = 6;
const PROTO: usize = 7;
const FLAGS: usize = 8;
const PACKETS: usize = 9;
const BYTES: usize = 10;
const BACK_PACKETS: usize = 11;
const BACK_BYTES: usize = 12;

/// What `nfdump` is told to print, and the header for it. Unlike `-o csv` of the versions before 1.7.3 this has
/// milliseconds.
const PRINTED: &str = "fmt:%ts,%te,%sa,%da,%sp,%dp,%pr,%flg,%ipkt,%ibyt,%opkt,%obyt";
const HEADER: &str = "ts,te,sa,da,sp,dp,pr,flg,ipkt,ibyt,opkt,obyt\n";

/// The first bytes of nfdump's files, in both byte orders.
pub(super) const MAGICS: [[u8; 2]; 2] = [[0x0c, 0xa5], [0xa5, 0x0c]];

/// Reads the CSV.
#[derive(Default)]
pub(super) struct Nfdump {
    /// Of each column of the file which of [`COLUMNS`] it is.
    columns: Vec<Option<usize>>,
    /// Behind the rows comes a summary.
    over: bool,
    rows: u64,
}

/// Whether a line names columns of nfdump.
pub(super) fn is_header(line: &str) -> bool {
    let columns: Vec<_> = line.split(',').map(column).collect();
    [SRC, DST, BYTES]
        .iter()
        .all(|wanted| columns.contains(&Some(*wanted)))
}

fn column(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|names| names.contains(&name.trim()))
}

impl Parser for Nfdump {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn line(&mut self, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal> {
        let line = line.trim();
        if is_header(line) {
            self.columns = line.split(',').map(column).collect();
            self.over = false;
            return Ok(false);
        }
        self.over |= line.starts_with("Summary") || line.starts_with("No match");
        if line.is_empty() || self.over {
            return Ok(false);
        }
        if self.columns.is_empty() {
            return Err(bad("a row before the header that names its columns"));
        }
        let mut row = [""; COLUMNS.len()];
        let mut count = 0;
        for (value, column) in line.split(',').zip(&self.columns) {
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
        self.rows += 1;
        let record = record(&row, self.rows)?;
        rows.push(Row::record(record));
        Ok(true)
    }
}

fn record(row: &[&str; COLUMNS.len()], number: u64) -> Result<FlowRecord, Refusal> {
    let wrong = |column: usize, what: &str| {
        let shown: String = row[column].chars().take(60).collect();
        bad(format!("`{}` is `{shown}`, not {what}", COLUMNS[column][0]))
    };
    let first = time::time(row[FIRST]).ok_or_else(|| wrong(FIRST, "a time"))?;
    let by_duration = || time::duration(row[DURATION]).map(|duration| first.saturating_add(duration));
    let last = time::time(row[LAST])
        .or_else(by_duration)
        .unwrap_or(first)
        .max(first);
    let protocol = facts::protocol(row[PROTO]).ok_or_else(|| wrong(PROTO, "a protocol"))?;
    let address = |column: usize| {
        row[column]
            .parse::<IpAddr>()
            .map_err(|_| wrong(column, "an address"))
    };
    let (source, destination) = (address(SRC)?, address(DST)?);
    let ports = match protocol {
        ICMP | ICMPV6 => type_and_code(row[DPORT]).ok_or_else(|| wrong(DPORT, "a type and code"))?,
        _ => {
            let port = |column: usize| row[column].parse::<u16>().map_err(|_| wrong(column, "a port"));
            [port(SPORT)?, port(DPORT)?]
        }
    };
    let counter = |column: usize| match row[column] {
        "" => Ok(0),
        text => text.parse::<u64>().map_err(|_| wrong(column, "a number")),
    };
    let flags = row[FLAGS].chars().fold(0, |flags, letter| {
        let bit = "FSRPAUEC".find(letter);
        flags | bit.map_or(0, |bit| 1u8 << bit)
    });
    let half = Half {
        ends: Ends::new((source, ports[0]), (destination, ports[1]), protocol),
        first,
        last,
        flags,
        out: [counter(PACKETS)?, counter(BYTES)?],
        back: [counter(BACK_PACKETS)?, counter(BACK_BYTES)?],
    };
    Ok(half.record(number, 0))
}

/// `8.0`, or both in one number as NetFlow has it.
fn type_and_code(text: &str) -> Option<[u16; 2]> {
    if let Some((kind, code)) = text.split_once('.') {
        return Some([kind.parse::<u8>().ok()?.into(), code.parse::<u8>().ok()?.into()]);
    }
    let both: u16 = text.parse().ok()?;
    Some([both >> 8, both & 0xff])
}

/// What an exporter says of one direction of a flow, or of both.
pub(super) struct Half {
    pub(super) ends: Ends,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) flags: u8,
    /// Packets and IP bytes.
    pub(super) out: [u64; 2],
    pub(super) back: [u64; 2],
}

impl Half {
    /// As a record of the kernel. `point`: the exporter's interface, so that what two of them saw does not count twice.
    pub(super) fn record(self, number: u64, point: u32) -> FlowRecord {
        let nanos = |time: Timestamp| u64::try_from(time.0).unwrap_or(0);
        let side = |[packets, bytes]: [u64; 2]| SideCounters {
            packets,
            ip_bytes: bytes,
            first: nanos(self.first),
            last: nanos(self.last),
            tcp_flags: if self.ends.tuple.protocol == TCP {
                self.flags
            } else {
                0
            },
            // Of a single packet the flags are known one by one.
            flag_counts: std::array::from_fn(|bit| {
                u32::from(packets == 1) * u32::from(self.flags >> bit & 1)
            }),
            ..SideCounters::default()
        };
        let origin = self.ends.origin;
        let mut sides = [SideCounters::default(); 2];
        sides[origin as usize] = side(self.out);
        if self.back[0] > 0 {
            sides[origin.other() as usize] = side(self.back);
        }
        FlowRecord {
            key: self.ends.key,
            point: Point {
                ifindex: point,
                direction: HookDirection::Ingress,
            },
            // Records of one place come in order; which of two directions came first is for flags and ports to say.
            cpu: origin as u16,
            incarnation: number,
            origin,
            sides,
            handshake: Handshake::default(),
            outer: None,
        }
    }
}

/// A binary file, for the program `nfdump`, which reads plain files only.
pub(crate) enum Binary {
    Plain(PathBuf),
    /// Packed, or from a pipe: copied into a temporary file first.
    Stream(Box<Input>),
}

/// Bytes of a copy; more are not read. Such a file of nfdump holds some hundred million flows.
const MAX_COPY: u64 = 16 << 30;
/// Of what the program says about a fault.
const MAX_SAID: usize = 4096;

impl Binary {
    pub(super) fn of(path: &Path, input: Input) -> Self {
        let plain = || {
            let mut first = [0; 2];
            File::open(path)?.read_exact(&mut first)?;
            io::Result::Ok(MAGICS.contains(&first))
        };
        // A pipe cannot be opened again, and what it would give is not what was recognized.
        if path.is_file() && plain().unwrap_or(false) {
            Self::Plain(path.to_owned())
        } else {
            Self::Stream(Box::new(input))
        }
    }

    /// The rows, as `nfdump` prints them.
    pub(crate) fn open(self) -> io::Result<Input> {
        match self {
            Self::Plain(path) => printed(&path, None, None),
            Self::Stream(mut input) => {
                let mut copy = tempfile::NamedTempFile::new()?;
                let copied = io::copy(&mut (&mut input).take(MAX_COPY), &mut copy);
                let fault = match copied {
                    Ok(MAX_COPY) => Some(io::Error::other(
                        "more than 16 GiB of nfdump's binary data in a stream",
                    )),
                    Ok(_) => None,
                    Err(error) => Some(error),
                };
                let copy = copy.into_temp_path();
                let path = copy.to_path_buf();
                printed(&path, Some(copy), fault)
            }
        }
    }
}

fn printed(path: &Path, copy: Option<TempPath>, fault: Option<io::Error>) -> io::Result<Input> {
    let child = Command::new("nfdump")
        .args(["-q", "-N", "-6", "-o", PRINTED, "-r"])
        .arg(path)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::other("nfdump's binary files are read by the program nfdump, which is not installed")
        }
        _ => error,
    })?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let printed = Printed {
        child,
        stdout,
        said: Some(std::thread::spawn(move || said(stderr))),
        fault,
        _copy: copy,
    };
    Input::new(Cursor::new(HEADER).chain(printed))
}

/// What the program says beside its rows, to its end, so that it never waits for a reader.
fn said(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut piece) {
        let room = MAX_SAID.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// What a running `nfdump` prints; its failure is an error at the end. It calls a file that ends too early a success, and
/// says only beside the rows that it does.
struct Printed {
    child: Child,
    stdout: ChildStdout,
    said: Option<JoinHandle<String>>,
    /// Of the stream that the file was copied from.
    fault: Option<io::Error>,
    /// Goes with us.
    _copy: Option<TempPath>,
}

impl Read for Printed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(into)?;
        if count > 0 || into.is_empty() {
            return Ok(count);
        }
        let said = self.said.take().and_then(|said| said.join().ok());
        let status = self.child.wait()?;
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        match said.unwrap_or_default() {
            said if status.success() && said.is_empty() => Ok(0),
            said if said.is_empty() => Err(io::Error::other(format!("nfdump: {status}"))),
            said => Err(io::Error::other(format!("nfdump: {said}"))),
        }
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        // Ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests;
