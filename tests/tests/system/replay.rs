//! Law 2, kernel paths: a capture that is sent into an interface gives, through XDP and through TCX, the flows that its
//! file gives. Times are not compared: the frames are sent at full speed.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use lynceus_model::flow::{ConnState, FiveTuple, Flow, FlowUpdate, Totals, TunnelKind};
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, WhenFull};
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::source::Status;
use lynceus_sensor::source::pcap::{CaptureReader, Depth, PcapSource};
use lynceus_tests::fixtures::{Capture, captures, shared, truth_header};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{FrameSocket, pin_to_cpu};

use super::live::{Captured, Live, config};

/// The longest frame that a veth pair takes besides its header.
const MTU: u32 = 65_535;
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
            if let Some(reason) = unsuited(&shared, capture) {
                println!("not replayed: {}: {reason}", capture.id);
                continue;
            }
            let differences = replay(&pair, hook, capture)
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
    assert!(compared > 100, "only {compared} replays");
}

/// Why a capture cannot be sent into an Ethernet interface as it was on the wire.
fn unsuited(shared: &Path, capture: &Capture) -> Option<String> {
    match capture.link.as_deref() {
        Some("ether") => {}
        Some(link) => return Some(format!("its link type is {link}, a veth is Ethernet")),
        None => return Some("its file is damaged".to_owned()),
    }
    match truth_header(shared, &capture.id).map(|header| header.cut_packets) {
        Ok(0) => None,
        Ok(cut) => Some(format!(
            "{cut} of its frames are cut, the rest of them cannot be sent"
        )),
        Err(error) => Some(format!("no truth: {error:#}")),
    }
}

fn replay(pair: &Pair, hook: HookChoice, capture: &Capture) -> Result<Vec<String>> {
    let frames = frames(&capture.path)?;
    let live = Live::start(&pair.receiver, config(&[Pair::RX], hook))?;
    let sent = pair.sender.run(|| {
        pin_to_cpu(0)?;
        FrameSocket::open(Pair::TX)?.send_all(frames.iter().map(Vec::as_slice))
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
    differences.extend(compare(&of_kernel(&captured), &of_file(&capture.path)?));
    Ok(differences)
}

/// Frames of a capture that can be sent; shorter ones make no flow in a file either.
fn frames(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut reader = CaptureReader::open(path)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        if frame.bytes.len() >= SHORTEST {
            frames.push(frame.bytes.to_vec());
        }
    }
    Ok(frames)
}

fn of_file(path: &Path) -> Result<HashMap<Key, Value>> {
    let table = FlowTableConfig {
        expiry: Expiry::Never,
        max_flows: 1 << 20,
        when_full: WhenFull::Fail,
    };
    let mut source = PcapSource::new([path.to_owned()], table, Depth::Kernel);
    let mut updates = Vec::new();
    while source.next_flows(&mut updates)? != Status::Ended {}
    Ok(by_key(&updates))
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
