//! The record layer as far as a hello needs it.

use lynceus_model::app::AppEvent;

use super::{CERTIFICATE, read_handshake};
use crate::decode::{Malformed, Read};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const WARNING: u8 = 1;
const HANDSHAKE: u8 = 22;
/// A record's payload (RFC 8446 §5.2 allows 256 bytes more than 2¹⁴).
const MAX_RECORD: usize = 16_384 + 256;
/// Longest certificate that is waited for: what the selector lets through of a flight.
const MAX_CERTIFICATE: usize = 16_384;

/// Reads the hello that begins a TCP stream or stands behind change-cipher-spec records and warnings; it may span records.
/// The number is how many bytes of its last record follow it: a server may put its whole flight into one.
///
/// # Errors
/// Another record, or a handshake message that is no hello, comes first.
pub fn read_hello(bytes: &[u8]) -> Result<Read<(AppEvent, u16)>, Malformed> {
    let mut at = 0;
    // Only a hello that is cut into records has to be put together.
    let mut joined: Vec<u8> = Vec::new();
    loop {
        let Some(&[kind, major, _, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return Ok(Read::NeedMore);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || length == 0 || length > MAX_RECORD {
            return Err(Malformed);
        }
        let start = at + 5;
        let present = &bytes[start..bytes.len().min(start + length)];
        match kind {
            CHANGE_CIPHER_SPEC if joined.is_empty() => {}
            ALERT if joined.is_empty() && matches!(present, [] | [WARNING, ..]) => {}
            HANDSHAKE => {
                let before = joined.len();
                let outcome = if joined.is_empty() {
                    read_handshake(present, false)?
                } else {
                    joined.extend_from_slice(present);
                    read_handshake(&joined, false)?
                };
                if let Read::Done { value, consumed } = outcome {
                    // Less was not enough, so the message ends in this record.
                    let here = consumed - before;
                    let left = (length - here) as u16;
                    return Ok(Read::Done {
                        value: (value, left),
                        consumed: start + here,
                    });
                }
                if joined.is_empty() {
                    joined.extend_from_slice(present);
                }
            }
            _ => return Err(Malformed),
        }
        if present.len() < length {
            return Ok(Read::NeedMore);
        }
        at = start + length;
    }
}

/// Reads on behind a ServerHello, of whose record `left` bytes are still to come: the DER bytes of the first certificate,
/// which is the server's own (RFC 5246 §7.4.2). `None`: the server sent none, as where a session is resumed.
///
/// # Errors
/// A broken record or Certificate message, or a certificate of more than 16 KiB.
pub fn read_certificate(bytes: &[u8], left: u16) -> Result<Read<Option<Vec<u8>>>, Malformed> {
    let mut message: Vec<u8> = Vec::new();
    let (mut at, mut left) = (0, usize::from(left));
    loop {
        let present = &bytes[at..bytes.len().min(at + left)];
        message.extend_from_slice(present);
        at += present.len();
        match *message {
            [kind, ..] if kind != CERTIFICATE => {
                return Ok(Read::Done {
                    value: None,
                    consumed: at,
                });
            }
            // Type, length of the message, of the list, of the first certificate.
            [_, _, _, _, a, b, c, high, middle, low, ref rest @ ..] => {
                let list = number([a, b, c]);
                let length = number([high, middle, low]);
                if length == 0 || length > MAX_CERTIFICATE || length + 3 > list {
                    return Err(Malformed);
                }
                if let Some(der) = rest.get(..length) {
                    return Ok(Read::Done {
                        value: Some(der.to_vec()),
                        consumed: at,
                    });
                }
            }
            [_, _, _, _, 0, 0, 0, ..] => {
                return Ok(Read::Done {
                    value: None,
                    consumed: at,
                });
            }
            _ => {}
        }
        if present.len() < left {
            return Ok(Read::NeedMore);
        }
        let Some(&[kind, major, _, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return Ok(Read::NeedMore);
        };
        left = usize::from(u16::from_be_bytes([high, low]));
        if kind != HANDSHAKE {
            return Ok(Read::Done {
                value: None,
                consumed: at,
            });
        }
        if major != 3 || left == 0 || left > MAX_RECORD {
            return Err(Malformed);
        }
        at += 5;
    }
}

const fn number([high, middle, low]: [u8; 3]) -> usize {
    (high as usize) << 16 | (middle as usize) << 8 | low as usize
}
