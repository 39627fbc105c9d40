//! A small world for the tests of the terminal UI.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::alert::{Alert, AlertId, Term};
use lynceus_model::app::{AppEvent, Dns, DnsAnswer, DnsData, TlsClient};
use lynceus_model::evidence::{
    AttackerSide, Confidence, EvidenceId, EvidenceType, Explanation, Feature, ThreatLevel,
};
use lynceus_model::flow::ConnState;
use lynceus_model::status::{Counter, Fill, Loss, Moved, PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::super::*;
use crate::table::{Align, Table};
use crate::timeline;
use crate::view::{Histogram, HistogramRow, ProfileView, Tables, TupleView, WindowView};
use lynceus_view::examples::{flow, message};
/// 2017-05-02 10:00:00 UTC
pub(crate) const START: i64 = 1_493_719_200;

pub(super) fn ip(text: &str) -> IpAddr {
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
            moved: Moved::default(),
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
        position: None,
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
            group: AlertId([9; 16]),
            profile: ip(me),
            window: 1,
            window_start: id.start,
            sum: 0.8,
            threshold: 0.75,
            terms,
            flows: Vec::new(),
            peers: Vec::new(),
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
        account: None,
        related: Vec::new(),
        accumulated: None,
        src_port: None,
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
                    surprisal: None,
                    own: None,
                },
                Feature {
                    name: "packets".into(),
                    value: 40.0,
                    unit: "packets".into(),
                    baseline: None,
                    threshold: None,
                    surprisal: None,
                    own: None,
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
        ip: None,
        port: key.split('/').next().and_then(|port| port.parse().ok()),
        protocol: if key.contains("udp") { 17 } else { 6 },
        estimated: false,
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
        destination_ips: with_ips(&histogram, |ip| format!("{ip} tcp")),
        ports_and_ips: with_ips(&histogram, |_| "443/tcp HTTPS".into()),
        destination_ports: histogram,
        server_ports: Histogram::default(),
        out_tuples: vec![TupleView {
            key: "93.184.216.34 443/tcp".into(),
            ip: ip("93.184.216.34"),
            port: 443,
            protocol: 6,
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

fn with_ips(histogram: &Histogram, key: impl Fn(IpAddr) -> String) -> Histogram {
    let ips = ["93.184.216.34", "192.168.2.1", "10.1.0.7"].map(ip);
    let mut with = histogram.clone();
    for (row, ip) in with
        .established
        .iter_mut()
        .chain(&mut with.not_established)
        .zip(ips)
    {
        row.ip = Some(ip);
        row.key = key(ip);
    }
    with
}

/// What the desk answers for [`detail`].
pub(crate) fn window_answer() -> WindowAnswer {
    let peer = Peer {
        asn: Some((15133, "Edgecast Inc.".into())),
        country: Some("US".into()),
        city: Some("Los Angeles".into()),
        position: Some((34.05, -118.24)),
        listed: None,
    };
    let listed = Peer {
        asn: Some((64_496, "Example Net".into())),
        country: Some("NL".into()),
        city: Some("Amsterdam".into()),
        position: Some((52.37, 4.89)),
        listed: Some("Blacklisted in example-feed".into()),
    };
    WindowAnswer {
        detail: detail(),
        peers: Peers::from([(ip("93.184.216.34"), peer), (ip("10.1.0.7"), listed)]),
        names: HashMap::from([
            (ip("93.184.216.34"), "example.com".to_owned()),
            (ip("192.168.2.12"), "camera".to_owned()),
        ]),
    }
}

pub(crate) fn app() -> App {
    let mut app = App::new(
        "camera.pcap".into(),
        Clock::utc(),
        Theme::Terminal,
        Connection::Live,
    );
    let effects = app.update(Input::Overview(overview()));
    assert_eq!(effects, [Effect::Ask(Request::Window(detail().id))]);
    app.update(Input::Answer(Answer::Window(Box::new(window_answer()))));
    app
}

/// Answers whatever the state asks for.
pub(crate) fn answer(app: &mut App, effects: &[Effect]) {
    for effect in effects {
        let Effect::Ask(request) = effect else { continue };
        let answer = match request {
            Request::Window(id) if *id == detail().id => Answer::Window(Box::new(window_answer())),
            Request::Window(_) | Request::Reload => continue,
            Request::Findings(profile) => Answer::Findings(Findings {
                profile: *profile,
                evidence: detail().evidence,
                alerts: detail().alerts,
                more: false,
                peers: Peers::default(),
            }),
            Request::Flows { profile, ids, .. } => Answer::Flows(FlowList {
                profile: *profile,
                entries: detail().entries,
                peers: window_answer().peers,
                asked: ids.len(),
            }),
            Request::Dossier(ip) => Answer::Dossier(card(*ip)),
            Request::Dive(window) => Answer::Dive(*window, None),
            Request::Index => Answer::Index(Index {
                evidence: HashMap::from([(
                    ip("192.168.2.12"),
                    ([EvidenceType::HorizontalPortScan].into(), ThreatLevel::High),
                )]),
                peers: window_answer().peers,
            }),
            Request::Block(order) => Answer::Block(order.clone(), Ok("counted by 2 sensors".into())),
        };
        app.update(Input::Answer(answer));
    }
}

fn card(ip: IpAddr) -> Card {
    let mut known = Table::new(vec![
        ("", Align::Left),
        ("", Align::Left),
        ("source", Align::Left),
        ("of", Align::Left),
        ("agreement", Align::Left),
    ]);
    known.row(vec![
        "autonomous system".into(),
        "AS15133 Edgecast Inc.".into(),
        "DB-IP ASN Lite".into(),
        "2026-11-01".into(),
        "2 of 2 sources say so".into(),
    ]);
    Card {
        ip,
        above: vec![crate::text::Line::toned(Tone::Heading, ip.to_string())],
        known,
        below: Vec::new(),
    }
}

/// Presses keys and has their questions answered.
pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        effects = app.update(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        answer(app, &effects);
    }
    effects
}
