//! TLS hellos (RFC 8446, RFC 5246) as they stand in records over TCP or in CRYPTO frames of QUIC.
//!
//! The fields are read in the order of the wire and kept raw, as fingerprints need them; a broken extension body costs
//! that extension only.

mod hello;
mod record;

use lynceus_model::app::{AppEvent, TlsClient, TlsServer};

pub use self::hello::{ClientHello, ServerHello};
pub use self::record::{read_certificate, read_hello};
use super::{Malformed, Read, ja3, ja4};

/// Protocol names kept of one ALPN extension; browsers send two or three.
const MAX_ALPN: usize = 16;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// Reads a handshake message: type, 24-bit length, body.
///
/// # Errors
/// It is no hello, or its fixed part cannot be read.
pub fn read_handshake(bytes: &[u8], quic: bool) -> Result<Read<AppEvent>, Malformed> {
    let Some(&[kind, high, middle, low]) = bytes.first_chunk() else {
        return Ok(Read::NeedMore);
    };
    let length = usize::from(u16::from_be_bytes([middle, low]));
    if high != 0 || !matches!(kind, CLIENT_HELLO | SERVER_HELLO) {
        return Err(Malformed);
    }
    let Some(body) = bytes.get(4..4 + length) else {
        return Ok(Read::NeedMore);
    };
    let event = if kind == CLIENT_HELLO {
        AppEvent::TlsClient(client(&ClientHello::parse(body)?, quic))
    } else {
        AppEvent::TlsServer(server(&ServerHello::parse(body)?, quic))
    };
    Ok(Read::Done {
        value: event,
        consumed: 4 + length,
    })
}

fn client(hello: &ClientHello<'_>, quic: bool) -> TlsClient {
    TlsClient {
        quic,
        server_name: hello.server_name().map(text),
        alpn: hello.alpn().take(MAX_ALPN).map(text).collect(),
        version: hello.highest_version(),
        ja3: ja3::client(hello),
        ja4: ja4::client(hello, quic),
    }
}

fn server(hello: &ServerHello<'_>, quic: bool) -> TlsServer {
    TlsServer {
        quic,
        version: hello.chosen_version(),
        cipher: hello.cipher,
        alpn: hello.alpn().map(text),
        ja3s: ja3::server(hello),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reserved values that clients send to keep servers tolerant (RFC 8701): 0x0a0a, 0x1a1a … 0xfafa.
#[must_use]
pub(super) const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

#[cfg(test)]
mod tests;
