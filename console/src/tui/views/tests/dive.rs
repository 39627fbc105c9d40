//! A dive with something in every part: fourteen hours of an office as the collector judged them, in which hosts begin to
//! scan, one of them known to the analyst.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use lynceus_collector::dispatch::EngineOptions;
use lynceus_detect::{DetectConfig, outlier};
use lynceus_model::flow::{ConnState, FlowEnd, FlowUpdate};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowId};
use lynceus_proto::batch::BootId;
use lynceus_view::examples;

use super::*;
use crate::local::{Judging, Keep, Local};
use crate::outliers::dive::Dive;
use crate::query::Query;
use crate::tui::app::tests::detail;

const SENSOR: SensorId = SensorId([7; 16]);
const PLAN: WindowPlan = WindowPlan {
    origin: Timestamp(0),
    width: WindowPlan::DEFAULT_WIDTH,
};
const HOURS: i64 = 14;

fn window(host: u8, hour: i64) -> WindowId {
    WindowId {
        profile: IpAddr::V4(Ipv4Addr::new(10, 0, 3, host)),
        start: Timestamp::from_secs(3600 * hour),
    }
}

/// Twelve hosts call some of forty servers. The last one scans in the last hour but one, four others in the last one.
fn flows() -> Vec<FlowUpdate> {
    let mut flows = Vec::new();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u64| {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (chance >> 33) % limit
    };
    for hour in 0..HOURS {
        for host in 1..=12_u8 {
            let scans = (host == 12 && hour == HOURS - 2) || (host <= 4 && hour == HOURS - 1);
            let calls = if scans { 60 } else { 5 + below(20) };
            for call in 0..calls {
                let at = 3600 * hour + below(3_500) as i64;
                let (to, port, state) = if scans {
                    (format!("172.16.9.{}", 1 + call), 23, ConnState::S0)
                } else {
                    (format!("93.184.216.{}", 1 + below(40)), 443, ConnState::Sf)
                };
                let mut flow = examples::flow(at, &format!("10.0.3.{host}"), &to, port, 6, state);
                flow.community_id.0[..8].copy_from_slice(&(flows.len() as u64).to_be_bytes());
                flows.push(FlowUpdate {
                    new_out: flow.out,
                    new_back: flow.back,
                    flow,
                    part: 0,
                    end: FlowEnd::Closed,
                });
            }
        }
    }
    flows.sort_by_key(|update| update.flow.first);
    flows
}

fn judged(folder: &Path) -> Query {
    let judging = Judging {
        detect: DetectConfig {
            outlier: outlier::Config {
                warm_windows: 60,
                warm_after: Duration::from_secs(6 * 3600),
                ..outlier::Config::default()
            },
            ..DetectConfig::default()
        },
        ..Judging::default()
    };
    let memory = EngineOptions::DEFAULT_WINDOW_BYTES;
    let boot = BootId([7; 16]);
    let mut local = Local::open(Keep::In(folder), SENSOR, boot, PLAN, memory, judging, Vec::new()).unwrap();
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        plan: PLAN,
        ..ProfilerConfig::default()
    });
    flows().into_iter().for_each(|update| profiler.observe(update));
    profiler.finish();
    let mut updates = Vec::new();
    profiler.drain(&mut updates);
    local.take(updates).unwrap();
    local.flush().unwrap();
    local.into_query().unwrap()
}

#[test]
fn a_dive_with_something_in_every_part() {
    let folder = tempfile::tempdir().unwrap();
    let query = judged(folder.path());
    query.label(window(12, HOURS - 2), "lab scanner, ours").unwrap();
    let dive = Dive::new(&query, window(1, HOURS - 1)).unwrap();
    assert!(dive.account.flagged && dive.account.warming.is_none());
    assert_eq!(dive.alike[0].account.label.as_deref(), Some("lab scanner, ours"));
    assert!(!dive.evidence.is_empty() && !dive.flows.is_empty() && !dive.neighbors.is_empty());
    assert_eq!(dive.history.len(), 12);
    assert!(!dive.patterns.is_empty());
    for (width, height) in [(80, 24), (120, 40), (250, 80)] {
        let mut app = app();
        press(&mut app, "O");
        app.update(Input::Answer(Answer::Dive(
            detail().id,
            Some(Box::new(dive.clone())),
        )));
        insta::assert_snapshot!(
            format!("dive_of_a_scanner_{width}x{height}"),
            screen(&mut app, width, height).backend()
        );
    }
}
