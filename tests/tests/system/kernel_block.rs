//! Blocking on the real kernel: single packets through each program, then a live sensor on a veth pair.

use std::cell::Cell;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::programs::{TestRun, TestRunOptions};
use lynceus_model::address::Network;
use lynceus_model::block::{BlockId, BlockOrder, BlockOrders};
use lynceus_sensor::block::{Desk, Rules};
use lynceus_sensor::clock::monotonic;
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::kernel::load::{Kernel, Options};
use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::{Host, icmp_echo, udp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::{FrameSocket, pin_to_cpu};
use sensor_ebpf::block::{ALLOW, BlockRule, COUNT, DROP};

use super::live::{Captured, Live, config};

const BAD: Host = Host::new(Ipv4Addr::new(198, 51, 100, 7));
const IN_PREFIX: Host = Host::new(Ipv4Addr::new(203, 0, 113, 9));
const GOOD: Host = Host::new(Ipv4Addr::new(198, 51, 100, 8));
const TARGET: Host = Host::new(Ipv4Addr::new(10, 77, 0, 2));
const FOREVER: u64 = u64::MAX;

fn network(text: &str) -> Network {
    text.parse().expect("the test's own network does it")
}

/// UDP over IPv6 from `2001:db8:NET::1` to `2001:db8:ffff::2`.
fn udp6(net: u16) -> Vec<u8> {
    let mut frame = vec![
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, 17, 64,
    ];
    let address = |net: u16, last: u8| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        address[4..6].copy_from_slice(&net.to_be_bytes());
        address[15] = last;
        address
    };
    frame.extend(address(net, 1));
    frame.extend(address(0xffff, 2));
    frame.extend([0x9c, 0x40, 0, 53, 0, 12, 0, 0, b'a', b'b', b'c', b'd']);
    frame
}

/// What XDP, TC ingress and TC egress say to a packet: whether it passes; `None` when they do not agree.
fn passes(kernel: &mut Kernel, frame: &[u8]) -> Option<bool> {
    let options = || {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options
    };
    let xdp = kernel
        .xdp()
        .expect("the test's own network does it")
        .test_run(options())
        .expect("the test's own network does it")
        .return_value;
    let ingress = kernel
        .classifier(false)
        .expect("the test's own network does it")
        .test_run(options())
        .expect("the test's own network does it")
        .return_value;
    let egress = kernel
        .classifier(true)
        .expect("the test's own network does it")
        .test_run(options())
        .expect("the test's own network does it")
        .return_value;
    match (xdp, ingress.cast_signed(), egress.cast_signed()) {
        (2, -1, -1) => Some(true),
        (1, 2, 2) => Some(false),
        _ => None,
    }
}

#[test]
fn programs_drop_what_a_rule_says_and_nothing_once_it_expired() {
    let Some(_root) = need_root() else { return };
    let options = Options {
        block: true,
        ..Options::default()
    };
    let (mut kernel, _readers) = Kernel::load(&options).expect("the test's own network does it");
    let mut rules = kernel.take_block().expect("the test's own network does it");
    let from_bad = udp(&BAD, &TARGET, 1, 2, b"x");
    let to_bad = udp(&TARGET, &BAD, 2, 1, b"x");
    // Takes the general parser.
    let ping = icmp_echo(&BAD, &TARGET, 8, 1, 1);
    // IP in IP: the block is that of the outer sender, and of the inner one.
    let mut tunnel = udp(&BAD, &TARGET, 1, 2, &[0; 40]);
    let inner = udp(&GOOD, &TARGET, 1, 2, b"inner")[14..].to_vec();
    tunnel.truncate(34);
    tunnel.extend(&inner);
    tunnel[23] = 4;
    let total = u16::try_from(tunnel.len() - 14)
        .expect("the test's own network does it")
        .to_be_bytes();
    tunnel[16..18].copy_from_slice(&total);
    let all = [&from_bad, &to_bad, &ping, &tunnel];
    for frame in all {
        assert_eq!(passes(&mut kernel, frame), Some(true));
    }
    let bad = network("198.51.100.7");
    rules
        .set(bad, BlockRule::new(FOREVER, 3, COUNT))
        .expect("the test's own network does it");
    for frame in all {
        assert_eq!(passes(&mut kernel, frame), Some(true), "only counted");
    }
    assert_eq!(
        rules.counts(3).expect("the test's own network does it").packets,
        12
    );
    rules
        .set(bad, BlockRule::new(FOREVER, 4, DROP))
        .expect("the test's own network does it");
    for frame in all {
        assert_eq!(passes(&mut kernel, frame), Some(false));
    }
    assert_eq!(passes(&mut kernel, &udp(&GOOD, &TARGET, 1, 2, b"x")), Some(true));
    rules
        .set(bad, BlockRule::new(monotonic() - 50_000_000, 4, DROP))
        .expect("the test's own network does it");
    assert_eq!(
        passes(&mut kernel, &from_bad),
        Some(true),
        "nobody took the rule away; it expired"
    );
    assert_eq!(
        rules.counts(4).expect("the test's own network does it").packets,
        12
    );

    rules
        .set(network("198.51.0.0/16"), BlockRule::new(FOREVER, 5, DROP))
        .expect("the test's own network does it");
    assert_eq!(passes(&mut kernel, &udp(&GOOD, &TARGET, 1, 2, b"x")), Some(false));
    rules
        .set(network("198.51.100.8"), BlockRule::new(0, 0, ALLOW))
        .expect("the test's own network does it");
    assert_eq!(passes(&mut kernel, &udp(&GOOD, &TARGET, 1, 2, b"x")), Some(true));
    assert_eq!(
        passes(
            &mut kernel,
            &udp(&GOOD, &Host::new(Ipv4Addr::new(198, 51, 9, 9)), 1, 2, b"x")
        ),
        Some(false)
    );

    assert_eq!(passes(&mut kernel, &udp6(0xbad)), Some(true));
    rules
        .set(network("2001:db8:bad::/48"), BlockRule::new(FOREVER, 6, DROP))
        .expect("the test's own network does it");
    assert_eq!(passes(&mut kernel, &udp6(0xbad)), Some(false));
    assert_eq!(passes(&mut kernel, &udp6(0xbae)), Some(true));
    rules
        .remove(network("2001:db8:bad::/48"))
        .expect("the test's own network does it");
    rules
        .remove(network("2001:db8:bad::/48"))
        .expect("the test's own network does it");
    assert_eq!(passes(&mut kernel, &udp6(0xbad)), Some(true));
}

