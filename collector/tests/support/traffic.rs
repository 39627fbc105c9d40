//! Traffic for tests: a scanner that raises an alert, and hosts that raise nothing, as batches of a sensor.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, HttpRequest};
use lynceus_model::flow::{CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Totals};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowUpdate};
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, StreamId};

pub(crate) const SENSOR: SensorId = SensorId([0x42; 16]);

pub(crate) const PLAN: WindowPlan = WindowPlan {
    origin: Timestamp(0),
    width: WindowPlan::DEFAULT_WIDTH,
};

/// Window updates of two windows: `hosts` × `ports` probes of a scanner between ordinary web traffic.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn updates(hosts: u8, ports: u16) -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        plan: PLAN,
        refresh: Duration::from_secs(5),
        ..ProfilerConfig::default()
    });
    let scanner = Ipv4Addr::new(10, 0, 0, 66);
    let mut number = 0;
    for round in 0..2_i64 {
        for host in 0..hosts {
            for port in 0..ports {
                number += 1;
                let at = Timestamp::from_secs(round * 3600)
                    .saturating_add(Duration::from_millis(100 * number % 3_500_000));
                let target = Ipv4Addr::new(192, 168, 7, 1 + host);
                profiler.observe(flow(number, at, scanner, target, 20 + port, ConnState::S0));
                let browser = Ipv4Addr::new(10, 0, 0, 1 + (number % 9) as u8);
                let server = Ipv4Addr::new(93, 184, 216, (number % 3) as u8);
                // People have no rhythm.
                let at = at.saturating_add(Duration::from_millis(scattered(number)));
                profiler.observe(flow(1_000_000 + number, at, browser, server, 443, ConnState::Sf));
            }
        }
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    updates
}

/// Milliseconds up to a quarter of a minute.
const fn scattered(number: u64) -> u64 {
    let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word >> 50
}

/// Window updates of a host that calls a dead server every ten seconds over two windows.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn beacon() -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        plan: PLAN,
        ..ProfilerConfig::default()
    });
    let (client, server) = (Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(198, 51, 100, 9));
    for number in 0..600 {
        let at = Timestamp::from_secs(10 * number as i64);
        profiler.observe(flow(number, at, client, server, 4444, ConnState::Rej));
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    updates
}

/// Window updates of two windows: each of so many hosts logs in to three servers over Telnet, twice.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn telnet(hosts: u8) -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        plan: PLAN,
        refresh: Duration::from_secs(5),
        ..ProfilerConfig::default()
    });
    let mut number = 0;
    for window in 0..2 {
        for host in 0..hosts {
            for round in 0..6_u8 {
                number += 1;
                let at =
                    Timestamp::from_secs(3600 + window * 3600 + i64::from(host) * 30 + i64::from(round) * 6);
                let from = Ipv4Addr::new(10, 0, 1, 1 + host);
                let to = Ipv4Addr::new(10, 0, 2, 1 + round % 3);
                profiler.observe(flow(number, at, from, to, 23, ConnState::Sf));
            }
        }
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    updates
}

/// Window updates of an office: each of twelve hosts calls some servers each hour; in the last one the first host calls
/// five hundred.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn office(hours: i64) -> Vec<WindowUpdate> {
    office_seen(SENSOR, hours, |_, _| true)
}

/// The same office as far as a sensor sees it: the flows of a host, by its number, and a server that `sees` tells.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn office_seen(
    sensor: SensorId,
    hours: i64,
    sees: impl Fn(u8, Ipv4Addr) -> bool,
) -> Vec<WindowUpdate> {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor,
        plan: PLAN,
        ..ProfilerConfig::default()
    });
    let mut number = 0;
    for hour in 0..hours {
        for host in 0..12_u8 {
            let usual = 5 + scattered(number + u64::from(host)) % 20;
            let calls = if host == 0 && hour + 1 == hours {
                500
            } else {
                usual
            };
            for call in 0..calls {
                number += 1;
                let at = Timestamp::from_secs(3600 * hour + i64::from(host))
                    .saturating_add(Duration::from_millis(5_000 * call + scattered(number)));
                // Usual hosts call any of forty servers, so that nobody has a rhythm.
                let server = if calls == 500 {
                    call
                } else {
                    scattered(number * 31) % 40
                };
                let server = Ipv4Addr::new(93, 184, (server / 200) as u8, 1 + (server % 200) as u8);
                let from = Ipv4Addr::new(10, 0, 3, 1 + host);
                if sees(host, server) {
                    profiler.observe(flow(number, at, from, server, 443, ConnState::Sf));
                }
            }
        }
    }
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    updates
}

