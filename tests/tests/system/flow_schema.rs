//! The lines of `lynceus flows` are what `docs/schema/flow.json` says.

use std::fs;
use std::path::Path;

use lynceus_console::json::flow::write_line;
use lynceus_model::flow::{
    CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals, Tunnel, TunnelKind,
};
use lynceus_model::time::Timestamp;
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::source::Status;
use lynceus_sensor::source::pcap::{Depth, PcapError, PcapSource};
use lynceus_tests::fixtures::{captures, repository, shared};

fn schema() -> jsonschema::Validator {
    let text = fs::read_to_string(repository().join("docs/schema/flow.json")).expect("the schema");
    let schema = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a JSON Schema")
}

fn check(schema: &jsonschema::Validator, update: &FlowUpdate, what: &str) {
    let mut line = Vec::new();
    write_line(&mut line, update);
    let value: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
    let faults: Vec<String> = schema
        .iter_errors(&value)
        .map(|fault| fault.to_string())
        .collect();
    assert!(faults.is_empty(), "{what}: {value}: {faults:?}");
}

fn update(protocol: u8, tunnel: Option<Tunnel>) -> FlowUpdate {
    let end = |ip: &str, port| Endpoint {
        ip: ip.parse().expect("an address"),
        port,
    };
    FlowUpdate {
        flow: Flow {
            tuple: FiveTuple {
                originator: end("2001:db8::1", 65_535),
                responder: end("192.0.2.255", 0),
                protocol,
            },
            community_id: CommunityId([0xff; 20]),
            first: Timestamp(-1),
            last: Timestamp::MAX,
            out: Totals::default(),
            back: Totals::default(),
            state: ConnState::Oth,
            icmp: (protocol == 1).then_some((255, 0)),
            vlan: vec![0, 4095],
            tunnel,
            rtt: None,
            seen_at: Vec::new(),
            service: lynceus_model::flow::Service::Unseen,
            reported: None,
        },
        new_out: Totals::default(),
        new_back: Totals::default(),
        part: 0,
        end: FlowEnd::Idle,
    }
}

#[test]
fn lines_at_the_edges_fit_the_schema() {
    let schema = schema();
    for protocol in [0, 1, 6, 17, 47, 58, 132, 255] {
        check(&schema, &update(protocol, None), "no tunnel");
        for kind in [
            TunnelKind::Vxlan,
            TunnelKind::Geneve,
            TunnelKind::Gre,
            TunnelKind::IpIp,
            TunnelKind::SixInFour,
            TunnelKind::GtpU,
            TunnelKind::Erspan,
            TunnelKind::IpInIpv6,
            TunnelKind::MplsInIp,
        ] {
            let tunnel = Tunnel {
                kind,
                vni: (kind == TunnelKind::Gre).then_some(u32::MAX),
                source: "::1".parse().expect("an address"),
                destination: "198.51.100.1".parse().expect("an address"),
            };
            check(&schema, &update(protocol, Some(tunnel)), kind.name());
        }
    }
}

#[test]
fn the_schema_refuses_what_the_lines_never_are() {
    let schema = schema();
    let mut line = Vec::new();
    write_line(&mut line, &update(6, None));
    let good: serde_json::Value = serde_json::from_slice(&line).expect("a line is JSON");
    assert!(schema.is_valid(&good));
    for (field, wrong) in [
        ("src_ip", serde_json::json!("10.0.0.256")),
        ("packets_out", serde_json::json!(-1)),
        ("state", serde_json::json!("S4")),
        ("vlan", serde_json::json!(null)),
        ("community_id", serde_json::json!("2:x")),
        ("more", serde_json::json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = wrong;
        assert!(!schema.is_valid(&bad), "{field} was accepted");
    }
}

#[test]
fn every_capture_fits_the_schema() {
    let Some(shared) = shared() else { return };
    let schema = schema();
    for capture in captures(&shared).expect("the index") {
        for update in flows(&capture.path) {
            check(&schema, &update, &capture.id);
        }
    }
}

fn flows(path: &Path) -> Vec<FlowUpdate> {
    let mut source = PcapSource::new([path.to_owned()], FlowTableConfig::default(), Depth::Deep);
    let mut flows = Vec::new();
    loop {
        match source.next_flows(&mut flows) {
            Ok(Status::Ended) => return flows,
            Ok(_) | Err(PcapError::Capture(_)) => {}
            Err(full @ PcapError::Full(_)) => panic!("{full}"),
        }
    }
}