/// A live sensor, and what passes it.
struct Scene {
    pair: Pair,
    live: Live,
    desk: Arc<Desk>,
    passed: ForeignProgram,
    back: ForeignProgram,
}

impl Scene {
    fn new(hook: HookChoice) -> Self {
        let pair = Pair::new(VethOptions::default())
            .expect("the test's own network does it")
            .with_addresses()
            .expect("the test's own network does it");
        let desk = Arc::new(Desk::default());
        let mut config = config(&[Pair::RX], hook);
        config.block = Some((Arc::clone(&desk), vec![network("198.51.100.200/29")]));
        let live = Live::start(&pair.receiver, config).expect("the test's own network does it");
        let passed = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::TcxIngress)
            .expect("the test's own network does it");
        let back = ForeignProgram::counting(&pair.sender, Pair::TX, Hook::TcxIngress)
            .expect("the test's own network does it");
        Self {
            pair,
            live,
            desk,
            passed,
            back,
        }
    }

    fn order(&self, lease: Duration, blocks: &[(u8, &str, bool)]) {
        let one = |(id, text, dry_run): &(u8, &str, bool)| BlockOrder {
            id: BlockId([*id; 16]),
            network: network(text),
            remaining: Duration::from_secs(600),
            dry_run: *dry_run,
        };
        self.desk.put(BlockOrders {
            blocks: blocks.iter().map(one).collect(),
            lease,
        });
        // The pipeline's thread looks every few milliseconds.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Sends ten of each kind and returns how many passed: bad host, bad prefix, bad IPv6, good IPv4, good IPv6.
    fn round(&self) -> [u64; 5] {
        let frames = [
            udp(&BAD, &TARGET, 1, 2, b"x"),
            udp(&IN_PREFIX, &TARGET, 1, 2, b"x"),
            udp6(0xbad),
            udp(&GOOD, &TARGET, 1, 2, b"x"),
            udp6(0xbae),
        ];
        frames.map(|frame| {
            let before = packets(&self.passed);
            let sent = self.pair.sender.run(|| {
                pin_to_cpu(0)?;
                FrameSocket::open(Pair::TX)?.send_all(std::iter::repeat_n(frame.as_slice(), 10))
            });
            assert_eq!(sent.expect("the test's own network does it").frames, 10);
            std::thread::sleep(Duration::from_millis(30));
            packets(&self.passed) - before
        })
    }

    fn finish(self) -> Captured {
        self.live.finish().expect("the test's own network does it")
    }
}

/// Packets that passed a program.
fn packets(program: &ForeignProgram) -> u64 {
    let counted = program.packets().expect("the test's own network does it");
    counted.expect("it counts")
}

