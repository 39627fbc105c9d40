//! Law 2, kernel paths: a capture that is sent into an interface gives, through XDP and through TCX, the flows that its
//! file gives. Times are not compared: the frames are sent at full speed. Packets of other links than Ethernet get an
//! Ethernet header in place of theirs; frames that the capture cut are sent cut.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lynceus_model::flow::{ConnState, FiveTuple, Flow, FlowUpdate, Totals, TunnelKind};
use lynceus_model::time::Timestamp;
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, WhenFull};
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::source::Status;
use lynceus_sensor::source::pcap::{CaptureReader, Depth, PcapError, PcapSource};
use lynceus_tests::fixtures::{Capture, captures, shared};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{FrameSocket, pin_to_cpu};
use sensor_ebpf::parse::Link;

use super::live::{Captured, Live, config};

/// The longest frame that a veth pair takes besides its header.
pub(crate) const MTU: u32 = 65_535;
/// A packet socket sends no frame without a whole Ethernet header.
const SHORTEST: usize = 14;

/// What must be equal.
type Key = (FiveTuple, Vec<u16>, Option<(TunnelKind, Option<u32>)>);
type Value = (Totals, Totals, ConnState, Option<(u8, u8)>);

#[test]
fn captures_give_the_same_flows_through_xdp_and_tcx() {
    let Some(_root) = need_root() else { return };
    let Some(shared) = shared() else { return };
    let captures = captures(&shared).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for hook in [HookChoice::Tcx, HookChoice::Xdp] {
        let pair = Pair::new(VethOptions {
            mtu: MTU,
            ..VethOptions::default()
        })
        .unwrap();
        for capture in &captures {
            let sendable = Sendable::read(&capture.path).unwrap();
            if hook == HookChoice::Tcx
                && let Some(change) = sendable.change()
            {
                println!("{}: {change}", capture.id);
            }
            let differences = replay(&pair, hook, capture, &sendable)
                .with_context(|| format!("{hook:?} {}", capture.id))
                .unwrap();
            compared += 1;
            wrong.extend(
                differences
                    .into_iter()
                    .map(|line| format!("{hook:?} {}: {line}", capture.id)),
            );
        }
    }
    println!("{compared} replays compared");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared >= 2 * captures.len(), "only {compared} replays");
}

fn replay(pair: &Pair, hook: HookChoice, capture: &Capture, sendable: &Sendable) -> Result<Vec<String>> {
    let live = Live::start(&pair.receiver, config(&[Pair::RX], hook))?;
    let sent = pair.sender.run(|| {
        pin_to_cpu(0)?;
        FrameSocket::open(Pair::TX)?.send_all(sendable.frames.iter().map(Vec::as_slice))
    })?;
    let captured = live.finish()?;
    let point = captured.point(Pair::RX, false);
    let mut differences = Vec::new();
    if point.seen != sent.frames {
        differences.push(format!("sent {} frames, seen {}", sent.frames, point.seen));
    }
    if point.unaccounted() != 0 {
        differences.push(format!("{} packets unaccounted for", point.unaccounted()));
    }
    // Two steps: the kernel makes of what was sent all that a file of it makes, and that is what the capture makes.
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), sendable.as_pcap())?;
    let of_sent = of_file(file.path())?;
    differences.extend(compare(&of_kernel(&captured), &of_sent));
    let growth = sendable.same_growth();
    let of_sent = of_sent
        .into_iter()
        .map(|flow| with_wire_bytes(flow, 0, growth.is_some()));
    let of_capture = of_file(&capture.path)?;
    let of_capture = of_capture
        .into_iter()
        .map(|flow| with_wire_bytes(flow, growth.unwrap_or(0), growth.is_some()));
    let of_capture = compare(&of_sent.collect(), &of_capture.collect());
    differences.extend(
        of_capture
            .into_iter()
            .map(|line| format!("as sent and as captured: {line}")),
    );
    Ok(differences)
}

/// The frames of a capture as they can be sent into an Ethernet interface.
#[derive(Default)]
pub(crate) struct Sendable {
    pub(crate) frames: Vec<Vec<u8>>,
    /// When each was captured.
    pub(crate) times: Vec<Timestamp>,
    /// Packets by link type that got an Ethernet header in place of their own.
    reframed: BTreeMap<&'static str, usize>,
    /// Bytes by which the frames grew, each of those that occur.
    growth: BTreeSet<i64>,
    /// Frames of which the file has less than there was on the wire; the kernel takes what is sent for all of it.
    cut: usize,
    /// What ended the reading early.
    damage: Option<String>,
}