/// Cuts updates into batches of at most `size`.
pub(crate) fn batches(updates: &[WindowUpdate], size: usize) -> Vec<Batch> {
    batches_of(SENSOR, updates, size)
}

/// Cuts what a sensor says into batches of at most `size`.
pub(crate) fn batches_of(sensor: SensorId, updates: &[WindowUpdate], size: usize) -> Vec<Batch> {
    let batch = |(index, updates): (usize, &[WindowUpdate])| {
        let id = BatchId {
            sensor,
            stream: StreamId {
                boot: BootId([9; 16]),
                stream: 1,
            },
            seq: index as u64 + 1,
        };
        let content = Content {
            updates: updates.to_vec(),
            gaps: Vec::new(),
        };
        Batch::local(id, content)
    };
    updates.chunks(size).enumerate().map(batch).collect()
}

fn flow(
    number: u64,
    first: Timestamp,
    from: Ipv4Addr,
    to: Ipv4Addr,
    port: u16,
    state: ConnState,
) -> FlowUpdate {
    let mut id = [0; 20];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let out = Totals {
        packets: 3,
        bytes: 180,
        wire_bytes: 222,
        tcp_flags: 2,
        flag_counts: [0, 3, 0, 0, 0, 0, 0, 0],
    };
    let back = if state == ConnState::Sf {
        out
    } else {
        Totals::default()
    };
    let flow = Flow {
        tuple: FiveTuple {
            originator: Endpoint {
                ip: IpAddr::V4(from),
                port: 40_000 + (number % 20_000) as u16,
            },
            responder: Endpoint {
                ip: IpAddr::V4(to),
                port,
            },
            protocol: 6,
        },
        community_id: CommunityId(id),
        first,
        last: first.saturating_add(Duration::from_millis(40)),
        out,
        back,
        state,
        icmp: None,
        vlan: Vec::new(),
        tunnel: None,
        rtt: (state == ConnState::Sf).then(|| Duration::from_millis(3)),
        seen_at: Vec::new(),
        service: lynceus_model::flow::Service::Unseen,
        reported: None,
    };
    FlowUpdate {
        flow,
        new_out: out,
        new_back: back,
        part: 0,
        end: FlowEnd::Closed,
    }
}

/// Who sees what [`sighting`] says.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) const CLIENT: &str = "10.0.0.7";

/// A message of the client in the window that begins at that hour.
#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn sighting(hour: i64, server: Endpoint, event: AppEvent) -> Batch {
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        plan: PLAN,
        ..ProfilerConfig::default()
    });
    let from_responder = matches!(event, AppEvent::TlsServer(_));
    profiler.observe_app(AppRecord {
        time: Timestamp::from_secs(hour * 3600 + 60),
        tuple: FiveTuple {
            originator: Endpoint {
                ip: CLIENT.parse().unwrap(),
                port: 40_000,
            },
            responder: server,
            protocol: 6,
        },
        community_id: None,
        from_responder,
        event,
    });
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    let stream = StreamId {
        boot: BootId([9; 16]),
        stream: 1,
    };
    let id = BatchId {
        sensor: SENSOR,
        stream,
        seq: u64::try_from(hour).unwrap(),
    };
    let content = Content {
        updates,
        gaps: Vec::new(),
    };
    Batch::local(id, content)
}

#[allow(dead_code, reason = "only some tests want it")]
pub(crate) fn get(host: &str, uri: &str) -> AppEvent {
    AppEvent::HttpRequest(HttpRequest {
        method: "GET".to_owned(),
        host: Some(host.to_owned()),
        uri: uri.to_owned(),
        user_agent: None,
        content_length: None,
    })
}
