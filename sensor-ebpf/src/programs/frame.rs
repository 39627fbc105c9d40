//! Views of a frame at the hooks. `unsafe`: packet bytes are read through the pointers that the kernel hands out; each
//! read stands behind a comparison with `data_end`, which the verifier proves again.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::arch::asm;
use core::ffi::c_void;
use sensor_ebpf::event::HEAD_BYTES;
use sensor_ebpf::parse::{Frame, Twenty};

use crate::programs::cpu::{masked, top_bit};
use crate::programs::maps::{SLACK, TC_NEXT, XDP_NEXT};

/// Furthest offset that a header may have: the verifier wants a bound below 64 KiB.
const MAX_OFFSET: usize = 0x7fff;

/// What a hook tells about its packet besides the bytes.
pub(crate) trait Hook: Copy {
    /// The linear part of the packet.
    fn direct(self) -> Direct;
    /// Copies `len` bytes at `offset` to `to`, also from the non-linear part.
    ///
    /// # Safety
    /// `to` is valid for writes of `len` bytes.
    unsafe fn copy(self, offset: u32, to: *mut u8, len: u32) -> bool;
    fn ifindex(self) -> u32;
    /// Packets on the wire that this buffer stands for; at least 1.
    fn segments(self) -> u32;
    /// Nobody counted them: [`Hook::segment_bytes`] tells how many there are.
    fn is_uncounted(self) -> bool;
    /// Payload of each segment but the last, at least 1.
    fn segment_bytes(self) -> u32;
    /// Goes on in another program ([`sensor_ebpf::settings::next`]). Returns only if that failed, which it does not with
    /// programs that the loader prepared.
    fn next(self, program: u32);
}

/// The bytes that can be read without a helper.
#[derive(Clone, Copy)]
pub(crate) struct Direct {
    data: usize,
    end: usize,
    wire_len: u32,
    /// `TAG_PRESENT | TCI`
    tag: u32,
    /// Bytes of the frame in the buffer, linear or not, without the stripped tag.
    pub(crate) present: u32,
}

const TAG_PRESENT: u32 = 0x1_0000;

/// `number`, of which the verifier then knows only that it is below 2^16; `unknown` is any number that it does not know.
#[inline(always)]
fn forget(number: usize, unknown: u32) -> usize {
    let mut number = number;
    // SAFETY: arithmetic on one register; adding and taking away leaves it as it was.
    unsafe {
        asm!(
            "{0} += {1}", "{0} -= {1}", "{0} &= 65535",
            inout(reg) number, in(reg) u64::from(unknown),
            options(pure, nomem, nostack)
        );
    };
    number
}

/// `at + N` in a form that the compiler cannot turn into another comparison: the verifier knows `at + 1 > end` and does
/// not know `at >= end`.
#[inline(always)]
fn after<const N: usize>(at: usize) -> usize {
    let mut end = at;
    // SAFETY: one instruction on one register.
    unsafe { asm!("{0} += {1}", inout(reg) end, const N, options(pure, nomem, nostack)) };
    end
}

impl Frame for Direct {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.data + offset;
        if after::<N>(at) > self.end {
            return None;
        }
        // SAFETY: `at .. at + N` lies between the packet's `data` and `data_end`, compared above.
        Some(unsafe { (at as *const [u8; N]).read_unaligned() })
    }

    #[inline(always)]
    fn twenty(&self, offset: usize) -> Option<Twenty> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.data + offset;
        if after::<20>(at) > self.end {
            return None;
        }
        // SAFETY: as in `load`. Field by field, because the compiler would read bytes and put them together.
        unsafe {
            let halves = at as *const u16;
            let words = at as *const u32;
            Some(Twenty {
                pair: (halves.read_unaligned(), halves.add(1).read_unaligned()),
                words: [
                    words.add(1).read_unaligned(),
                    words.add(2).read_unaligned(),
                    words.add(3).read_unaligned(),
                    words.add(4).read_unaligned(),
                ],
            })
        }
    }

    #[inline(always)]
    fn forget(&self, number: usize) -> usize {
        forget(number, self.present)
    }

    #[inline(always)]
    fn top_bit(&self, number: u64) -> u64 {
        top_bit(number)
    }

    #[inline(always)]
    fn stripped_tag(&self) -> Option<u16> {
        if self.tag & TAG_PRESENT != 0 {
            Some(self.tag as u16)
        } else {
            None
        }
    }
}

/// All bytes of a frame: directly where they are linear, else by helper. Only the selector of heads uses it, for
/// nine bytes: much more would not fit the stack.
#[derive(Clone, Copy)]
pub(crate) struct Deep<H> {
    pub(crate) hook: H,
    pub(crate) direct: Direct,
}

impl<H: Hook> Frame for Deep<H> {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.direct.wire_len
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if let Some(bytes) = self.direct.load(offset) {
            return Some(bytes);
        }
        if offset + N > self.direct.present as usize {
            return None;
        }
        let mut bytes = [0u8; N];
        // SAFETY: `bytes` has N bytes.
        let copied = unsafe { self.hook.copy(offset as u32, bytes.as_mut_ptr(), N as u32) };
        if copied { Some(bytes) } else { None }
    }
}

/// The first bytes of a frame, copied by helper: for the few packets whose headers are not in the linear part.
#[derive(Clone, Copy)]
pub(crate) struct Copied {
    bytes: *const [u8; HEAD_BYTES],
    len: usize,
    direct: Direct,
}

