//! Heads, decoders and profiles: a capture that is sent at its own pace gives, through XDP and through TCX, the
//! application records and the profiles that its file gives. Times, latencies and letters, which are made of times, and
//! interfaces are not compared: those of a replay are its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lynceus_model::app::{AppEvent, AppRecord, Arp};
use lynceus_model::flow::FlowUpdate;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::Direction;
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::source::pcap::{Depth, PcapSource};
use lynceus_sensor::source::{Event, Source, Status};
use lynceus_tests::fixtures::{captures, shared};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{FrameSocket, pin_to_cpu};
use sensor_ebpf::heads::HeadLimits;

use super::live::{Live, config};
use super::replay::{MTU, Sendable};

/// Captures that take a few seconds, and what they must hold.
const SHORT: [(&str, &[&str]); 9] = [
    ("dns-flow-records", &["Dns"]),
    ("tls13", &["TlsClient", "TlsServer"]),
    ("tls-split-hello", &["TlsClient"]),
    ("tls-versions", &["TlsClient"]),
    ("http-flow-records", &["HttpRequest", "HttpResponse"]),
    ("cleartext-http-basic", &["HttpRequest"]),
    ("quic-versions", &["TlsClient"]),
    ("dhcp-flood", &["Dhcp"]),
    ("ipv6-atomic-fragments", &["Arp"]),
];

/// Up to a minute each; `cargo xtask test --soak`.
const LONG: [(&str, &[&str]); 6] = [
    ("quic", &["TlsClient"]),
    ("tls-expired-cert", &["TlsClient", "TlsServer"]),
    ("dns-mixed-rcodes", &["Dns"]),
    ("dns-load", &["Dns"]),
    ("scan-arp", &["Arp"]),
    ("services-mixed", &["Dns"]),
];

/// How often a record, or a row of a profile, is there, by what it says.
type Records = BTreeMap<String, usize>;

/// All of a capture is in one window.
const WIDTH: Duration = Duration::from_secs(100 * 365 * 86_400);

