//! The kernel programs, run by the kernel on single packets (`BPF_PROG_TEST_RUN`), against the parser in user space:
//! every kind of frame, and every cut of it, through XDP and through TC.

use std::collections::HashMap;

use aya::programs::{TestRun, TestRunOptions};
use lynceus_sensor::kernel::load::{Kernel, Options, Readers};
use lynceus_tests::need_root;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};
use sensor_ebpf::parse::{Degraded, Fragment, KERNEL_LEVELS, Link, Packet, Slice, parse};

/// What a flow adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    packets: [u64; 2],
    ip_bytes: [u64; 2],
    wire_bytes: [u64; 2],
    flags: [u8; 2],
    flag_counts: [[u32; 8]; 2],
    fragments: [u32; 2],
    outer: Option<([u8; 16], [u8; 16])>,
}

type Sums = HashMap<FlowKey, Sum>;
/// Source, destination, identification and protocol.
type Datagram = ([u8; 16], [u8; 16], u32, u8);

/// What user space makes of frames, with the same memory for fragments.
#[derive(Default)]
struct Expected {
    sums: Sums,
    refused: HashMap<&'static str, u64>,
    degraded: HashMap<&'static str, u64>,
    seen: u64,
    fragments: HashMap<Datagram, (u16, u16, bool)>,
}

impl Expected {
    fn take(&mut self, bytes: &[u8]) {
        self.seen += 1;
        let frame = Slice {
            bytes,
            wire_len: u32::try_from(bytes.len()).expect("short"),
        };
        let mut packet = Packet::default();
        if let Err(reason) = parse::<_, KERNEL_LEVELS>(&frame, Link::Ethernet, &mut packet) {
            *self.refused.entry(reason.name()).or_default() += 1;
            return;
        }
        let ends = match packet.sender {
            Side::Low => (packet.key.low, packet.key.high),
            Side::High => (packet.key.high, packet.key.low),
        };
        match packet.fragment {
            Fragment::Whole => {}
            Fragment::First { id } => {
                let (from, to) = packet.ports();
                let key = (ends.0, ends.1, id, packet.key.protocol);
                self.fragments.insert(key, (from, to, packet.key.one_way != 0));
            }
            Fragment::Later { id } => match self.fragments.get(&(ends.0, ends.1, id, packet.key.protocol)) {
                Some((from, to, one_way)) => packet.set_ports(*from, *to, *one_way),
                None => *self.degraded.entry("fragment_unknown").or_default() += 1,
            },
        }
        if let Some(reason) = packet.degraded {
            *self.degraded.entry(reason.name()).or_default() += 1;
        }
        let sum = self.sums.entry(packet.key).or_default();
        let side = packet.sender as usize;
        sum.packets[side] += 1;
        sum.ip_bytes[side] += u64::from(packet.ip_len);
        sum.wire_bytes[side] += bytes.len() as u64;
        sum.flags[side] |= packet.tcp_flags;
        for bit in 0..8 {
            sum.flag_counts[side][bit] += u32::from(packet.tcp_flags >> bit & 1);
        }
        sum.fragments[side] += u32::from(matches!(packet.fragment, Fragment::Later { .. }));
        sum.outer = sum.outer.or(packet.outer);
    }
}

fn ethernet(ether_type: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(body);
    frame
}

