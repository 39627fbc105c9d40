//! The record layer as far as a hello needs it.

use lynceus_model::app::AppEvent;

use super::read_handshake;
use crate::decode::{Malformed, Read};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const WARNING: u8 = 1;
const HANDSHAKE: u8 = 22;
/// A record's payload (RFC 8446 §5.2 allows 256 bytes more than 2¹⁴).
const MAX_RECORD: usize = 16_384 + 256;

/// Reads the hello that begins a TCP stream or stands behind change-cipher-spec records and warnings; it may span records.
///
/// # Errors
/// Another record, or a handshake message that is no hello, comes first.
pub fn read_hello(bytes: &[u8]) -> Result<Read<AppEvent>, Malformed> {
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
                let outcome = if joined.is_empty() {
                    read_handshake(present, false)?
                } else {
                    joined.extend_from_slice(present);
                    read_handshake(&joined, false)?
                };
                if let Read::Done { value, consumed } = outcome {
                    let consumed = if joined.is_empty() {
                        start + consumed
                    } else {
                        start + present.len()
                    };
                    return Ok(Read::Done { value, consumed });
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
