//! A small world for the tests of the terminal UI, and the tests of its state.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::alert::{Alert, AlertId, Term};
use lynceus_model::app::{AppEvent, Dns, DnsAnswer, DnsData, TlsClient};
use lynceus_model::evidence::{
    AttackerSide, Confidence, EvidenceId, EvidenceType, Explanation, Feature, ThreatLevel,
};
use lynceus_model::flow::ConnState;
use lynceus_model::status::{Counter, Fill, Loss, PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::*;
use crate::timeline;
use crate::view::{Histogram, HistogramRow, ProfileView, Tables, TupleView, WindowView};
use lynceus_view::examples::{flow, message};

/// 2017-05-02 10:00:00 UTC
pub(crate) const START: i64 = 1_493_719_200;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn window(number: i64, alerts: u64, threat: f64) -> WindowView {
    let start = Timestamp::from_secs(START + (number - 1) * 3600);
    WindowView {
        start,
        end: start.saturating_add(Duration::from_secs(3600)),
        number,
        flows: 1234,
        packets: 45_678,
        bytes: 9_876_543,
        evidence: u64::from(threat > 0.0) * 2,
        alerts,
        threat,
        threshold: 15.0,
    }
}

pub(crate) fn overview() -> Overview {
    let profile = |address: &str, me, windows| ProfileView {
        ip: ip(address),
        me,
        windows,
        earlier_windows: 0,
    };
    Overview {
        profiles: vec![
            profile("192.168.2.1", false, vec![window(1, 0, 0.0)]),
            profile("192.168.2.12", true, vec![window(1, 1, 15.2), window(2, 0, 0.8)]),
            profile("8.8.8.8", false, vec![window(1, 0, 0.2)]),
        ],
        sensors: vec![status()],
        more: false,
    }
}

pub(crate) fn status() -> SensorStatus {
    SensorStatus {
        name: "edge-1".into(),
        version: "0.1.0".into(),
        kernel: Some("6.12.0".into()),
        started: Timestamp::from_secs(START),
        read_at: Timestamp::from_secs(START + 60),
        points: vec![PointStatus {
            interface: "eth0".into(),
            egress: false,
            hook: "xdp-native".into(),
            seen: 120_000,
            recorded: 100_000,
            resident: 19_990,
            refused: vec![Counter {
                reason: "no_ip".into(),
                count: 10,
            }],
            degraded: Vec::new(),
            blocked: 0,
        }],
        losses: vec![Loss {
            stage: "queue".into(),
            reason: "full".into(),
            unit: "heads".into(),
            count: 0,
        }],
        fills: vec![Fill {
            name: "flow_table".into(),
            used: 1200,
            limit: 65_536,
            unit: "entries".into(),
        }],
        nanos_per_packet: Some(61.5),
        blocks: Vec::new(),
    }
}

pub(crate) fn detail() -> WindowDetail {
    let me = "192.168.2.12";
    let dns = flow(START + 1, me, "192.168.2.1", 53, 17, ConnState::Sf);
    let web = flow(START + 2, me, "93.184.216.34", 443, 6, ConnState::Sf);
    let mut flows = vec![dns.clone(), web.clone()];
    for n in 0..40 {
        flows.push(flow(
            START + 10 + n,
            me,
            &format!("10.1.0.{n}"),
            23,
            6,
            ConnState::S0,
        ));
    }
    flows.push(flow(START + 100, "203.0.113.7", me, 22, 6, ConnState::Rej));
    let answer = Dns {
        response: true,
        name: "example.com".into(),
        query_type: 1,
        answers: vec![DnsAnswer {
            record_type: 1,
            ttl: 60,
            data: DnsData::Address(ip("93.184.216.34")),
        }],
        latency: Some(Duration::from_millis(12)),
        ..Dns::default()
    };
    let hello = TlsClient {
        server_name: Some("www.example.com".into()),
        version: 0x0304,
        ja4: "t13d1516h2_8daaf6152771_02713d6af862".into(),
        ..TlsClient::default()
    };
    let messages = [
        message(&dns, true, AppEvent::Dns(answer)),
        message(&web, false, AppEvent::TlsClient(hello)),
    ];
    let id = WindowId {
        profile: ip(me),
        start: Timestamp::from_secs(START),
    };
    let evidence = vec![evidence(
        1,
        EvidenceType::HorizontalPortScan,
        ThreatLevel::High,
        40.0,
    )];
    let terms = evidence
        .iter()
        .map(|e| Term {
            evidence: e.id,
            weight: 0.8,
        })
        .collect();
    WindowDetail {
        id,
        end: Timestamp::from_secs(START + 3600),
        number: 1,
        entries: timeline::build(ip(me), &flows, &messages),
        left_out: 0,
        evidence,
        alerts: vec![Alert {
            id: AlertId([9; 16]),
            profile: ip(me),
            window: 1,
            window_start: id.start,
            sum: 0.8,
            threshold: 0.75,
            terms,
            flows: Vec::new(),
            first: Timestamp::from_secs(START + 10),
            last: Timestamp::from_secs(START + 50),
            confidence: Confidence::new(0.49),
        }],
        tables: tables(),
    }
}

pub(crate) fn evidence(id: u8, kind: EvidenceType, level: ThreatLevel, hosts: f64) -> Evidence {
    Evidence {
        id: EvidenceId([id; 16]),
        kind,
        profile: ip("192.168.2.12"),
        window_start: Timestamp::from_secs(START),
        window: 1,
        attacker: ip("192.168.2.12"),
        attacker_side: AttackerSide::Source,
        victim: None,
        subject: None,
        revision: 0,
        related: Vec::new(),
        dst_port: Some(23),
        protocol: Some(6),
        threat_level: level,
        confidence: Confidence::new(1.0),
        description: "Horizontal port scan to port 23/tcp from 192.168.2.12: 40 addresses, 40 packets."
            .into(),
        explanation: Explanation {
            features: vec![
                Feature {
                    name: "destinations".into(),
                    value: hosts,
                    unit: "addresses".into(),
                    baseline: None,
                    threshold: Some(10.0),
                },
                Feature {
                    name: "packets".into(),
                    value: 40.0,
                    unit: "packets".into(),
                    baseline: None,
                    threshold: None,
                },
            ],
            text: "40 addresses were tried on one port and none of them answered.".into(),
        },
        flows: vec![lynceus_model::flow::CommunityId([7; 20])],
        first: Timestamp::from_secs(START + 10),
        last: Timestamp::from_secs(START + 49),
    }
}

fn tables() -> Tables {
    let row = |key: &str, flows, packets, bytes| HistogramRow {
        key: key.into(),
        flows,
        packets,
        bytes,
    };
    let histogram = Histogram {
        established: vec![
            row("443/tcp HTTPS", 12, 340, 230_000),
            row("53/udp DNS", 40, 80, 9_000),
        ],
        not_established: vec![row("23/tcp Telnet", 40, 160, 9_600)],
        truncated: false,
    };
    Tables {
        source_ports: histogram.clone(),
        destination_ips: histogram.clone(),
        destination_ports: histogram.clone(),
        server_ports: Histogram::default(),
        out_tuples: vec![TupleView {
            key: "93.184.216.34 443/tcp".into(),
            name: Some("example.com".into()),
            letters: "88*y*y*i*H*y*0y*H*".into(),
            flows: 12,
            packets: 340,
            bytes: 230_000,
        }],
        in_tuples: Vec::new(),
        tuples_truncated: false,
    }
}

pub(crate) fn app() -> App {
    let mut app = App::new("camera.pcap".into(), Clock::utc(), Connection::Live);
    let effect = app.update(Input::Overview(overview()));
    assert_eq!(effect, Some(Effect::Load(detail().id)));
    app.update(Input::Detail(Box::new(detail())));
    app
}

pub(crate) fn press(app: &mut App, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        effect = app.update(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    effect
}

#[test]
fn the_most_threatening_window_is_asked_for_first() {
    let app = app();
    assert_eq!(app.wanted.map(|key| key.profile), Some(ip("192.168.2.12")));
    assert_eq!(app.findings, [Finding::Alert(0), Finding::Evidence(0)]);
}

#[test]
fn moving_in_the_tree_asks_for_the_window_under_the_cursor() {
    let mut app = app();
    let effect = press(&mut app, "j");
    assert!(
        matches!(effect, Some(Effect::Load(key)) if key.profile == ip("8.8.8.8")),
        "{effect:?}"
    );
    // An answer that comes late, for a window that nobody looks at any more, is not shown.
    let before = app.detail.as_ref().map(|detail| detail.id);
    let mut late = detail();
    late.id.profile = ip("192.168.2.1");
    app.update(Input::Detail(Box::new(late)));
    assert_eq!(app.detail.as_ref().map(|detail| detail.id), before);
}

#[test]
fn live_data_reloads_the_window_on_the_screen() {
    let mut app = app();
    assert_eq!(
        app.update(Input::Overview(overview())),
        Some(Effect::Load(detail().id))
    );
    app.update(Input::Connection(Connection::Finished));
    assert_eq!(app.update(Input::Overview(overview())), None);
}

#[test]
fn the_filter_takes_letters_that_are_keys_elsewhere() {
    let mut app = app();
    press(&mut app, "/8.8");
    assert_eq!(app.filter(), Some("8.8"));
    assert_eq!(app.tree.rows().len(), 1);
    assert_eq!(press(&mut app, "\nq"), Some(Effect::Quit));
    press(&mut app, "\u{1b}");
    assert_eq!(app.tree.rows().len(), 3);
}

#[test]
fn why_opens_on_a_finding_and_closes_again() {
    let mut app = app();
    press(&mut app, "\t\t\n");
    assert_eq!(app.screen, Screen::Why);
    assert!(matches!(app.finding(), Some(FindingRef::Alert(_))));
    press(&mut app, "\u{1b}");
    assert_eq!(app.screen, Screen::Main);
}

#[test]
fn following_stops_when_the_reader_moves_up_and_resumes_at_the_end() {
    let mut app = app();
    assert!(app.follow);
    press(&mut app, "\tk");
    assert!(!app.follow);
    press(&mut app, "G");
    assert!(app.follow);
}

#[test]
fn a_hotkey_opens_its_screen_and_closes_it() {
    let mut app = app();
    press(&mut app, "e");
    assert_eq!(app.screen, Screen::SourcePorts);
    press(&mut app, "i");
    assert_eq!(app.screen, Screen::OutTuples);
    press(&mut app, "i");
    assert_eq!(app.screen, Screen::Main);
}