fn ipv4(protocol: u8, id: u16, fragment: u16, options: &[u8], last: u8, body: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + options.len() + body.len()).expect("short");
    let mut packet = vec![0x45 + (options.len() / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([61, protocol, 0, 0, 192, 0, 2, last, 198, 51, 100, 7]);
    packet.extend(options);
    packet.extend(body);
    packet
}

fn ipv6(next: u8, last: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    packet.extend([next, 62]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(body);
    packet
}

fn tcp(from: u16, to: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend([0, 0, 1, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).expect("short").to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// One frame of each kind that the kernel programs know.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let plain = ipv4(6, 1, 0, &[], 1, &tcp(40_000, 443, 0x12, b"x"));
    let inner = ethernet(0x0800, &ipv4(17, 2, 0, &[], 3, &udp(5, 6, b"inner")));
    let labelled = |first: &[u8]| [&[0x00, 0x01, 0x01, 0x40], first].concat();
    vec![
        ("tcp", ethernet(0x0800, &plain)),
        (
            "udp",
            ethernet(0x0800, &ipv4(17, 1, 0, &[], 2, &udp(53, 40_001, b"answer"))),
        ),
        (
            "icmp",
            ethernet(0x0800, &ipv4(1, 1, 0, &[], 4, &[8, 0, 0, 0, 0, 1, 0, 1])),
        ),
        (
            "icmp one way",
            ethernet(0x0800, &ipv4(1, 1, 0, &[], 5, &[3, 1, 0, 0, 0, 0, 0, 0])),
        ),
        (
            "igmp",
            ethernet(0x0800, &ipv4(2, 1, 0, &[], 6, &[0x16, 0, 0, 0, 224, 0, 0, 1])),
        ),
        (
            "sctp",
            ethernet(0x0800, &ipv4(132, 1, 0, &[], 7, &tcp(7, 8, 0, b""))),
        ),
        (
            "options",
            ethernet(0x0800, &ipv4(6, 1, 0, &[1, 1, 1, 0], 8, &tcp(9, 10, 0x02, b""))),
        ),
        ("ipv6", ethernet(0x86dd, &ipv6(6, 9, &tcp(11, 12, 0x18, b"data")))),
        ("ipv6 udp", ethernet(0x86dd, &ipv6(17, 10, &udp(13, 14, b"data")))),
        (
            "ipv6 extensions",
            ethernet(
                0x86dd,
                &ipv6(
                    0,
                    11,
                    &[
                        &[60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0][..],
                        &tcp(15, 16, 0x10, b""),
                    ]
                    .concat(),
                ),
            ),
        ),
        (
            "icmpv6",
            ethernet(0x86dd, &ipv6(58, 12, &[135, 0, 0, 0, 0, 0, 0, 0])),
        ),
        ("vlan", ethernet(0x8100, &[&[0x20, 5, 8, 0][..], &plain].concat())),
        (
            "qinq",
            ethernet(0x88a8, &[&[0, 9, 0x81, 0, 0, 5, 8, 0][..], &plain].concat()),
        ),
        (
            "three tags",
            ethernet(
                0x88a8,
                &[&[0, 9, 0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0][..], &plain].concat(),
            ),
        ),
        ("mpls", ethernet(0x8847, &labelled(&plain))),
        (
            "pppoe",
            ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 43, 0, 0x21][..], &plain].concat()),
        ),
        ("arp", ethernet(0x0806, &[0; 28])),
        ("lldp", ethernet(0x88cc, &[0; 20])),
        (
            "first fragment",
            ethernet(0x0800, &ipv4(17, 77, 0x2000, &[], 13, &udp(17, 18, b"first!!!"))),
        ),
        (
            "later fragment",
            ethernet(0x0800, &ipv4(17, 77, 2, &[], 13, b"later")),
        ),
        (
            "lone fragment",
            ethernet(0x0800, &ipv4(17, 78, 2, &[], 13, b"later")),
        ),
        (
            "ipv6 fragment",
            ethernet(
                0x86dd,
                &ipv6(
                    44,
                    14,
                    &[&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(19, 20, b"first")].concat(),
                ),
            ),
        ),
        (
            "vxlan",
            ethernet(
                0x0800,
                &ipv4(
                    17,
                    1,
                    0,
                    &[],
                    15,
                    &udp(21, 4789, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat()),
                ),
            ),
        ),
        (
            "geneve",
            ethernet(
                0x86dd,
                &ipv6(
                    17,
                    16,
                    &udp(
                        22,
                        6081,
                        &[&[1, 0, 0x65, 0x58, 0, 1, 3, 0, 0, 0, 0, 0][..], &inner].concat(),
                    ),
                ),
            ),
        ),
        (
            "gre",
            ethernet(
                0x0800,
                &ipv4(
                    47,
                    1,
                    0,
                    &[],
                    17,
                    &[&[0x20, 0, 8, 0, 0, 0, 0, 9][..], &plain].concat(),
                ),
            ),
        ),
        ("ipip", ethernet(0x0800, &ipv4(4, 1, 0, &[], 18, &plain))),
        (
            "6in4",
            ethernet(
                0x0800,
                &ipv4(41, 1, 0, &[], 19, &ipv6(17, 20, &udp(23, 24, b"six"))),
            ),
        ),
        (
            "ipip twice",
            ethernet(0x0800, &ipv4(4, 1, 0, &[], 21, &ipv4(4, 1, 0, &[], 22, &plain))),
        ),
        ("bad version", ethernet(0x0800, &[0x35; 40])),
        ("padded", ethernet(0x0800, &[&plain[..], &[0; 9]].concat())),
    ]
}

enum Hook {
    Xdp,
    Ingress,
    Egress,
}

/// TC test runs refuse an IP frame without a whole fixed IP header before the program sees it; XDP runs take it.
fn kernel_runs(hook: &Hook, bytes: &[u8]) -> bool {
    let needed = match (hook, bytes.get(12..14)) {
        (Hook::Xdp, _) => 14,
        (_, Some([0x08, 0x00])) => 14 + 20,
        (_, Some([0x86, 0xdd])) => 14 + 40,
        _ => 14,
    };
    bytes.len() >= needed
}

