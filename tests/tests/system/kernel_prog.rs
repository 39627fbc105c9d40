//! The kernel programs, run by the kernel on single packets (`BPF_PROG_TEST_RUN`), against the parser in user space:
//! every kind of frame, and every cut of it, through XDP and through TC.

mod frames;

use std::collections::HashMap;

use aya::programs::{TestRun, TestRunOptions};
use lynceus_sensor::kernel::load::{Kernel, Options, Readers};
use lynceus_tests::need_root;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};
use sensor_ebpf::parse::{Degraded, Fragment, KERNEL_LEVELS, Layer, Link, Packet, Slice, parse};

use self::frames::{ethernet, frames, ipv4, tcp, udp};

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

/// struct __sk_buff with gso_segs (at 164) and gso_size (at 176).
fn segmented(segments: u32, size: u32) -> [u8; 192] {
    let mut context = [0u8; 192];
    context[164..168].copy_from_slice(&segments.to_ne_bytes());
    context[176..180].copy_from_slice(&size.to_ne_bytes());
    context
}

/// The only flow, its only side: packets, IP bytes, wire bytes, flag counts.
fn only_side(readers: &mut Readers) -> (u64, u64, u64, [u32; 8]) {
    let sums = collect(readers);
    assert_eq!(sums.len(), 1, "{sums:?}");
    let sum = sums.values().next().expect("one flow");
    let side = usize::from(sum.packets[0] == 0);
    (
        sum.packets[side],
        sum.ip_bytes[side],
        sum.wire_bytes[side],
        sum.flag_counts[side],
    )
}

#[test]
fn a_segmented_buffer_counts_as_the_packets_on_the_wire() {
    let Some(_root) = need_root() else { return };
    let frame = ethernet(0x0800, &ipv4(6, 1, 0, &[], 1, &tcp(1, 2, 0x18, &[7; 2500])));
    // The second one is of a guest or a packet socket, which counts no segments.
    for context in [segmented(3, 1000), segmented(0, 1000)] {
        let (mut kernel, mut readers) = load();
        run(&mut kernel, &Hook::Ingress, &frame, Some(&context));
        let side = only_side(&mut readers);
        // ACK is on every packet, PSH on the last.
        assert_eq!(side, (3, 2540 + 2 * 40, 2554 + 2 * 54, [0, 0, 0, 1, 3, 0, 0, 0]));
        assert_eq!(counters(&readers).seen.packets, 3);
    }
    // One segment, and none: still a packet.
    for (context, payload) in [
        (segmented(0, 3000), 2500),
        (segmented(0, 10), 0),
        (segmented(1, 10), 5),
    ] {
        let (mut kernel, mut readers) = load();
        let frame = ethernet(
            0x0800,
            &ipv4(6, 1, 0, &[], 1, &tcp(1, 2, 0x10, &vec![7; payload])),
        );
        run(&mut kernel, &Hook::Ingress, &frame, Some(&context));
        assert_eq!(only_side(&mut readers).0, 1, "{payload} bytes");
    }
}

/// A stream in a tunnel: each segment repeats the headers outside and inside, whichever of them makes the flow.
#[test]
fn a_segmented_tunnel_counts_all_its_headers_in_both_layers() {
    let Some(_root) = need_root() else { return };
    let inner = ethernet(0x0800, &ipv4(6, 2, 0, &[], 3, &tcp(5, 6, 0x10, &[7; 2500])));
    let vxlan = udp(21, 4789, &[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat());
    let frame = ethernet(0x0800, &ipv4(17, 1, 0, &[], 15, &vxlan));
    let outside = 20 + 8 + 8 + 14;
    for context in [segmented(3, 1000), segmented(0, 1000)] {
        for (layer, ip_headers) in [(Layer::Inner, 40), (Layer::Outer, outside + 40)] {
            let options = Options {
                layer,
                ..Options::default()
            };
            let (mut kernel, mut readers) = Kernel::load(&options).expect("the programs load");
            for hook in [Hook::Ingress, Hook::Egress] {
                run(&mut kernel, &hook, &frame, Some(&context));
            }
            let sums = collect(&mut readers);
            let total = |of: fn(&Sum) -> [u64; 2]| sums.values().flat_map(of).sum::<u64>();
            assert_eq!(total(|sum| sum.packets), 2 * 3, "{layer:?}");
            assert_eq!(
                total(|sum| sum.ip_bytes),
                2 * (2500 + 3 * ip_headers),
                "{layer:?}"
            );
            assert_eq!(
                total(|sum| sum.wire_bytes),
                2 * (2500 + 3 * (14 + outside + 40)),
                "{layer:?}"
            );
        }
    }
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
    for (layer, log) in [(Layer::Inner, false), (Layer::Outer, false), (Layer::Inner, true)] {
        let options = Options {
            layer,
            log,
            ..Options::default()
        };
        let (mut kernel, _readers) = Kernel::load(&options).expect("the programs load");
        kernel.xdp().expect("XDP loads");
        kernel.classifier(false).expect("ingress loads");
        kernel.classifier(true).expect("egress loads");
        for (name, instructions) in kernel.verified_instructions() {
            println!("{layer:?}, log {log}, {name}: {instructions:?} instructions walked");
            assert!(instructions.is_none_or(|count| count < 333_333), "{name}");
        }
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
