//! The way of a packet through a hook, in up to four programs:
//!
//! 1. the hook's own ([`enter`]) parses the usual frame, counts it in the flow cache and asks the selector of heads;
//! 2. [`parse_rest`] parses every other frame with the general parser, from a copy of its first bytes;
//! 3. [`count_parsed`] does with its packet what the first one does;
//! 4. [`send_head`] copies payload to the ring buffer.
//!
//! They are tail calls and not functions because each gets its own 512 bytes of stack and its own verifier budget, and
//! the usual packet pays for none of them. What one leaves to the next lies in this CPU's [`maps::Work`].

mod flow_cache;
mod frame;
mod maps;
mod payload;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use sensor_ebpf::counters::{FRAGMENT_UNKNOWN, PointCounters, RefusedPacket, Tally};
use sensor_ebpf::flow::Side;
use sensor_ebpf::layout::{FragmentPorts, pack_point};
use sensor_ebpf::parse::{
    Fragment, Frame, KERNEL_LEVELS, Link, Packet, Refused, parse_general, parse_simple,
};
use sensor_ebpf::settings::next;

use self::flow_cache::{Added, Cpu, account, count, flow_heads, reason_index};
use self::frame::{Copied, Direct};
pub(crate) use self::frame::{Hook, TcHook, XdpHook};
use self::maps::{FRAGMENTS, HEAD_SCRATCH, HEADS_ON, LYNCEUS_ABI_2, OUTER_LAYER, WORK, Work};

/// The program at a hook. Never changes the packet.
#[inline(always)]
pub(crate) fn enter<H: Hook, const EGRESS: bool>(hook: H) {
    // Keeps the symbol in the object: its presence is the check of the layouts.
    let _ = LYNCEUS_ABI_2.load();
    let Some((cpu, work)) = workplace() else { return };
    // SAFETY: this CPU's block.
    unsafe {
        if (*cpu.block).busy != 0 {
            (*cpu.block).nested += 1;
            return;
        }
        (&raw mut (*cpu.block).busy).write_volatile(1);
    }
    work.point = pack_point(hook.ifindex(), EGRESS);
    // SAFETY: a helper without arguments (Linux 5.11).
    work.now = unsafe { bpf_ktime_get_coarse_ns() };
    work.segments = hook.segments();
    let frame = hook.direct();
    if parse_simple(&frame, &mut work.packet) {
        count_packet(hook, cpu, work, frame);
    } else {
        hook.next(next::PARSE);
    }
    leave(cpu);
}

/// Parses what [`enter`] did not.
#[inline(always)]
pub(crate) fn parse_rest<H: Hook>(hook: H) {
    let Some((cpu, work)) = workplace() else { return };
    if let Some(counters) = cpu.counters(work.point) {
        match read_copy(hook, &mut work.packet) {
            0 => {
                if work.packet.fragment != Fragment::Whole {
                    fragment(counters, work);
                }
                hook.next(next::COUNT);
            }
            result => {
                let wire = hook.direct().wire_len();
                // SAFETY: this CPU's counters.
                unsafe { count(&raw mut (*counters).seen, work.segments, wire) };
                refuse(counters, result - 1, work.segments, wire);
                if result == Refused::Arp as u32 + 1
                    && HEADS_ON.load() != 0
                    && payload::choose_arp(&hook.direct(), counters, work)
                {
                    hook.next(next::SEND);
                }
            }
        }
    }
    leave(cpu);
}

/// Counts what [`parse_rest`] parsed.
#[inline(always)]
pub(crate) fn count_parsed<H: Hook>(hook: H) {
    let Some((cpu, work)) = workplace() else { return };
    count_packet(hook, cpu, work, hook.direct());
    leave(cpu);
}

/// Sends up the payload that the selector chose.
#[inline(always)]
pub(crate) fn send_head<H: Hook>(hook: H) {
    let Some((cpu, work)) = workplace() else { return };
    if let Some(counters) = cpu.counters(work.point) {
        payload::send(hook, counters, work);
    }
    leave(cpu);
}

/// This CPU's block and what it is working on.
#[inline(always)]
fn workplace() -> Option<(Cpu, &'static mut Work)> {
    let cpu = Cpu::current()?;
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: this CPU's element; the programs on a CPU do not interrupt each other, and `busy` proves it.
    Some((cpu, unsafe { &mut *work }))
}

#[inline(always)]
fn leave(cpu: Cpu) {
    // SAFETY: this CPU's block.
    unsafe { (&raw mut (*cpu.block).busy).write_volatile(0) };
}