#[test]
fn a_capture_at_its_own_pace_gives_the_same_messages_and_profiles() {
    let Some(_root) = need_root() else { return };
    let Some(shared) = shared() else { return };
    let mut chosen = SHORT.to_vec();
    if std::env::var_os("LYNCEUS_SOAK").is_some() {
        chosen.extend(LONG);
    }
    let all = captures(&shared).unwrap();
    let mut wrong = Vec::new();
    for (id, kinds) in chosen {
        let capture = all.iter().find(|capture| capture.id == id).expect("in the index");
        let expected = of_file(&capture.path).with_context(|| id.to_owned()).unwrap();
        for kind in kinds {
            assert!(
                expected.keys().any(|record| record.starts_with(kind)),
                "{id} has no {kind}: {expected:#?}"
            );
        }
        for hook in [HookChoice::Tcx, HookChoice::Xdp] {
            let found = of_kernel(&capture.path, hook)
                .with_context(|| id.to_owned())
                .unwrap();
            println!(
                "{id} {hook:?}: {} records and rows",
                found.values().sum::<usize>()
            );
            assert!(found.keys().any(|line| line.contains("out_tuples")), "{found:#?}");
            for record in expected.keys().chain(found.keys()) {
                let counts = (expected.get(record), found.get(record));
                if counts.0 != counts.1 {
                    wrong.push(format!("{id} {hook:?}, (file, kernel) {counts:?}: {record}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn of_file(path: &Path) -> Result<Records> {
    let table = config(&[], HookChoice::Auto).table;
    let mut source =
        PcapSource::new([path.to_owned()], table, Depth::Kernel).with_decoders(HeadLimits::DEFAULT);
    let (mut events, mut flows, mut apps) = (Vec::new(), Vec::new(), Vec::new());
    while source.next(&mut events)? != Status::Ended {}
    for event in events {
        match event {
            Event::App(record) => apps.push(*record),
            Event::Flow(update) => flows.push(*update),
        }
    }
    Ok(counted(&flows, &apps))
}

fn of_kernel(path: &Path, hook: HookChoice) -> Result<Records> {
    let sendable = Sendable::read(path)?;
    let pair = Pair::new(VethOptions {
        mtu: MTU,
        ..VethOptions::default()
    })?;
    let mut config = config(&[Pair::RX], hook);
    config.kernel.heads = Some(HeadLimits::DEFAULT);
    let live = Live::start(&pair.receiver, config)?;
    pair.sender.run(|| -> Result<()> {
        pin_to_cpu(0)?;
        let socket = FrameSocket::open(Pair::TX)?;
        let (begin, first) = (Instant::now(), sendable.times[0]);
        for (frame, time) in sendable.frames.iter().zip(&sendable.times) {
            let offset = Duration::from_nanos(u64::try_from(time.0 - first.0).unwrap_or(0));
            std::thread::sleep((begin + offset).saturating_duration_since(Instant::now()));
            socket.send_all([frame.as_slice()])?;
        }
        Ok(())
    })?;
    let captured = live.finish()?;
    Ok(counted(&captured.flows, &captured.apps))
}

/// Both directions' profiles, row by row.
fn profiles(flows: &[FlowUpdate], apps: &[AppRecord]) -> Records {
    let mut profiler = Profiler::new(ProfilerConfig {
        direction: Direction::All,
        plan: WindowPlan {
            origin: Timestamp(0),
            width: WIDTH,
        },
        ..ProfilerConfig::default()
    });
    flows.iter().for_each(|update| profiler.observe(update.clone()));
    apps.iter()
        .for_each(|record| profiler.observe_app(record.clone()));
    profiler.finish();
    let (mut updates, mut whole) = (Vec::new(), BTreeMap::new());
    profiler.drain(&mut updates);
    for update in updates {
        let id = update.delta.window;
        let profile = whole.entry(id).or_insert_with(|| ProfileDelta::new(id));
        assert!(profile.merge(&update.delta), "the same window");
    }
    let mut lines = Records::new();
    for (id, profile) in &whole {
        let ip = id.profile;
        let mut line = |text: String| *lines.entry(format!("{ip} {text}")).or_default() += 1;
        line(format!("{:?} {:?}", profile.totals, profile.apps));
        for (name, table) in [
            ("client_source_ports", &profile.client_source_ports),
            ("client_ports", &profile.client_ports),
            ("server_ports", &profile.server_ports),
        ] {
            table
                .rows()
                .for_each(|(key, cell)| line(format!("{name} {key:?} {:?}", cell.counts)));
        }
        for (name, table) in [
            ("client_peers", &profile.client_peers),
            ("server_peers", &profile.server_peers),
        ] {
            table
                .rows()
                .for_each(|(key, cell)| line(format!("{name} {key:?} {:?}", cell.counts)));
        }
        for (name, table) in [
            ("out_tuples", &profile.out_tuples),
            ("in_tuples", &profile.in_tuples),
        ] {
            table
                .rows()
                .for_each(|(key, cell)| line(format!("{name} {key:?} {:?}", cell.counts)));
        }
        profile
            .attempts
            .rows()
            .for_each(|(key, _)| line(format!("attempts {key:?}")));
        profile
            .arp_targets
            .rows()
            .for_each(|(key, _)| line(format!("arp_targets {}", key.target)));
    }
    lines
}

fn counted(flows: &[FlowUpdate], records: &[AppRecord]) -> Records {
    let mut counts = profiles(flows, records);
    for record in records {
        let mut event = record.event.clone();
        if let AppEvent::Dns(dns) = &mut event {
            dns.latency = dns.latency.map(|_| Duration::ZERO);
        }
        if let AppEvent::Arp(Arp {
            discovery: Some(said),
            ..
        }) = &mut event
        {
            // The replay's own interface.
            said.link = 0;
        }
        let text = format!(
            "{event:?} of {:?} {:?} from_responder {}",
            record.tuple, record.community_id, record.from_responder
        );
        *counts.entry(text).or_default() += 1;
    }
    counts
}
