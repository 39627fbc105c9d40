//! The way of a packet through a hook: parse, count in the flow cache, offer the payload's head.

mod flow_cache;
mod frame;
mod maps;
mod payload;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use sensor_ebpf::counters::{FRAGMENT_UNKNOWN, PointCounters, RefusedPacket};
use sensor_ebpf::flow::Side;
use sensor_ebpf::layout::{FragmentKey, FragmentPorts, pack_point};
use sensor_ebpf::parse::{Fragment, Frame, KERNEL_LEVELS, Link, Packet, Refused, parse};

use self::flow_cache::{Added, Cpu, account, count, flow_heads, reason_index};
use self::frame::{Copied, Direct};
pub(crate) use self::frame::{Hook, TcHook, XdpHook};
use self::maps::{FRAGMENTS, HEAD_SCRATCH, HEADS_ON, LYNCEUS_ABI_2, OUTER_LAYER, PACKET};

/// Handles one buffer at a hook. Never changes the packet.
#[inline(always)]
pub(crate) fn observe<H: Hook, const EGRESS: bool>(hook: H) {
    // Keeps the symbol in the object: its presence is the check of the layouts.
    let _ = LYNCEUS_ABI_2.load();
    let Some(cpu) = Cpu::current() else { return };
    // SAFETY: this CPU's block.
    unsafe {
        if (*cpu.block).busy != 0 {
            (*cpu.block).nested += 1;
            return;
        }
        (&raw mut (*cpu.block).busy).write_volatile(1);
    }
    guarded::<H, EGRESS>(hook, cpu);
    // SAFETY: as above.
    unsafe { (&raw mut (*cpu.block).busy).write_volatile(0) };
}

#[inline(always)]
fn guarded<H: Hook, const EGRESS: bool>(hook: H, cpu: Cpu) {
    let frame = hook.direct();
    let point = pack_point(hook.ifindex(), EGRESS);
    let Some(counters) = cpu.counters(point) else { return };
    let Some(packet) = PACKET.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's element; programs on a CPU do not interrupt each other.
    let packet = unsafe { &mut *packet };
    // SAFETY: a helper without arguments (Linux 5.11).
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let segments = hook.segments();

    let mut result = read_direct(hook, packet);
    if frame.is_cut() && (result != 0 || packet.degraded.is_some()) {
        result = read_copied(hook, packet);
    }
    if result != 0 {
        let wire = frame.wire_len();
        let tally = refused(counters, result - 1);
        // SAFETY: this CPU's counters.
        unsafe {
            count(&raw mut (*counters).seen, segments, wire);
            count(tally, segments, wire);
        }
        if result == Refused::Arp as u32 + 1 && HEADS_ON.load() != 0 {
            payload::offer_arp(hook, counters, point, now);
        }
        return;
    }
    if packet.fragment != Fragment::Whole {
        fragment(counters, packet);
    }
    if let Some(reason) = packet.degraded {
        let index = reason_index(reason as u32);
        // SAFETY: this CPU's counters; the index is below the array's length.
        unsafe { *(&raw mut (*counters).degraded).cast::<u64>().add(index) += 1 };
    }

    // Each segment but the first repeats all headers up to the payload.
    let repeated = segments - 1;
    let added = Added {
        point,
        now,
        packets: segments,
        ip_bytes: packet.ip_len + repeated * (packet.payload_offset.wrapping_sub(packet.ip_offset) & 0xfff),
        wire_bytes: frame.wire_len() + repeated * (header_len(&frame, packet) & 0xfff),
    };
    // SAFETY: this CPU's counters.
    unsafe { count(&raw mut (*counters).seen, added.packets, added.wire_bytes) };
    let Some(place) = account(cpu, counters, packet, &added) else {
        let tally = refused(counters, RefusedPacket::RingFull.index() as u32);
        // SAFETY: this CPU's counters.
        unsafe { count(tally, added.packets, added.wire_bytes) };
        return;
    };
    if HEADS_ON.load() != 0
        && (packet.payload_len != 0 || packet.tcp_flags & 2 != 0)
        && let Some(state) = flow_heads(place)
    {
        // SAFETY: the state of this flow in this CPU's part of its map.
        let state = unsafe { &mut *state };
        payload::offer(hook, counters, packet, state, &payload::When { now, point });
    }
}

