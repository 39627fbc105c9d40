//! Long headers (RFC 9000 §17.2).

use super::varint;

/// Version 2 and its last draft.
const VERSIONS_2: [u32; 2] = [0x6b33_43cf, 0x709a_50c4];
/// Longest connection id of the versions that are read.
const MAX_CONNECTION_ID: usize = 20;

/// A packet of a datagram.
pub(super) enum Header<'a> {
    Initial(LongHeader<'a>),
    /// 0-RTT or Handshake.
    Other,
}

/// Header of an Initial, with header protection still on.
pub(super) struct LongHeader<'a> {
    pub(super) version: u32,
    pub(super) destination: &'a [u8],
    /// Offset of the packet number in the packet.
    pub(super) number_offset: usize,
}

impl<'a> Header<'a> {
    /// Cuts the first packet off a datagram: header, packet, rest. `None` where no long header with a length is left.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8], &'a [u8])> {
        let (&[first, a, b, c, d], mut rest) = bytes.split_first_chunk()?;
        let version = u32::from_be_bytes([a, b, c, d]);
        // The fixed bit may be greased away (RFC 9287).
        if first & 0x80 == 0 || version == 0 {
            return None;
        }
        let destination = connection_id(&mut rest)?;
        connection_id(&mut rest)?;
        let kind = (first >> 4) & 3;
        // Version 2 counts the types from one on (RFC 9369 §3.2).
        let kind = if VERSIONS_2.contains(&version) {
            kind.wrapping_sub(1) & 3
        } else {
            kind
        };
        if kind == 0 {
            let token = usize::try_from(varint(&mut rest).ok()?).ok()?;
            rest = rest.split_at_checked(token)?.1;
        } else if kind == 3 {
            return None; // Retry: no length, no hello.
        }
        let length = usize::try_from(varint(&mut rest).ok()?).ok()?;
        let number_offset = bytes.len() - rest.len();
        let end = number_offset.checked_add(length)?;
        let (packet, after) = bytes.split_at_checked(end)?;
        let header = if kind == 0 {
            Self::Initial(LongHeader {
                version,
                destination,
                number_offset,
            })
        } else {
            Self::Other
        };
        Some((header, packet, after))
    }
}

fn connection_id<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&length, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(length))?;
    *bytes = rest;
    (id.len() <= MAX_CONNECTION_ID).then_some(id)
}
