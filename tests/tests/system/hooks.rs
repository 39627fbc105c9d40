//! Hooks beside other people's programs, and the program `lynceus flows -i` from start to every kind of end.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::{Host, Tcp, tcp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Netns, Pair, VethOptions, veth};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::{Flood, FrameSocket, pin_to_cpu};

use super::live::{Live, config};

const TARGET: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));
const PATIENCE: Duration = Duration::from_secs(60);

/// `--kernel-log` tells of the packets that are not as they should be, and nothing without it.
#[test]
fn the_kernel_log_names_what_it_refuses() {
    let Some(_root) = need_root() else { return };
    let link = |ether_type: u16, body: &[u8]| [&[2; 12][..], &ether_type.to_be_bytes(), body].concat();
    let mut cut = tcp(&TARGET, &TARGET, Tcp::default(), &[]);
    cut.truncate(14 + 20 + 4);
    let frames = [
        link(0x0800, &[0x35; 40]),
        link(0x88cc, &[0; 20]),
        cut,
        tcp(&TARGET, &TARGET, Tcp::default(), &[]),
    ];
    for (hook, asked) in [("tcx", true), ("xdp", true), ("tcx", false)] {
        let pair = Pair::new(VethOptions::default()).unwrap();
        let mut command = pair.receiver.command(built("lynceus").unwrap());
        command.args(["flows", "-i", Pair::RX, "--hook", hook]);
        if asked {
            command.arg("--kernel-log");
        }
        let running = Running::start(command, "observing", PATIENCE).unwrap();
        let sent = pair.sender.run(|| {
            pin_to_cpu(0)?;
            FrameSocket::open(Pair::TX)?.send_all(frames.iter().map(Vec::as_slice))
        });
        assert_eq!(sent.unwrap().frames, 4);
        std::thread::sleep(Duration::from_millis(100));
        let output = running.terminate(PATIENCE).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        println!("{hook}: {text}");
        let ifindex = pair.receiver.ifindex(Pair::RX).unwrap();
        let lines = text.matches(&format!("interface {ifindex}, egress 0: ")).count();
        assert_eq!(lines, if asked { 3 } else { 0 }, "{text}");
        for line in [
            "54 bytes refused: bad_ip_header",
            "34 bytes refused: other_ethertype",
            "38 bytes degraded: bad_ip_length",
        ] {
            assert_eq!(text.contains(line), asked, "{line}: {text}");
        }
    }
}

#[test]
fn foreign_programs_go_on_beside_ours() {
    let Some(_root) = need_root() else { return };
    for hook in [HookChoice::Tcx, HookChoice::Clsact, HookChoice::Xdp] {
        let pair = Pair::new(VethOptions::default()).unwrap();
        let foreign = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::TcxIngress).unwrap();
        let live = Live::start(&pair.receiver, config(&[Pair::RX], hook)).unwrap();
        let late = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::TcxIngress).unwrap();
        send(&pair, 1_000);
        let captured = live.finish().unwrap();
        assert_eq!(captured.point(Pair::RX, false).seen, 1_000, "{hook:?}");
        assert_eq!(foreign.packets().unwrap(), Some(1_000), "{hook:?}");
        assert_eq!(late.packets().unwrap(), Some(1_000), "{hook:?}");
        // Ours is gone, theirs stay.
        send(&pair, 10);
        assert_eq!(foreign.packets().unwrap(), Some(1_010), "{hook:?}");
        assert_eq!(late.packets().unwrap(), Some(1_010), "{hook:?}");
    }
}

/// A filter of somebody else on the same clsact qdisc: it mirrors what it sees, so its work can be counted.
#[test]
fn foreign_clsact_filters_and_their_qdisc_stay() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let receiver = &pair.receiver;
    veth(
        (receiver, "mirror0"),
        (receiver, "mirror1"),
        VethOptions::default(),
    )
    .unwrap();
    receiver.tc("qdisc add dev recv0 clsact").unwrap();
    let mirror = "u32 match u32 0 0 action mirred egress mirror dev mirror0";
    receiver
        .tc(&format!(
            "filter add dev recv0 ingress protocol all prio 7 {mirror}"
        ))
        .unwrap();
    let mirrored = || receiver.link_counters("mirror0").unwrap().tx_packets;
    let filters = || {
        receiver
            .tc("filter show dev recv0 ingress")
            .unwrap()
            .matches("chain 0")
            .count()
    };
    let before = filters();

    let live = Live::start(receiver, config(&[Pair::RX], HookChoice::Clsact)).unwrap();
    assert!(filters() > before, "ours is there");
    send(&pair, 500);
    let captured = live.finish().unwrap();
    assert_eq!(captured.point(Pair::RX, false).seen, 500);
    assert_eq!(mirrored(), 500, "the other filter saw everything too");
    assert_eq!(filters(), before, "ours is gone, theirs is there");
    assert!(receiver.tc("qdisc show dev recv0").unwrap().contains("clsact"));
    send(&pair, 5);
    assert_eq!(mirrored(), 505);
}

