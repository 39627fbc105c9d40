//! The kernel programs of lynceus. They only watch: XDP passes every packet on, TC says "next" to every packet.
//!
//! Built by `cargo xtask ebpf` for the BPF target; on the host this is an empty program, so that the workspace checks
//! with a stable compiler.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    allow(internal_features, reason = "the exchange instruction has no other name on this target")
)]

#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(target_arch = "bpf")]
mod hooks {
    use aya_ebpf::bindings::xdp_action::XDP_PASS;
    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};

    use crate::programs::{TcHook, XdpHook, observe};

    /// `TC_ACT_UNSPEC`: the next program of the hook decides.
    const NEXT: i32 = -1;

    #[xdp(frags)]
    fn lynceus_xdp(context: XdpContext) -> u32 {
        observe::<_, false>(XdpHook(context.ctx));
        XDP_PASS
    }

    #[classifier]
    fn lynceus_in(context: TcContext) -> i32 {
        observe::<_, false>(TcHook(context.skb.skb));
        NEXT
    }

    #[classifier]
    fn lynceus_out(context: TcContext) -> i32 {
        observe::<_, true>(TcHook(context.skb.skb));
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
