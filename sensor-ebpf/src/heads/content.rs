//! What the first nine bytes of a payload say about it.

use super::{Offered, SYN, TCP};
use crate::parse::Frame;

/// What the first bytes of a payload are. A number and not variants with values: the kernel's verifier wants every
/// register written on every way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    kind: u32,
    /// Sequence space of a TCP message that begins here, at most; else 0.
    pub(super) span: u16,
}

impl Content {
    /// What no decoder reads.
    pub(super) const NOTHING: Self = Self::kind(0);
    /// TCP: no beginning of a wanted message; it may be the rest of one.
    pub(super) const OTHER: Self = Self::kind(1);
    /// TCP: too short to tell, but it may be the beginning of one.
    pub(super) const SHORT: Self = Self::kind(2);
    /// TCP: a wanted message begins here.
    pub(super) const OPENS: Self = Self::kind(3);
    /// UDP: a message that stands alone.
    pub(super) const MESSAGE: Self = Self::kind(4);
    /// UDP: what tells the protocol of the flow: an Initial of QUIC, a beginning of STUN, NTP or BitTorrent's DHT.
    pub(super) const INITIAL: Self = Self::kind(5);
    /// TCP: a piece of a dialogue that is typed, as of Telnet.
    pub(super) const TYPED: Self = Self::kind(6);

    const fn kind(kind: u32) -> Self {
        Self { kind, span: 0 }
    }

    #[inline(always)]
    const fn opens(span: u16) -> Self {
        Self {
            kind: Self::OPENS.kind,
            span,
        }
    }

    #[inline(always)]
    pub(super) const fn is(self, other: Self) -> bool {
        self.kind == other.kind
    }

    /// The packet passes, whatever is known of its flow.
    #[inline(always)]
    #[must_use]
    pub const fn passes(self) -> bool {
        self.kind == Self::NOTHING.kind
    }

    /// The packet passes where nothing is known of its flow, and nothing is to be remembered of it.
    #[inline(always)]
    #[must_use]
    pub const fn passes_unknown(self, offered: &Offered) -> bool {
        self.kind <= Self::SHORT.kind && (offered.protocol != TCP || offered.tcp_flags & SYN == 0)
    }
}

/// Sequence space of a message whose length its first bytes do not say.
const UNKNOWN_SPAN: u16 = 16_320;

/// Of a TCP segment with payload.
#[inline(always)]
pub(super) fn tcp_content<F: Frame>(frame: &F, offered: &Offered) -> Content {
    let at = offered.payload_offset as usize;
    let Some([first]) = frame.load::<1>(at) else {
        return Content::OTHER;
    };
    let on_dns = offered.on_port(53);
    if is_typed_port(offered) {
        return Content::TYPED;
    }
    let on_lines = is_line_port(offered);
    // Most packets end here.
    if !may_open(first) && !on_dns && !on_lines {
        return Content::OTHER;
    }
    if on_lines
        && offered.payload_len >= 5
        && let Some(bytes) = frame.load::<5>(at)
        && is_line(&bytes)
    {
        // Each command and each reply stands in a packet of its own.
        let length = if offered.payload_len < 2048 {
            offered.payload_len
        } else {
            2048
        };
        return Content::opens(length as u16);
    }
    if offered.payload_len < 9 {
        return if on_dns || matches!(first, 0x16 | b'A'..=b'Z') {
            Content::SHORT
        } else {
            Content::OTHER
        };
    }
    let Some(bytes) = frame.load::<9>(at) else {
        return Content::OTHER;
    };
    match bytes {
        // Handshake record with a ClientHello: it says how long it is.
        [0x16, 3, 0..=4, _, _, 1, 0, high, low] => {
            let length = u16::from_be_bytes([high, low]);
            // Room for the record headers of a hello that is cut into a few records.
            Content::opens(if length < 16_000 {
                length + 9 + 64
            } else {
                UNKNOWN_SPAN
            })
        }
        // Hello behind a warning (unrecognized name) or behind the change-cipher-spec before a second ClientHello.
        [0x15, 3, _, 0, 2, 1, _, 0x16, 3] | [0x14, 3, _, 0, 1, 1, 0x16, 3, _] => Content::opens(UNKNOWN_SPAN),
        // ServerHello; the rest of the flight (certificate) follows.
        [0x16, 3, 0..=4, _, _, 2, 0, _, _] => Content::opens(UNKNOWN_SPAN),
        // SSH banner, then the key exchange offer.
        [b'S', b'S', b'H', b'-', ..] => Content::opens(UNKNOWN_SPAN),
        _ if is_http(&bytes) => Content::opens(UNKNOWN_SPAN),
        _ if on_dns => dns_content(&bytes, offered.payload_len),
        _ => Content::OTHER,
    }
}

