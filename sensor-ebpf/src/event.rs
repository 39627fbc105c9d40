//! What travels through the kernel's `RINGBUF`: payload heads.

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
    /// As [`crate::heads::Offered::tcp_flags`].
    pub tcp_flags: u8,
    /// Payload bytes of the packet on the wire from the first of `bytes` on. Where more than [`HEAD_BYTES`] of a packet
    /// go up, they come as several heads; in each, `tcp_seq` and `payload_len` are those of its own first byte.
    pub payload_len: u32,
    pub bytes: &'a [u8],
}

/// What stands before the payload bytes in the ring buffer. Host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadHeader {
    pub key: FlowKey,
    /// Coarse `CLOCK_MONOTONIC`, nanoseconds.
    pub time: u64,
    /// [`crate::layout::pack_point`]
    pub point: u32,
    pub payload_len: u32,
    pub tcp_seq: u32,
    /// Bytes that follow.
    pub len: u16,
    /// A [`Side`].
    pub sender: u8,
    pub tcp_flags: u8,
}

/// Bytes of [`HeadHeader`].
pub const HEAD_HEADER_BYTES: usize = 72;
const _: () = assert!(size_of::<HeadHeader>() == HEAD_HEADER_BYTES);

impl<'a> Head<'a> {
    /// Reads one event of the ring buffer; `None` where it is cut or states more bytes than it has.
    #[must_use]
    pub fn decode(event: &'a [u8]) -> Option<Self> {
        let (header, rest) = event.split_first_chunk::<HEAD_HEADER_BYTES>()?;
        let key = FlowKey {
            low: array(header, 0),
            high: array(header, 16),
            low_port: u16::from_ne_bytes(array(header, 32)),
            high_port: u16::from_ne_bytes(array(header, 34)),
            vlan: [
                u16::from_ne_bytes(array(header, 36)),
                u16::from_ne_bytes(array(header, 38)),
            ],
            protocol: header[40],
            tunnel: header[41],
            one_way: header[42],
            zero: header[43],
            vni: u32::from_ne_bytes(array(header, 44)),
        };
        let len = u16::from_ne_bytes(array(header, 68)) as usize;
        Some(Self {
            key,
            time: u64::from_ne_bytes(array(header, 48)),
            point: Point::unpack(u32::from_ne_bytes(array(header, 56))),
            payload_len: u32::from_ne_bytes(array(header, 60)),
            tcp_seq: u32::from_ne_bytes(array(header, 64)),
            sender: if header[70] == 0 { Side::Low } else { Side::High },
            tcp_flags: header[71],
            bytes: rest.get(..len)?,
        })
    }
}

/// `N` bytes of the header; all callers stay inside it.
fn array<const N: usize>(header: &[u8; HEAD_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::HookDirection;

    fn event(len: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; HEAD_HEADER_BYTES];
        bytes[..16].copy_from_slice(&[1; 16]);
        bytes[16..32].copy_from_slice(&[2; 16]);
        bytes[32..34].copy_from_slice(&53u16.to_ne_bytes());
        bytes[40] = 17;
        bytes[48..56].copy_from_slice(&77u64.to_ne_bytes());
        bytes[56..60].copy_from_slice(&(9u32 << 1 | 1).to_ne_bytes());
        bytes[60..64].copy_from_slice(&100u32.to_ne_bytes());
        bytes[64..68].copy_from_slice(&0xdead_beefu32.to_ne_bytes());
        bytes[68..70].copy_from_slice(&len.to_ne_bytes());
        bytes[70] = 1;
        bytes[71] = 0x18;
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn reads_all_fields() {
        // The ring buffer hands out whole multiples of eight bytes; what is behind `len` is not payload.
        let bytes = event(3, b"abc\0\0");
        let head = Head::decode(&bytes).expect("whole");
        assert_eq!((head.key.low, head.key.high), ([1; 16], [2; 16]));
        assert_eq!((head.key.low_port, head.key.protocol), (53, 17));
        assert_eq!(
            (head.time, head.payload_len, head.tcp_seq),
            (77, 100, 0xdead_beef)
        );
        assert_eq!(
            (head.point.ifindex, head.point.direction),
            (9, HookDirection::Egress)
        );
        assert_eq!((head.sender, head.tcp_flags), (Side::High, 0x18));
        assert_eq!(head.bytes, b"abc");
    }

    #[test]
    fn refuses_every_cut() {
        let bytes = event(3, b"abc");
        for cut in 0..bytes.len() {
            assert!(Head::decode(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(Head::decode(&event(u16::MAX, b"abc")).is_none());
    }
}