/// Runs one packet and returns what the program said.
fn run(kernel: &mut Kernel, hook: &Hook, bytes: &[u8], context: Option<&[u8]>) -> u32 {
    let mut options = TestRunOptions::new();
    options.data_in = Some(bytes);
    options.ctx_in = context;
    let result = match hook {
        Hook::Xdp => kernel.xdp().expect("XDP loads").test_run(options),
        Hook::Ingress => kernel.classifier(false).expect("ingress loads").test_run(options),
        Hook::Egress => kernel.classifier(true).expect("egress loads").test_run(options),
    };
    result.expect("the kernel runs the program").return_value
}

fn load() -> (Kernel, Readers) {
    let options = Options {
        ring_slots: 1 << 12,
        ..Options::default()
    };
    Kernel::load(&options).expect("the programs load")
}

/// Everything that the kernel holds and has written out.
fn collect(readers: &mut Readers) -> Sums {
    let mut last = HashMap::new();
    for ring in &mut readers.rings {
        ring.drain(usize::MAX, |record| {
            last.insert((record.cpu, record.incarnation), record);
        });
    }
    for cpu in 0..readers.cache.sizes().cpus {
        let swept = readers.cache.read(cpu, |record| {
            last.insert((record.cpu, record.incarnation), record);
        });
        assert_eq!(swept.unsettled, 0);
    }
    let mut sums = Sums::new();
    for record in last.values() {
        let sum = sums.entry(record.key).or_default();
        for (at, side) in record.sides.iter().enumerate() {
            sum.packets[at] += side.packets;
            sum.ip_bytes[at] += side.ip_bytes;
            sum.wire_bytes[at] += side.wire_bytes;
            sum.flags[at] |= side.tcp_flags;
            sum.fragments[at] += side.fragments;
            for bit in 0..8 {
                sum.flag_counts[at][bit] += side.flag_counts[bit];
            }
        }
        sum.outer = sum.outer.or(record.outer);
    }
    sums
}

/// Counters of the point at which test runs happen: the loopback device of the namespace.
fn counters(readers: &Readers) -> PointCounters {
    readers.counters.of_slot(0)
}

fn compare(hook: &Hook, verdict: u32) {
    let (mut kernel, mut readers) = load();
    let mut expected = Expected::default();
    for (name, frame) in frames() {
        // The kernel refuses to run a program on less than an Ethernet header.
        for cut in (14..=frame.len()).rev() {
            if !kernel_runs(hook, &frame[..cut]) {
                continue;
            }
            assert_eq!(
                run(&mut kernel, hook, &frame[..cut], None),
                verdict,
                "{name} cut at {cut}"
            );
            expected.take(&frame[..cut]);
        }
    }
    let found = collect(&mut readers);
    for (key, sum) in &expected.sums {
        assert_eq!(found.get(key), Some(sum), "{key:?}");
    }
    assert_eq!(found.len(), expected.sums.len());
    let counters = counters(&readers);
    assert_eq!(counters.seen.packets, expected.seen);
    for reason in sensor_ebpf::counters::RefusedPacket::all() {
        let count = expected.refused.get(reason.name()).copied().unwrap_or(0);
        assert_eq!(
            counters.refused[reason.index()].packets,
            count,
            "{}",
            reason.name()
        );
    }
    for reason in Degraded::ALL {
        let count = expected.degraded.get(reason.name()).copied().unwrap_or(0);
        assert_eq!(counters.degraded[reason as usize], count, "{}", reason.name());
    }
    let unknown = expected.degraded.get("fragment_unknown").copied().unwrap_or(0);
    assert_eq!(
        counters.degraded[sensor_ebpf::counters::FRAGMENT_UNKNOWN],
        unknown
    );
    // Law 1 at rest.
    let resident: u64 = found.values().map(|sum| sum.packets[0] + sum.packets[1]).sum();
    assert_eq!(
        counters.seen.packets,
        resident + counters.refused_total().packets,
        "seen = recorded + resident + refused"
    );
    assert_eq!(readers.counters.nested(), 0);
}

#[test]
fn xdp_counts_every_frame_as_user_space_does() {
    let Some(_root) = need_root() else { return };
    compare(&Hook::Xdp, 2);
}

#[test]
fn tc_counts_every_frame_as_user_space_does() {
    let Some(_root) = need_root() else { return };
    compare(&Hook::Ingress, u32::MAX);
    compare(&Hook::Egress, u32::MAX);
}