#[test]
fn a_live_sensor_blocks_counts_and_forgets() {
    let Some(_root) = need_root() else { return };
    for hook in [HookChoice::Xdp, HookChoice::Tcx] {
        let scene = Scene::new(hook);
        assert!(scene.desk.is_open());
        let long = Duration::from_secs(300);
        let blocks = |dry| {
            [
                (1, "198.51.100.7", dry),
                (2, "203.0.113.0/24", dry),
                (3, "2001:db8:bad::/48", dry),
            ]
        };
        assert_eq!(scene.round(), [10; 5], "{hook:?}");
        scene.order(long, &blocks(true));
        assert_eq!(scene.round(), [10; 5], "{hook:?}: a dry run drops nothing");
        scene.order(long, &blocks(false));
        assert_eq!(scene.round(), [0, 0, 0, 10, 10], "{hook:?}");
        // The other direction: the receiver wants to send to a blocked address.
        scene
            .pair
            .receiver
            .ip("route add 198.51.100.0/24 via 10.77.0.1")
            .expect("the test's own network does it");
        let out = |last: u8| {
            let before = packets(&scene.back);
            let to = (Ipv4Addr::new(198, 51, 100, last), 9);
            // A send of which the packet is dropped is told so, or not, as the kernel likes.
            let _ = scene
                .pair
                .receiver
                .run(|| UdpSocket::bind("10.77.0.2:0")?.send_to(b"x", to));
            std::thread::sleep(Duration::from_millis(30));
            packets(&scene.back) - before
        };
        assert_eq!((out(7), out(8)), (0, 1), "{hook:?}");
        // Unblocked: the rest stays.
        scene.order(long, &blocks(false)[1..]);
        assert_eq!(scene.round(), [10, 0, 0, 10, 10], "{hook:?}");
        // Nobody renews this one, which lasts longer than a round on a busy machine.
        let lease = Duration::from_secs(4);
        scene.order(lease, &blocks(false));
        let ordered = Instant::now();
        assert_eq!(scene.round(), [0, 0, 0, 10, 10], "{hook:?}");
        std::thread::sleep((lease + Duration::from_millis(200)).saturating_sub(ordered.elapsed()));
        assert_eq!(scene.round(), [10; 5], "{hook:?}: the lease is over");

        let captured = scene.finish();
        captured.assert_accounted();
        let (ingress, egress) = (captured.point(Pair::RX, false), captured.point(Pair::RX, true));
        assert_eq!(
            (ingress.seen, ingress.blocked),
            (300, 80),
            "{hook:?}: {ingress:?}"
        );
        assert_eq!(egress.blocked, 1, "{hook:?}: {egress:?}");
        assert_eq!(
            captured.totals().0 - egress.seen,
            300,
            "{hook:?}: blocked packets are in their flows"
        );
        let counts = |dry_run| {
            let blocks = captured
                .status
                .blocks
                .iter()
                .filter(move |block| block.dry_run == dry_run);
            blocks.map(|block| block.packets).collect::<Vec<_>>()
        };
        assert_eq!(counts(true), [10, 10, 10], "{hook:?}");
        assert_eq!(counts(false), [21, 30, 30], "{hook:?}");
    }
}

#[test]
fn the_allow_list_of_the_sensor_wins() {
    let Some(_root) = need_root() else { return };
    let scene = Scene::new(HookChoice::Tcx);
    scene
        .pair
        .receiver
        .ip("route add default via 10.77.0.1")
        .expect("the test's own network does it");
    scene.order(
        Duration::from_secs(300),
        &[
            (1, "10.77.0.2", false),
            (2, "10.77.0.1", false),
            (3, "198.51.100.201", false),
            (4, "198.51.100.0/24", false),
        ],
    );
    let from = |host: &Host, passes: u64| {
        let before = packets(&scene.passed);
        let frame = udp(host, &TARGET, 1, 2, b"x");
        let sent = scene
            .pair
            .sender
            .run(|| FrameSocket::open(Pair::TX)?.send_all([frame.as_slice()]));
        assert_eq!(sent.expect("the test's own network does it").frames, 1);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(packets(&scene.passed) - before, passes);
    };
    from(&Host::new(Ipv4Addr::new(10, 77, 0, 1)), 1);
    from(&Host::new(Ipv4Addr::new(198, 51, 100, 201)), 1);
    from(&BAD, 0);
    let captured = scene.finish();
    let refused: Vec<_> = captured
        .status
        .blocks
        .iter()
        .map(|block| block.refused.as_deref())
        .collect();
    let expected = [
        "the allow-list wins: 10.77.0.2/32 (an address of the sensor)",
        "the allow-list wins: 10.77.0.1/32 (a gateway of the sensor)",
        "the allow-list wins: 198.51.100.200/29 (in block.never of the sensor)",
    ];
    assert_eq!(refused, [expected.map(Some).as_slice(), &[None]].concat());
}

