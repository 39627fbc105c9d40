//! What travels through the kernel's `RINGBUF`: payload heads and wake-ups.

use crate::flow::{FlowKey, Point, Side};

/// Most bytes of payload that one head carries.
pub const HEAD_BYTES: usize = 2048;

/// The first bytes of a packet's payload, for the decoders.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub key: FlowKey,
    pub point: Point,
    pub sender: Side,
    pub time: u64,
    pub tcp_seq: u32,
    pub tcp_flags: u8,
    /// Payload bytes of the packet on the wire from the first of `bytes` on. Where more than [`HEAD_BYTES`] of a packet
    /// go up, they come as several heads; in each, `tcp_seq` and `payload_len` are those of its own first byte.
    pub payload_len: u32,
    pub bytes: &'a [u8],
}