/// Of a datagram.
#[inline(always)]
pub(super) fn udp_content<F: Frame>(frame: &F, offered: &Offered) -> Content {
    if offered.payload_len < 9 {
        return Content::NOTHING;
    }
    // DNS, mDNS, LLMNR, DHCP: by port, each datagram for itself.
    if is_datagram_port(offered) {
        return Content::MESSAGE;
    }
    let at = offered.payload_offset as usize;
    let Some([first]) = frame.load::<1>(at) else {
        return Content::NOTHING;
    };
    if !may_be_datagram(first) && !offered.on_port(123) {
        return Content::NOTHING;
    }
    let Some(bytes) = frame.load::<9>(at) else {
        return Content::NOTHING;
    };
    if is_quic_initial(&bytes) || is_stun(&bytes) || is_dht(&bytes) {
        return Content::INITIAL;
    }
    if offered.on_port(123) && offered.payload_len >= 48 {
        return Content::INITIAL;
    }
    // SSDP: HTTP in datagrams.
    if is_http(&bytes) {
        Content::MESSAGE
    } else {
        Content::NOTHING
    }
}

/// First byte of a TLS record that is no application data, or a capital letter.
#[inline(always)]
pub(super) const fn may_open(first: u8) -> bool {
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
        Content::opens(if whole { length } else { UNKNOWN_SPAN })
    } else {
        Content::OTHER
    }
}

/// `HTTP/1.`, a known method, or 3 to 6 capital letters before ` /`.
#[inline(always)]
fn is_http(first: &[u8; 9]) -> bool {
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

/// Long header of QUIC, a capital letter, STUN (its first two bits are zero, its types small), a dictionary of bencode.
#[inline(always)]
pub(super) const fn may_be_datagram(first: u8) -> bool {
    first & 0x80 != 0 || capital(first) || matches!(first, 0 | 1 | b'd')
}

/// Commands of three or four letters and replies of three digits: FTP, SMTP, submission.
#[inline(always)]
pub(super) const fn is_line_port(offered: &Offered) -> bool {
    line_port(offered.low_port) || line_port(offered.high_port)
}

#[inline(always)]
const fn line_port(port: u16) -> bool {
    matches!(port, 21 | 25 | 587)
}

/// Telnet, and where the routers' malware looks for it too.
#[inline(always)]
pub(super) const fn is_typed_port(offered: &Offered) -> bool {
    typed_port(offered.low_port) || typed_port(offered.high_port)
}

#[inline(always)]
const fn typed_port(port: u16) -> bool {
    matches!(port, 23 | 2323)
}

/// `220 `, `220-`, `USER `, `PWD\r\n`, `QUIT\r`.
#[inline(always)]
const fn is_line(first: &[u8; 5]) -> bool {
    let [a, b, c, d, e] = *first;
    let digits = a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit();
    let letters = a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_alphabetic();
    digits && matches!(d, b' ' | b'-')
        || letters && (matches!(d, b' ' | b'\r') || d.is_ascii_alphabetic() && matches!(e, b' ' | b'\r'))
}

/// Magic cookie (RFC 8489 §5) behind type and length.
#[inline(always)]
const fn is_stun(first: &[u8; 9]) -> bool {
    first[0] & 0xc0 == 0 && u32::from_be_bytes([first[4], first[5], first[6], first[7]]) == 0x2112_a442
}

/// Query (`d1:ad2:id`), answer or error of BEP 5.
#[inline(always)]
const fn is_dht(first: &[u8; 9]) -> bool {
    matches!(
        first,
        b"d1:ad2:id" | b"d1:rd2:id" | [b'd', b'2', b':', b'i', b'p', ..] | [b'd', b'1', b':', b'e', b'l', ..]
    )
}

#[inline(always)]
pub(super) const fn is_datagram_port(offered: &Offered) -> bool {
    is_message_port(offered.low_port) || is_message_port(offered.high_port)
}

#[inline(always)]
const fn is_message_port(port: u16) -> bool {
    matches!(port, 53 | 5353 | 5355 | 67 | 68)
}

/// Long header, a version that can be decrypted, type Initial (RFC 9000 §17.2, RFC 9369 §3.2). The fixed bit may be
/// greased away (RFC 9287).
#[inline(always)]
const fn is_quic_initial(first: &[u8; 9]) -> bool {
    let kind = first[0] & 0xb0;
    match u32::from_be_bytes([first[1], first[2], first[3], first[4]]) {
        0x0000_0001 | 0xff00_001d..=0xff00_0022 => kind == 0x80,
        0x6b33_43cf | 0x709a_50c4 => kind == 0x90,
        _ => false,
    }
}