#[inline(always)]
fn count_packet<H: Hook>(hook: H, cpu: Cpu, work: &mut Work, frame: Direct) {
    let Some(counters) = cpu.counters(work.point) else {
        return;
    };
    let packet = &work.packet;
    if let Some(reason) = packet.degraded {
        let index = reason_index(reason as u32);
        // SAFETY: this CPU's counters; the index is below the array's length.
        unsafe { *(&raw mut (*counters).degraded).cast::<u64>().add(index) += 1 };
    }
    // Each segment but the first repeats all headers up to the payload.
    let repeated = work.segments - 1;
    let stripped = if frame.stripped_tag().is_some() { 4 } else { 0 };
    let headers = packet.payload_offset.wrapping_sub(packet.ip_offset);
    let added = Added {
        point: work.point,
        now: work.now,
        packets: work.segments,
        ip_bytes: packet.ip_len + repeated * headers,
        wire_bytes: frame.wire_len() + repeated * (packet.payload_offset + stripped),
    };
    // SAFETY: this CPU's counters.
    unsafe { count(&raw mut (*counters).seen, added.packets, added.wire_bytes) };
    let Some(place) = account(cpu, counters, packet, &added) else {
        let reason = RefusedPacket::RingFull.index() as u32;
        refuse(counters, reason, added.packets, added.wire_bytes);
        return;
    };
    if HEADS_ON.load() != 0
        && (packet.payload_len != 0 || packet.tcp_flags & payload::SYN != 0)
        && let Some(state) = flow_heads(place)
    {
        // SAFETY: the state of this flow in this CPU's part of its map.
        let state = unsafe { &mut *state };
        if payload::choose(hook, frame, counters, work, state) {
            hook.next(next::SEND);
        }
    }
}

/// Parses a copy of the frame's first bytes. Returns 0, or the number of the reason plus 1.
#[inline(always)]
fn read_copy<H: Hook>(hook: H, packet: &mut Packet) -> u32 {
    const UNREADABLE: u32 = Refused::TruncatedLink as u32 + 1;
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else {
        return UNREADABLE;
    };
    // SAFETY: this CPU's scratch element.
    let scratch = unsafe { &raw mut (*scratch).bytes };
    let Some(frame) = Copied::new(hook, scratch) else {
        return UNREADABLE;
    };
    let result = if OUTER_LAYER.load() == 0 {
        parse_general::<_, KERNEL_LEVELS>(&frame, Link::Ethernet, packet)
    } else {
        parse_general::<_, 0>(&frame, Link::Ethernet, packet)
    };
    match result {
        Ok(()) => 0,
        Err(reason) => reason as u32 + 1,
    }
}

/// Remembers the ports of a first fragment, gives them to a later one.
#[inline(never)]
fn fragment(counters: *mut PointCounters, work: &mut Work) {
    let packet = &mut work.packet;
    let id = match packet.fragment {
        Fragment::Whole => return,
        Fragment::First { id } | Fragment::Later { id } => id,
    };
    let key = &mut work.fragment;
    let (low, high) = (&raw const packet.key.low, &raw const packet.key.high);
    let (from, to) = match packet.sender {
        Side::Low => (low, high),
        Side::High => (high, low),
    };
    // SAFETY: the addresses are at multiples of 8 in both keys. Copied as words: byte by byte they take the stack.
    unsafe {
        (&raw mut key.from)
            .cast::<[u64; 2]>()
            .write(from.cast::<[u64; 2]>().read());
        (&raw mut key.to)
            .cast::<[u64; 2]>()
            .write(to.cast::<[u64; 2]>().read());
    }
    key.id = id;
    key.protocol = packet.key.protocol;
    key.tunnel = packet.key.tunnel;
    key.zero = [0; 2];
    key.vlan = packet.key.vlan;
    key.vni = packet.key.vni;
    let key = &*key;
    if let Fragment::First { .. } = packet.fragment {
        let (sender, receiver) = packet.ports();
        let ports = FragmentPorts {
            sender,
            receiver,
            one_way: u32::from(packet.key.one_way != 0),
        };
        // Cannot fail for want of room: the map drops its least recently used element.
        let _ = FRAGMENTS.insert(key, &ports, u64::from(BPF_ANY));
        return;
    }
    // SAFETY: another CPU may replace the element while it is read; the ports are a hint.
    if let Some(ports) = unsafe { FRAGMENTS.get(key) } {
        packet.set_ports(ports.sender, ports.receiver, ports.one_way != 0);
    } else {
        // SAFETY: this CPU's counters.
        unsafe { (*counters).degraded[FRAGMENT_UNKNOWN] += 1 };
    }
}

/// Counts a packet that is in no flow.
#[inline(always)]
fn refuse(counters: *mut PointCounters, reason: u32, packets: u32, bytes: u32) {
    // SAFETY: `counters` is an element of the map; the index is below the array's length.
    unsafe {
        let tally = (&raw mut (*counters).refused)
            .cast::<Tally>()
            .add(reason_index(reason));
        count(tally, packets, bytes);
    }
}