#[test]
fn an_xdp_program_of_somebody_else_keeps_its_place() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let foreign = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::XdpNative).unwrap();
    let error = Live::start(&pair.receiver, config(&[Pair::RX], HookChoice::Xdp))
        .err()
        .expect("the place is taken");
    assert!(format!("{error:#}").contains("recv0"), "{error:#}");
    let live = Live::start(&pair.receiver, config(&[Pair::RX], HookChoice::Auto)).unwrap();
    send(&pair, 100);
    let captured = live.finish().unwrap();
    assert_eq!(
        captured.point(Pair::RX, false).hook,
        "tcx",
        "{:?}",
        captured.hooks
    );
    assert_eq!(captured.point(Pair::RX, false).seen, 100);
    assert_eq!(foreign.packets().unwrap(), Some(100));
}

#[test]
fn a_killed_program_leaves_nothing_and_starts_clean() {
    let Some(_root) = need_root() else { return };
    for hook in ["xdp", "xdp-generic", "tcx", "clsact"] {
        let pair = Pair::new(VethOptions::default()).unwrap();
        let mut first = flows(&pair.receiver, hook);
        send(&pair, 100);
        first.kill();
        if hook != "clsact" {
            assert_eq!(attached(&pair.receiver), Vec::<String>::new(), "{hook}");
        }
        let second = flows(&pair.receiver, hook);
        let ours = attached(&pair.receiver).len();
        assert_eq!(
            ours,
            2,
            "one program a direction: {hook} {:?}",
            attached(&pair.receiver)
        );
        send(&pair, 200);
        let output = second.terminate(PATIENCE).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{hook}: {stderr}");
        assert!(stderr.contains("balanced"), "{hook}: {stderr}");
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), 200, "{hook}: {stderr}");
        let packets: u64 = lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["packets_out"]
                    .as_u64()
                    .unwrap()
            })
            .sum();
        assert_eq!(packets, 200, "{hook}: only what the second one saw");
        assert_eq!(attached(&pair.receiver), Vec::<String>::new(), "{hook}");
    }
}

#[test]
fn an_interface_that_goes_and_comes_back_is_observed_again() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    veth(
        (&pair.sender, "send1"),
        (&pair.receiver, "recv1"),
        VethOptions::default(),
    )
    .unwrap();
    let live = Live::start(&pair.receiver, config(&["recv0", "recv1"], HookChoice::Tcx)).unwrap();
    send_on(&pair.sender, "send0", 100);
    send_on(&pair.sender, "send1", 10);
    pair.receiver.ip("link del dev recv1").unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    send_on(&pair.sender, "send0", 100);
    veth(
        (&pair.sender, "send1"),
        (&pair.receiver, "recv1"),
        VethOptions::default(),
    )
    .unwrap();
    let begin = Instant::now();
    while attached_to(&pair.receiver, "recv1").is_empty() {
        assert!(begin.elapsed() < PATIENCE, "it is not observed again");
        std::thread::sleep(Duration::from_millis(50));
    }
    send_on(&pair.sender, "send1", 20);
    let captured = live.finish().unwrap();
    captured.assert_accounted();
    assert_eq!(captured.point("recv0", false).seen, 200, "the other one went on");
    assert_eq!(captured.point("recv1", false).seen, 30);
}

#[test]
fn a_missing_interface_is_a_clear_error() {
    let Some(_root) = need_root() else { return };
    let namespace = Netns::new("empty").unwrap();
    let mut command = namespace.command(built("lynceus").unwrap());
    let output = command.args(["flows", "-i", "nosuch0"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("nosuch0"), "{stderr}");
}

/// `lynceus flows -i recv0` in the namespace, ready.
fn flows(namespace: &Netns, hook: &str) -> Running {
    let mut command = namespace.command(built("lynceus").expect("lynceus builds"));
    command.args(["flows", "--no-timeouts", "-i", Pair::RX, "--hook", hook]);
    Running::start(command, "observing", PATIENCE).expect("lynceus observes")
}

/// Programs on recv0.
fn attached(namespace: &Netns) -> Vec<String> {
    attached_to(namespace, Pair::RX)
}

/// Programs on an interface, as `bpftool net` would list them.
fn attached_to(namespace: &Netns, interface: &str) -> Vec<String> {
    use aya::programs::{SchedClassifier, TcAttachType};

    let mut found = Vec::new();
    if namespace
        .ip(&format!("-d link show dev {interface}"))
        .expect("the link is there")
        .contains("prog/xdp")
    {
        found.push("xdp".to_owned());
    }
    for (direction, name) in [
        (TcAttachType::Ingress, "ingress"),
        (TcAttachType::Egress, "egress"),
    ] {
        let query = namespace.run(|| SchedClassifier::query_tcx(interface, direction));
        let (_, programs) = query.expect("the kernel lists TCX programs");
        found.extend(programs.iter().map(|_| format!("tcx {name}")));
        let filters = namespace
            .tc(&format!("filter show dev {interface} {name}"))
            .unwrap_or_default();
        let ours = filters.lines().filter(|line| line.contains("lynceus"));
        found.extend(ours.map(|_| format!("clsact {name}")));
    }
    found
}

fn send(pair: &Pair, frames: u32) {
    send_on(&pair.sender, Pair::TX, frames);
}

fn send_on(namespace: &Netns, interface: &str, frames: u32) {
    let mut flood = Flood::new(&TARGET, 80, frames);
    let sent = namespace.run(|| {
        pin_to_cpu(0)?;
        FrameSocket::open(interface)?.send_made(None, |buffer| flood.next_into(buffer))
    });
    assert_eq!(
        sent.expect("the veth pair takes frames").frames,
        u64::from(frames)
    );
    // XDP and the mirror work in softirqs.
    std::thread::sleep(Duration::from_millis(50));
}
