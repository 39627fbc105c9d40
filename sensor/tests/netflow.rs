//! A real exporter, softflowd, reads a capture and sends it as NetFlow v5, v9 and IPFIX: the flows are those of the capture.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lynceus_model::flow::FlowUpdate;
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::source::netflow::NetflowSource;
use lynceus_sensor::source::pcap::{Depth, PcapSource};
use lynceus_sensor::source::{Event, Source, Status};

/// Packets of both directions by originator, responder and protocol of TCP and UDP over IPv4.
type Totals = BTreeMap<String, [u64; 2]>;

fn add(totals: &mut Totals, update: &FlowUpdate) {
    let tuple = &update.flow.tuple;
    if matches!(tuple.protocol, 6 | 17) && tuple.originator.ip.is_ipv4() {
        // Who began is asked below; here both ends stand in a fixed order.
        let turned = tuple.originator > tuple.responder;
        let (low, high) = if turned {
            (tuple.responder, tuple.originator)
        } else {
            (tuple.originator, tuple.responder)
        };
        let sum = totals
            .entry(format!("{low:?} {high:?} {}", tuple.protocol))
            .or_default();
        let (low, high) = (update.new_out.packets, update.new_back.packets);
        let (low, high) = if turned { (high, low) } else { (low, high) };
        sum[0] += low;
        sum[1] += high;
    }
}

fn of_capture(path: PathBuf) -> Totals {
    let mut source = PcapSource::new([path], FlowTableConfig::default(), Depth::Outer);
    let (mut flows, mut totals) = (Vec::new(), Totals::new());
    while source.next_flows(&mut flows).unwrap() != Status::Ended {}
    flows.iter().for_each(|update| add(&mut totals, update));
    totals
}

#[test]
fn softflowd_exports_what_the_capture_holds() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/files/web-browsing.pcap");
    if !path.exists() {
        println!("skipped: no ../shared");
        return;
    }
    let expected = of_capture(path.clone());
    for version in ["5", "9", "10"] {
        let mut source = NetflowSource::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let target = source.address().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let exporter = Command::new("softflowd")
            .args(["-d", "-v", version, "-n", &target, "-r"])
            .arg(&path)
            .arg("-p")
            .arg(folder.path().join("pid"))
            // With a control socket it may wait there for somebody who never comes.
            .args(["-c", "none"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut exporter) = exporter else {
            println!("skipped: needs softflowd");
            return;
        };
        let (mut events, mut totals) = (Vec::new(), Totals::new());
        let begin = Instant::now();
        let mut gone: Option<Instant> = None;
        loop {
            let status = source.next(&mut events).unwrap();
            for event in events.drain(..) {
                if let Event::Flow(update) = event {
                    add(&mut totals, &update);
                }
            }
            if status == Status::Ended {
                break;
            }
            if gone.is_none() && exporter.try_wait().unwrap().is_some() {
                gone = Some(Instant::now());
            }
            if gone.is_some_and(|gone| gone.elapsed() > Duration::from_millis(300)) {
                source.stop();
            }
            if begin.elapsed() > Duration::from_secs(60) {
                exporter.kill().unwrap();
                panic!("softflowd hangs");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let status = source.status();
        assert!(status.losses.is_empty(), "version {version}: {:?}", status.losses);
        assert_eq!(totals, expected, "version {version}");
    }
}
