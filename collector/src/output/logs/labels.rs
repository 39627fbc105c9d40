//! Labelled flows: `conn.log` with what was found of each flow, and what the input said itself.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceId, EvidenceType};
use lynceus_model::flow::{CommunityId, Endpoint, Flow, FlowEnd, FlowUpdate};
use lynceus_model::time::Timestamp;

use super::columns::LABELLED;
use super::conn;
use super::table::{Style, header};

/// What findings say of flows. `label` is `malicious` where evidence of an alert covers the flow, as in Slips, and
/// `benign` otherwise; `detailedlabel` names the types of all evidence that covers it, whether it came to an alert or not.
#[derive(Debug, Default)]
pub struct Labels {
    by_flow: HashMap<CommunityId, BTreeSet<EvidenceId>>,
    /// Evidence by its profile that covers more flows than it names.
    by_profile: HashMap<IpAddr, Vec<Cover>>,
    kinds: HashMap<EvidenceId, EvidenceType>,
    alerted: BTreeSet<EvidenceId>,
}

/// An evidence names at most [`Evidence::MAX_FLOWS`] flows. The others are those of its profile to the same server, or to
/// the same port in a scan, within its time.
#[derive(Clone, Copy, Debug)]
struct Cover {
    id: EvidenceId,
    server: Option<IpAddr>,
    port: Option<u16>,
    protocol: Option<u8>,
    first: Timestamp,
    last: Timestamp,
    /// Only what did not come about.
    silent: bool,
}

impl Cover {
    fn of(evidence: &Evidence) -> Option<Self> {
        use EvidenceType::{HorizontalPortScan, VerticalPortScan};
        let scan = matches!(evidence.kind, HorizontalPortScan | VerticalPortScan);
        let full = evidence.flows.len() >= Evidence::MAX_FLOWS;
        (full && (evidence.victim.is_some() || scan && evidence.dst_port.is_some())).then_some(Self {
            id: evidence.id,
            server: evidence.victim,
            port: evidence.dst_port,
            protocol: evidence.protocol,
            first: evidence.first,
            // A scan goes on after the evidence that says how large it was by then.
            last: if scan { Timestamp::MAX } else { evidence.last },
            silent: scan,
        })
    }

    fn covers(&self, flow: &Key) -> bool {
        self.server.is_none_or(|ip| ip == flow.server.ip)
            && self.port.is_none_or(|port| port == flow.server.port)
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && (self.first..=self.last).contains(&flow.first)
            && !(self.silent && flow.established)
    }
}

impl Labels {
    pub fn evidence(&mut self, evidence: &Evidence) {
        self.kinds.insert(evidence.id, evidence.kind);
        for flow in &evidence.flows {
            self.by_flow.entry(*flow).or_default().insert(evidence.id);
        }
        if let Some(cover) = Cover::of(evidence) {
            self.by_profile.entry(evidence.profile).or_default().push(cover);
        }
    }

    pub fn alert(&mut self, alert: &Alert) {
        self.alerted.extend(alert.terms.iter().map(|term| term.evidence));
    }

    fn of(&self, flow: &Key) -> (&'static str, Option<String>) {
        let mut found: BTreeSet<EvidenceId> = self.by_flow.get(&flow.id).cloned().unwrap_or_default();
        let covers = self.by_profile.get(&flow.client).into_iter().flatten();
        found.extend(covers.filter(|cover| cover.covers(flow)).map(|cover| cover.id));
        let malicious = found.iter().any(|id| self.alerted.contains(id));
        let names: BTreeSet<&str> = found
            .iter()
            .filter_map(|id| Some(self.kinds.get(id)?.name()))
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let label = if malicious { "malicious" } else { "benign" };
        (label, (!names.is_empty()).then(|| names.join(",")))
    }
}

/// Flows wait in a file beside the wanted one, because the last finding may be about the first flow.
#[derive(Debug)]
pub struct LabelledFlows {
    path: PathBuf,
    waiting: PathBuf,
    style: Style,
    spill: BufWriter<File>,
}