/// Bytes before the payload on the wire, with the tag that the card took out.
#[inline(always)]
fn header_len(frame: &Direct, packet: &Packet) -> u32 {
    let tag = if frame.stripped_tag().is_some() { 4 } else { 0 };
    packet.payload_offset + tag
}

/// Parses the linear part. Returns 0, or the number of the reason plus 1.
///
/// This and the other functions that are not inlined are functions in the loaded program too: the stack and the verifier
/// need the cut.
#[inline(never)]
fn read_direct<H: Hook>(hook: H, packet: &mut Packet) -> u32 {
    parse_layer(&hook.direct(), packet)
}

/// Parses a copy of the frame's first bytes.
#[inline(never)]
fn read_copied<H: Hook>(hook: H, packet: &mut Packet) -> u32 {
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else {
        return UNREADABLE;
    };
    // SAFETY: this CPU's scratch element.
    let scratch = unsafe { &raw mut (*scratch).bytes };
    let Some(frame) = Copied::new(hook, scratch) else {
        return UNREADABLE;
    };
    parse_layer(&frame, packet)
}

/// A frame that even the helper cannot read.
const UNREADABLE: u32 = Refused::TruncatedLink as u32 + 1;

#[inline(always)]
fn parse_layer<F: Frame>(frame: &F, packet: &mut Packet) -> u32 {
    let result = if OUTER_LAYER.load() == 0 {
        parse::<F, KERNEL_LEVELS>(frame, Link::Ethernet, packet)
    } else {
        parse::<F, 0>(frame, Link::Ethernet, packet)
    };
    match result {
        Ok(()) => 0,
        Err(reason) => reason as u32 + 1,
    }
}

/// Remembers the ports of a first fragment, gives them to a later one.
#[inline(never)]
fn fragment(counters: *mut PointCounters, packet: &mut Packet) {
    let id = match packet.fragment {
        Fragment::Whole => return,
        Fragment::First { id } | Fragment::Later { id } => id,
    };
    let (from, to) = match packet.sender {
        Side::Low => (packet.key.low, packet.key.high),
        Side::High => (packet.key.high, packet.key.low),
    };
    let key = FragmentKey {
        from,
        to,
        id,
        protocol: packet.key.protocol,
        tunnel: packet.key.tunnel,
        zero: [0; 2],
        vlan: packet.key.vlan,
        vni: packet.key.vni,
    };
    if let Fragment::First { .. } = packet.fragment {
        let (sender, receiver) = packet.ports();
        let ports = FragmentPorts {
            sender,
            receiver,
            one_way: u32::from(packet.key.one_way != 0),
        };
        // Cannot fail for want of room: the map drops its least recently used element.
        let _ = FRAGMENTS.insert(&key, &ports, u64::from(BPF_ANY));
        return;
    }
    // SAFETY: another CPU may replace the element while it is read; the ports are a hint.
    if let Some(ports) = unsafe { FRAGMENTS.get(&key) } {
        packet.set_ports(ports.sender, ports.receiver, ports.one_way != 0);
    } else {
        // SAFETY: this CPU's counters.
        unsafe { (*counters).degraded[FRAGMENT_UNKNOWN] += 1 };
    }
}

#[inline(always)]
fn refused(counters: *mut PointCounters, index: u32) -> *mut sensor_ebpf::counters::Tally {
    // SAFETY: `counters` is an element of the map, and the index of a reason is below their number.
    unsafe {
        (&raw mut (*counters).refused)
            .cast::<sensor_ebpf::counters::Tally>()
            .add(reason_index(index))
    }
}