/// With the daemons: an order goes from the command to the kernel, and ends with the lease when the collector is gone.
#[test]
fn a_block_goes_from_the_command_to_the_kernel_and_dies_with_the_collector() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default())
        .expect("the test's own network does it")
        .with_addresses()
        .expect("the test's own network does it");
    let folder = tempfile::tempdir().expect("the test's own network does it");
    let path = folder.path().display();
    let collector_file = folder.path().join("collector.toml");
    let text = format!(
        "listen = \"unix:{path}/c.sock\"\nhttp_listen = \"\"\n[store]\ndirectory = \"{path}/store\"\n\
         [block]\nenabled = true\ndry_run = false\nlease = 3\n"
    );
    std::fs::write(&collector_file, text).expect("the test's own network does it");
    let sensor_file = folder.path().join("sensor.toml");
    let text = format!(
        "state_dir = \"{path}/sensor\"\n[capture]\ninterfaces = [\"{}\"]\nhook = \"tcx\"\n[collector]\n\
         url = \"unix:{path}/c.sock\"\n[status]\nlisten = \"\"\nreport = \"100ms\"\n[block]\nallow_block = true\n",
        Pair::RX
    );
    std::fs::write(&sensor_file, text).expect("the test's own network does it");
    let collector = || {
        let mut command =
            std::process::Command::new(built("lynceus-collector").expect("the test's own network does it"));
        command.arg("--config").arg(&collector_file);
        Running::start(command, "listening", PATIENCE).expect("the test's own network does it")
    };
    let mut first = collector();
    let mut command = pair
        .receiver
        .command(built("lynceus-sensor").expect("the test's own network does it"));
    command.arg("--config").arg(&sensor_file);
    let _sensor = Running::start(command, "takes batches", PATIENCE).expect("the test's own network does it");
    let passed = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::TcxIngress)
        .expect("the test's own network does it");
    let ask = |arguments: &[&str]| {
        let output = std::process::Command::new(built("lynceus").expect("the test's own network does it"))
            .args(arguments)
            .args(["--connect", &format!("unix:{path}/c.sock")])
            .output()
            .expect("the test's own network does it");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8(text).expect("the test's own network does it"),
        )
    };
    // Packets of all rounds that did not pass.
    let dropped = Cell::new(0);
    let round = || {
        let before = packets(&passed);
        let frame = udp(&BAD, &TARGET, 1, 2, b"x");
        let ten = std::iter::repeat_n(frame.as_slice(), 10);
        pair.sender
            .run(|| FrameSocket::open(Pair::TX)?.send_all(ten))
            .expect("the test's own network does it");
        std::thread::sleep(Duration::from_millis(300));
        let after = packets(&passed);
        dropped.set(dropped.get() + 10 - (after - before));
        after - before
    };
    // What a daemon or a lease has to bring about takes as long as it takes.
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    assert_eq!(round(), 10);
    let (done, text) = ask(&["block", "198.51.100.7", "--for", "1h", "--reason", "a test"]);
    assert!(done && text.contains("packets are dropped by 1 sensor"), "{text}");
    until("packets are dropped", &|| round() == 0);
    let counted = format!("dropped {} packets", dropped.get());
    until(&counted, &|| {
        let (done, text) = ask(&["blocked"]);
        done && text.contains("198.51.100.7/32") && text.contains(&counted)
    });
    first.kill();
    until("the lease is over, nobody lifted the block", &|| round() == 10);
    let _second = collector();
    until("the collector remembers", &|| round() == 0);
    let (done, text) = ask(&["unblock", "198.51.100.7"]);
    assert!(done, "{text}");
    until("unblocked", &|| round() == 10);
    let (_, log) = ask(&["blocked", "--log"]);
    let actions: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    assert_eq!(actions, ["unblocked", "blocked"], "{log}");
    assert!(log.contains("a test"), "{log}");
    let (done, text) = ask(&["block", "0.0.0.0/0"]);
    assert!(!done && text.contains("wider"), "{text}");
    let (done, text) = ask(&["block", "127.0.0.1"]);
    assert!(
        !done && text.contains("the allow-list wins: 127.0.0.0/8 (loopback)"),
        "{text}"
    );
    // What only the sensor knows, it says when it is asked.
    let (done, text) = ask(&["block", "10.77.0.2"]);
    assert!(
        !done && text.contains("the allow-list wins: 10.77.0.2/32 (an address of the sensor)"),
        "{text}"
    );
    let (_, log) = ask(&["blocked", "--log"]);
    assert!(log.contains("refused") && log.contains("loopback"), "{log}");
}
