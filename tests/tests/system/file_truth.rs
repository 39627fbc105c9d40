//! Law 2, file path: every capture gives the flows that tshark, Zeek and the Community ID specification say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lynceus_console::json::flow::write_line;
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, Timeouts, WhenFull};
use lynceus_sensor::source::Status;
use lynceus_sensor::source::pcap::{Depth, PcapError, PcapSource};
use lynceus_tests::fixtures::{captures, repository, shared};
use lynceus_tests::truth::{Checks, FlowLine, Layer, compare, flow_lines};
use serde::Deserialize;

/// Flows of a capture as `lynceus flows` prints them; damaged files give what is before the damage.
fn flows(capture: &Path, depth: Depth, expiry: Expiry) -> Vec<FlowLine> {
    let config = FlowTableConfig {
        expiry,
        max_flows: FlowTableConfig::DEFAULT_MAX_FLOWS,
        when_full: WhenFull::Fail,
    };
    let mut source = PcapSource::new([capture.to_owned()], config, depth);
    let (mut updates, mut lines) = (Vec::new(), Vec::new());
    loop {
        match source.next_flows(&mut updates) {
            Ok(Status::Ended) => break,
            Ok(_) | Err(PcapError::Capture(_)) => {}
            Err(full @ PcapError::Full(_)) => panic!("{full}"),
        }
    }
    for update in &updates {
        write_line(&mut lines, update);
    }
    let flows = flow_lines(&lines).expect("what was just written");
    let counts = source.counts();
    let in_flows: u64 = flows.iter().map(|flow| flow.packets_out + flow.packets_in).sum();
    let refused: u64 = counts.refused.iter().map(|tally| tally.packets).sum();
    assert_eq!(
        counts.seen.packets,
        in_flows + refused,
        "{} loses packets",
        capture.display()
    );
    flows
}

#[derive(Deserialize)]
struct Exceptions {
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    id: String,
    reason: String,
}

#[test]
fn every_capture_equals_its_truth() {
    let Some(shared) = shared() else { return };
    let text = fs::read_to_string(repository().join("tests/truth-exceptions.toml")).expect("the exceptions");
    let exceptions: Exceptions = toml::from_str(&text).expect("the exceptions");
    assert!(
        exceptions
            .exception
            .iter()
            .all(|exception| !exception.reason.is_empty())
    );
    let checks = Checks {
        times: true,
        frames: true,
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for capture in captures(&shared).expect("the index") {
        let truth = shared.join(format!("captures/truth/{}.jsonl", capture.id));
        for (layer, depth) in [(Layer::Outer, Depth::Outer), (Layer::Inner, Depth::Deep)] {
            for expiry in [Expiry::Never, Expiry::Timeouts(Timeouts::default())] {
                let flows = flows(&capture.path, depth, expiry);
                let differences = compare(&truth, layer, checks, &flows).expect("the truth");
                compared += 1;
                let excepted = exceptions
                    .exception
                    .iter()
                    .any(|exception| exception.id == capture.id);
                if excepted {
                    assert!(
                        !differences.is_empty(),
                        "{} needs no exception any more",
                        capture.id
                    );
                } else if let Some(first) = differences.first() {
                    let count = differences.len();
                    wrong.push(format!("{} {}: {count}, as {first}", capture.id, layer.name()));
                }
            }
        }
    }
    assert!(compared > 4 * 80, "only {compared} comparisons");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn community_ids_equal_the_specification() {
    #[derive(Deserialize)]
    struct Baseline {
        proto: u8,
        saddr: String,
        daddr: String,
        sport: Option<u16>,
        dport: Option<u16>,
        communityid: String,
    }

    let Some(shared) = shared() else { return };
    let folder = shared.join("captures");
    let text = fs::read(folder.join("upstream/community-id/baseline-baseline_deflt.json")).expect("baseline");
    let baseline: Vec<Baseline> = serde_json::from_slice(&text).expect("baseline");
    let flows = flows(
        &folder.join("files/community-id.pcap"),
        Depth::Deep,
        Expiry::Never,
    );
    let mut checked = 0;
    for row in &baseline {
        let ends = |flow: &&FlowLine| {
            let there = flow.src_ip.to_string() == row.saddr && flow.dst_ip.to_string() == row.daddr;
            let back = flow.src_ip.to_string() == row.daddr && flow.dst_ip.to_string() == row.saddr;
            let ports = (flow.src_port, flow.dst_port);
            flow.proto == row.proto
                && (there && ports == (row.sport, row.dport) || back && ports == (row.dport, row.sport))
        };
        let found: Vec<&FlowLine> = flows.iter().filter(ends).collect();
        assert!(
            found.iter().any(|flow| flow.community_id == row.communityid),
            "{} of {} {} → {} is not among {found:?}",
            row.communityid,
            row.proto,
            row.saddr,
            row.daddr
        );
        checked += 1;
    }
    assert!(checked > 20, "only {checked} checked");
}

/// Rows of a Zeek conn.log, tab-separated or JSON: ends and state.
fn zeek_rows(text: &str) -> Vec<(String, String, String, String, String)> {
    let mut columns: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        let row: BTreeMap<String, String> = if let Some(names) = line.strip_prefix("#fields\t") {
            columns = names.split('\t').collect();
            continue;
        } else if line.starts_with('{') {
            let value: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).expect("a JSON row");
            let plain = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
            value
                .iter()
                .map(|(name, value)| (name.replacen("id_", "id.", 1), plain(value)))
                .collect()
        } else if line.starts_with('#') || columns.is_empty() {
            continue;
        } else {
            let values = line.split('\t').map(str::to_owned);
            columns
                .iter()
                .map(|name| (*name).to_owned())
                .zip(values)
                .collect()
        };
        let get = |name: &str| row.get(name).cloned().unwrap_or_default();
        if get("proto") == "tcp" && !get("conn_state").is_empty() {
            rows.push((
                get("id.orig_h"),
                get("id.orig_p"),
                get("id.resp_h"),
                get("id.resp_p"),
                get("conn_state"),
            ));
        }
    }
    rows
}