impl Sendable {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut reader = CaptureReader::open(path)?;
        let mut sendable = Self::default();
        loop {
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(sendable),
                Err(error) => {
                    sendable.damage = Some(error.fault.to_string());
                    return Ok(sendable);
                }
            };
            let link = frame.link.context("no link type that is read")?;
            let Some((name, header, body)) = as_ethernet(link, frame.bytes) else {
                // No whole link header: no flow in a file either.
                continue;
            };
            if let Some(name) = name {
                *sendable.reframed.entry(name).or_default() += 1;
            }
            sendable.cut += usize::from(frame.bytes.len() < frame.wire_len as usize);
            let sent = [&header[..], body].concat();
            sendable
                .growth
                .insert(sent.len() as i64 - frame.bytes.len() as i64);
            sendable.frames.push(sent);
            sendable.times.push(frame.time);
        }
    }

    /// How what is sent differs from what was on the wire, for the reader of the test's output.
    fn change(&self) -> Option<String> {
        let mut parts: Vec<String> = self
            .reframed
            .iter()
            .map(|(link, count)| format!("{count} packets of {link} sent behind an Ethernet header"))
            .collect();
        if self.cut > 0 {
            parts.push(format!(
                "{} cut frames sent as they are, without their length on the wire",
                self.cut
            ));
        }
        parts.extend(
            self.damage
                .iter()
                .map(|fault| format!("sent up to the damage: {fault}")),
        );
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// By how much a packet grew on the wire, where that is known of each.
    fn same_growth(&self) -> Option<i64> {
        let mut growth = self.growth.iter();
        match (growth.next(), growth.next()) {
            (Some(bytes), None) if self.cut == 0 => Some(*bytes),
            (None, _) => Some(0),
            _ => None,
        }
    }

    /// A pcap file of what is sent, a millisecond apart.
    fn as_pcap(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x4_0000, 1] {
            file.extend(word.to_le_bytes());
        }
        for (number, frame) in (0_u32..).zip(&self.frames) {
            let len = u32::try_from(frame.len()).expect("a frame of a capture");
            for word in [1 + number / 1000, number % 1000 * 1000, len, len] {
                file.extend(word.to_le_bytes());
            }
            file.extend(frame);
        }
        file
    }
}

/// An Ethernet header for a frame and what stands behind it; with the name of the link type if that is another one.
/// `None`: the frame's own link header is not whole.
fn as_ethernet(link: Link, bytes: &[u8]) -> Option<(Option<&'static str>, [u8; SHORTEST], &[u8])> {
    let (name, header, ether_type) = match link {
        Link::Ethernet => {
            let (header, body) = bytes.split_first_chunk()?;
            return Some((None, *header, body));
        }
        Link::LinuxSll => ("cooked v1", 16, bytes.get(14..16)?.try_into().ok()?),
        Link::LinuxSll2 => ("cooked v2", 20, bytes.get(0..2)?.try_into().ok()?),
        Link::RawIp => ("raw IP", 0, ether_type_of(bytes)),
        Link::Null => ("BSD loopback", 4, ether_type_of(bytes.get(4..)?)),
        Link::Ppp => ("PPP", 0, [0x88, 0x0b]),
    };
    let mut made = [2; SHORTEST];
    made[12..].copy_from_slice(&ether_type);
    Some((Some(name), made, bytes.get(header..)?))
}

/// EtherType of an IP packet by its version.
fn ether_type_of(packet: &[u8]) -> [u8; 2] {
    match packet.first().map(|byte| byte >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [0x08, 0x00],
    }
}

fn of_file(path: &Path) -> Result<HashMap<Key, Value>> {
    let table = FlowTableConfig {
        expiry: Expiry::Never,
        max_flows: 1 << 20,
        when_full: WhenFull::Fail,
    };
    let mut source = PcapSource::new([path.to_owned()], table, Depth::Kernel);
    let mut updates = Vec::new();
    loop {
        match source.next_flows(&mut updates) {
            Ok(Status::Ended) => return Ok(by_key(&updates)),
            // A damaged file: what is before the damage counts.
            Ok(_) | Err(PcapError::Capture(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn of_kernel(captured: &Captured) -> HashMap<Key, Value> {
    by_key(&captured.flows)
}

fn by_key(updates: &[FlowUpdate]) -> HashMap<Key, Value> {
    let mut flows = HashMap::new();
    for FlowUpdate { flow, .. } in updates {
        let value = (flow.out, flow.back, flow.state, flow.icmp);
        assert!(
            flows.insert(key(flow), value).is_none(),
            "two flows with one key: {flow:?}"
        );
    }
    flows
}

fn key(flow: &Flow) -> Key {
    let tunnel = flow.tunnel.map(|tunnel| (tunnel.kind, tunnel.vni));
    (flow.tuple, flow.vlan.clone(), tunnel)
}

/// A flow of which each packet has so many bytes more on the wire; without its wire bytes where they are not known.
fn with_wire_bytes((key, mut value): (Key, Value), growth: i64, known: bool) -> (Key, Value) {
    for side in [&mut value.0, &mut value.1] {
        let grown = side.wire_bytes as i64 + growth * side.packets as i64;
        side.wire_bytes = if known {
            u64::try_from(grown).expect("not negative")
        } else {
            0
        };
    }
    (key, value)
}

fn compare(kernel: &HashMap<Key, Value>, file: &HashMap<Key, Value>) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, value) in file {
        match kernel.get(key) {
            None => differences.push(format!("only in the file: {key:?} {value:?}")),
            Some(other) if other != value => {
                differences.push(format!("{key:?}: kernel {other:?}, file {value:?}"));
            }
            Some(_) => {}
        }
    }
    for key in kernel.keys().filter(|key| !file.contains_key(key)) {
        differences.push(format!("only in the kernel: {key:?}"));
    }
    differences
}
