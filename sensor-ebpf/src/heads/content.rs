//! What the first nine bytes of a payload say about it.

use crate::parse::{Frame, Packet};

/// What the first bytes of a TCP payload are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A wanted message begins here and spans this many bytes at most.
    Opens {
        span: u16,
    },
    /// Too short to tell, but it may be the beginning of one.
    Short,
    Other,
}

/// Sequence space of a message whose length its first bytes do not say.
const UNKNOWN_SPAN: u16 = 16_320;

#[inline(always)]
pub(super) fn tcp_content<F: Frame>(frame: &F, packet: &Packet) -> Content {
    let at = packet.payload_offset as usize;
    if packet.payload_len < 9 {
        return match frame.load::<1>(at) {
            Some([0x16 | b'A'..=b'Z']) => Content::Short,
            Some(_) if on_port(packet, 53) => Content::Short,
            _ => Content::Other,
        };
    }
    let Some(first) = frame.load::<9>(at) else {
        return Content::Other;
    };
    // Most packets end here.
    if !may_open(first[0]) && !on_port(packet, 53) {
        return Content::Other;
    }
    match first {
        // Handshake record with a ClientHello: it says how long it is.
        [0x16, 3, 0..=4, _, _, 1, 0, high, low] => {
            let length = u16::from_be_bytes([high, low]);
            // Room for the record headers of a hello that is cut into a few records.
            Content::Opens {
                span: if length < 16_000 {
                    length + 9 + 64
                } else {
                    UNKNOWN_SPAN
                },
            }
        }
        // Hello behind a warning (unrecognized name) or behind the change-cipher-spec before a second ClientHello.
        [0x15, 3, _, 0, 2, 1, _, 0x16, 3] | [0x14, 3, _, 0, 1, 1, 0x16, 3, _] => {
            Content::Opens { span: UNKNOWN_SPAN }
        }
        // ServerHello; the rest of the flight (certificate) follows.
        [0x16, 3, 0..=4, _, _, 2, 0, _, _] => Content::Opens { span: UNKNOWN_SPAN },
        // SSH banner, then the key exchange offer.
        [b'S', b'S', b'H', b'-', ..] => Content::Opens { span: UNKNOWN_SPAN },
        _ if is_http(&first) => Content::Opens { span: UNKNOWN_SPAN },
        _ if on_port(packet, 53) => dns_content(&first, packet.payload_len),
        _ => Content::Other,
    }
}

/// First byte of a TLS record that is no application data, or a capital letter.
#[inline(always)]
const fn may_open(first: u8) -> bool {
    matches!(first, 0x14..=0x16 | b'A'..=b'Z')
}

/// DNS over TCP: length prefix, id, flags, number of questions (RFC 1035 §4.2.2).
#[inline(always)]
const fn dns_content(first: &[u8; 9], payload_len: u32) -> Content {
    let length = u16::from_be_bytes([first[0], first[1]]).saturating_add(2);
    let one_question = first[6] == 0 && first[7] == 1;
    if one_question || length as u32 == payload_len {
        // Several messages in one packet: the last of them may go on in the next.
        let whole = length as u32 >= payload_len;
        Content::Opens {
            span: if whole { length } else { UNKNOWN_SPAN },
        }
    } else {
        Content::Other
    }
}

/// `HTTP/1.`, a known method, or 3 to 6 capital letters before ` /`.
#[inline(always)]
pub(super) fn is_http(first: &[u8; 9]) -> bool {
    match *first {
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', b' ', ..]
        | [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ']
        | [b'H', b'E', b'A', b'D', b' ', ..]
        | [b'P', b'U', b'T', b' ', ..]
        | [b'C', b'O', b'N', b'N', b'E', b'C', b'T', b' ', _]
        | [b'O', b'P', b'T', b'I', b'O', b'N', b'S', b' ', _]
        | [b'D', b'E', b'L', b'E', b'T', b'E', b' ', ..]
        | [b'P', b'A', b'T', b'C', b'H', b' ', ..]
        | [b'T', b'R', b'A', b'C', b'E', b' ', ..]
        | [b'P', b'R', b'O', b'P', b'F', b'I', b'N', b'D', b' ']
        | [b'P', b'R', b'O', b'P', b'P', b'A', b'T', b'C', b'H']
        | [b'M', b'-', b'S', b'E', b'A', b'R', b'C', b'H', b' ']
        | [b'N', b'O', b'T', b'I', b'F', b'Y', b' ', ..] => true,
        [a, b, c, b' ', b'/', ..] => capital(a) && capital(b) && capital(c),
        [a, b, c, d, b' ', b'/', ..] => capital(a) && capital(b) && capital(c) && capital(d),
        [a, b, c, d, e, b' ', b'/', ..] => capital(a) && capital(b) && capital(c) && capital(d) && capital(e),
        [a, b, c, d, e, f, b' ', b'/', _] => {
            capital(a) && capital(b) && capital(c) && capital(d) && capital(e) && capital(f)
        }
        _ => false,
    }
}

#[inline(always)]
const fn capital(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}

#[inline(always)]
fn on_port(packet: &Packet, port: u16) -> bool {
    packet.key.low_port == port || packet.key.high_port == port
}

#[inline(always)]
pub(super) const fn is_message_port(port: u16) -> bool {
    matches!(port, 53 | 5353 | 5355 | 67 | 68)
}

/// Long header, a version that can be decrypted, type Initial (RFC 9000 §17.2, RFC 9369 §3.2). The fixed bit may be
/// greased away (RFC 9287).
#[inline(always)]
pub(super) const fn is_quic_initial(first: &[u8; 9]) -> bool {
    let kind = first[0] & 0xb0;
    match u32::from_be_bytes([first[1], first[2], first[3], first[4]]) {
        0x0000_0001 | 0xff00_001d..=0xff00_0022 => kind == 0x80,
        0x6b33_43cf | 0x709a_50c4 => kind == 0x90,
        _ => false,
    }
}