#[test]
fn a_segmented_buffer_counts_as_the_packets_on_the_wire() {
    let Some(_root) = need_root() else { return };
    let (mut kernel, mut readers) = load();
    let frame = ethernet(0x0800, &ipv4(6, 1, 0, &[], 1, &tcp(1, 2, 0x18, &[7; 2500])));
    // struct __sk_buff: gso_segs at 164, gso_size at 176.
    let mut context = [0u8; 192];
    context[164..168].copy_from_slice(&3u32.to_ne_bytes());
    context[176..180].copy_from_slice(&1000u32.to_ne_bytes());
    run(&mut kernel, &Hook::Ingress, &frame, Some(&context));
    let sums = collect(&mut readers);
    let sum = sums.values().next().expect("one flow");
    let side = usize::from(sum.packets[0] == 0);
    assert_eq!(sum.packets[side], 3);
    assert_eq!(sum.ip_bytes[side], 2540 + 2 * 40);
    assert_eq!(sum.wire_bytes[side], 2554 + 2 * 54);
    // ACK is on every packet, PSH on the last.
    assert_eq!(sum.flag_counts[side], [0, 0, 0, 1, 3, 0, 0, 0]);
}

#[test]
fn evictions_lose_nothing_and_a_full_ring_is_counted() {
    let Some(_root) = need_root() else { return };
    let options = Options {
        cache_entries: 16,
        ring_slots: 64,
        ..Options::default()
    };
    let (mut kernel, mut readers) = Kernel::load(&options).expect("the programs load");
    let flows = 400u16;
    for port in 0..flows {
        run(
            &mut kernel,
            &Hook::Ingress,
            &ethernet(0x0800, &ipv4(17, 1, 0, &[], 1, &udp(port, 9, b"x"))),
            None,
        );
    }
    let counters = counters(&readers);
    let found = collect(&mut readers);
    let counted: u64 = found.values().map(|sum| sum.packets[0] + sum.packets[1]).sum();
    let refused = counters.refused[sensor_ebpf::counters::RefusedPacket::RingFull.index()];
    assert_eq!(counters.seen.packets, u64::from(flows));
    assert_eq!(counters.seen.packets, counted + refused.packets);
    assert!(refused.packets > 0, "a ring of 64 slots cannot hold this");
    assert!(counters.records > 0 && counters.recorded.packets == counters.records);
    let bytes: u64 = found
        .values()
        .map(|sum| sum.wire_bytes[0] + sum.wire_bytes[1])
        .sum();
    assert_eq!(counters.seen.bytes, bytes + refused.bytes);
}

#[test]
fn the_verifier_walks_less_than_a_third_of_its_limit() {
    let Some(_root) = need_root() else { return };
    let (mut kernel, _readers) = load();
    kernel.xdp().expect("XDP loads");
    kernel.classifier(false).expect("ingress loads");
    kernel.classifier(true).expect("egress loads");
    for (name, instructions) in kernel.verified_instructions() {
        println!("{name}: {instructions:?} instructions walked");
        assert!(instructions.is_none_or(|count| count < 333_333), "{name}");
    }
}

#[test]
fn a_point_gets_its_own_counters() {
    let Some(_root) = need_root() else { return };
    let (mut kernel, readers) = load();
    let point = Point {
        ifindex: 1,
        direction: HookDirection::Egress,
    };
    let slot = kernel.register(point).expect("the map takes it");
    assert_ne!(slot, 0);
    let frame = ethernet(0x0800, &ipv4(17, 1, 0, &[], 1, &udp(1, 9, b"x")));
    run(&mut kernel, &Hook::Egress, &frame, None);
    run(&mut kernel, &Hook::Ingress, &frame, None);
    assert_eq!(readers.counters.of_slot(slot).seen.packets, 1);
    assert_eq!(readers.counters.of_slot(0).seen.packets, 1);
}

/// `cargo xtask ebpf --check` tests a rebuilt object by this variable; without it the tests are about the committed one.
#[test]
fn the_programs_under_test_are_those_of_the_named_object() {
    let committed = lynceus_tests::fixtures::repository().join("sensor-ebpf/object/lynceus.bpf.o");
    let named = std::env::var_os("LYNCEUS_EBPF_OBJECT").map_or(committed, std::path::PathBuf::from);
    let bytes = std::fs::read(&named).expect("the object is there");
    assert!(
        lynceus_sensor::kernel::load::OBJECT == bytes,
        "the sensor was built with another object than {}",
        named.display()
    );
    println!("kernel programs: {}, {} bytes", named.display(), bytes.len());
}
