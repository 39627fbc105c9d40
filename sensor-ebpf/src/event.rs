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
    /// Length of the payload on the wire; `bytes` may hold less.
    pub payload_len: u32,
    pub bytes: &'a [u8],
}