/// A length between 1 and [`HEAD_BYTES`], in a form that the verifier understands; `None` for 0.
#[inline(always)]
pub(crate) fn bounded(len: u32) -> Option<u32> {
    if len == 0 {
        return None;
    }
    let most = if len > HEAD_BYTES as u32 {
        HEAD_BYTES as u32
    } else {
        len
    };
    // Else the verifier would walk on once for the full length and once for all others.
    let last = forget(most as usize - 1, len);
    Some(masked::<{ HEAD_BYTES as u32 - 1 }>(last as u64) as u32 + 1)
}
const _: () = assert!(HEAD_BYTES.is_power_of_two());

impl Copied {
    /// Copies what fits of the frame to `scratch`.
    #[inline(always)]
    pub(crate) fn new<H: Hook>(hook: H, scratch: *mut [u8; HEAD_BYTES]) -> Option<Self> {
        let direct = hook.direct();
        let len = bounded(direct.present)?;
        // SAFETY: `len` is at most the size of the scratch.
        let copied = unsafe { hook.copy(0, scratch.cast::<u8>(), len) };
        if !copied {
            return None;
        }
        Some(Self {
            bytes: scratch,
            len: len as usize,
            direct,
        })
    }
}

impl Frame for Copied {
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.direct.wire_len
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > HEAD_BYTES - N || offset + N > self.len {
            return None;
        }
        let offset = masked::<{ HEAD_BYTES as u32 - 1 }>(offset as u64) as usize;
        const { assert!(N <= SLACK) };
        // SAFETY: `offset + N` is at most HEAD_BYTES, compared above; the verifier is content with the mask and the slack.
        Some(unsafe {
            self.bytes
                .cast::<u8>()
                .add(offset)
                .cast::<[u8; N]>()
                .read_unaligned()
        })
    }

    #[inline(always)]
    fn forget(&self, number: usize) -> usize {
        forget(number, self.direct.present)
    }

    #[inline(always)]
    fn stripped_tag(&self) -> Option<u16> {
        self.direct.stripped_tag()
    }
}

/// A packet at XDP.
#[derive(Clone, Copy)]
pub(crate) struct XdpHook(pub(crate) *mut xdp_md);

impl Hook for XdpHook {
    #[inline(always)]
    fn direct(self) -> Direct {
        // SAFETY: the context is valid while the program runs.
        let (data, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        // SAFETY: as above. Linux 5.18, as multi-buffer XDP itself.
        let len = unsafe { bpf_xdp_get_buff_len(self.0) } as u32;
        Direct {
            data,
            end,
            wire_len: len,
            tag: 0,
            present: len,
        }
    }

    #[inline(always)]
    unsafe fn copy(self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's promise about `to`.
        unsafe { bpf_xdp_load_bytes(self.0, offset, to.cast::<c_void>(), len) == 0 }
    }

    #[inline(always)]
    fn ifindex(self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0).ingress_ifindex }
    }

    #[inline(always)]
    fn segments(self) -> u32 {
        1
    }

    #[inline(always)]
    fn is_uncounted(self) -> bool {
        false
    }

    #[inline(always)]
    fn segment_bytes(self) -> u32 {
        1
    }

    #[inline(always)]
    fn next(self, program: u32) {
        // SAFETY: all programs of the array belong to this object; none relies on a destructor.
        unsafe { XDP_NEXT.tail_call(&XdpContext::new(self.0), program) };
    }
}

/// A packet at TC.
#[derive(Clone, Copy)]
pub(crate) struct TcHook(pub(crate) *mut __sk_buff);

impl Hook for TcHook {
    #[inline(always)]
    fn direct(self) -> Direct {
        // SAFETY: the context is valid while the program runs.
        let skb = unsafe { &*self.0 };
        let (data, end, len) = (skb.data as usize, skb.data_end as usize, skb.len);
        if skb.vlan_present != 0 {
            Direct {
                data,
                end,
                wire_len: len + 4,
                tag: TAG_PRESENT | skb.vlan_tci & 0xffff,
                present: len,
            }
        } else {
            Direct {
                data,
                end,
                wire_len: len,
                tag: 0,
                present: len,
            }
        }
    }

    #[inline(always)]
    unsafe fn copy(self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's promise about `to`.
        unsafe { bpf_skb_load_bytes(self.0.cast::<c_void>(), offset, to.cast::<c_void>(), len) == 0 }
    }

    #[inline(always)]
    fn ifindex(self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0).ifindex }
    }

    #[inline(always)]
    fn segments(self) -> u32 {
        // SAFETY: the context is valid while the program runs.
        let skb = unsafe { &*self.0 };
        if skb.gso_segs > 1 { skb.gso_segs } else { 1 }
    }

    /// True of what a guest or a packet socket hands over in one piece.
    #[inline(always)]
    fn is_uncounted(self) -> bool {
        // SAFETY: the context is valid while the program runs. Volatile: kept in a register for `segments`, the number
        // would make the verifier walk everything once for each case.
        let segments = unsafe { (&raw const (*self.0).gso_segs).read_volatile() };
        // SAFETY: as above (Linux 5.7).
        segments == 0 && unsafe { (*self.0).gso_size } != 0
    }

    #[inline(always)]
    fn segment_bytes(self) -> u32 {
        // SAFETY: the context is valid while the program runs (Linux 5.7).
        let bytes = unsafe { (*self.0).gso_size };
        if bytes == 0 { 1 } else { bytes }
    }

    #[inline(always)]
    fn next(self, program: u32) {
        // SAFETY: as at XDP.
        unsafe { TC_NEXT.tail_call(&TcContext::new(self.0), program) };
    }
}
