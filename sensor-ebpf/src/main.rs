//! The kernel programs of lynceus. XDP passes every packet on and TC says "next" to
//! every packet, but for those that somebody asked to block.
//!
//! Built by `cargo xtask ebpf` for the BPF target; on the host this is an empty program, so that the workspace checks
//! with a stable compiler.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    allow(
        internal_features,
        reason = "the exchange instruction has no other name on this target"
    )
)]

#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(target_arch = "bpf")]
mod hooks {
    use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};

    use crate::programs::{TcHook, XdpHook, count_parsed, enter, log_packet, parse_rest, send_head};

    /// `TC_ACT_UNSPEC`: the next program of the hook decides.
    const NEXT: i32 = -1;
    /// `TC_ACT_SHOT`: the packet is dropped.
    const SHOT: i32 = 2;

    #[inline(always)]
    fn at_xdp(dropped: bool) -> u32 {
        if dropped { XDP_DROP } else { XDP_PASS }
    }

    #[inline(always)]
    fn at_tc(dropped: bool) -> i32 {
        if dropped { SHOT } else { NEXT }
    }

    #[xdp(frags)]
    fn lynceus_xdp(context: XdpContext) -> u32 {
        at_xdp(enter::<_, false>(XdpHook(context.ctx)))
    }

    #[xdp(frags)]
    fn lynceus_xparse(context: XdpContext) -> u32 {
        parse_rest(XdpHook(context.ctx));
        XDP_PASS
    }

    #[xdp(frags)]
    fn lynceus_xcount(context: XdpContext) -> u32 {
        at_xdp(count_parsed(XdpHook(context.ctx)))
    }

    #[xdp(frags)]
    fn lynceus_xsend(context: XdpContext) -> u32 {
        at_xdp(send_head(XdpHook(context.ctx)))
    }

    #[xdp(frags)]
    fn lynceus_xlog(context: XdpContext) -> u32 {
        log_packet(XdpHook(context.ctx));
        XDP_PASS
    }

    #[classifier]
    fn lynceus_in(context: TcContext) -> i32 {
        at_tc(enter::<_, false>(TcHook(context.skb.skb)))
    }

    #[classifier]
    fn lynceus_out(context: TcContext) -> i32 {
        at_tc(enter::<_, true>(TcHook(context.skb.skb)))
    }

    #[classifier]
    fn lynceus_tparse(context: TcContext) -> i32 {
        parse_rest(TcHook(context.skb.skb));
        NEXT
    }

    #[classifier]
    fn lynceus_tcount(context: TcContext) -> i32 {
        at_tc(count_parsed(TcHook(context.skb.skb)))
    }

    #[classifier]
    fn lynceus_tsend(context: TcContext) -> i32 {
        at_tc(send_head(TcHook(context.skb.skb)))
    }

    #[classifier]
    fn lynceus_tlog(context: TcContext) -> i32 {
        log_packet(TcHook(context.skb.skb));
        NEXT
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