#[test]
fn tcp_states_equal_zeeks() {
    let Some(shared) = shared() else { return };
    let (mut checked, mut wrong) = (0, Vec::new());
    for capture in captures(&shared).expect("the index") {
        let Ok(folder) = fs::read_dir(shared.join("captures/upstream").join(&capture.id)) else {
            continue;
        };
        for file in folder.filter_map(Result::ok) {
            if !file.file_name().to_string_lossy().contains("conn.log") {
                continue;
            }
            let rows = zeek_rows(&fs::read_to_string(file.path()).expect("a Zeek log"));
            let timeouts = Expiry::Timeouts(Timeouts {
                active: None,
                ..Timeouts::default()
            });
            let flows = flows(&capture.path, Depth::Deep, timeouts);
            for (orig, orig_port, resp, resp_port, state) in &rows {
                let is_it = |flow: &&FlowLine| {
                    flow.proto == 6
                        && [(flow.src_ip, flow.src_port), (flow.dst_ip, flow.dst_port)]
                            .iter()
                            .all(|(ip, port)| {
                                let (ip, port) = (ip.to_string(), port.unwrap_or(0).to_string());
                                (&ip, &port) == (orig, orig_port) || (&ip, &port) == (resp, resp_port)
                            })
                };
                let found: Vec<&FlowLine> = flows.iter().filter(is_it).collect();
                // A 5-tuple that Zeek or we have several times cannot be told apart.
                let twins = rows
                    .iter()
                    .filter(|row| (&row.0, &row.1, &row.2, &row.3) == (orig, orig_port, resp, resp_port));
                if found.len() != 1 || twins.count() != 1 {
                    continue;
                }
                checked += 1;
                if found[0].state != *state {
                    wrong.push(format!(
                        "{}: {orig}:{orig_port} → {resp}:{resp_port}: Zeek {state}, we {}",
                        capture.id, found[0].state
                    ));
                }
            }
        }
    }
    println!("{checked} states compared with Zeek's");
    assert!(checked > 100, "only {checked} states compared");
    assert!(wrong.is_empty(), "{} of {checked}: {wrong:#?}", wrong.len());
}