/// What labels need of a flow.
#[derive(Clone, Copy, Debug)]
struct Key {
    id: CommunityId,
    client: IpAddr,
    server: Endpoint,
    protocol: u8,
    first: Timestamp,
    established: bool,
}

impl Key {
    fn of(flow: &Flow) -> Self {
        let (client, server) = flow.client_server();
        Self {
            id: flow.community_id,
            client: client.ip,
            server,
            protocol: flow.tuple.protocol,
            first: flow.first,
            established: flow.established(),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for byte in self.id.0 {
            write!(out, "{byte:02x}")?;
        }
        let (server, established) = (self.server, u8::from(self.established));
        write!(
            out,
            "\t{}\t{}\t{}\t{}\t{}\t{established}\t",
            self.client, server.ip, server.port, self.protocol, self.first.0
        )
    }

    /// The key and the row behind it.
    fn read(line: &str) -> Option<(Self, &str)> {
        let mut parts = line.splitn(8, '\t');
        let mut next = || parts.next();
        let (digits, client, ip, port) = (next()?, next()?, next()?, next()?);
        let (protocol, first, established) = (next()?, next()?, next()?);
        let mut id = [0; 20];
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        let key = Self {
            id: CommunityId(id),
            client: client.parse().ok()?,
            server: Endpoint {
                ip: ip.parse().ok()?,
                port: port.parse().ok()?,
            },
            protocol: protocol.parse().ok()?,
            first: Timestamp(first.parse().ok()?),
            established: established == "1",
        };
        Some((key, next()?))
    }
}

impl LabelledFlows {
    /// # Errors
    /// The files cannot be made.
    pub fn create(path: &Path, style: Style) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".unlabelled");
        let waiting = PathBuf::from(name);
        // Made now, so that a path that cannot be written is told before the work and not after it.
        File::create(path)?;
        Ok(Self {
            path: path.to_owned(),
            spill: BufWriter::with_capacity(1 << 16, File::create(&waiting)?),
            waiting,
            style,
        })
    }

    /// A flow; taken with its last report, which has the totals of all of it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flow(&mut self, update: &FlowUpdate) -> io::Result<()> {
        if update.end == FlowEnd::Active {
            return Ok(());
        }
        Key::of(&update.flow).write(&mut self.spill)?;
        self.spill
            .write_all(&conn::labelled(&update.flow).line(self.style))?;
        self.spill.write_all(b"\n")
    }

    /// Writes the labels.
    ///
    /// # Errors
    /// As [`Self::flow`].
    pub fn finish(mut self, labels: &Labels) -> io::Result<()> {
        self.spill.flush()?;
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&self.path)?);
        if self.style == Style::Tsv {
            out.write_all(header(&LABELLED).as_bytes())?;
        }
        for line in BufReader::new(File::open(&self.waiting)?).lines() {
            let line = line?;
            let damaged = || {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a row that waited for its label is damaged",
                )
            };
            let (key, row) = Key::read(&line).ok_or_else(damaged)?;
            let (label, detail) = labels.of(&key);
            match self.style {
                Style::Tsv => {
                    // The last two columns are the labels, unset so far.
                    let known = row.strip_suffix("\t-\t-").ok_or_else(damaged)?;
                    writeln!(out, "{known}\t{label}\t{}", detail.as_deref().unwrap_or("-"))?;
                }
                Style::Json => {
                    let known = row.strip_suffix('}').ok_or_else(damaged)?;
                    // Names of types need no escapes.
                    let detail = detail
                        .map(|detail| format!(",\"detailedlabel\":\"{detail}\""))
                        .unwrap_or_default();
                    writeln!(out, "{known},\"label\":\"{label}\"{detail}}}")?;
                }
            }
        }
        out.flush()?;
        std::fs::remove_file(&self.waiting)
    }
}
