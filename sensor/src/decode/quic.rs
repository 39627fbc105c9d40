//! QUIC Initial packets: their keys are public (RFC 9001 §5.2, RFC 9369), so the hellos in them can be read.
//!
//! Keys come from the destination connection id of the client's first Initial. The hello is put together out of the
//! CRYPTO frames of several packets, coalesced or not. Versions: 1, 2 and its last draft, drafts 29 to 34 of version 1.
//! A server may answer in another version than it was asked in (RFC 9368); the connection id stays.

mod keys;
mod packet;

use lynceus_model::app::AppEvent;
use sensor_ebpf::flow::Side;

use self::keys::Keys;
use self::packet::{Header, LongHeader};
use super::assembler::Assembler;
use super::{Malformed, Read, tls};

/// Bytes of one side's CRYPTO stream. The biggest hellos, with post-quantum keys, have about 2 KiB.
const MAX_CRYPTO: usize = 16_384;

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct QuicFlow {
    keys: Option<Connection>,
    crypto: [Assembler; 2],
    done: [bool; 2],
}

/// Keys of the client's and of the server's Initials.
#[derive(Debug)]
struct Connection {
    version: u32,
    /// The connection id that the client chose for the server.
    destination: Vec<u8>,
    client_side: Side,
    client: Keys,
    server: Keys,
}

impl Connection {
    fn new(version: u32, destination: &[u8], client_side: Side) -> Result<Self, Malformed> {
        Ok(Self {
            version,
            destination: destination.to_vec(),
            client_side,
            client: Keys::derive(version, destination, keys::Role::Client)?,
            server: Keys::derive(version, destination, keys::Role::Server)?,
        })
    }
}

/// What one datagram gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) event: Option<AppEvent>,
    /// An Initial that could not be opened with the keys of this flow, or not read.
    pub(super) malformed: bool,
}

impl QuicFlow {
    /// A hello was begun and is not whole.
    pub(super) fn is_incomplete(&self) -> bool {
        self.crypto.iter().any(|stream| !stream.is_empty())
    }

    /// Reads a datagram with one or more packets. `scratch` is overwritten.
    pub(super) fn datagram(&mut self, bytes: &[u8], sender: Side, scratch: &mut Vec<u8>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut rest = bytes;
        while let Some((header, packet, after)) = Header::parse(rest) {
            rest = after;
            let Header::Initial(header) = header else {
                continue;
            };
            if self.done[sender as usize] {
                break;
            }
            match self.initial(&header, packet, sender, scratch) {
                Ok(event) => outcome.event = outcome.event.or(event),
                Err(Malformed) => outcome.malformed = true,
            }
        }
        outcome
    }

    fn initial(
        &mut self,
        header: &LongHeader<'_>,
        packet: &[u8],
        sender: Side,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<AppEvent>, Malformed> {
        if let Some(known) = &mut self.keys
            && known.version != header.version
        {
            *known = Connection::new(header.version, &known.destination, known.client_side)?;
        }
        let known = self.keys.as_ref().and_then(|known| {
            let from_client = known.client_side == sender;
            let keys = if from_client { &known.client } else { &known.server };
            keys.open(header, packet, scratch)
        });
        let payload = match known {
            Some(range) => range,
            None => self.first_of_client(header, packet, sender, scratch)?,
        };
        let plain = scratch.get(payload).ok_or(Malformed)?;
        let stream = &mut self.crypto[sender as usize];
        read_frames(plain, stream)?;
        let Read::Done { value, .. } = tls::read_handshake(stream.ready(), true)? else {
            return Ok(None);
        };
        stream.clear();
        self.done[sender as usize] = true;
        Ok(Some(value))
    }

    /// The first Initial of a client makes the keys; so does its next one after a Retry.
    fn first_of_client(
        &mut self,
        header: &LongHeader<'_>,
        packet: &[u8],
        sender: Side,
        scratch: &mut Vec<u8>,
    ) -> Result<std::ops::Range<usize>, Malformed> {
        let connection = Connection::new(header.version, header.destination, sender)?;
        let payload = connection.client.open(header, packet, scratch).ok_or(Malformed)?;
        self.keys = Some(connection);
        self.crypto = [Assembler::default(), Assembler::default()];
        Ok(payload)
    }
}

/// Collects the CRYPTO frames of an Initial's payload (RFC 9000 §12.4: PADDING, PING, ACK, CRYPTO, CONNECTION_CLOSE).
fn read_frames(mut frames: &[u8], stream: &mut Assembler) -> Result<(), Malformed> {
    while let Some((&kind, rest)) = frames.split_first() {
        frames = rest;
        match kind {
            0 | 1 => {}
            2 | 3 => {
                varint(&mut frames)?;
                varint(&mut frames)?;
                let ranges = varint(&mut frames)?;
                varint(&mut frames)?;
                // Each range takes at least two bytes, so a false count ends at the end of the packet.
                for _ in 0..ranges {
                    varint(&mut frames)?;
                    varint(&mut frames)?;
                }
                if kind == 3 {
                    for _ in 0..3 {
                        varint(&mut frames)?;
                    }
                }
            }
            6 => {
                let offset = varint(&mut frames)?;
                let length = usize::try_from(varint(&mut frames)?).map_err(|_| Malformed)?;
                let (data, rest) = frames.split_at_checked(length).ok_or(Malformed)?;
                frames = rest;
                let offset = u32::try_from(offset).map_err(|_| Malformed)?;
                stream.insert(offset, data, MAX_CRYPTO).map_err(|_| Malformed)?;
            }
            // The connection ends; nothing that we read follows.
            0x1c | 0x1d => return Ok(()),
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

/// Variable-length integer (RFC 9000 §16).
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let (&first, _) = bytes.split_first().ok_or(Malformed)?;
    let (taken, rest) = bytes.split_at_checked(1 << (first >> 6)).ok_or(Malformed)?;
    *bytes = rest;
    Ok(taken[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests;
